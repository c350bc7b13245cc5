// SPDX-License-Identifier: GPL-2.0-only
/*
 * Units that are on two spares: where their copies are, writing both, and reading
 * the second one.
 *
 * DOC: first and second copy
 *
 * The entry of kind REMAP says where the first copy of a unit is, which is the one
 * that reads get. An entry of kind MIRROR says where the second one is. All writes
 * of such a unit go through the redirect engine, which writes both before it ends
 * the bio. So whoever holds engine_lock sees two copies that are the same, and no
 * bio of the data path is ever under way to a second copy.
 *
 * The first copy decides. After a power cut in the middle of a write the copies may
 * differ, and neither was acknowledged; the second one is made the same as the
 * first (dm-remap-mend.c). Until then nobody is given what it holds, unless the
 * first can't be read: then it becomes the first one, durably, before anybody sees
 * it, so that no later read can be answered by the other.
 *
 * A copy that could not be written, or whose spare is not there, is replaced or
 * dropped with a commit before the write is acknowledged. So an entry that points
 * to an absent spare means: not written since that spare went.
 *
 * Two entries of one batch may lie in two leaves, and a crash come between them. All
 * that can be left over is told by dmr_pair_get(): a second copy without a first
 * one, or in the same place as it. Both are dropped.
 */
#include <linux/mm.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-news.h"
#include "dm-remap-table.h"

static bool usable(struct dmr_set *s, const struct dmr_entry *e)
{
	return s->spare[e->spare_idx].present && !(e->flags & DMR_ENTRY_UNKNOWN);
}

/**
 * dmr_pair_get() - where the copies of a unit are
 * @s: the set
 * @unit: main unit
 * @p: filled in
 *
 * What is staged and not committed is not seen.
 * Context: engine_lock held.
 */
void dmr_pair_get(struct dmr_set *s, u64 unit, struct dmr_pair *p)
{
	u64 val;
	u32 place;

	dmr_index_find(s, unit, &val, &place);
	dmr_val_entry(val, unit, &p->first);
	val = 0;
	if (s->wide)
		dmr_index_find(s, s->mirror_base + unit, &val, &place);
	dmr_val_entry(val, unit, &p->second);
	p->usable = 0;
	p->same = false;
	if (p->first.kind == DMR_KIND_REMAP && usable(s, &p->first))
		p->usable |= DMR_FIRST;
	if (p->second.kind != DMR_KIND_MIRROR ||
	    p->first.kind != DMR_KIND_REMAP || p->first.flags & DMR_ENTRY_UNKNOWN)
		return;
	p->same = p->first.spare_idx == p->second.spare_idx;
	if (!p->same && usable(s, &p->second))
		p->usable |= DMR_SECOND;
}

/**
 * dmr_pair_read() - read one copy of a unit
 * @s: the set
 * @e: its entry
 * @page: where the data goes
 *
 * Context: may sleep, under memalloc_noio; the unit is held, or engine_lock is.
 * Return: status.
 */
blk_status_t dmr_pair_read(struct dmr_set *s, const struct dmr_entry *e,
			   struct page *page)
{
	return dmr_io_page(s, s->spare[e->spare_idx].bdev,
			   dmr_unit_to_sector(s, e->spare_unit), page,
			   dmr_unit_bytes(s), REQ_OP_READ | REQ_SYNC);
}

/**
 * dmr_pairs_healthy() - units that have two copies on spares that are there
 * @s: the set
 *
 * Context: any; a snapshot without engine_lock. Return: their number.
 */
u64 dmr_pairs_healthy(struct dmr_set *s)
{
	unsigned int i, k;
	u64 n = 0;

	for (i = 0; i < s->nr_spares; i++)
		for (k = 0; s->spare[i].present && k < s->nr_spares; k++)
			if (s->spare[k].present)
				n += s->spare[i].pairs[k];
	return n;
}

static void count_pair(struct dmr_set *s, u64 unit, int sign)
{
	struct dmr_pair p;

	dmr_pair_get(s, unit, &p);
	if (p.second.kind == DMR_KIND_MIRROR && !p.same &&
	    p.first.kind == DMR_KIND_REMAP &&
	    !(p.first.flags & DMR_ENTRY_UNKNOWN))
		s->spare[p.first.spare_idx].pairs[p.second.spare_idx] += sign;
}

/**
 * dmr_pairs_count() - count the pairs of all units that a batch changes
 * @s: the set
 * @sign: -1 before the batch is published, 1 afterwards
 *
 * Context: engine_lock held.
 */
void dmr_pairs_count(struct dmr_set *s, int sign)
{
	struct dmr_staged *st;
	u64 unit;

	if (!s->wide)
		return;
	for (st = s->staged; st < s->staged + s->nr_staged; st++) {
		if (!st->indexed)
			continue;
		unit = st->unit;
		if (unit >= s->mirror_base) {
			unit -= s->mirror_base;
			/* Counted with the change of the first copy. */
			if (dmr_staged_find(s, unit))
				continue;
		}
		count_pair(s, unit, sign);
	}
}

/**
 * dmr_mirrors_flag() - mark the staged first copies that will have a second one
 * @s: the set
 *
 * A unit must be seen to have two copies from the moment that it is seen at all: a
 * write that went past the engine would reach one of them.
 * Context: engine_lock held, before dmr_index_prepare().
 */
void dmr_mirrors_flag(struct dmr_set *s)
{
	struct dmr_staged *st, *second;
	u32 place;
	u64 val;

	if (!s->wide)
		return;
	for (st = s->staged; st < s->staged + s->nr_staged; st++) {
		if (!st->indexed || st->unit >= s->mirror_base ||
		    !dmr_val_plain(st->val))
			continue;
		second = dmr_staged_find(s, s->mirror_base + st->unit);
		if (second)
			val = second->val;
		else
			dmr_index_find(s, s->mirror_base + st->unit, &val, &place);
		if (val)
			st->val |= DMR_VAL_MIRRORED;
	}
}

/**
 * dmr_mirrors_publish() - mark the first copies whose second one has come or gone
 * @s: the set
 *
 * Those that are not staged themselves. A second copy comes while its unit is held,
 * so no write can have slipped in between.
 * Context: engine_lock held, after dmr_index_publish().
 */
void dmr_mirrors_publish(struct dmr_set *s)
{
	struct dmr_staged *st;
	u32 place;
	u64 unit, val;

	if (!s->wide)
		return;
	for (st = s->staged; st < s->staged + s->nr_staged; st++) {
		if (!st->indexed || st->unit < s->mirror_base)
			continue;
		unit = st->unit - s->mirror_base;
		if (dmr_index_find(s, unit, &val, &place))
			dmr_index_mark(s, unit, st->val && dmr_val_plain(val));
	}
}

/**
 * dmr_mirrors_load() - find out what second copies belong to
 * @s: the set, whose index is filled
 *
 * Context: may sleep, engine_lock held. Return: second copies that are where the
 * first one is.
 */
u64 dmr_mirrors_load(struct dmr_set *s)
{
	u64 unit, val, same = 0;
	struct dmr_pair p;

	for (unit = 0; dmr_index_next_second(s, &unit, &val); unit++) {
		dmr_pair_get(s, unit, &p);
		same += p.second.spare_idx == p.first.spare_idx &&
			p.second.spare_unit == p.first.spare_unit &&
			p.first.kind == DMR_KIND_REMAP &&
			s->spare[p.first.spare_idx].present;
		if (p.first.kind != DMR_KIND_REMAP ||
		    p.first.flags & DMR_ENTRY_UNKNOWN)
			continue;
		dmr_index_mark(s, unit, true);
		count_pair(s, unit, 1);
	}
	return same;
}

/* Another spare has what is written, so neither of them is the only one. */
static void note_twins(struct dmr_set *s, unsigned int a, unsigned int b)
{
	WRITE_ONCE(s->spare[a].twins, s->spare[a].twins | 1U << b);
	WRITE_ONCE(s->spare[b].twins, s->spare[b].twins | 1U << a);
}

/* Write units from the buffer to those copies that are there; who failed? */
static unsigned int write_copies(struct dmr_set *s, const struct dmr_pair *p,
				 void *buf, unsigned int bytes, blk_opf_t opf)
{
	struct block_device *bdev[2] = { };
	blk_status_t status[2] = { };
	sector_t sector[2] = { };

	if (p->usable & DMR_FIRST && s->spare[p->first.spare_idx].present) {
		bdev[0] = s->spare[p->first.spare_idx].bdev;
		sector[0] = dmr_unit_to_sector(s, p->first.spare_unit);
	}
	if (p->usable & DMR_SECOND && s->spare[p->second.spare_idx].present) {
		bdev[1] = s->spare[p->second.spare_idx].bdev;
		sector[1] = dmr_unit_to_sector(s, p->second.spare_unit);
	}
	dmr_io_both(s, bdev, sector, buf, bytes, opf, status);
	return (bdev[0] && !status[0] ? 0 : DMR_FIRST) |
	       (bdev[1] && !status[1] ? 0 : DMR_SECOND);
}

/* One unit, of which some copy was not written: what is left of it? */
static blk_status_t write_apart(struct dmr_set *s, const struct dmr_pair *p,
				void *buf, blk_opf_t opf)
{
	u64 unit = p->first.main_unit;
	struct dmr_where w = { };
	unsigned int failed;
	blk_status_t status;

	if (READ_ONCE(s->opts.retries))
		atomic64_inc(&s->stats.retries);
	/* The copy that is left may be the only one: no cache for it. */
	failed = write_copies(s, p, buf, dmr_unit_bytes(s), opf | REQ_FUA);
	if (!failed)
		return BLK_STS_OK;
	atomic64_inc(&s->stats.write_errors);
	dmr_news_unit(s, DMR_NEWS_WRITE_ERROR, unit);
	memcpy(page_address(s->unit_page), buf, dmr_unit_bytes(s));
	w.failed = failed;
	status = dmr_place_copies(s, s->unit_page, unit,
				  p->first.flags & DMR_ENTRY_MANUAL, w);
	if (!status) {
		atomic64_inc(&s->stats.auto_remaps);
		return BLK_STS_OK;
	}
	/* A write that fails may have changed one of them only. */
	dmr_stage_unmirror(s, unit, true);
	return status;
}

/* Units from the buffer whose copies are each in one piece; by halves. */
static blk_status_t write_pairs(struct dmr_set *s, struct dmr_pair p, u64 n,
				void *buf, blk_opf_t opf)
{
	unsigned int bytes = n << (SECTOR_SHIFT + s->unit_shift), failed;
	u64 half = n / 2, i;
	blk_status_t status = BLK_STS_OK;

	if (p.usable == (DMR_FIRST | DMR_SECOND)) {
		failed = write_copies(s, &p, buf, bytes, opf);
		if (!failed) {
			note_twins(s, p.first.spare_idx, p.second.spare_idx);
			return BLK_STS_OK;
		}
		if (n > 1) {
			status = write_pairs(s, p, half, buf, opf);
			p.first.main_unit += half;
			p.first.spare_unit += half;
			p.second.spare_unit += half;
			return status ?: write_pairs(s, p, n - half, buf +
						     half * dmr_unit_bytes(s), opf);
		}
	}
	for (i = 0; i < n && !status; i++) {
		status = write_apart(s, &p, buf + i * dmr_unit_bytes(s), opf);
		p.first.main_unit++;
		p.first.spare_unit++;
		p.second.spare_unit++;
	}
	return status;
}

/**
 * dmr_mirror_write() - write units that have two copies
 * @s: the set
 * @bio: a write or write-zeroes that we keep
 * @off: first unit, counted from the start of the bio
 * @n: number of units; all have a second copy, and the first ones are in one piece
 * @unit: first main unit
 *
 * From a buffer of our own: what the two copies get must be the same, even if
 * somebody changes the bio's pages meanwhile.
 * Context: may sleep, under memalloc_noio, engine_lock held. Return: status.
 */
blk_status_t dmr_mirror_write(struct dmr_set *s, struct bio *bio, u64 off, u64 n,
			      u64 unit)
{
	blk_opf_t opf = REQ_OP_WRITE | REQ_SYNC | (bio->bi_opf & REQ_FUA);
	u64 max = DMR_BULK_BYTES / dmr_unit_bytes(s), k, i, val;
	blk_status_t status;
	struct dmr_pair p;

	for (; n; n -= k, off += k, unit += k) {
		/* Spares may have been lost, and copies moved, by the last round. */
		k = dmr_index_run(s, s->mirror_base + unit, min(n, max), &val);
		dmr_pair_get(s, unit, &p);
		for (i = 0; i < k; i++) {
			dmr_copy_from_bio(s, bio, off + i, s->unit_page);
			memcpy(s->copy_buf + i * dmr_unit_bytes(s),
			       page_address(s->unit_page), dmr_unit_bytes(s));
		}
		status = write_pairs(s, p, k, s->copy_buf, opf);
		if (status)
			return status;
	}
	return BLK_STS_OK;
}

/**
 * dmr_mirror_serve() - the first copy of a unit can't be read: is there another?
 * @s: the set
 * @unit: main unit
 * @page: where its data goes
 *
 * The second copy becomes the first one, and a new second one is made. The data may
 * be shown when what is staged is durable.
 * Context: may sleep, under memalloc_noio, engine_lock held; the unit is held and
 * drained. Return: true when the data was read.
 */
bool dmr_mirror_serve(struct dmr_set *s, u64 unit, struct page *page)
{
	struct dmr_where w = { .failed = DMR_FIRST };
	struct dmr_pair p;

	if (s->failed || (dmr_staged_overlaps(s, unit, 1) && dmr_commit(s)))
		return false;
	dmr_pair_get(s, unit, &p);
	if (!(p.usable & DMR_SECOND) || dmr_pair_read(s, &p.second, page))
		return false;
	return !dmr_place_copies(s, page, unit, p.first.flags & DMR_ENTRY_MANUAL,
				 w);
}

/**
 * dmr_mirror_take_over() - a unit's first copy is to go: let the second do for it
 * @s: the set
 * @unit: main unit
 * @leave: rows where no copy is to be any more, as a mask
 *
 * Context: may sleep, under memalloc_noio, engine_lock held. Return: true when
 * that is staged.
 */
bool dmr_mirror_take_over(struct dmr_set *s, u64 unit, unsigned int leave)
{
	struct dmr_where w = { .leave = leave };
	struct dmr_pair p;

	if (s->failed || (dmr_staged_overlaps(s, unit, 1) && dmr_commit(s)))
		return false;
	dmr_pair_get(s, unit, &p);
	if (!(p.usable & DMR_SECOND) || leave & 1U << p.second.spare_idx ||
	    dmr_pair_read(s, &p.second, s->unit_page))
		return false;
	return !dmr_place_copies(s, s->unit_page, unit,
				 p.first.flags & DMR_ENTRY_MANUAL, w);
}

/**
 * dmr_flush_forget() - what a spare has not flushed doesn't matter any more
 * @s: the set
 * @sp: the spare; nothing is on it, or nothing of that counts
 *
 * Context: engine_lock held.
 */
void dmr_flush_forget(struct dmr_set *s, struct dmr_spare *sp)
{
	spin_lock_irq(&s->fail_lock);
	WRITE_ONCE(sp->unflushed, false);
	WRITE_ONCE(sp->twins, 0);
	WRITE_ONCE(sp->flush_failed, false);
	WRITE_ONCE(sp->recorded, false);
	sp->flushing = 0;
	sp->nr_flushing = 0;
	spin_unlock_irq(&s->fail_lock);
}

/**
 * dmr_mirror_settle() - serve units whose first copy is on an absent spare
 * @s: the set
 * @unit: first main unit
 * @n: number of units
 *
 * Context: may sleep, under memalloc_noio; engine_lock not held, the range is held.
 * Return: 0; -EIO when it could not be made durable.
 */
int dmr_mirror_settle(struct dmr_set *s, u64 unit, u64 n)
{
	u64 end = unit + n, val;
	struct dmr_pair p;
	int r;

	if (!READ_ONCE(s->nr_mirrors))
		return 0;
	mutex_lock(&s->engine_lock);
	for (; dmr_index_next(s, &unit, &val) && unit < end; unit++) {
		if (!dmr_val_mirrored(val))
			continue;
		dmr_pair_get(s, unit, &p);
		if (!(p.usable & DMR_FIRST))
			dmr_mirror_serve(s, unit, s->unit_page);
	}
	r = dmr_commit(s);
	mutex_unlock(&s->engine_lock);
	return r;
}
