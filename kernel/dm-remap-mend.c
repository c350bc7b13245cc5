// SPDX-License-Identifier: GPL-2.0-only
/*
 * Giving every unit the redundancy that it should have, in the background.
 *
 * DOC: a pass
 *
 * The worker walks the index, and then the second copies. In this order it
 *
 *   - makes the second copy the first one where the spare of the first is gone;
 *   - replaces or drops second copies whose spare is gone, or which are where the
 *     first one is;
 *   - compares the copies after a power cut, and makes the second the same;
 *   - gives a second copy to those that have none;
 *   - drops second copies without a first one, and all of them when one is enough.
 *
 * It is kicked by whatever may have made it necessary or possible, and a pass that
 * was under way is followed by another one. A step is a small piece: the redirect
 * engine, which needs engine_lock as well, and writes to units that are held wait no
 * longer than that. While bios come, it rests as long as it has worked.
 *
 * A unit that has two copies is written by the redirect engine only, so that
 * engine_lock alone is enough to change them. One that has a single copy is held and
 * drained first (see dm-remap-hold.c).
 */
#include <linux/delay.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-faces.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

/* Units that are changed in one step, and entries that are looked at. */
#define STEP_UNITS	16
#define STEP_ENTRIES	4096
/* Jiffies before a pass begins anew for units that somebody else held. */
#define AGAIN_JIFFIES	(HZ / 10)

/**
 * struct step - what one step does
 * @unit: units that are to get a second copy
 * @hold: holds of those that could be held
 * @nr: their number
 * @mended: units that were changed already
 */
struct step {
	u64 unit[STEP_UNITS];
	struct dmr_hold hold[STEP_UNITS];
	unsigned int nr;
	unsigned int mended;
};

/**
 * dmr_below() - remapped units that have less copies than they should
 * @s: the set
 *
 * Units without data are not counted. Those whose copies may differ are.
 * Context: any; a snapshot without engine_lock. Return: their number.
 */
u64 dmr_below(struct dmr_set *s)
{
	u64 known = s->nr_remaps - s->nr_unknown, healthy;

	if (s->redundancy < 2)
		return 0;
	healthy = dmr_pairs_healthy(s);
	if (READ_ONCE(s->resync_at) != U64_MAX)
		healthy -= min(healthy, s->nr_unsynced);
	return known > healthy ? known - healthy : 0;
}

/**
 * dmr_below_changed() - what follows from a change of the table or the members
 * @s: the set
 *
 * Context: engine_lock held.
 */
void dmr_below_changed(struct dmr_set *s)
{
	u64 below = dmr_below(s), was = s->last_below;

	s->last_below = below;
	if (below > was)
		dmr_mend_kick(s);
	if (!below == !was)
		return;
	if (below)
		DMWARN("%s: %llu remapped sectors are on one spare only",
		       dm_device_name(s->md), below << s->unit_shift);
	else
		DMINFO("%s: all remapped sectors are on %u spares",
		       dm_device_name(s->md), s->redundancy);
	dmr_event(s);
}

/* Could a unit whose first copy is on row @idx get a second one? */
static bool second_fits(struct dmr_set *s, unsigned int idx)
{
	return !dmr_table_full(s) &&
	       dmr_has_room(s, dmr_draining_rows(s) | 1U << idx);
}

/* The copies of a unit may differ: the second becomes what the first is. */
static void resync_unit(struct dmr_set *s, const struct dmr_pair *p)
{
	struct dmr_where w = { .failed = DMR_SECOND };
	unsigned int bytes = dmr_unit_bytes(s);
	u64 unit = p->first.main_unit;

	if (s->nr_unsynced)
		s->nr_unsynced--;
	if (dmr_pair_read(s, &p->first, s->unit_page)) {
		/* Neither can be read: what is left must not answer some day. */
		if (!dmr_mirror_serve(s, unit, s->unit_page))
			dmr_stage_unmirror(s, unit, true);
		return;
	}
	if (!dmr_pair_read(s, &p->second, s->check_page) &&
	    !memcmp(page_address(s->unit_page), page_address(s->check_page), bytes))
		return;
	if (dmr_io_page(s, s->spare[p->second.spare_idx].bdev,
			dmr_unit_to_sector(s, p->second.spare_unit), s->unit_page,
			bytes, REQ_OP_WRITE | REQ_FUA | REQ_SYNC))
		dmr_place_copies(s, s->unit_page, unit, 0, w);
}

/* A unit that has two copies by the table. */
static void mend_pair(struct dmr_set *s, struct step *st,
		      const struct dmr_pair *p)
{
	u64 unit = p->first.main_unit;
	struct dmr_where w = { };

	if (!(p->usable & DMR_FIRST)) {
		if (p->usable & DMR_SECOND) {
			/* Its old entry goes when the new one is durable. */
			if (dmr_mirror_serve(s, unit, s->unit_page))
				WRITE_ONCE(s->mend_again, true);
			st->mended++;
		}
	} else if (!(p->usable & DMR_SECOND)) {
		if (!dmr_pair_read(s, &p->first, s->unit_page))
			dmr_place_copies(s, s->unit_page, unit, 0, w);
		st->mended++;
	} else if (unit >= s->resync_at) {
		resync_unit(s, p);
		st->mended++;
	}
}

/* An entry of a remapped unit. */
static void look_at_first(struct dmr_set *s, struct step *st, u64 unit, u64 val)
{
	struct dmr_pair p;

	if (!dmr_val_plain(val))
		return;
	dmr_pair_get(s, unit, &p);
	if (dmr_val_mirrored(val))
		mend_pair(s, st, &p);
	else if (s->redundancy == 2 && p.usable & DMR_FIRST &&
		 second_fits(s, p.first.spare_idx))
		st->unit[st->nr++] = unit;
}

/* The entry of a second copy: is it to be dropped? */
static void look_at_second(struct dmr_set *s, struct step *st, u64 unit)
{
	struct dmr_pair p;
	bool orphan;

	dmr_pair_get(s, unit, &p);
	orphan = p.first.kind != DMR_KIND_REMAP ||
		 p.first.flags & DMR_ENTRY_UNKNOWN;
	if (!orphan) {
		if (s->redundancy == 2 || !(p.usable & DMR_FIRST))
			return;
		/* It goes only when the other one can be read. */
		if (dmr_pair_read(s, &p.first, s->unit_page)) {
			if (dmr_mirror_serve(s, unit, s->unit_page))
				s->mend_again = true;
			return;
		}
		WRITE_ONCE(s->spare[p.first.spare_idx].unflushed, true);
	}
	dmr_stage_unmirror(s, unit, orphan || p.same);
	st->mended++;
}

/*
 * Go on in the index until there is enough to do. Returns false at the end of the
 * pass.
 */
static bool look(struct dmr_set *s, struct step *st)
{
	u64 key = s->mend_at, unit, val;
	unsigned int looked;

	for (looked = 0; looked < STEP_ENTRIES; looked++, key++) {
		if (st->nr == STEP_UNITS || st->mended == STEP_UNITS)
			break;
		if (key < s->mirror_base && !dmr_index_next(s, &key, &val))
			key = s->mirror_base;
		if (key >= s->mirror_base) {
			/* All first copies have been seen. */
			s->resync_at = U64_MAX;
			unit = key - s->mirror_base;
			if (!dmr_index_next_second(s, &unit, &val))
				return false;
			key = s->mirror_base + unit;
			look_at_second(s, st, unit);
		} else {
			look_at_first(s, st, key, val);
		}
	}
	if (s->resync_at != U64_MAX && s->mend_at <= s->resync_at &&
	    key > s->resync_at)
		WRITE_ONCE(s->resync_at, key);
	s->mend_at = key;
	return true;
}

/* Under engine_lock: give a unit that is held and drained its second copy. */
static void add_copy(struct dmr_set *s, u64 unit)
{
	struct dmr_where w = { };
	struct dmr_pair p;

	dmr_pair_get(s, unit, &p);
	if (s->redundancy < 2 || p.usable != DMR_FIRST ||
	    p.second.kind != DMR_KIND_FREE ||
	    dmr_pair_read(s, &p.first, s->unit_page))
		return;
	dmr_place_copies(s, s->unit_page, unit, 0, w);
}

static void add_copies(struct dmr_set *s, struct step *st)
{
	unsigned int i, held = 0;

	for (i = 0; i < st->nr; i++) {
		/* Whoever has it may need long; the others must not wait for it. */
		if (dmr_hold_try(s, &st->hold[held], st->unit[i], 1))
			st->unit[held++] = st->unit[i];
		else
			WRITE_ONCE(s->mend_again, true);
	}
	if (held)
		dmr_drain(s);
	mutex_lock(&s->engine_lock);
	for (i = 0; i < held && !s->failed; i++)
		add_copy(s, st->unit[i]);
	dmr_commit(s);
	mutex_unlock(&s->engine_lock);
	for (i = 0; i < held; i++)
		dmr_hold_put(s, &st->hold[i]);
}

/* Is there anything that a pass could do? */
static bool worth_it(struct dmr_set *s)
{
	unsigned int i;

	if (s->redundancy < 2 || s->resync_at != U64_MAX ||
	    s->nr_mirrors > dmr_pairs_healthy(s))
		return s->nr_mirrors;
	if (s->nr_remaps - s->nr_unknown <= s->nr_mirrors)
		return false;
	for (i = 0; i < s->nr_spares; i++)
		if (s->spare[i].present && second_fits(s, i))
			return true;
	return false;
}

/* Units that have a copy on a row and another elsewhere. */
static u64 pairs_on(struct dmr_set *s, unsigned int idx)
{
	unsigned int i;
	u64 n = 0;

	for (i = 0; i < s->nr_spares; i++)
		n += s->spare[idx].pairs[i] + s->spare[i].pairs[idx];
	return n;
}

/*
 * Whatever had its other copy on a row that is gone has one elsewhere now, durably,
 * or is the only one and known as such.
 */
static void forget_twin(struct dmr_set *s, unsigned int idx)
{
	unsigned int i;

	spin_lock_irq(&s->fail_lock);
	s->spare[idx].flushing &= DMR_SOLE;
	WRITE_ONCE(s->spare[idx].twins, 0);
	for (i = 0; i < s->nr_spares; i++) {
		s->spare[i].flushing &= ~(1U << idx);
		WRITE_ONCE(s->spare[i].twins, s->spare[i].twins & ~(1U << idx));
	}
	spin_unlock_irq(&s->fail_lock);
}

/* When the last second copy is gone, older modules can read the set again. */
static void end_pass(struct dmr_set *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_spares; i++)
		if (!s->spare[i].present && !pairs_on(s, i))
			forget_twin(s, i);
	s->mend_at = U64_MAX;
	s->resync_at = U64_MAX;
	if (s->redundancy < 2 && !s->nr_mirrors &&
	    s->spare[0].sb.feature_incompat & DMR_FEATURE_MIRRORS)
		dmr_write_superblocks(s);
	dmr_below_changed(s);
}

/* Returns false when the pass is over. */
static bool one_step(struct dmr_set *s, struct step *st)
{
	bool more = true;

	mutex_lock(&s->engine_lock);
	if (s->mend_at == U64_MAX) {
		s->mend_again = false;
		s->mend_at = 0;
		more = worth_it(s);
	}
	if (more)
		more = look(s, st);
	dmr_commit(s);
	if (!more)
		end_pass(s);
	mutex_unlock(&s->engine_lock);
	if (st->nr && !s->failed)
		add_copies(s, st);
	return more;
}

static u64 foreground(struct dmr_set *s)
{
	return dmr_done(s, 0) + dmr_done(s, 1) +
	       atomic64_read(&s->stats.slow_writes);
}

/**
 * dmr_mend_work() - the worker
 * @work: mend_work of a set
 *
 * Context: may sleep.
 */
void dmr_mend_work(struct work_struct *work)
{
	struct dmr_set *s = container_of(work, struct dmr_set, mend_work.work);
	unsigned long start = jiffies, delay = 0;
	struct step *st;
	unsigned int noio;
	u64 ios;
	bool more;

	if (!READ_ONCE(s->mend_on) || READ_ONCE(s->failed))
		return;
	noio = memalloc_noio_save();
	st = kzalloc(sizeof(*st), GFP_KERNEL);
	more = !st || one_step(s, st);
	memalloc_noio_restore(noio);
	ios = foreground(s);
	if (!st || !more)
		delay = AGAIN_JIFFIES;
	else if (ios != s->mend_ios)
		delay = jiffies - start + 1;
	s->mend_ios = ios;
	kfree(st);
	if ((more || READ_ONCE(s->mend_again)) && READ_ONCE(s->mend_on))
		queue_delayed_work(system_unbound_wq, &s->mend_work, delay);
}

/**
 * dmr_mend_kick() - there may be something to do
 * @s: the set
 *
 * Context: any.
 */
void dmr_mend_kick(struct dmr_set *s)
{
	if (!READ_ONCE(s->mend_on))
		return;
	WRITE_ONCE(s->mend_again, true);
	mod_delayed_work(system_unbound_wq, &s->mend_work, 0);
}

/**
 * dmr_mend_start() - let the worker run
 * @s: the set
 *
 * Context: any, called from resume and presuspend_undo.
 */
void dmr_mend_start(struct dmr_set *s)
{
	WRITE_ONCE(s->mend_on, true);
	dmr_mend_kick(s);
}

/**
 * dmr_mend_stop() - stop the worker, and wait for it
 * @s: the set
 *
 * Context: may sleep; a step takes as long as its I/O.
 */
void dmr_mend_stop(struct dmr_set *s)
{
	WRITE_ONCE(s->mend_on, false);
	cancel_delayed_work_sync(&s->mend_work);
}

/**
 * dmr_mending() - is the worker at it, or about to be?
 * @s: the set
 *
 * Context: any. Return: false when it has done what it can until something changes.
 */
bool dmr_mending(struct dmr_set *s)
{
	return work_busy(&s->mend_work.work);
}

/* Units of which one copy is there, and the other isn't. */
static u64 pairs_torn(struct dmr_set *s)
{
	unsigned int i, k;
	u64 n = 0;

	for (i = 0; i < s->nr_spares; i++)
		for (k = 0; k < s->nr_spares; k++)
			if (s->spare[i].present != s->spare[k].present)
				n += s->spare[i].pairs[k];
	return n;
}

/**
 * dmr_mend_absent() - wait until no unit has a copy on an absent spare and one that
 *                     is there
 * @s: the set
 *
 * But for those that can't be read where they are: an absent one may bring them back.
 * Context: may sleep, engine_lock not held. Return: 0; -EAGAIN, -EINTR, -EIO with a
 * sentence in last_error.
 */
int dmr_mend_absent(struct dmr_set *s)
{
	bool idle = !READ_ONCE(s->nr_mirrors);
	int r = 0;

	if (!idle)
		dmr_mend_kick(s);
	while (!idle && !r) {
		msleep(20);
		r = dmr_interrupted(s);
		mutex_lock(&s->engine_lock);
		idle = !pairs_torn(s) || (s->mend_at == U64_MAX && !s->mend_again);
		mutex_unlock(&s->engine_lock);
	}
	return r;
}

/**
 * dmr_resync_all() - copies may differ: compare all of them
 * @s: the set
 *
 * Context: engine_lock held, or the set is being loaded.
 */
void dmr_resync_all(struct dmr_set *s)
{
	s->nr_unsynced = dmr_pairs_healthy(s);
	WRITE_ONCE(s->resync_at, s->nr_unsynced ? 0 : U64_MAX);
}

/**
 * dmr_set_redundancy() - say on how many spares every remap is to be
 * @s: the set
 * @copies: 1 or 2
 *
 * The worker does the rest.
 * Context: may sleep. Return: 0; -ENOMEM; -EIO when no spare takes it.
 */
int dmr_set_redundancy(struct dmr_set *s, unsigned int copies)
{
	unsigned int noio = memalloc_noio_save();
	u8 old;
	int r;

	mutex_lock(&s->engine_lock);
	old = s->redundancy;
	r = copies == 2 ? dmr_index_widen(s) : 0;
	if (!r) {
		WRITE_ONCE(s->redundancy, copies);
		r = dmr_commit(s) ?: dmr_write_superblocks(s);
	}
	if (r)
		WRITE_ONCE(s->redundancy, old);
	else
		dmr_below_changed(s);
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
	if (!r)
		dmr_mend_kick(s);
	return r;
}
