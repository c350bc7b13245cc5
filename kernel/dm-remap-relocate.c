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

#include "dm-remap.h"
#include "dm-remap-trace.h"

/* Units that are held at one time. */
#define PIECE_UNITS	64

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

static int interrupted(struct dmr_set *s)
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
	return false;
}

static int relocate_unit(struct dmr_set *s, u64 unit, struct page *page,
			 struct dmr_moved *m)
{
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
		   read_main(s, unit, page);
	mutex_lock(&s->engine_lock);
	status = dmr_place_unit(s, readable ? page : NULL, unit, DMR_ENTRY_MANUAL);
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
	atomic64_inc(&s->stats.manual_remaps);
	m->done++;
	m->lost += !readable;
	return 0;
}

/**
 * dmr_relocate() - move a range of main to the spares
 * @s: the set
 * @unit: first main unit
 * @n: number of units
 * @m: counts, added to: done, lost (of those), already
 *
 * A unit that can't be read is remapped all the same; its reads fail until it
 * is written.
 * Context: may sleep. Return: 0 or a negative errno, with a sentence in
 * last_error; what was moved until then stays moved.
 */
int dmr_relocate(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m)
{
	struct page *page = alloc_page(GFP_KERNEL);
	struct dmr_hold hold;
	unsigned int noio;
	u64 i, k;
	int r = 0, c;

	if (!page)
		return -ENOMEM;
	noio = memalloc_noio_save();
	for (; n && !r; unit += k, n -= k) {
		k = min_t(u64, n, PIECE_UNITS);
		r = interrupted(s);
		if (r)
			break;
		dmr_hold_get(s, &hold, unit, k);
		dmr_drain(s);
		for (i = 0; i < k && !r; i++)
			r = relocate_unit(s, unit + i, page, m);
		c = commit_locked(s);
		r = r ?: c;
		dmr_hold_put(s, &hold);
		trace_dm_remap_relocate(s, unit, k, false, r);
	}
	memalloc_noio_restore(noio);
	__free_page(page);
	return r;
}

/* Copy a unit back to main and make sure that it is there. */
static bool write_back(struct dmr_set *s, const struct dmr_entry *e)
{
	sector_t sector = dmr_unit_to_sector(s, e->main_unit);
	unsigned int bytes = dmr_unit_bytes(s);

	if (dmr_io_page(s, s->spare[e->spare_idx].bdev,
			dmr_unit_to_sector(s, e->spare_unit), s->unit_page,
			bytes, REQ_OP_READ | REQ_SYNC) ||
	    dmr_io_page(s, s->main, sector, s->unit_page, bytes,
			REQ_OP_WRITE | REQ_FUA | REQ_SYNC) ||
	    dmr_io_page(s, s->main, sector, s->check_page, bytes,
			REQ_OP_READ | REQ_SYNC))
		return false;
	return !memcmp(page_address(s->unit_page), page_address(s->check_page),
		       bytes);
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
		r = interrupted(s);
		if (!r)
			r = return_piece(s, unit, k, m);
		unit += k;
	}
	memalloc_noio_restore(noio);
	return r;
}

static void verify_unit(struct dmr_set *s, u64 unit, struct page *page,
			struct dmr_moved *m)
{
	struct dmr_entry e;
	u32 place;
	u64 val;
	bool have;

	mutex_lock(&s->engine_lock);
	have = dmr_index_find(s, unit, &val, &place);
	mutex_unlock(&s->engine_lock);
	if (!have)
		return;
	dmr_val_entry(val, unit, &e);
	m->done++;
	if (e.kind != DMR_KIND_REMAP || e.flags & DMR_ENTRY_UNKNOWN ||
	    !dmr_spare_usable(s, e.spare_idx) ||
	    dmr_io_page(s, s->spare[e.spare_idx].bdev,
			dmr_unit_to_sector(s, e.spare_unit), page,
			dmr_unit_bytes(s), REQ_OP_READ | REQ_SYNC))
		m->errors++;
}

/**
 * dmr_verify() - read all remapped units of a range from their spares
 * @s: the set
 * @unit: first main unit
 * @n: number of units
 * @m: counts, added to: done, errors (can't be read, or have no data)
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
		r = interrupted(s);
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
