// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving remapped units from one spare to another, while I/O runs.
 *
 * A piece is some entries of the spare that is left, wherever their units lie on
 * main: each has a hold of its own, and all share a drain and a commit. When the
 * new places are durable and nobody can be reading the old ones any more, those
 * are free. See dm-remap-hold.c for the protocol.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

/* Units that are held at one time: their writes wait for as many writes of ours. */
#define PIECE_UNITS	16

/**
 * struct dmr_piece - units on their way
 * @hold: keeps writes out of them
 * @unit: main units
 * @old: where they were, 0 for one that stays
 * @n: how many
 * @page: for the data of one
 */
struct dmr_piece {
	struct dmr_hold hold[PIECE_UNITS];
	u64 unit[PIECE_UNITS];
	u64 old[PIECE_UNITS];
	unsigned int n;
	struct page *page;
};

static bool second_on(struct dmr_set *s, u64 unit, u64 val, unsigned int row)
{
	struct dmr_pair pair;

	if (!dmr_val_mirrored(val))
		return false;
	dmr_pair_get(s, unit, &pair);
	return pair.second.spare_idx == row;
}

/* The next entries that point to a spare, from its cursor on to the end. */
static void collect(struct dmr_set *s, unsigned int from, u64 max,
		    struct dmr_piece *p)
{
	u64 unit = s->spare[from].cursor, val;
	struct dmr_entry e;

	p->n = 0;
	mutex_lock(&s->engine_lock);
	while (p->n < min_t(u64, max, PIECE_UNITS)) {
		if (unit >= s->nr_units || !dmr_index_next(s, &unit, &val)) {
			unit = s->nr_units;
			break;
		}
		dmr_val_entry(val, unit, &e);
		if (e.kind == DMR_KIND_REMAP &&
		    (e.spare_idx == from || second_on(s, unit, val, from)))
			p->unit[p->n++] = unit;
		unit++;
	}
	s->spare[from].cursor = unit;
	mutex_unlock(&s->engine_lock);
}

static bool read_spare(struct dmr_set *s, const struct dmr_entry *e,
		       struct page *page)
{
	unsigned int try;

	for (try = 0; try <= READ_ONCE(s->opts.retries); try++) {
		if (!dmr_pair_read(s, e, page))
			return true;
		atomic64_inc(&s->stats.retries);
	}
	return false;
}

/*
 * Read a pair of which @leaves goes, and say in @w which copy is no good. The one
 * that stays is asked first: it may be the only one soon.
 */
static bool read_pair(struct dmr_set *s, const struct dmr_pair *pair,
		      unsigned int leaves, struct page *page,
		      struct dmr_where *w)
{
	const struct dmr_entry *going = &pair->second, *staying = &pair->first;
	unsigned int stays = leaves ^ (DMR_FIRST | DMR_SECOND);

	if (leaves == DMR_FIRST)
		swap(going, staying);
	if (pair->usable & stays && !dmr_pair_read(s, staying, page))
		return true;
	w->failed = pair->usable & stays;
	return pair->usable & leaves && !dmr_pair_read(s, going, page);
}

/*
 * A unit with two copies, one of which is on @from; under engine_lock. It keeps
 * both, unless @from is to be emptied and no other spare has room.
 */
static int move_pair(struct dmr_set *s, unsigned int from, unsigned int avoid,
		     struct dmr_piece *p, unsigned int i, struct dmr_migrated *m)
{
	struct dmr_where w = { .leave = 1U << from, .avoid = avoid };
	struct dmr_pair pair;
	unsigned int other, leaves;
	blk_status_t status;

	dmr_pair_get(s, p->unit[i], &pair);
	leaves = pair.first.spare_idx == from ? DMR_FIRST : DMR_SECOND;
	other = leaves == DMR_FIRST ? pair.second.spare_idx :
				      pair.first.spare_idx;
	if (!dmr_has_room(s, dmr_draining_rows(s) | avoid | 1U << other) &&
	    !(dmr_row(s, from)->flags & DMR_ROW_DRAINING))
		return 0;
	if (!read_pair(s, &pair, leaves, p->page, &w)) {
		m->failed++;
		return 0;
	}
	status = dmr_place_copies(s, p->page, p->unit[i],
				  pair.first.flags & DMR_ENTRY_MANUAL, w);
	if (status)
		return status == BLK_STS_NOSPC ? -ENOSPC : -EIO;
	if (leaves == DMR_FIRST)
		p->old[i] = pair.first.spare_unit;
	m->moved++;
	return 0;
}

/* Under a hold and after a drain: @from can't change but by ourselves. */
static int move_unit(struct dmr_set *s, unsigned int from, unsigned int avoid,
		     struct dmr_piece *p, unsigned int i, struct dmr_migrated *m)
{
	struct dmr_entry e, old;
	struct page *page = p->page;
	blk_status_t status;
	bool found;
	u32 place;
	u64 val;
	int r;

	p->old[i] = 0;
	mutex_lock(&s->engine_lock);
	found = dmr_index_find(s, p->unit[i], &val, &place);
	dmr_val_entry(val, p->unit[i], &old);
	if (dmr_val_mirrored(val) &&
	    (old.spare_idx == from || second_on(s, p->unit[i], val, from))) {
		r = move_pair(s, from, avoid, p, i, m);
		mutex_unlock(&s->engine_lock);
		return r;
	}
	mutex_unlock(&s->engine_lock);
	if (!found || old.kind != DMR_KIND_REMAP || old.spare_idx != from)
		return 0;
	if (old.flags & DMR_ENTRY_UNKNOWN) {
		page = NULL;
	} else if (!read_spare(s, &old, page)) {
		m->failed++;
		return 0;
	}
	e = old;
	mutex_lock(&s->engine_lock);
	status = dmr_place_data(s, page, avoid, &e);
	r = status == BLK_STS_NOSPC ? -ENOSPC : status ? -EIO : dmr_stage(s, &e);
	if (r && !status)
		dmr_alloc_clear(&s->spare[e.spare_idx].alloc, e.spare_unit);
	mutex_unlock(&s->engine_lock);
	if (!r) {
		p->old[i] = old.spare_unit;
		m->moved++;
	}
	return r;
}

/* What was left is free once it is durable that it was, and reads have ended. */
static int settle(struct dmr_set *s, unsigned int from, struct dmr_piece *p)
{
	unsigned int i;
	int r;

	mutex_lock(&s->engine_lock);
	r = dmr_commit(s);
	mutex_unlock(&s->engine_lock);
	if (r)
		return r;
	dmr_drain(s);
	mutex_lock(&s->engine_lock);
	for (i = 0; i < p->n; i++)
		if (p->old[i])
			dmr_alloc_clear(&s->spare[from].alloc, p->old[i]);
	/* Others may find room now for their second copies. */
	if (s->last_below)
		dmr_mend_kick(s);
	mutex_unlock(&s->engine_lock);
	return 0;
}

static int move_piece(struct dmr_set *s, unsigned int from, unsigned int avoid,
		      struct dmr_piece *p, struct dmr_migrated *m)
{
	unsigned int i;
	int r = 0, c;

	/* In the order of their units, so that two of us can't wait in a circle. */
	for (i = 0; i < p->n; i++)
		dmr_hold_get(s, &p->hold[i], p->unit[i], 1);
	dmr_drain(s);
	memset(p->old, 0, sizeof(p->old));
	for (i = 0; i < p->n && !r; i++)
		r = move_unit(s, from, avoid, p, i, m);
	c = settle(s, from, p);
	r = r ?: c;
	if (r)
		s->spare[from].cursor = p->unit[0];
	while (p->n)
		dmr_hold_put(s, &p->hold[--p->n]);
	return r;
}

static int explain(struct dmr_set *s, unsigned int from, int r)
{
	if (r == -ENOSPC)
		dmr_set_error(s, "No other spare has room for what is on spare %u: add one, or clear remaps.",
			      from);
	else if (r == -EIO)
		dmr_set_error(s, "What is on spare %u can't be moved: no other spare takes it; see the kernel log.",
			      from);
	return r;
}

/**
 * dmr_migrate_avoids() - where units of a spare that is left must not go
 * @s: the set
 * @from: its row
 *
 * Context: may sleep, engine_lock not held. Return: @from and all that are being
 * emptied, as a mask.
 */
unsigned int dmr_migrate_avoids(struct dmr_set *s, unsigned int from)
{
	unsigned int mask;

	mutex_lock(&s->engine_lock);
	mask = dmr_draining_rows(s) | 1U << from;
	mutex_unlock(&s->engine_lock);
	return mask;
}

/**
 * dmr_migrate() - move units off a spare
 * @s: the set
 * @from: its row; in use
 * @avoid: rows that they must not go to, as a mask; @from among them
 * @max: units to look at, at the most
 * @m: counts, added to
 *
 * Begins behind the unit that the last call ended with, and goes to the end of
 * main once.
 * Context: may sleep. Return: 0; 1 when the end was reached; -ENOSPC, -EIO,
 * -EAGAIN, -EINTR, -ENOMEM with a sentence in last_error. What was moved until
 * then stays moved.
 */
int dmr_migrate(struct dmr_set *s, unsigned int from, unsigned int avoid, u64 max,
		struct dmr_migrated *m)
{
	struct dmr_piece *p = kzalloc(sizeof(*p), GFP_KERNEL);
	unsigned int noio;
	int r = 0;

	if (!p)
		return -ENOMEM;
	p->page = alloc_page(GFP_KERNEL);
	if (!p->page) {
		kfree(p);
		return -ENOMEM;
	}
	noio = memalloc_noio_save();
	while (max && !r) {
		r = dmr_interrupted(s);
		if (r)
			break;
		collect(s, from, max, p);
		max -= p->n;
		if (p->n)
			r = explain(s, from, move_piece(s, from, avoid, p, m));
		if (!r && s->spare[from].cursor >= s->nr_units) {
			s->spare[from].cursor = 0;
			r = 1;
		}
	}
	memalloc_noio_restore(noio);
	__free_page(p->page);
	kfree(p);
	return r;
}
