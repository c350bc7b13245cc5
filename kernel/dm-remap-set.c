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
#include "dm-remap-data.h"
#include "dm-remap-faces.h"
#include "dm-remap-news.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

/* sets_lock guards sets, every set's list member, binding, and sets_changed. */
static DEFINE_MUTEX(sets_lock);
static LIST_HEAD(sets);
static u32 sets_changed = DMR_UNCHANGED;

static void stop_work(struct dmr_set *s)
{
	cancel_delayed_work_sync(&s->state_work);
	cancel_delayed_work_sync(&s->copy.work);
	cancel_work_sync(&s->pool_work);
	dmr_scan_suspend(s);
	dmr_mend_stop(s);
}

static void set_free(struct dmr_set *s)
{
	unsigned int i;

	stop_work(s);
	/* Everything that is queued ends here. */
	if (s->write_wq)
		drain_workqueue(s->write_wq);
	if (s->read_wq)
		drain_workqueue(s->read_wq);
	dmr_copy_stop(s);
	/* They may have kicked it. */
	dmr_mend_stop(s);
	dmr_state_stop(s);
	/* A spare that does not take the last words is missed: work for nobody. */
	stop_work(s);
	if (s->write_wq)
		destroy_workqueue(s->write_wq);
	if (s->read_wq)
		destroy_workqueue(s->read_wq);
	dmr_scan_exit(s);
	dmr_index_exit(s);
	dmr_commit_exit(s);
	for (i = 0; i < DMR_MAX_SPARES; i++)
		kvfree(s->spare[i].alloc_mem);
	dmr_rescue_exit(s);
	mempool_exit(&s->records);
	dmr_twins_exit(s);
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
	INIT_WORK(&s->pool_work, dmr_pool_work);
	dmr_copy_init(s);
	dmr_scan_init(s);
	INIT_DELAYED_WORK(&s->mend_work, dmr_mend_work);
	s->redundancy = 1;
	s->resync_at = U64_MAX;
	s->mend_at = U64_MAX;
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
	    dmr_twins_init(s) || dmr_rescue_init(s)) {
		set_free(s);
		return NULL;
	}
	return s;
}

/* The row of a live set that a device is in, or was in under another name. */
static int find_row(struct dmr_set *s, struct block_device *bdev,
		    struct dmr_found *found, unsigned int *row)
{
	unsigned int k;
	int r;

	*row = DMR_NO_ROW;
	for (k = 0; k < s->nr_spares; k++) {
		if (s->spare[k].bdev == bdev) {
			*row = k;
			return 0;
		}
	}
	memset(found, 0, sizeof(*found));
	r = dmr_probe_spare(bdev, found);
	if (!r)
		*row = dmr_member_row(s, found);
	return r;
}

/* A spare that is in use comes back as another device: is it what it was? */
static int check_return(struct dmr_set *s, struct dmr_table *t, unsigned int i,
			unsigned int row, const struct dmr_found *found)
{
	struct dmr_spare *sp = &s->spare[row];

	if (!sp->present || sp->bdev == t->spare[i]->bdev)
		return 0;
	if (found->sb.events != s->events) {
		dmr_refuse(t, "spare %s is an old copy of spare %u (%llu events, the set has %llu)",
			   t->spare[i]->name, row, found->sb.events, s->events);
		return -EINVAL;
	}
	if (dmr_may_have_lost(sp, t->spare[i]->bdev)) {
		dmr_refuse(t, "spare %s went with writes that it had not flushed; stop the set and start it again, as after a power cut",
			   t->spare[i]->name);
		return -EINVAL;
	}
	return 0;
}

/*
 * The devices of a new table take their rows. One that is no member is attached
 * only. Nothing changes before all is checked. engine_lock held, nothing runs.
 */
static int attach_spares(struct dmr_set *s, struct dmr_table *t)
{
	struct block_device *bdev[DMR_MAX_SPARES] = { };
	struct dmr_found *found = kmalloc(sizeof(*found), GFP_KERNEL);
	unsigned int i, row;
	int r = found ? 0 : -ENOMEM;

	for (i = 0; i < t->nr_spares && !r; i++) {
		r = find_row(s, t->spare[i]->bdev, found, &row);
		if (!r && row != DMR_NO_ROW)
			r = check_return(s, t, i, row, found);
		if (!r && row != DMR_NO_ROW && bdev[row]) {
			dmr_refuse(t, "%s and %pg are the same spare, or one is a copy of the other",
				   t->spare[i]->name, bdev[row]);
			r = -EINVAL;
		}
		t->set_idx[i] = row;
		if (row != DMR_NO_ROW)
			bdev[row] = t->spare[i]->bdev;
	}
	kfree(found);
	for (row = 0; row < s->nr_spares && !r; row++) {
		if (s->spare[row].present && !bdev[row]) {
			dmr_refuse(t, "spare %pg is in use and missing from the new table",
				   s->spare[row].bdev);
			r = -EINVAL;
		}
	}
	for (row = 0; row < s->nr_spares && !r; row++)
		s->spare[row].bdev = bdev[row];
	return r;
}

/* A table of the same mapped device takes its live set over. */
static int set_attach(struct dmr_set *s, struct dmr_table *t)
{
	int r;

	if ((t->main->bdev != s->main && !dmr_copy_may_replace(s, t)) ||
	    t->ti->len != dmr_unit_to_sector(s, s->nr_units)) {
		dmr_refuse(t, "the main device of a live set can't be changed by a reload, unless all was copied there (the messages \"copy start\" and \"copy complete\"); remove the device first");
		return -EINVAL;
	}
	if (t->have_uuid && memcmp(t->uuid, s->uuid, DMR_UUID_LEN)) {
		dmr_refuse(t, "this device runs set %pUb, the table asks for %pUb",
			   s->uuid, t->uuid);
		return -EINVAL;
	}
	mutex_lock(&s->engine_lock);
	r = attach_spares(s, t);
	mutex_unlock(&s->engine_lock);
	if (!r)
		r = dmr_copy_attach(s, t);
	if (r)
		return r;
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
	r = dmr_load(s, t, found) ?: dmr_copy_attach(s, t);
	if (r) {
		set_free(s);
		return r;
	}
	s->changed = dmr_change();
	list_add(&s->list, &sets);
	WRITE_ONCE(sets_changed, dmr_change());
	t->set = s;
	dmr_debugfs_add(s);
	dmr_news(s, DMR_NEWS_SET_STARTED, 0, DMR_NO_SPARE);
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
		WRITE_ONCE(sets_changed, dmr_change());
		dmr_news(s, DMR_NEWS_SET_STOPPED, 0, DMR_NO_SPARE);
		dmr_debugfs_remove(s);
		set_free(s);
	}
	mutex_unlock(&sets_lock);
}

/**
 * dmr_sets_walk() - do something with each live set
 * @fn: called with the set; it must not wait for tables to come or go
 * @data: for @fn
 *
 * While it runs no set comes or goes, no table is bound or unbound, and so what is
 * in use of a set stays open.
 * Context: may sleep, also while a set is being loaded or stopped.
 */
void dmr_sets_walk(void (*fn)(struct dmr_set *s, void *data), void *data)
{
	struct dmr_set *s;

	mutex_lock(&sets_lock);
	list_for_each_entry(s, &sets, list)
		fn(s, data);
	mutex_unlock(&sets_lock);
}

/**
 * dmr_sets_changed() - a number for the list of sets
 *
 * To be asked before the list is walked. Context: any. Return: another number when a set
 * has come or gone since.
 */
u32 dmr_sets_changed(void)
{
	return READ_ONCE(sets_changed);
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
	dmr_mend_stop(s);
	dmr_scan_suspend(s);
}

/**
 * dmr_set_resume() - go on as usual
 * @s: the set
 *
 * Context: may sleep, called from resume and presuspend_undo.
 */
void dmr_set_resume(struct dmr_set *s)
{
	WRITE_ONCE(s->suspending, false);
	dmr_visits_open(s);
	dmr_pool_retry(s);
	dmr_copy_kick(s);
	dmr_mend_start(s);
	dmr_scan_resume(s);
}
