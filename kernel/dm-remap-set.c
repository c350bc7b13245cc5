// SPDX-License-Identifier: GPL-2.0-only
/*
 * The live set: made by the first activation of a table, kept across reloads.
 *
 * The order of a reload is ctr(new), suspend(old), swap, preresume(new), resume,
 * dtr(old). So what is on the spares is read only when no live set exists; a new
 * table of the same mapped device finds the set and takes it over.
 */
#include <linux/slab.h>

#include "dm-remap.h"

/* sets_lock guards sets, every set's list member, and binding. */
static DEFINE_MUTEX(sets_lock);
static LIST_HEAD(sets);

static void set_free(struct dmr_set *s)
{
	unsigned int i;

	cancel_delayed_work_sync(&s->state_work);
	/* Everything that is queued ends here. */
	if (s->write_wq)
		destroy_workqueue(s->write_wq);
	if (s->read_wq)
		destroy_workqueue(s->read_wq);
	dmr_state_stop(s);
	dmr_index_exit(s);
	dmr_commit_exit(s);
	for (i = 0; i < DMR_MAX_SPARES; i++)
		kvfree(s->spare[i].alloc_mem);
	dmr_rescue_exit(s);
	mempool_exit(&s->records);
	bioset_exit(&s->bios);
	free_percpu(s->pcpu);
	kvfree(s);
}

static void set_init_locks(struct dmr_set *s)
{
	mutex_init(&s->ti_lock);
	spin_lock_init(&s->fail_lock);
	spin_lock_init(&s->hold_lock);
	spin_lock_init(&s->error_lock);
	mutex_init(&s->drain_lock);
	mutex_init(&s->engine_lock);
	bio_list_init(&s->slow_writes);
	bio_list_init(&s->slow_reads);
	INIT_LIST_HEAD(&s->holds);
	init_waitqueue_head(&s->hold_wait);
	init_waitqueue_head(&s->backoff_wait);
	init_waitqueue_head(&s->pending_wait);
	INIT_WORK(&s->write_work, dmr_redirect_work);
	INIT_WORK(&s->read_work, dmr_rescue_dispatch);
	INIT_WORK(&s->event_work, dmr_event_work);
	INIT_DELAYED_WORK(&s->state_work, dmr_state_work);
	refcount_set(&s->ref, 1);
}

static struct dmr_set *set_alloc(struct dmr_table *t)
{
	struct mapped_device *md = dm_table_get_md(t->ti->table);
	struct dmr_set *s = kvzalloc(sizeof(*s), GFP_KERNEL);

	if (!s)
		return NULL;
	set_init_locks(s);
	s->md = md;
	s->main = t->main->bdev;
	s->opts = t->opts;
	s->pcpu = alloc_percpu(struct dmr_pcpu);
	s->write_wq = alloc_workqueue("dm-remap-w/%s",
				      WQ_UNBOUND | WQ_MEM_RECLAIM, 1,
				      dm_device_name(md));
	s->read_wq = alloc_workqueue("dm-remap-r/%s", WQ_UNBOUND | WQ_MEM_RECLAIM,
				     0, dm_device_name(md));
	if (!s->pcpu || !s->write_wq || !s->read_wq ||
	    bioset_init(&s->bios, BIO_POOL_SIZE, offsetof(struct dmr_wbio, bio),
			BIOSET_NEED_BVECS | BIOSET_NEED_RESCUER) ||
	    mempool_init_kmalloc_pool(&s->records, DMR_RECORDS,
				      sizeof(struct dmr_record)) ||
	    dmr_rescue_init(s)) {
		set_free(s);
		return NULL;
	}
	return s;
}

/* A table of the same mapped device takes its live set over. */
static int set_attach(struct dmr_set *s, struct dmr_table *t)
{
	unsigned int i, k, seen = 0;

	if (t->main->bdev != s->main || t->ti->len !=
	    dmr_unit_to_sector(s, s->nr_units)) {
		dmr_refuse(t, "the main device of a live set can't be changed by a reload; remove the device first");
		return -EINVAL;
	}
	if (t->have_uuid && memcmp(t->uuid, s->uuid, DMR_UUID_LEN)) {
		dmr_refuse(t, "this device runs set %pUb, the table asks for %pUb",
			   s->uuid, t->uuid);
		return -EINVAL;
	}
	for (i = 0; i < t->nr_spares; i++) {
		for (k = 0; k < s->nr_spares; k++)
			if (s->spare[k].bdev == t->spare[i]->bdev)
				break;
		if (k == s->nr_spares) {
			dmr_refuse(t, "spare %s is not part of the live set",
				   t->spare[i]->name);
			return -EINVAL;
		}
		t->set_idx[i] = k;
		seen |= 1U << k;
	}
	for (k = 0; k < s->nr_spares; k++) {
		if (s->spare[k].present && !(seen & 1U << k)) {
			dmr_refuse(t, "spare %pg is in use and missing from the new table",
				   s->spare[k].bdev);
			return -EINVAL;
		}
	}
	s->opts = t->opts;
	refcount_inc(&s->ref);
	t->set = s;
	if (s->live)
		dmr_state_arm(s);
	else if (dmr_table_writable(t))
		dmr_state_start(s, t);
	return 0;
}

static struct dmr_set *find_set(struct mapped_device *md, const u8 *uuid)
{
	struct dmr_set *s;

	list_for_each_entry(s, &sets, list)
		if (s->md == md || (uuid && !memcmp(s->uuid, uuid, DMR_UUID_LEN)))
			return s;
	return NULL;
}

/* A new set needs spares without metadata of ours, and the right to write. */
static int check_new(struct dmr_table *t, struct dmr_found *found)
{
	unsigned int i;

	if (t->have_uuid) {
		dmr_refuse(t, "no spare of set %pUb is in the table", t->uuid);
		return -ENODEV;
	}
	if (!dmr_table_writable(t)) {
		dmr_refuse(t, "the spares carry no set, and a read-only device makes none");
		return -EROFS;
	}
	for (i = 0; i < t->nr_spares; i++) {
		/* dmr_make_set() looks at these, and refuses other data. */
		if (found[i].err == DMR_FMT_BLANK ||
		    found[i].err == DMR_FMT_MAGIC ||
		    found[i].err == DMR_FMT_UNREADABLE)
			continue;
		/* Nobody should wipe what could be repaired. */
		dmr_refuse(t, "spare %s has metadata of dm-remap that is not valid: %s",
			   t->spare[i]->name, dmr_fmt_strerror(found[i].err));
		return -EILSEQ;
	}
	return 0;
}

static int set_create(struct dmr_table *t, struct dmr_found *found)
{
	struct dmr_set *s;
	int r;

	r = dmr_probe(t, found);
	if (!r)
		r = check_new(t, found) ?: dmr_make_set(t, found);
	if (r < 0)
		return r;
	s = find_set(NULL, found[0].sb.set_uuid);
	if (found[0].valid && s) {
		dmr_refuse(t, "set %pUb is in use by %s", s->uuid,
			   dm_device_name(s->md));
		return -EBUSY;
	}
	s = set_alloc(t);
	if (!s)
		return -ENOMEM;
	r = dmr_load(s, t, found);
	if (r) {
		set_free(s);
		return r;
	}
	list_add(&s->list, &sets);
	t->set = s;
	DMINFO("%s: set %pUb: %llu remaps, %llu lost, unit %u bytes",
	       dm_device_name(s->md), s->uuid, s->nr_remaps, s->nr_lost,
	       dmr_unit_bytes(s));
	return 0;
}

/**
 * dmr_set_bind() - give a table its live set
 * @t: the table; nothing happens when it is bound already
 *
 * Context: may sleep, called from preresume. Return: 0 or a negative errno, with
 * the reason in the kernel log.
 */
int dmr_set_bind(struct dmr_table *t)
{
	struct dmr_found *found;
	struct dmr_set *s;
	int r = 0;

	mutex_lock(&sets_lock);
	if (t->set)
		goto out;
	s = find_set(dm_table_get_md(t->ti->table), NULL);
	if (s) {
		r = set_attach(s, t);
		goto out;
	}
	found = kcalloc(t->nr_spares, sizeof(*found), GFP_KERNEL);
	r = found ? set_create(t, found) : -ENOMEM;
	kfree(found);
out:
	if (!r) {
		mutex_lock(&t->set->ti_lock);
		WRITE_ONCE(t->set->ti, t->ti);
		mutex_unlock(&t->set->ti_lock);
	}
	mutex_unlock(&sets_lock);
	return r;
}

/**
 * dmr_set_unbind() - a table goes; the set goes with the last one
 * @t: the table
 *
 * Context: may sleep, called from dtr; no bio of the table is under way.
 */
void dmr_set_unbind(struct dmr_table *t)
{
	struct dmr_set *s = t->set;

	if (!s)
		return;
	mutex_lock(&sets_lock);
	mutex_lock(&s->ti_lock);
	if (s->ti == t->ti)
		WRITE_ONCE(s->ti, NULL);
	mutex_unlock(&s->ti_lock);
	t->set = NULL;
	if (refcount_dec_and_test(&s->ref)) {
		list_del(&s->list);
		set_free(s);
	}
	mutex_unlock(&sets_lock);
}

/**
 * dmr_set_suspend() - somebody waits for our bios: no more pauses
 * @s: the set
 *
 * Context: may sleep, called from presuspend.
 */
void dmr_set_suspend(struct dmr_set *s)
{
	WRITE_ONCE(s->suspending, true);
	wake_up_all(&s->backoff_wait);
}

/**
 * dmr_set_resume() - go on as usual
 * @s: the set
 *
 * Context: any, called from resume and presuspend_undo.
 */
void dmr_set_resume(struct dmr_set *s)
{
	WRITE_ONCE(s->suspending, false);
}
