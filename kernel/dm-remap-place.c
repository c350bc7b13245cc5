// SPDX-License-Identifier: GPL-2.0-only
/*
 * Where a unit goes on the spares: which spare, which unit of it, and what
 * becomes of spare units that don't take the data.
 */
#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-table.h"

/* Spare units tried for one main unit before giving up. */
#define MAX_PLACE_TRIES		8

/**
 * dmr_spare_health() - how much a spare is trusted with new data
 * @s: the set
 * @idx: its row
 *
 * 100 less 5 for each of its units that was set aside, and no more than what
 * "spare health" has said.
 * Context: engine_lock held. Return: 0 to 100.
 */
unsigned int dmr_spare_health(struct dmr_set *s, unsigned int idx)
{
	struct dmr_spare *sp = &s->spare[idx];
	u64 penalty = min_t(u64, 5 * sp->bad, 100);

	return min_t(u64, sp->told_health, 100 - penalty);
}

/* Should the next unit go to row @a rather than to row @b? */
static bool better(struct dmr_set *s, unsigned int a, unsigned int b)
{
	unsigned int n = s->nr_spares;
	int d = 0;

	switch (s->policy) {
	case DMR_POLICY_FIRST_FIT:
		return false;
	case DMR_POLICY_ROUND_ROBIN:
		return (a + n - s->next_spare) % n < (b + n - s->next_spare) % n;
	case DMR_POLICY_HEALTHIEST:
		d = dmr_spare_health(s, a) - dmr_spare_health(s, b);
		break;
	case DMR_POLICY_TIERED:
		d = dmr_row(s, b)->tier - dmr_row(s, a)->tier;
		break;
	default:
		break;
	}
	return d ? d > 0 : s->spare[a].alloc.nr_free > s->spare[b].alloc.nr_free;
}

static bool takes_units(struct dmr_set *s, unsigned int idx, unsigned int avoid)
{
	return s->spare[idx].present && s->spare[idx].alloc.nr_free &&
	       !(avoid & 1U << idx);
}

/**
 * dmr_draining_rows() - the rows that are being emptied
 * @s: the set
 *
 * Context: engine_lock held. Return: a mask.
 */
unsigned int dmr_draining_rows(struct dmr_set *s)
{
	unsigned int i, mask = 0;

	for (i = 0; i < s->nr_spares; i++)
		if (dmr_row(s, i)->flags & DMR_ROW_DRAINING)
			mask |= 1U << i;
	return mask;
}

/**
 * dmr_has_room() - has any spare a free unit?
 * @s: the set
 * @avoid: rows that don't count, as a mask
 *
 * Context: engine_lock held. Return: true when one has.
 */
bool dmr_has_room(struct dmr_set *s, unsigned int avoid)
{
	unsigned int i;

	for (i = 0; i < s->nr_spares; i++)
		if (takes_units(s, i, avoid))
			return true;
	return false;
}

/* The spare that the policy says, but none of @avoid; NULL when none has room. */
static struct dmr_spare *pick_spare(struct dmr_set *s, unsigned int avoid)
{
	unsigned int i, best = s->nr_spares;

	for (i = 0; i < s->nr_spares; i++)
		if (takes_units(s, i, avoid) &&
		    (best == s->nr_spares || better(s, i, best)))
			best = i;
	if (best == s->nr_spares)
		return NULL;
	s->next_spare = (best + 1) % s->nr_spares;
	return &s->spare[best];
}

/**
 * dmr_spare_answers() - does a spare that failed some I/O still answer at all?
 * @s: the set
 * @idx: its row, in use
 *
 * If it doesn't it is taken out of use: what is on it may come back with it.
 * Context: may sleep, engine_lock held. Return: false when it is out of use now.
 */
bool dmr_spare_answers(struct dmr_set *s, unsigned int idx)
{
	unsigned int i;

	for (i = 0; i < DMR_REPLICAS; i++)
		if (!dmr_io_page(s, s->spare[idx].bdev, dmr_slot_sector(i),
				 s->check_page, DMR_BLOCK_SIZE, REQ_OP_READ))
			return true;
	dmr_spare_lost(s, idx, "answers nothing");
	return false;
}

/**
 * dmr_stage_bad() - set a unit of a spare aside for good
 * @s: the set
 * @idx: its row
 * @spare_unit: the unit, which is allocated
 *
 * Context: may sleep, engine_lock held. Return: as dmr_stage().
 */
int dmr_stage_bad(struct dmr_set *s, unsigned int idx, u64 spare_unit)
{
	struct dmr_entry bad = {
		.kind = DMR_KIND_BAD,
		.spare_idx = idx,
		.spare_unit = spare_unit,
	};

	atomic64_inc(&s->stats.spare_errors);
	return dmr_stage(s, &bad);
}

/**
 * dmr_place_data() - put the data of one unit on a spare
 * @s: the set
 * @page: the data; NULL when it is unknown
 * @avoid: rows that it must not go to, as a mask
 * @e: @spare_idx and @spare_unit are set
 *
 * Spare units that don't take the data are set aside for good.
 * Context: may sleep, engine_lock held. Return: BLK_STS_OK: the unit is allocated
 * and its data is on the medium; BLK_STS_NOSPC when no spare unit is free;
 * BLK_STS_IOERR.
 */
blk_status_t dmr_place_data(struct dmr_set *s, struct page *page,
			    unsigned int avoid, struct dmr_entry *e)
{
	unsigned int tries;
	struct dmr_spare *sp;

	for (tries = 0; tries < MAX_PLACE_TRIES; tries++) {
		sp = pick_spare(s, avoid);
		if (!sp || !dmr_alloc_get(&sp->alloc, &e->spare_unit))
			return BLK_STS_NOSPC;
		e->spare_idx = sp - s->spare;
		if (!page || !dmr_io_page(s, sp->bdev,
					  dmr_unit_to_sector(s, e->spare_unit),
					  page, dmr_unit_bytes(s),
					  REQ_OP_WRITE | REQ_FUA | REQ_SYNC))
			return BLK_STS_OK;
		if (!dmr_spare_answers(s, e->spare_idx))
			continue;
		if (dmr_stage_bad(s, e->spare_idx, e->spare_unit))
			return BLK_STS_IOERR;
	}
	return BLK_STS_IOERR;
}

/* A copy on a spare that doesn't answer any more is no reason to blame its unit. */
static void judge_spares(struct dmr_set *s, const struct dmr_pair *p,
			 unsigned int failed)
{
	unsigned int idx = p->first.spare_idx;

	if (p->first.kind == DMR_KIND_REMAP && failed & DMR_FIRST &&
	    s->spare[idx].present)
		dmr_spare_answers(s, idx);
	idx = p->second.spare_idx;
	if (p->second.kind == DMR_KIND_MIRROR && failed & DMR_SECOND &&
	    s->spare[idx].present)
		dmr_spare_answers(s, idx);
}

/*
 * Spare units that are given up: they stay allocated for ever, and the table says
 * that they are bad. Those of a spare that is gone are forgotten.
 */
static int retire(struct dmr_set *s, const struct dmr_entry *e)
{
	if (!s->spare[e->spare_idx].present)
		return 0;
	return dmr_stage_bad(s, e->spare_idx, e->spare_unit);
}

/**
 * struct new_copies - what becomes of the copies of a unit
 * @old: where they are
 * @first: where the first one will be
 * @second: where the second one will be
 * @moved: the first one isn't where it was
 * @placed: those for which a spare unit was allocated, DMR_FIRST and DMR_SECOND
 * @avoid: rows where none is to be, as a mask
 */
struct new_copies {
	struct dmr_pair old;
	struct dmr_entry first;
	struct dmr_entry second;
	bool moved;
	unsigned int placed;
	unsigned int avoid;
};

/* Where the first copy will be: where it is, where the second is, or elsewhere. */
static blk_status_t choose_first(struct dmr_set *s, struct page *page,
				 struct new_copies *c)
{
	unsigned int draining = dmr_draining_rows(s);
	blk_status_t status;

	if (c->old.usable & DMR_FIRST) {
		c->first = c->old.first;
		return BLK_STS_OK;
	}
	c->moved = true;
	if (page && c->old.usable & DMR_SECOND) {
		c->first.spare_idx = c->old.second.spare_idx;
		c->first.spare_unit = c->old.second.spare_unit;
		return BLK_STS_OK;
	}
	status = dmr_place_data(s, page, draining | c->avoid, &c->first);
	/* When all others are full, one that is being emptied is no error. */
	if (status == BLK_STS_NOSPC && draining)
		status = dmr_place_data(s, page, c->avoid, &c->first);
	if (!status)
		c->placed |= DMR_FIRST;
	return status;
}

/* A second copy on another spare, if there is to be one and there is room. */
static void choose_second(struct dmr_set *s, struct page *page,
			  struct new_copies *c)
{
	bool have = c->old.usable & DMR_SECOND;

	if (have && c->first.spare_idx != c->old.second.spare_idx)
		return;
	if (page && s->redundancy == 2 &&
	    !dmr_place_data(s, page, dmr_draining_rows(s) | c->avoid |
			    1U << c->first.spare_idx, &c->second))
		c->placed |= DMR_SECOND;
}

/* Stage the entry of the second copy, or its end. */
static int stage_second(struct dmr_set *s, const struct new_copies *c, bool bad)
{
	bool taken = c->old.second.kind == DMR_KIND_MIRROR &&
		     c->first.spare_idx == c->old.second.spare_idx &&
		     c->first.spare_unit == c->old.second.spare_unit;

	if (c->placed & DMR_SECOND)
		return dmr_stage_mirror(s, &c->second, bad || taken || c->old.same);
	/*
	 * Where it has become the first one, its entry must not go before that of
	 * the first one is durable. It harms nobody: dm-remap-mend.c drops it.
	 */
	if (c->old.second.kind != DMR_KIND_MIRROR || (taken && c->moved) ||
	    (c->old.usable & DMR_SECOND && !taken &&
	     c->first.spare_idx != c->old.second.spare_idx))
		return 0;
	return dmr_stage_unmirror(s, c->first.main_unit, bad || c->old.same);
}

static int stage_copies(struct dmr_set *s, const struct new_copies *c,
			unsigned int failed)
{
	const struct dmr_pair *old = &c->old;
	bool first_bad = c->moved && old->first.kind == DMR_KIND_REMAP &&
			 failed & DMR_FIRST;
	bool second_bad = old->second.kind == DMR_KIND_MIRROR && !old->same &&
			  failed & DMR_SECOND;
	bool pair = old->second.kind == DMR_KIND_MIRROR || c->placed & DMR_SECOND;
	int r;

	/* Old ones set aside, and new ones: all in one batch. */
	r = dmr_stage_reserve(s, 1 + first_bad + second_bad + pair);
	if (!r && first_bad)
		r = retire(s, &old->first);
	if (!r && second_bad)
		r = retire(s, &old->second);
	if (!r && c->moved)
		r = dmr_stage(s, &c->first);
	if (r)
		return r;
	r = stage_second(s, c, second_bad);
	if (r == -ENOSPC) {
		dmr_alloc_clear(&s->spare[c->second.spare_idx].alloc,
				c->second.spare_unit);
		r = 0;
	}
	return r;
}

/**
 * dmr_place_copies() - put a unit on as many spares as it should be, and stage that
 * @s: the set
 * @page: its data; NULL when the data is unknown
 * @unit: main unit, for which nothing is staged
 * @flags: DMR_ENTRY_* of a new entry
 * @w: which of its copies don't have this data, and where they are not to be
 *
 * The copy that has the data becomes the first one. That there is no second one
 * because no other spare has room is no error.
 * Context: may sleep, engine_lock held. Return: BLK_STS_OK; BLK_STS_NOSPC when no
 * spare unit or no slot of the table is free; BLK_STS_IOERR.
 */
blk_status_t dmr_place_copies(struct dmr_set *s, struct page *page, u64 unit,
			      u8 flags, struct dmr_where w)
{
	struct new_copies c = {
		.avoid = w.avoid | w.leave,
		.first.kind = DMR_KIND_REMAP,
		.first.main_unit = unit,
		.first.flags = flags | (page ? 0 : DMR_ENTRY_UNKNOWN),
		.second.kind = DMR_KIND_MIRROR,
		.second.main_unit = unit,
	};
	blk_status_t status;
	int r;

	dmr_pair_get(s, unit, &c.old);
	judge_spares(s, &c.old, w.failed);
	dmr_pair_get(s, unit, &c.old);
	c.old.usable &= ~w.failed;
	if (w.leave & 1U << c.old.first.spare_idx)
		c.old.usable &= ~DMR_FIRST;
	if (w.leave & 1U << c.old.second.spare_idx)
		c.old.usable &= ~DMR_SECOND;
	status = choose_first(s, page, &c);
	if (status)
		return status;
	choose_second(s, page, &c);
	/* What two caches have may soon be in one of them only. */
	if (c.old.second.kind == DMR_KIND_MIRROR && !c.placed)
		WRITE_ONCE(s->spare[c.first.spare_idx].unflushed, true);
	r = stage_copies(s, &c, w.failed);
	if (r) {
		if (c.placed & DMR_FIRST)
			dmr_alloc_clear(&s->spare[c.first.spare_idx].alloc,
					c.first.spare_unit);
		if (c.placed & DMR_SECOND)
			dmr_alloc_clear(&s->spare[c.second.spare_idx].alloc,
					c.second.spare_unit);
		return r == -ENOSPC ? BLK_STS_NOSPC : BLK_STS_IOERR;
	}
	dmr_debug(2, "%s: unit %llu -> spare %u unit %llu", dm_device_name(s->md),
		  unit, c.first.spare_idx, c.first.spare_unit);
	return BLK_STS_OK;
}

/**
 * dmr_place_unit() - put one unit on the spares and stage its entries
 * @s: the set
 * @page: its data; NULL when the data is unknown
 * @unit: main unit; when it is on a spare already, that spare unit is bad
 * @flags: DMR_ENTRY_* of the new entry
 *
 * Context: may sleep, engine_lock held. Return: as dmr_place_copies().
 */
blk_status_t dmr_place_unit(struct dmr_set *s, struct page *page, u64 unit,
			    u8 flags)
{
	struct dmr_where w = { .failed = DMR_FIRST };

	return dmr_place_copies(s, page, unit, flags, w);
}
