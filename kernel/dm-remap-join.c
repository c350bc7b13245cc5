// SPDX-License-Identifier: GPL-2.0-only
/*
 * A device becomes a member of a live set, or a stale member current again.
 *
 * DOC: joining
 *
 * The device is in the table already, attached by a reload. Then
 *
 *   1. its row says "missing" in all superblocks, its own among them: it can be
 *      recognised when this is cut off, and nothing on it counts;
 *   2. from now on it takes every commit; all leaves are copied to it, some at
 *      a time. One copy that it doesn't take ends the attempt: what it has
 *      there from an earlier life could win at the next start;
 *   3. it is flushed, the units in use on it are marked, and its row says "in
 *      sync": from here on it may take data.
 *
 * The entries that point to a spare that was stale say: not written since it was
 * left out. So its data counts again (see docs/design/decisions.md).
 *
 * Everything here: may sleep, engine_lock not held but where it says so.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uuid.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

/* Leaves that are copied without letting anybody else at the table. */
#define CHUNK_LEAVES	(DMR_BULK_BYTES / DMR_BLOCK_SIZE)

/**
 * struct dmr_joiner - a device on its way into the set
 * @s: the set
 * @t: its table
 * @bdev: the device
 * @nr: its place in the table line
 * @row: its row
 * @fresh: the row is new
 * @buf: DMR_BULK_BYTES
 */
struct dmr_joiner {
	struct dmr_set *s;
	struct dmr_table *t;
	struct block_device *bdev;
	unsigned int nr;
	unsigned int row;
	bool fresh;
	void *buf;
};

static int find_device(struct dmr_joiner *j, dev_t dev)
{
	struct dmr_table *t = j->t;

	for (j->nr = 0; j->nr < t->nr_spares; j->nr++) {
		j->bdev = t->spare[j->nr]->bdev;
		if (j->bdev->bd_dev == dev)
			return 0;
	}
	dmr_set_error(j->s, "Device %u:%u is not in the table: load one that lists it as a spare.",
		      MAJOR(dev), MINOR(dev));
	return -ENODEV;
}

/* The row of a device that was a member before; DMR_NO_ROW when it was none. */
static unsigned int own_row(struct dmr_joiner *j, const struct dmr_found *found)
{
	unsigned int row = j->t->set_idx[j->nr];

	if (row != DMR_NO_ROW)
		return row;
	mutex_lock(&j->s->engine_lock);
	row = dmr_member_row(j->s, found);
	mutex_unlock(&j->s->engine_lock);
	return row;
}

static unsigned int free_row(struct dmr_set *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_spares; i++)
		if (dmr_row(s, i)->state == DMR_SPARE_LEFT && !s->spare[i].joining)
			return i;
	return i;
}

static int check_device(struct dmr_joiner *j)
{
	struct dmr_set *s = j->s;

	if (bdev_logical_block_size(j->bdev) > dmr_unit_bytes(s)) {
		dmr_set_error(s, "%pg has logical blocks of %u bytes, but the set remaps units of %u.",
			      j->bdev, bdev_logical_block_size(j->bdev),
			      dmr_unit_bytes(s));
		return -EINVAL;
	}
	return 0;
}

/* May what is on a device that is no member be overwritten? */
static int check_blank(struct dmr_joiner *j, bool force)
{
	int r = force ? 0 : dmr_device_blank(j->bdev, j->buf);

	if (r == -EEXIST)
		dmr_set_error(j->s, "%pg carries other data; wipe it, or say \"force\", if it can go.",
			      j->bdev);
	else if (r)
		dmr_set_error(j->s, "%pg can't be read (error %d).", j->bdev, r);
	return r;
}

/* May the data on a member that was out of use be trusted? */
static int check_trust(struct dmr_joiner *j, bool trust)
{
	struct dmr_set *s = j->s;
	struct dmr_spare *sp = &s->spare[j->row];
	int r = dmr_mend_absent(s);

	if (r || !sp->used)
		return r;
	/*
	 * Units whose other copy is in use have none here by now. The others may
	 * be older here than where else they were.
	 */
	if (dmr_may_have_lost(sp, j->bdev)) {
		dmr_set_error(s, "Spare %u went with writes that it had not flushed: its data can't be trusted. Give it up with \"spare drop %u lose\".",
			      j->row, j->row);
		return -EUCLEAN;
	}
	if (dmr_row(s, j->row)->state == DMR_SPARE_FAILED && !sp->watched && !trust) {
		dmr_set_error(s, "Spare %u failed with %llu sectors on it. If it has kept its power since, say \"trust\"; else give them up with \"spare drop %u lose\".",
			      j->row, dmr_unit_to_sector(s, sp->used), j->row);
		return -EUCLEAN;
	}
	return 0;
}

/* Under engine_lock: a row and a superblock for a device that had none. */
static int describe(struct dmr_joiner *j)
{
	struct dmr_set *s = j->s;
	struct dmr_spare *sp = &s->spare[j->row];
	struct dmr_sb *sb = kmalloc(sizeof(*sb), GFP_KERNEL);
	struct dmr_spare_desc *row;
	unsigned int i;
	int r;

	if (!sb)
		return -ENOMEM;
	for (i = 0; i < s->nr_spares; i++)
		if (s->spare[i].present)
			*sb = s->spare[i].sb;
	memcpy(sb->spare, dmr_row(s, 0), sizeof(sb->spare));
	row = &sb->spare[j->row];
	memset(row, 0, sizeof(*row));
	generate_random_uuid(row->uuid);
	row->sectors = round_down(bdev_nr_sectors(j->bdev), DMR_BLOCK_SECTORS);
	row->state = DMR_SPARE_MISSING;
	memcpy(sb->spare_uuid, row->uuid, DMR_UUID_LEN);
	sb->spare_idx = j->row;
	r = dmr_sb_layout(sb);
	if (!r) {
		memcpy(dmr_row(s, 0), sb->spare, sizeof(sb->spare));
		s->nr_spares = max(s->nr_spares, j->row + 1);
		sp->sb = *sb;
		sp->used = 0;
		sp->bad = 0;
		sp->told_health = 100;
	} else {
		dmr_set_error(s, "%pg can't be a spare of this set: %s.", j->bdev,
			      dmr_fmt_strerror(r));
		r = -ENOSPC;
	}
	kfree(sb);
	return r;
}

/*
 * A member that was not in the table when the set started is known by its row
 * only: what it needs to be recognised again is in its own superblock.
 */
static int know(struct dmr_joiner *j, struct dmr_found *found)
{
	struct dmr_set *s = j->s;
	struct dmr_sb *known = &s->spare[j->row].sb;
	struct dmr_spare_desc *row = dmr_row(s, j->row);
	int r = 0;

	mutex_lock(&s->engine_lock);
	if (!memcmp(known->spare_uuid, row->uuid, DMR_UUID_LEN))
		goto out;
	if (!found->valid || found->sb.nr_leaves != s->nr_leaves ||
	    found->sb.unit_shift != s->unit_shift ||
	    found->sb.spare[j->row].sectors != row->sectors) {
		dmr_set_error(s, "%pg has no superblock of this set.", j->bdev);
		r = -EILSEQ;
		goto out;
	}
	/* The rows of the set are those in its first superblock. */
	memcpy(found->sb.spare, dmr_row(s, 0), sizeof(found->sb.spare));
	*known = found->sb;
out:
	mutex_unlock(&s->engine_lock);
	return r;
}

/* Step 1, under engine_lock. */
static int announce(struct dmr_joiner *j)
{
	struct dmr_set *s = j->s;
	struct dmr_spare *sp = &s->spare[j->row];
	int r = 0;

	if (sp->joining) {
		dmr_set_error(s, "%pg is joining already.", j->bdev);
		return -EBUSY;
	}
	if (j->fresh)
		r = describe(j);
	if (r)
		return r;
	kvfree(sp->alloc_mem);
	sp->alloc_mem = NULL;
	sp->bdev = j->bdev;
	WRITE_ONCE(j->t->set_idx[j->nr], j->row);
	r = dmr_spare_alloc_init(sp);
	if (r)
		return r;
	dmr_flush_forget(s, sp);
	sp->torn = false;
	sp->joining = true;
	dmr_row(s, j->row)->state = DMR_SPARE_MISSING;
	s->members_dirty = true;
	return dmr_commit(s);
}

/* Bad units of the spare that the leaf knows must not be given out. */
static void take_bad(struct dmr_joiner *j, const void *block)
{
	struct dmr_entry e;
	u32 slot;

	for (slot = 0; slot < DMR_LEAF_ENTRIES; slot++)
		if (!dmr_leaf_get(block, slot, &e) && e.kind == DMR_KIND_BAD &&
		    e.spare_idx == j->row)
			dmr_alloc_set(&j->s->spare[j->row].alloc, e.spare_unit);
}

/* Leaves [no, no + n), which lie one behind the other; under engine_lock. */
static int copy_leaves(struct dmr_joiner *j, u32 no, u32 n)
{
	struct dmr_set *s = j->s;
	struct dmr_spare *sp = &s->spare[j->row];
	const void *block;
	unsigned int k;
	u32 i;
	int r;

	r = dmr_commit(s);
	for (i = 0; i < n && !r; i++) {
		block = dmr_leaf_read(s, no + i);
		if (IS_ERR(block))
			return PTR_ERR(block);
		memcpy(j->buf + i * DMR_BLOCK_SIZE, block, DMR_BLOCK_SIZE);
		take_bad(j, block);
	}
	for (k = 0; k < DMR_REPLICAS && !r; k++)
		r = dmr_io_buf(&s->bios, sp->bdev, dmr_leaf_sector(&sp->sb, no, k),
			       j->buf, n * DMR_BLOCK_SIZE, REQ_OP_WRITE);
	return r;
}

/* Step 2. */
static int copy_table(struct dmr_joiner *j)
{
	struct dmr_set *s = j->s;
	u32 no, n, end;
	int r = 0;

	for (no = 0; no < s->nr_leaves && !r; no += n) {
		end = no < DMR_INLINE_LEAVES ? DMR_INLINE_LEAVES : s->nr_leaves;
		n = min_t(u32, end - no, CHUNK_LEAVES);
		r = dmr_interrupted(s);
		if (r)
			break;
		mutex_lock(&s->engine_lock);
		r = copy_leaves(j, no, n);
		mutex_unlock(&s->engine_lock);
		if (r)
			dmr_set_error(s, "The table can't be copied to %pg (error %d).",
				      j->bdev, r);
	}
	return r;
}

static void mark_entry(struct dmr_joiner *j, u64 val)
{
	struct dmr_entry e;

	dmr_val_entry(val, 0, &e);
	if (e.kind != DMR_KIND_LOST && e.spare_idx == j->row)
		dmr_alloc_set(&j->s->spare[j->row].alloc, e.spare_unit);
}

static void mark_used(struct dmr_joiner *j)
{
	u64 unit, val;

	for (unit = 0; dmr_index_next(j->s, &unit, &val); unit++)
		mark_entry(j, val);
	for (unit = 0; dmr_index_next_second(j->s, &unit, &val); unit++)
		mark_entry(j, val);
}

/* Step 3, under engine_lock. */
static int become_current(struct dmr_joiner *j)
{
	struct dmr_set *s = j->s;
	struct dmr_spare *sp = &s->spare[j->row];
	struct dmr_scrub found = { };
	int r;

	r = dmr_commit(s);
	if (!r && (blkdev_issue_flush(sp->bdev) || sp->torn)) {
		dmr_set_error(s, "%pg doesn't take all of the table.", j->bdev);
		return -EIO;
	}
	if (r)
		return r;
	if (sp->used)
		mark_used(j);
	sp->cursor = 0;
	sp->gave_up = false;
	dmr_row(s, j->row)->state = DMR_SPARE_IN_SYNC;
	dmr_row(s, j->row)->flags = 0;
	WRITE_ONCE(sp->present, true);
	/* A copy that came back here may be older than the other one. */
	if (s->nr_mirrors && sp->used)
		dmr_resync_all(s);
	dmr_members_changed(s, j->fresh ? DMR_REASON_SPARE_ADDED :
					  DMR_REASON_SPARE_RESYNCED, j->row);
	r = dmr_commit(s);
	if (!r && !sp->present)
		r = -EIO;
	if (r) {
		dmr_set_error(s, "%pg doesn't take superblocks.", j->bdev);
		return r;
	}
	/* The history, and the counters: what it lacks does no harm. */
	dmr_scrub_records(s, j->buf, &found);
	dmr_state_save(s, false);
	return 0;
}

static int join(struct dmr_joiner *j)
{
	struct dmr_set *s = j->s;
	int r;

	mutex_lock(&s->engine_lock);
	r = announce(j);
	mutex_unlock(&s->engine_lock);
	if (r)
		return r;
	r = copy_table(j);
	mutex_lock(&s->engine_lock);
	if (!r)
		r = become_current(j);
	s->spare[j->row].joining = false;
	mutex_unlock(&s->engine_lock);
	return r;
}

/* Which row it gets, and whether it may. */
static int admit(struct dmr_joiner *j, bool force, bool trust)
{
	struct dmr_set *s = j->s;
	struct dmr_found *found = kzalloc(sizeof(*found), GFP_KERNEL);
	int r;

	if (!found)
		return -ENOMEM;
	r = dmr_probe_spare(j->bdev, found);
	if (r)
		goto out;
	j->row = own_row(j, found);
	j->fresh = j->row == DMR_NO_ROW ||
		   dmr_row(s, j->row)->state == DMR_SPARE_LEFT;
	if (!j->fresh) {
		r = s->spare[j->row].present && s->spare[j->row].bdev != j->bdev ?
			-EBUSY : check_trust(j, trust) ?: know(j, found);
		if (r == -EBUSY)
			dmr_set_error(s, "%pg is a copy of spare %u, which is in use.",
				      j->bdev, j->row);
		goto out;
	}
	j->row = free_row(s);
	if (j->row == DMR_MAX_SPARES) {
		dmr_set_error(s, "A set has at most %u spares: remove one first.",
			      DMR_MAX_SPARES);
		r = -ENOSPC;
		goto out;
	}
	r = check_blank(j, force);
out:
	kfree(found);
	return r;
}

/**
 * dmr_join() - make a device of the table a current member
 * @t: the table
 * @dev: the device
 * @force: what is on it may be overwritten, if it is no member
 * @trust: it has kept its power since it failed
 * @row: its row
 *
 * Return: 0, also when it is one already; a negative errno, with a sentence in
 * last_error. It can be repeated.
 */
int dmr_join(struct dmr_table *t, dev_t dev, bool force, bool trust,
	     unsigned int *row)
{
	struct dmr_joiner j = { .s = t->set, .t = t };
	unsigned int noio;
	int r;

	r = find_device(&j, dev);
	if (r)
		return r;
	*row = t->set_idx[j.nr];
	if (*row != DMR_NO_ROW && t->set->spare[*row].present)
		return 0;
	j.buf = (void *)__get_free_pages(GFP_KERNEL, DMR_BULK_ORDER);
	if (!j.buf)
		return -ENOMEM;
	noio = memalloc_noio_save();
	r = check_device(&j) ?: admit(&j, force, trust) ?: join(&j);
	memalloc_noio_restore(noio);
	free_pages((unsigned long)j.buf, DMR_BULK_ORDER);
	if (r)
		return r;
	*row = j.row;
	DMINFO("%s: %pg is spare %u of the set%s", dm_device_name(t->set->md),
	       j.bdev, j.row, j.fresh ? "" : " again");
	dmr_pool_retry(t->set);
	dmr_mend_kick(t->set);
	dmr_event(t->set);
	return 0;
}
