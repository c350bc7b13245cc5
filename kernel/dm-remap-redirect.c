// SPDX-License-Identifier: GPL-2.0-only
/*
 * The redirect engine: writes that failed, and writes that need a change of the
 * table.
 *
 * DOC: the way of a failed write
 *
 * dmr_end_io() keeps the bio and queues it. One worker per set takes all that
 * wait: it writes each bio to main again by halves until the units that fail
 * *alone* are known (errors reach merged neighbours, so the status of a bio says
 * nothing about a unit), puts those on a spare with FUA and stages their
 * entries. One commit makes all of them durable; only then are the bios ended.
 * Bios that wait together share commits.
 *
 * Under engine_lock all of this is alone with the table. A range that is held
 * is not touched: the bio is parked there and comes back.
 */
#include <linux/sched/mm.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-news.h"
#include "dm-remap-table.h"

/* A unit failed alone with @status: to a spare with it. */
static blk_status_t redirect_unit(struct dmr_set *s, struct bio *bio, u64 off,
				  u64 unit, blk_status_t status)
{
	blk_status_t r;

	atomic64_inc(&s->stats.write_errors);
	dmr_news_unit(s, DMR_NEWS_WRITE_ERROR, unit);
	/* A copy: what is checked and what is written must be the same. */
	dmr_copy_from_bio(s, bio, off, s->unit_page);
	r = dmr_place_unit(s, s->unit_page, unit, 0);
	if (!r) {
		atomic64_inc(&s->stats.auto_remaps);
		dmr_debug(1, "%s: sector %llu remapped after a write error",
			  dm_device_name(s->md), dmr_unit_to_sector(s, unit));
	} else if (r == BLK_STS_NOSPC) {
		DMERR_LIMIT("%s: no spare unit is free for sector %llu: the write fails",
			    dm_device_name(s->md), dmr_unit_to_sector(s, unit));
	}
	/* What the caller is told is why the write failed in the first place. */
	return r ? status : BLK_STS_OK;
}

/* Write units to one device by halves; redirect those that fail alone. */
static blk_status_t write_halves(struct dmr_set *s, struct bio *bio, u64 off,
				 u64 n, struct block_device *bdev,
				 sector_t sector, u64 unit)
{
	blk_opf_t fua = bio->bi_opf & REQ_FUA;
	unsigned int tries = READ_ONCE(s->opts.retries);
	blk_status_t status;
	u64 half = n / 2;

	status = dmr_io_part(s, bio, off, n, bdev, sector, fua);
	if (!status && bdev == s->main) {
		s->engine_writes_ok++;
		dmr_copy_part(s, bio, off, n, unit);
	}
	if (!status || !dmr_is_medium(status))
		return status;
	if (n > 1) {
		status = write_halves(s, bio, off, half, bdev, sector, unit);
		if (status)
			return status;
		return write_halves(s, bio, off + half, n - half, bdev,
				    sector + dmr_unit_to_sector(s, half),
				    unit + half);
	}
	/* A write need not be tried long: a spare is as good a place. */
	if (tries) {
		atomic64_inc(&s->stats.retries);
		status = dmr_io_part(s, bio, off, 1, bdev, sector, fua);
		if (!status && bdev == s->main)
			dmr_copy_part(s, bio, off, 1, unit);
		if (!status || !dmr_is_medium(status))
			return status;
	}
	if (bdev == s->main && !dmr_breaker_allows(s)) {
		atomic64_inc(&s->stats.refused);
		return status;
	}
	return redirect_unit(s, bio, off, unit, status);
}

/* The data of unknown units becomes known: same spare unit, new entry. */
static blk_status_t fill_unknown(struct dmr_set *s, struct bio *bio, u64 off,
				 u64 n, struct dmr_entry *e)
{
	struct dmr_spare *sp = &s->spare[e->spare_idx];
	blk_status_t status;

	e->flags &= ~DMR_ENTRY_UNKNOWN;
	for (; n; n--, off++, e->main_unit++, e->spare_unit++) {
		dmr_copy_from_bio(s, bio, off, s->unit_page);
		status = dmr_io_page(s, sp->bdev,
				     dmr_unit_to_sector(s, e->spare_unit),
				     s->unit_page, dmr_unit_bytes(s),
				     REQ_OP_WRITE | REQ_FUA | REQ_SYNC);
		if (status)
			status = redirect_unit(s, bio, off, e->main_unit, status);
		else if (dmr_stage(s, e))
			status = BLK_STS_IOERR;
		if (status)
			return status;
	}
	return BLK_STS_OK;
}

/* Lost units: main may take them after all, and then their entry goes. */
static blk_status_t heal_lost(struct dmr_set *s, struct bio *bio, u64 off, u64 n,
			      u64 unit)
{
	blk_status_t status;
	struct dmr_entry e;
	u32 place;
	u64 val;

	for (; n; n--, off++, unit++) {
		status = write_halves(s, bio, off, 1, s->main,
				      dmr_unit_to_sector(s, unit), unit);
		if (status)
			return status;
		/* Was it redirected? Then its entry has been replaced. */
		if (dmr_staged_overlaps(s, unit, 1) ||
		    !dmr_index_find(s, unit, &val, &place))
			continue;
		dmr_val_entry(val, unit, &e);
		if (e.kind != DMR_KIND_LOST)
			continue;
		/* What main has on its medium may be older than what is lost. */
		if (e.flags & DMR_ENTRY_UNKNOWN && blkdev_issue_flush(s->main))
			return BLK_STS_IOERR;
		if (dmr_stage_remove(s, unit))
			return BLK_STS_IOERR;
	}
	return BLK_STS_OK;
}

/* Units whose spare is gone: to another one, in the same place of the table. */
static blk_status_t move_off(struct dmr_set *s, struct bio *bio, u64 off, u64 n,
			     u64 unit)
{
	blk_status_t status;

	for (; n; n--, off++, unit++) {
		dmr_copy_from_bio(s, bio, off, s->unit_page);
		status = dmr_place_unit(s, s->unit_page, unit, 0);
		if (status)
			return status;
		atomic64_inc(&s->stats.auto_remaps);
	}
	return BLK_STS_OK;
}

static blk_status_t write_run(struct dmr_set *s, struct bio *bio, u64 off, u64 n,
			      u64 unit, u64 val)
{
	blk_status_t status;
	struct dmr_entry e;

	if (!val)
		return write_halves(s, bio, off, n, s->main,
				    dmr_unit_to_sector(s, unit), unit);
	if (dmr_val_mirrored(val))
		return dmr_mirror_write(s, bio, off, n, unit);
	dmr_val_entry(val, unit, &e);
	if (e.kind == DMR_KIND_LOST)
		return heal_lost(s, bio, off, n, unit);
	if (!s->spare[e.spare_idx].present)
		return move_off(s, bio, off, n, unit);
	if (e.flags & DMR_ENTRY_UNKNOWN)
		return fill_unknown(s, bio, off, n, &e);
	status = write_halves(s, bio, off, n, s->spare[e.spare_idx].bdev,
			      dmr_unit_to_sector(s, e.spare_unit), unit);
	/* A spare that has been unplugged says so in its own way. */
	if (status && !dmr_is_medium(status) &&
	    !dmr_spare_answers(s, e.spare_idx))
		return move_off(s, bio, off, n, unit);
	if (!status && !(bio->bi_opf & REQ_FUA))
		WRITE_ONCE(s->spare[e.spare_idx].unflushed, true);
	return status;
}

static blk_status_t redirect(struct dmr_set *s, struct bio *bio, u64 unit,
			     u64 total)
{
	u64 redirected = atomic64_read(&s->stats.auto_remaps);
	bool mirrored = false;
	u64 off, n, val;
	blk_status_t status;

	for (off = 0; off < total; off += n) {
		n = dmr_index_run(s, unit + off, total - off, &val);
		mirrored |= dmr_val_mirrored(val);
		status = write_run(s, bio, off, n, unit + off, val);
		if (status)
			return status;
	}
	/* One that needed two copies has not failed before. */
	if (!mirrored && redirected == atomic64_read(&s->stats.auto_remaps))
		atomic64_inc(&s->stats.transient);
	return BLK_STS_OK;
}

/*
 * Spares that took no flush, and have nothing that another spare doesn't have, too.
 * The flush may end well once all know that nothing of that spare counts any more.
 */
static void give_up_unflushed(struct dmr_set *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_spares; i++)
		if (READ_ONCE(s->spare[i].flush_failed))
			dmr_spare_lost(s, i, "failed to flush its cache");
}

/* One bio; returns false when it went elsewhere. */
static bool redirect_bio(struct dmr_set *s, struct bio *bio)
{
	u64 unit = dmr_sector_to_unit(s, bio->bi_iter.bi_sector);
	u64 n = dmr_sector_to_unit(s, bio_sectors(bio));

	/* A flush: it waits for the commit. */
	if (!n)
		return true;
	if (dmr_hold_park(s, bio, unit, n))
		return false;
	atomic64_inc(&s->stats.slow_writes);
	if (dmr_noflush(s))
		bio->bi_status = BLK_STS_DM_REQUEUE;
	else if (s->failed)
		bio->bi_status = BLK_STS_IOERR;
	else if (bio_op(bio) == REQ_OP_DISCARD)
		bio->bi_status = BLK_STS_OK;
	else if (dmr_staged_overlaps(s, unit, n) && dmr_commit(s))
		bio->bi_status = BLK_STS_IOERR;
	else
		bio->bi_status = redirect(s, bio, unit, n);
	return true;
}

/**
 * dmr_redirect_work() - the worker of the redirect engine
 * @work: write_work of a set
 *
 * Context: may sleep; its queue has a rescuer.
 */
void dmr_redirect_work(struct work_struct *work)
{
	struct dmr_set *s = container_of(work, struct dmr_set, write_work);
	struct bio_list todo, done = BIO_EMPTY_LIST;
	unsigned int noio = memalloc_noio_save();
	struct bio *bio;
	int r;

	mutex_lock(&s->engine_lock);
	spin_lock_irq(&s->fail_lock);
	todo = s->slow_writes;
	bio_list_init(&s->slow_writes);
	spin_unlock_irq(&s->fail_lock);
	give_up_unflushed(s);
	while ((bio = bio_list_pop(&todo)))
		if (redirect_bio(s, bio))
			bio_list_add(&done, bio);
	r = dmr_commit(s);
	mutex_unlock(&s->engine_lock);
	while ((bio = bio_list_pop(&done))) {
		if (r && !bio->bi_status)
			bio->bi_status = BLK_STS_IOERR;
		dmr_bio_finish(bio, bio->bi_status);
	}
	memalloc_noio_restore(noio);
}
