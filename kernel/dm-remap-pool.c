// SPDX-License-Identifier: GPL-2.0-only
/*
 * The spares as a pool: how much room there is, who is being emptied, who leaves.
 *
 * A spare leaves in steps that can be repeated: it is marked as draining, its
 * units are moved (dm-remap-migrate.c), its row is given up. One on which too
 * many units had to be set aside goes that way by itself.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-news.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

/* Units that the worker moves between two looks at what it is doing. */
#define WORK_UNITS	1024

/**
 * dmr_capacity() - how many units can be remapped in all
 * @s: the set
 *
 * With two copies each that takes twice the entries, and units of two spares.
 * Context: any; a snapshot. Return: the lesser of table entries and spare units.
 */
u64 dmr_capacity(struct dmr_set *s)
{
	u64 entries = dmr_max_entries(s), units = 0, largest = 0;
	unsigned int i;

	for (i = 0; i < s->nr_spares; i++) {
		if (!s->spare[i].present)
			continue;
		units += s->spare[i].usable;
		largest = max(largest, s->spare[i].usable);
	}
	/* With one spare there is one copy, whatever there should be. */
	if (s->redundancy < 2 || units == largest)
		return min(entries, units);
	units = min(units / 2, units - largest);
	return max(min(entries / 2, units), s->nr_remaps);
}

/**
 * dmr_free_units() - how many more units can be remapped
 * @s: the set
 *
 * Context: any; a snapshot. Return: the lesser of free entries and free units.
 */
u64 dmr_free_units(struct dmr_set *s)
{
	u64 used = s->nr_remaps + s->nr_lost + s->nr_bad + s->nr_mirrors;
	u64 entries = dmr_max_entries(s), units = 0;
	unsigned int i;

	for (i = 0; i < s->nr_spares; i++)
		if (s->spare[i].present)
			units += s->spare[i].alloc.nr_free;
	units = min(entries > used ? entries - used : 0, units);
	return s->redundancy == 2 ? DIV_ROUND_UP_ULL(units, 2) : units;
}

/**
 * dmr_space() - is there room?
 * @s: the set
 *
 * Context: any; a snapshot. Return: enum dmr_space.
 */
enum dmr_space dmr_space(struct dmr_set *s)
{
	u64 left = dmr_free_units(s), capacity = dmr_capacity(s);

	if (!left)
		return DMR_SPACE_FULL;
	/* Both are below 2^43. */
	return left * 100 < capacity * READ_ONCE(s->opts.space_percent) ?
		DMR_SPACE_LOW : DMR_SPACE_OK;
}

/**
 * dmr_space_name() - a word for it
 * @space: enum dmr_space
 *
 * Context: any. Return: a constant string.
 */
const char *dmr_space_name(enum dmr_space space)
{
	static const char *const words[] = { "ok", "low", "full" };

	return words[space];
}

/* Is this the time to empty a spare? */
static bool has_failed_too_often(struct dmr_set *s, unsigned int idx)
{
	unsigned int limit = READ_ONCE(s->opts.spare_errors);

	return limit && s->spare[idx].present && !s->spare[idx].gave_up &&
	       s->spare[idx].bad >= limit && dmr_nr_present(s) > 1;
}

/**
 * dmr_pool_look() - after a change of the table: is there anything to do or say?
 * @s: the set
 *
 * Context: engine_lock held.
 */
void dmr_pool_look(struct dmr_set *s)
{
	enum dmr_space space = dmr_space(s);
	bool low = space != DMR_SPACE_OK;
	unsigned int i;

	if (space != s->space) {
		s->space = space;
		dmr_news(s, DMR_NEWS_SPACE, space, DMR_NO_SPARE);
	}
	if (low != s->space_low) {
		s->space_low = low;
		if (low)
			DMWARN("%s: the spares fill up: room for %llu more remaps of %llu; add a spare",
			       dm_device_name(s->md), dmr_free_units(s),
			       dmr_capacity(s));
	}
	for (i = 0; i < s->nr_spares; i++)
		if (has_failed_too_often(s, i))
			queue_work(s->read_wq, &s->pool_work);
}

/**
 * dmr_pool_save() - make what was changed in rows durable
 * @s: the set
 *
 * Context: may sleep, engine_lock not held. Return: 0; -EIO with a sentence in
 * last_error.
 */
int dmr_pool_save(struct dmr_set *s)
{
	unsigned int noio = memalloc_noio_save();
	int r;

	mutex_lock(&s->engine_lock);
	s->members_dirty = true;
	r = dmr_commit(s);
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
	if (r)
		dmr_set_error(s, "No spare takes metadata; see the kernel log.");
	return r;
}

/**
 * dmr_pool_drain() - let no new units go to a spare, or let them again
 * @s: the set
 * @idx: its row
 * @on: which
 *
 * Context: may sleep, engine_lock not held. Return: as dmr_pool_save().
 */
int dmr_pool_drain(struct dmr_set *s, unsigned int idx, bool on)
{
	struct dmr_spare_desc *row = dmr_row(s, idx);
	bool is;

	mutex_lock(&s->engine_lock);
	is = row->flags & DMR_ROW_DRAINING;
	row->flags = on ? row->flags | DMR_ROW_DRAINING :
			  row->flags & ~DMR_ROW_DRAINING;
	s->spare[idx].cursor = 0;
	mutex_unlock(&s->engine_lock);
	if (is == on)
		return 0;
	/* There may be room now for second copies. */
	if (!on)
		dmr_mend_kick(s);
	return dmr_pool_save(s);
}

/* Stage the removal of the bad entries of a spare that stand in one leaf. */
static int forget_leaf(struct dmr_set *s, unsigned int idx, u32 no)
{
	const void *block = dmr_leaf_read(s, no);
	struct dmr_entry e;
	u32 slot;
	int r = 0;

	if (IS_ERR(block))
		return PTR_ERR(block);
	for (slot = 0; slot < DMR_LEAF_ENTRIES && !r; slot++)
		if (!dmr_leaf_get(block, slot, &e) && e.kind == DMR_KIND_BAD &&
		    e.spare_idx == idx)
			r = dmr_stage_unbad(s, idx, DMR_PLACE(no, slot));
	return r ?: dmr_commit(s);
}

/* The next spare of this row must not inherit them. */
static int forget_bad(struct dmr_set *s, unsigned int idx)
{
	u32 no;
	int r = 0;

	for (no = 0; no < s->nr_leaves && s->spare[idx].bad && !r; no++) {
		mutex_lock(&s->engine_lock);
		r = dmr_commit(s) ?: forget_leaf(s, idx, no);
		mutex_unlock(&s->engine_lock);
	}
	return r;
}

/* Second copies there are made elsewhere, or dropped. Under engine_lock. */
static int lose_seconds(struct dmr_set *s, unsigned int idx)
{
	struct dmr_pair p;
	u64 unit, val;
	int r = 0;

	for (unit = 0; !r && dmr_index_next_second(s, &unit, &val); unit++) {
		dmr_pair_get(s, unit, &p);
		if (p.second.spare_idx == idx)
			r = dmr_stage_unmirror(s, unit, false);
	}
	return r ?: dmr_commit(s);
}

/* What is on a spare is given up: reads fail until somebody writes. */
static int lose_units(struct dmr_set *s, unsigned int idx, u64 *lost)
{
	u64 unit = 0, val;
	struct dmr_entry e;
	int r = 0;

	mutex_lock(&s->engine_lock);
	for (; !r && s->spare[idx].used && dmr_index_next(s, &unit, &val); unit++) {
		dmr_val_entry(val, unit, &e);
		if (e.kind != DMR_KIND_REMAP || e.spare_idx != idx ||
		    (dmr_val_mirrored(val) &&
		     dmr_mirror_take_over(s, unit, 1U << idx)))
			continue;
		e = (struct dmr_entry){
			.kind = DMR_KIND_LOST,
			.main_unit = unit,
			.flags = DMR_ENTRY_UNKNOWN,
		};
		r = dmr_stage(s, &e);
		++*lost;
	}
	r = r ?: dmr_commit(s);
	/* Now the ones that have been taken over are none any more. */
	r = r ?: lose_seconds(s, idx);
	mutex_unlock(&s->engine_lock);
	return r;
}

static bool is_last(struct dmr_set *s, unsigned int idx)
{
	return s->spare[idx].present && dmr_nr_present(s) == 1;
}

static int refuse_last(struct dmr_set *s, unsigned int idx)
{
	dmr_set_error(s, "Spare %u is the last one in use: add another first.", idx);
	return -EBUSY;
}

/* The row is free; the others must know before anything else happens. */
static int leave(struct dmr_set *s, unsigned int idx)
{
	struct dmr_spare *sp = &s->spare[idx];
	struct dmr_spare_desc *row = dmr_row(s, idx);
	int r;

	mutex_lock(&s->engine_lock);
	/* Somebody has put a unit there again, or taken the others away. */
	if (sp->used || sp->bad || is_last(s, idx)) {
		mutex_unlock(&s->engine_lock);
		return -EBUSY;
	}
	WRITE_ONCE(sp->present, false);
	dmr_flush_forget(s, sp);
	row->state = DMR_SPARE_LEFT;
	row->flags = 0;
	row->tier = 0;
	dmr_members_changed(s, DMR_REASON_SPARE_REMOVED, idx);
	r = dmr_commit(s);
	mutex_unlock(&s->engine_lock);
	return r;
}

/**
 * dmr_pool_drop() - a spare leaves the set
 * @s: the set
 * @idx: its row
 * @lose: give up what is on it
 * @lost: units that were given up, added to
 *
 * Context: may sleep, engine_lock not held. Return: 0; -EBUSY when something is
 * on it or it is the last one, -EIO; with a sentence in last_error.
 */
int dmr_pool_drop(struct dmr_set *s, unsigned int idx, bool lose, u64 *lost)
{
	bool drained = dmr_row(s, idx)->flags & DMR_ROW_DRAINING;
	unsigned int noio;
	int r;

	if (is_last(s, idx))
		return refuse_last(s, idx);
	if (s->spare[idx].used && !lose) {
		dmr_set_error(s, "%llu sectors are on spare %u: move them to another first (migrate), or give them up (lose).",
			      dmr_unit_to_sector(s, s->spare[idx].used), idx);
		return -EBUSY;
	}
	r = drained ? dmr_pool_save(s) : dmr_pool_drain(s, idx, true);
	/* The others were written to, and are dead: nothing is given up, nothing changes. */
	if (is_last(s, idx)) {
		if (!drained)
			dmr_pool_drain(s, idx, false);
		return refuse_last(s, idx);
	}
	noio = memalloc_noio_save();
	if (!r && lose)
		r = lose_units(s, idx, lost);
	if (!r)
		r = forget_bad(s, idx);
	if (!r)
		r = leave(s, idx);
	memalloc_noio_restore(noio);
	if (r == -EBUSY)
		dmr_set_error(s, "Spare %u has been used again meanwhile, because all others are full: add another first.",
			      idx);
	else if (r)
		dmr_set_error(s, "The table could not be changed; see the kernel log.");
	return r;
}

/* Move everything off a spare; true when nothing is left. */
static bool empty_spare(struct dmr_set *s, unsigned int idx)
{
	struct dmr_migrated m = { };
	unsigned int avoid = dmr_migrate_avoids(s, idx);
	int r = 0;

	while (!r)
		r = dmr_migrate(s, idx, avoid, WORK_UNITS, &m);
	if (r == -EAGAIN)
		return false;
	if (r < 0 || m.failed) {
		DMWARN("%s: spare %u could not be emptied (%llu units moved, %llu can't be read, error %d)",
		       dm_device_name(s->md), idx, m.moved, m.failed,
		       min(r, 0));
		s->spare[idx].gave_up = true;
	}
	return !s->spare[idx].used;
}

/**
 * dmr_pool_work() - empty the spares that failed too often, and take them out
 * @work: pool_work of a set
 *
 * Context: may sleep. Ends early before a suspend; dmr_pool_retry() starts it
 * again.
 */
void dmr_pool_work(struct work_struct *work)
{
	struct dmr_set *s = container_of(work, struct dmr_set, pool_work);
	u64 lost = 0;
	unsigned int i;

	for (i = 0; i < s->nr_spares; i++) {
		if (dmr_interrupted(s))
			return;
		if (!has_failed_too_often(s, i))
			continue;
		DMWARN("%s: %llu units of spare %u (%pg) had to be set aside: it is emptied and taken out",
		       dm_device_name(s->md), s->spare[i].bad, i,
		       s->spare[i].bdev);
		if (dmr_pool_drain(s, i, true))
			return;
		if (!empty_spare(s, i) || dmr_pool_drop(s, i, false, &lost))
			continue;
		DMWARN("%s: spare %u is out of the set: replace it",
		       dm_device_name(s->md), i);
		dmr_event(s);
	}
}

/**
 * dmr_pool_retry() - what could not be done before may be possible now
 * @s: the set
 *
 * Context: may sleep, engine_lock not held.
 */
void dmr_pool_retry(struct dmr_set *s)
{
	unsigned int i;

	mutex_lock(&s->engine_lock);
	for (i = 0; i < s->nr_spares; i++)
		s->spare[i].gave_up = false;
	dmr_pool_look(s);
	mutex_unlock(&s->engine_lock);
}

/**
 * dmr_pool_stop() - end the worker, and let nobody start it
 * @s: the set, suspended
 *
 * Context: may sleep, called from postsuspend.
 */
void dmr_pool_stop(struct dmr_set *s)
{
	cancel_work_sync(&s->pool_work);
}
