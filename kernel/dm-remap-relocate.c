// SPDX-License-Identifier: GPL-2.0-only
/*
 * Moving units on request, while I/O runs: remap, unremap, verify.
 *
 * Each works through a range in pieces, so that writes wait for a short time
 * only and a suspend or a signal ends it in between. See dm-remap-hold.c for the
 * protocol.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/sched/signal.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-news.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"
#include "dm-remap-trace.h"

/* Units that are held at one time; fewer where reading one is known to take long. */
#define PIECE_UNITS	64
#define SLOW_UNITS	4

/**
 * struct dmr_batch - what is moved to spares under one drain and one commit
 * @hold: the ranges that are held, in rising order
 * @nr: their number
 * @marginal: nobody has asked for it: only what can be read is moved
 * @page: for the data of one unit
 */
struct dmr_batch {
	struct dmr_hold hold[PIECE_UNITS];
	unsigned int nr;
	bool marginal;
	struct page *page;
};

/* A spare unit to be freed once nobody can be reading it any more. */
struct dmr_freed {
	u64 unit;
	u8 idx;
};

/* Does the table allow to write to main? */
static int check_writable(struct dmr_set *s)
{
	bool ro;

	mutex_lock(&s->ti_lock);
	ro = s->ti && !(dm_table_get_mode(s->ti->table) & BLK_OPEN_WRITE);
	mutex_unlock(&s->ti_lock);
	if (!ro)
		return 0;
	dmr_set_error(s, "The device is read-only, so nothing can be moved back to main.");
	return -EROFS;
}

/**
 * dmr_interrupted() - is somebody waiting for work on request to end?
 * @s: the set
 *
 * Context: any. Return: 0; -EAGAIN before a suspend, -EINTR after a fatal signal,
 * -EIO when the set has failed, with a sentence in last_error.
 */
int dmr_interrupted(struct dmr_set *s)
{
	if (READ_ONCE(s->suspending)) {
		dmr_set_error(s, "The device is suspended; resume it and try again.");
		return -EAGAIN;
	}
	if (fatal_signal_pending(current))
		return -EINTR;
	if (READ_ONCE(s->failed)) {
		dmr_set_error(s, "No spare takes metadata any more, so nothing can be moved; see the kernel log.");
		return -EIO;
	}
	return 0;
}

static int commit_locked(struct dmr_set *s)
{
	int r;

	mutex_lock(&s->engine_lock);
	r = dmr_commit(s);
	mutex_unlock(&s->engine_lock);
	if (r)
		dmr_set_error(s, "The table could not be written to any spare; see the kernel log.");
	return r;
}

/* Read one unit of main, with retries but without long pauses. */
static bool read_main(struct dmr_set *s, u64 unit, struct page *page)
{
	unsigned int try;

	for (try = 0; try <= READ_ONCE(s->opts.retries); try++) {
		if (!dmr_io_page(s, s->main, dmr_unit_to_sector(s, unit), page,
				 dmr_unit_bytes(s), REQ_OP_READ | REQ_SYNC))
			return true;
		atomic64_inc(&s->stats.retries);
	}
	atomic64_inc(&s->stats.read_errors);
	dmr_news_unit(s, DMR_NEWS_READ_ERROR, unit);
	return false;
}

static int relocate_unit(struct dmr_set *s, u64 unit, struct page *page,
			 bool marginal, struct dmr_moved *m)
{
	u8 flags = marginal ? 0 : DMR_ENTRY_MANUAL;
	blk_status_t status;
	struct dmr_entry e;
	bool have, readable;
	u32 place;
	u64 val;

	mutex_lock(&s->engine_lock);
	have = dmr_index_find(s, unit, &val, &place);
	mutex_unlock(&s->engine_lock);
	dmr_val_entry(val, unit, &e);
	if (have && e.kind == DMR_KIND_REMAP) {
		m->already++;
		return 0;
	}
	/* What main holds may be older than what is lost. */
	readable = !(have && e.flags & DMR_ENTRY_UNKNOWN) &&
		   (read_main(s, unit, page) ||
		    (!have && dmr_copy_read(s, unit, page)));
	/* The next read finds out, and does what there is to do. */
	if (marginal && (have || !readable)) {
		m->kept++;
		return 0;
	}
	mutex_lock(&s->engine_lock);
	status = dmr_place_unit(s, readable ? page : NULL, unit, flags);
	mutex_unlock(&s->engine_lock);
	if (status == BLK_STS_NOSPC) {
		dmr_set_error(s, "Sector %llu can't be remapped: no spare unit or no table entry is free; add a spare or clear remaps.",
			      dmr_unit_to_sector(s, unit));
		return -ENOSPC;
	}
	if (status) {
		dmr_set_error(s, "Sector %llu can't be remapped: no spare takes its data; see the kernel log.",
			      dmr_unit_to_sector(s, unit));
		return -EIO;
	}
	if (!marginal)
		atomic64_inc(&s->stats.manual_remaps);
	m->done++;
	m->lost += !readable;
	return 0;
}

static int cmp_ranges(const void *a, const void *b)
{
	const struct dmr_range *x = a, *y = b;

	return x->unit < y->unit ? -1 : x->unit > y->unit;
}

/* Sort ranges and join those that touch; returns how many are left. */
static unsigned int merge_ranges(struct dmr_range *ranges, unsigned int nr)
{
	struct dmr_range *last = ranges, *r;

	sort(ranges, nr, sizeof(*ranges), cmp_ranges, NULL);
	for (r = ranges + 1; r < ranges + nr; r++) {
		if (r->unit <= last->unit + last->n)
			last->n = max(last->n, r->unit + r->n - last->unit);
		else
			*++last = *r;
	}
	return last - ranges + 1;
}

/*
 * Hold the first units of the ranges, and take them off. In rising order, so that
 * two who hold several ranges can't wait for each other.
 */
static void hold_piece(struct dmr_set *s, struct dmr_batch *p,
		       struct dmr_range **range, unsigned int *nr)
{
	u64 left = p->marginal ? SLOW_UNITS : PIECE_UNITS, k;

	for (p->nr = 0; *nr && left; left -= k) {
		k = min((*range)->n, left);
		dmr_hold_get(s, &p->hold[p->nr++], (*range)->unit, k);
		(*range)->unit += k;
		(*range)->n -= k;
		if (!(*range)->n) {
			(*range)++;
			(*nr)--;
		}
	}
}

static int relocate_piece(struct dmr_set *s, struct dmr_batch *p,
			  struct dmr_moved *m)
{
	struct dmr_hold *h;
	int r = 0, c;
	u64 unit;

	dmr_drain(s);
	for (h = p->hold; h < p->hold + p->nr; h++)
		for (unit = h->first; unit <= h->last && !r; unit++)
			r = relocate_unit(s, unit, p->page, p->marginal, m);
	c = commit_locked(s);
	r = r ?: c;
	for (h = p->hold; h < p->hold + p->nr; h++) {
		dmr_hold_put(s, h);
		trace_dm_remap_relocate(s, h->first, h->last - h->first + 1,
					false, r);
	}
	return r;
}

static int relocate(struct dmr_set *s, struct dmr_range *ranges, unsigned int nr,
		    bool marginal, struct dmr_moved *m)
{
	struct dmr_batch *p = kmalloc(sizeof(*p), GFP_KERNEL);
	unsigned int noio;
	int r = 0;

	if (!p)
		return -ENOMEM;
	p->marginal = marginal;
	p->page = alloc_page(GFP_KERNEL);
	if (!p->page) {
		kfree(p);
		return -ENOMEM;
	}
	noio = memalloc_noio_save();
	nr = merge_ranges(ranges, nr);
	while (nr && !r) {
		r = dmr_interrupted(s);
		if (r)
			break;
		hold_piece(s, p, &ranges, &nr);
		r = relocate_piece(s, p, m);
	}
	memalloc_noio_restore(noio);
	__free_page(p->page);
	kfree(p);
	return r;
}

/**
 * dmr_relocate() - move ranges of main to the spares
 * @s: the set
 * @ranges: the ranges, in any order, may overlap; used up
 * @nr: their number, at least 1
 * @m: counts, added to: done, lost (of those), already
 *
 * Up to PIECE_UNITS units, however scattered, share a drain and a commit. A unit
 * that can't be read is remapped all the same; its reads fail until it is written.
 * Context: may sleep. Return: 0 or a negative errno, with a sentence in
 * last_error; what was moved until then stays moved.
 */
int dmr_relocate(struct dmr_set *s, struct dmr_range *ranges, unsigned int nr,
		 struct dmr_moved *m)
{
	return relocate(s, ranges, nr, false, m);
}

/**
 * dmr_relocate_marginal() - move units to the spares before they get worse
 * @s: the set
 * @unit: first main unit
 * @n: number of units
 * @m: counts, added to: done, already, kept (can't be read, or are lost)
 *
 * Context: may sleep. Return: as dmr_relocate().
 */
int dmr_relocate_marginal(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m)
{
	struct dmr_range range = { .unit = unit, .n = n };

	return relocate(s, &range, 1, true, m);
}

/* Copy a unit back to main and make sure that it is there. */
static bool write_back(struct dmr_set *s, const struct dmr_entry *e)
{
	sector_t sector = dmr_unit_to_sector(s, e->main_unit);
	unsigned int bytes = dmr_unit_bytes(s);

	if (dmr_pair_read(s, e, s->unit_page) ||
	    dmr_io_page(s, s->main, sector, s->unit_page, bytes,
			REQ_OP_WRITE | REQ_FUA | REQ_SYNC) ||
	    dmr_io_page(s, s->main, sector, s->check_page, bytes,
			REQ_OP_READ | REQ_SYNC))
		return false;
	if (memcmp(page_address(s->unit_page), page_address(s->check_page), bytes))
		return false;
	dmr_copy_page(s, e->main_unit, s->unit_page);
	return true;
}

/* Under engine_lock: stage the return of one unit; note what it frees. */
static int return_unit(struct dmr_set *s, u64 unit, struct dmr_freed *freed,
		       unsigned int *nr_freed, struct dmr_moved *m)
{
	struct dmr_entry e, lost = {
		.kind = DMR_KIND_LOST,
		.main_unit = unit,
		.flags = DMR_ENTRY_UNKNOWN,
	};
	struct dmr_pair p;
	u32 place;
	u64 val;
	int r;

	if (!dmr_index_find(s, unit, &val, &place))
		return 0;
	dmr_val_entry(val, unit, &e);
	if (e.kind != DMR_KIND_REMAP || !s->spare[e.spare_idx].present) {
		m->kept++;
		return 0;
	}
	dmr_pair_get(s, unit, &p);
	r = dmr_stage_reserve(s, 1 + (p.second.kind == DMR_KIND_MIRROR));
	if (r)
		return r;
	if (e.flags & DMR_ENTRY_UNKNOWN) {
		/* There is no data to bring back: the unit stays lost. */
		r = dmr_stage(s, &lost);
		m->lost++;
	} else if (write_back(s, &e)) {
		r = dmr_stage_remove(s, unit);
		atomic64_inc(&s->stats.unremaps);
		m->done++;
	} else {
		m->kept++;
		return 0;
	}
	if (!r && p.second.kind == DMR_KIND_MIRROR)
		r = dmr_stage_unmirror(s, unit, p.same);
	freed[*nr_freed].idx = e.spare_idx;
	freed[(*nr_freed)++].unit = e.spare_unit;
	return r;
}

static int return_piece(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m)
{
	struct dmr_freed freed[PIECE_UNITS];
	unsigned int nr_freed = 0, i;
	struct dmr_hold hold;
	int r = 0;
	u64 k;

	dmr_hold_get(s, &hold, unit, n);
	dmr_drain(s);
	mutex_lock(&s->engine_lock);
	for (k = 0; k < n && !r; k++)
		r = return_unit(s, unit + k, freed, &nr_freed, m);
	r = dmr_commit(s) ?: r;
	mutex_unlock(&s->engine_lock);
	if (r) {
		dmr_set_error(s, "The table could not be changed; see the kernel log.");
	} else {
		/* Reads that were mapped to the spare may still be under way. */
		dmr_drain(s);
		mutex_lock(&s->engine_lock);
		for (i = 0; i < nr_freed; i++)
			dmr_alloc_clear(&s->spare[freed[i].idx].alloc,
					freed[i].unit);
		mutex_unlock(&s->engine_lock);
	}
	dmr_hold_put(s, &hold);
	/* Others may find room now for their second copies. */
	if (nr_freed)
		dmr_mend_kick(s);
	trace_dm_remap_relocate(s, unit, n, true, r);
	return r;
}

/* The next entry in [*unit, end), and how many units a piece there may have. */
static u64 next_piece(struct dmr_set *s, u64 *unit, u64 end)
{
	bool found;
	u64 val;

	mutex_lock(&s->engine_lock);
	found = dmr_index_next(s, unit, &val);
	mutex_unlock(&s->engine_lock);
	if (!found || *unit >= end)
		return 0;
	return min_t(u64, end - *unit, PIECE_UNITS);
}

/**
 * dmr_return() - move the remapped units of a range back to main
 * @s: the set
 * @unit: first main unit
 * @n: number of units
 * @m: counts, added to: done, lost (have no data, stay lost), kept (main does
 *     not take them, or they are lost there)
 *
 * A unit goes back only when its data has been read back from main.
 * Context: may sleep. Return: 0 or a negative errno, with a sentence in
 * last_error.
 */
int dmr_return(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m)
{
	u64 end = unit + n, k;
	unsigned int noio;
	int r;

	r = check_writable(s);
	noio = memalloc_noio_save();
	while (!r && (k = next_piece(s, &unit, end))) {
		r = dmr_interrupted(s);
		if (!r)
			r = return_piece(s, unit, k, m);
		unit += k;
	}
	memalloc_noio_restore(noio);
	return r;
}

/* Can all copies be read, and are they the same? Under engine_lock. */
static bool copies_good(struct dmr_set *s, const struct dmr_pair *p,
			struct page *page)
{
	if (!(p->usable & DMR_FIRST) || dmr_pair_read(s, &p->first, page))
		return false;
	if (p->second.kind != DMR_KIND_MIRROR || p->same)
		return true;
	return p->usable & DMR_SECOND &&
	       !dmr_pair_read(s, &p->second, s->check_page) &&
	       !memcmp(page_address(page), page_address(s->check_page),
		       dmr_unit_bytes(s));
}

static void verify_unit(struct dmr_set *s, u64 unit, struct page *page,
			struct dmr_moved *m)
{
	struct dmr_pair p;

	mutex_lock(&s->engine_lock);
	dmr_pair_get(s, unit, &p);
	if (p.first.kind != DMR_KIND_FREE) {
		m->done++;
		m->errors += !copies_good(s, &p, page);
	}
	mutex_unlock(&s->engine_lock);
}

/**
 * dmr_verify() - read all remapped units of a range from their spares
 * @s: the set
 * @unit: first main unit
 * @n: number of units
 * @m: counts, added to: done, errors (some copy can't be read, they differ, or
 *     there is no data)
 *
 * Context: may sleep. Return: 0 or a negative errno, with a sentence in
 * last_error.
 */
int dmr_verify(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m)
{
	struct page *page = alloc_page(GFP_KERNEL);
	unsigned int noio;
	struct dmr_hold hold;
	u64 end = unit + n, i, k;
	int r = 0;

	if (!page)
		return -ENOMEM;
	noio = memalloc_noio_save();
	while ((k = next_piece(s, &unit, end))) {
		r = dmr_interrupted(s);
		if (r)
			break;
		/* Held so that no unit goes back to main while it is read. */
		dmr_hold_get(s, &hold, unit, k);
		for (i = 0; i < k; i++)
			verify_unit(s, unit + i, page, m);
		dmr_hold_put(s, &hold);
		unit += k;
	}
	memalloc_noio_restore(noio);
	__free_page(page);
	return r;
}
