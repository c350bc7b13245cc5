// SPDX-License-Identifier: GPL-2.0-only
/*
 * The rescue engine: reads that failed.
 *
 * DOC: the way of a failed read
 *
 * dmr_end_io() keeps the bio and queues it. A job of its own reads it again, by
 * halves, until the units that fail *alone* are known. If there are none, the
 * error belonged to a neighbour and nothing else happens. For the others the
 * range is held (writes wait) and drained, and each is tried again with a pause
 * that doubles. What can be read goes into the bio and, from a buffer that
 * nobody else can change, to a spare. What cannot is remembered as lost, and
 * the bio ends with an error: no data is ever invented.
 *
 * A unit with a second copy is read from that at once. It becomes the first one,
 * and that is durable before the bio ends (see dm-remap-mirror.c).
 */
#include <linux/bitmap.h>
#include <linux/sched/mm.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-news.h"
#include "dm-remap-table.h"

/* Units that a job looks at in one go. */
#define RESCUE_UNITS	256

struct dmr_rescue {
	struct work_struct work;
	struct dmr_set *s;
	struct bio *bio;
	struct page *page;
	bool served;		/* by a second copy */
	struct dmr_hold hold;
	DECLARE_BITMAP(failing, RESCUE_UNITS);
};

/* Where the data of a unit is now. */
struct dmr_source {
	struct block_device *bdev;	/* NULL: nowhere */
	sector_t sector;
	bool mirrored;
	struct dmr_entry e;
};

static void *rescue_alloc(gfp_t gfp, void *data)
{
	struct dmr_rescue *job = kzalloc(sizeof(*job), gfp);

	if (!job)
		return NULL;
	job->page = alloc_page(gfp);
	if (!job->page) {
		kfree(job);
		return NULL;
	}
	return job;
}

static void rescue_free(void *element, void *data)
{
	struct dmr_rescue *job = element;

	__free_page(job->page);
	kfree(job);
}

/**
 * dmr_rescue_init() - reserve the jobs
 * @s: the set
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int dmr_rescue_init(struct dmr_set *s)
{
	return mempool_init(&s->rescue_pool, DMR_RESCUE_JOBS, rescue_alloc,
			    rescue_free, NULL);
}

/**
 * dmr_rescue_exit() - free the jobs
 * @s: the set; none is in use
 *
 * Context: may sleep.
 */
void dmr_rescue_exit(struct dmr_set *s)
{
	mempool_exit(&s->rescue_pool);
}

/* The source of up to @n units at @unit; its range is held, so it stays. */
static u64 find_source(struct dmr_set *s, u64 unit, u64 n, struct dmr_source *src)
{
	u64 val;

	preempt_disable();
	n = dmr_index_run(s, unit, n, &val);
	preempt_enable();
	dmr_val_entry(val, unit, &src->e);
	src->mirrored = dmr_val_mirrored(val);
	src->bdev = s->main;
	src->sector = dmr_unit_to_sector(s, unit);
	if (src->e.kind == DMR_KIND_REMAP) {
		src->sector = dmr_unit_to_sector(s, src->e.spare_unit);
		src->bdev = s->spare[src->e.spare_idx].bdev;
		if (!dmr_spare_usable(s, src->e.spare_idx))
			src->bdev = NULL;
	}
	if (src->e.flags & DMR_ENTRY_UNKNOWN)
		src->bdev = NULL;
	return n;
}

/*
 * A set that has failed changes nothing any more, so that a second copy can't
 * become the first one. If both are the same, it may be shown nevertheless.
 */
static void find_second(struct dmr_set *s, struct dmr_source *src, u64 *n)
{
	struct dmr_pair p;

	mutex_lock(&s->engine_lock);
	dmr_pair_get(s, src->e.main_unit, &p);
	if (s->failed && p.usable & DMR_SECOND &&
	    src->e.main_unit < s->resync_at) {
		src->bdev = s->spare[p.second.spare_idx].bdev;
		src->sector = dmr_unit_to_sector(s, p.second.spare_unit);
		*n = 1;
	}
	mutex_unlock(&s->engine_lock);
}

static u64 job_unit(struct dmr_rescue *job, u64 off)
{
	return dmr_sector_to_unit(job->s, job->bio->bi_iter.bi_sector) + off;
}

/*
 * Read units of one source by halves; those that fail alone are noted in
 * job->failing, whose bit 0 is unit @base of the bio.
 */
static blk_status_t read_halves(struct dmr_rescue *job, u64 base, u64 off, u64 n,
				struct dmr_source *src, sector_t sector)
{
	struct dmr_set *s = job->s;
	blk_status_t status;
	u64 half = n / 2;

	status = dmr_io_part(s, job->bio, off, n, src->bdev, sector, 0);
	if (!status || !(dmr_is_medium(status) || src->mirrored))
		return status;
	if (n > 1) {
		status = read_halves(job, base, off, half, src, sector);
		if (status)
			return status;
		return read_halves(job, base, off + half, n - half, src,
				   sector + dmr_unit_to_sector(s, half));
	}
	atomic64_inc(&s->stats.read_errors);
	dmr_news_unit(s, DMR_NEWS_READ_ERROR, job_unit(job, off));
	/* Known to be lost: no use in waiting again. */
	if (src->e.kind == DMR_KIND_LOST)
		return status;
	__set_bit(off - base, job->failing);
	return BLK_STS_OK;
}

static blk_status_t find_failing(struct dmr_rescue *job, u64 base, u64 count)
{
	struct dmr_source src;
	blk_status_t status;
	u64 off, n;

	bitmap_zero(job->failing, RESCUE_UNITS);
	for (off = base; off < base + count; off += n) {
		n = find_source(job->s, job_unit(job, off), base + count - off, &src);
		if (!src.bdev)
			find_second(job->s, &src, &n);
		if (!src.bdev)
			return BLK_STS_IOERR;
		status = read_halves(job, base, off, n, &src, src.sector);
		if (status)
			return status;
	}
	return BLK_STS_OK;
}

static bool given_up(struct dmr_set *s)
{
	bool dead;

	mutex_lock(&s->engine_lock);
	dead = s->breaker_open || s->failed || dmr_main_dead(s);
	mutex_unlock(&s->engine_lock);
	if (dead)
		atomic64_inc(&s->stats.refused);
	return dead;
}

/* A unit was read at last: keep what was read on a spare. */
static void move_rescued(struct dmr_rescue *job, u64 unit)
{
	/* A second copy was asked before, and has no answer. */
	struct dmr_where w = { .failed = DMR_FIRST | DMR_SECOND };
	struct dmr_set *s = job->s;

	mutex_lock(&s->engine_lock);
	if (!dmr_place_copies(s, job->page, unit, 0, w)) {
		atomic64_inc(&s->stats.auto_remaps);
		atomic64_inc(&s->stats.rescued);
		dmr_debug(1, "%s: sector %llu rescued after a read error",
			  dm_device_name(s->md), dmr_unit_to_sector(s, unit));
	}
	mutex_unlock(&s->engine_lock);
}

/* One more attempt on each failing unit. Returns false when none is left. */
static bool try_again(struct dmr_rescue *job, u64 base)
{
	struct dmr_set *s = job->s;
	struct dmr_source src;
	unsigned int i;
	u64 unit;

	for_each_set_bit(i, job->failing, RESCUE_UNITS) {
		unit = job_unit(job, base + i);
		find_source(s, unit, 1, &src);
		if (!src.bdev)
			continue;
		atomic64_inc(&s->stats.retries);
		if (dmr_io_page(s, src.bdev, src.sector, job->page,
				dmr_unit_bytes(s), REQ_OP_READ | REQ_SYNC) &&
		    (src.bdev != s->main || !dmr_copy_read(s, unit, job->page)))
			continue;
		dmr_copy_to_bio(s, job->bio, base + i, job->page);
		move_rescued(job, unit);
		__clear_bit(i, job->failing);
	}
	return !bitmap_empty(job->failing, RESCUE_UNITS);
}

/*
 * A second copy that can't be read either goes. On a spare that is not there, or
 * answers nothing any more, it may come back some day: the unit isn't lost yet.
 */
static bool give_up_second(struct dmr_set *s, const struct dmr_entry *e)
{
	struct dmr_pair p;

	dmr_pair_get(s, e->main_unit, &p);
	if (!p.same && (!(p.usable & DMR_SECOND) ||
			!dmr_spare_answers(s, p.second.spare_idx)))
		return false;
	return !dmr_stage_unmirror(s, e->main_unit, true);
}

static void mark_lost(struct dmr_rescue *job, u64 base)
{
	struct dmr_set *s = job->s;
	struct dmr_source src;
	struct dmr_entry e;
	unsigned int i;

	mutex_lock(&s->engine_lock);
	for_each_set_bit(i, job->failing, RESCUE_UNITS) {
		find_source(s, job_unit(job, base + i), 1, &src);
		/* Gone with its spare, or unknown: nothing to add. */
		if (!src.bdev)
			continue;
		e = src.e;
		if (e.kind == DMR_KIND_REMAP) {
			/* Gone by now, and its data with it, which may come back. */
			if (!dmr_spare_answers(s, e.spare_idx) ||
			    (src.mirrored && !give_up_second(s, &e)))
				continue;
			e.flags |= DMR_ENTRY_UNKNOWN;
		} else {
			e = (struct dmr_entry){
				.kind = DMR_KIND_LOST,
				.main_unit = src.e.main_unit,
			};
		}
		if (dmr_stage(s, &e))
			break;
		DMWARN_LIMIT("%s: sector %llu can't be read: lost until it is written",
			     dm_device_name(s->md),
			     dmr_unit_to_sector(s, e.main_unit));
	}
	mutex_unlock(&s->engine_lock);
}

/* Read failing units from their second copies. Returns false when none is left. */
static bool ask_second(struct dmr_rescue *job, u64 base)
{
	struct dmr_set *s = job->s;
	unsigned int i;

	mutex_lock(&s->engine_lock);
	for_each_set_bit(i, job->failing, RESCUE_UNITS) {
		if (!dmr_mirror_serve(s, job_unit(job, base + i), job->page))
			continue;
		dmr_copy_to_bio(s, job->bio, base + i, job->page);
		atomic64_inc(&s->stats.rescued);
		job->served = true;
		__clear_bit(i, job->failing);
	}
	mutex_unlock(&s->engine_lock);
	return !bitmap_empty(job->failing, RESCUE_UNITS);
}

/* Try the failing units until they are read, or given up. */
static blk_status_t rescue_failing(struct dmr_rescue *job, u64 base)
{
	struct dmr_set *s = job->s;
	unsigned int try, retries = READ_ONCE(s->opts.retries);
	unsigned long pause;

	if (READ_ONCE(s->nr_mirrors) && !ask_second(job, base))
		return BLK_STS_OK;
	if (given_up(s))
		return BLK_STS_IOERR;
	/* Writes that were under way may have given the unit new data. */
	dmr_drain(s);
	for (try = 0; try < retries; try++) {
		pause = msecs_to_jiffies(READ_ONCE(s->opts.backoff_ms) << try);
		wait_event_timeout(s->backoff_wait, READ_ONCE(s->suspending), pause);
		if (dmr_noflush(s))
			return BLK_STS_DM_REQUEUE;
		if (!try_again(job, base))
			return BLK_STS_OK;
	}
	mark_lost(job, base);
	return BLK_STS_IOERR;
}

static blk_status_t rescue_chunk(struct dmr_rescue *job, u64 base, u64 n)
{
	struct dmr_set *s = job->s;
	blk_status_t status;

	dmr_hold_get(s, &job->hold, job_unit(job, base), n);
	job->served = false;
	/* If that can't be made durable, the data may still be there. */
	dmr_mirror_settle(s, job_unit(job, base), n);
	status = find_failing(job, base, n);
	if (!status && bitmap_empty(job->failing, RESCUE_UNITS)) {
		atomic64_inc(&s->stats.transient);
	} else if (!status) {
		status = rescue_failing(job, base);
		mutex_lock(&s->engine_lock);
		/*
		 * What was read is right whether or not it could be moved, but
		 * for a second copy, which may differ from the first one.
		 */
		if (dmr_commit(s) && job->served)
			status = BLK_STS_IOERR;
		mutex_unlock(&s->engine_lock);
	}
	dmr_hold_put(s, &job->hold);
	return status;
}

static void rescue_work(struct work_struct *work)
{
	struct dmr_rescue *job = container_of(work, struct dmr_rescue, work);
	unsigned int noio = memalloc_noio_save();
	struct dmr_set *s = job->s;
	struct bio *bio = job->bio;
	u64 total = dmr_sector_to_unit(s, bio_sectors(bio)), off, n;
	blk_status_t status = BLK_STS_OK;

	atomic64_inc(&s->stats.slow_reads);
	for (off = 0; off < total && !status; off += n) {
		n = min_t(u64, total - off, RESCUE_UNITS);
		if (dmr_noflush(s))
			status = BLK_STS_DM_REQUEUE;
		else if (READ_ONCE(s->breaker_open) && !READ_ONCE(s->nr_mirrors))
			status = BLK_STS_IOERR;
		else
			status = rescue_chunk(job, off, n);
	}
	memalloc_noio_restore(noio);
	mempool_free(job, &s->rescue_pool);
	/* Some may wait for a job. */
	queue_work(s->read_wq, &s->read_work);
	dmr_bio_finish(bio, status);
}

/**
 * dmr_rescue_dispatch() - give every waiting read a job
 * @work: read_work of a set
 *
 * Those that find no job wait for one that ends: a worker that slept for it
 * could be the rescuer that the job needs.
 * Context: process.
 */
void dmr_rescue_dispatch(struct work_struct *work)
{
	struct dmr_set *s = container_of(work, struct dmr_set, read_work);
	struct dmr_rescue *job;

	while ((job = mempool_alloc(&s->rescue_pool, GFP_NOWAIT))) {
		spin_lock_irq(&s->fail_lock);
		job->bio = bio_list_pop(&s->slow_reads);
		spin_unlock_irq(&s->fail_lock);
		if (!job->bio) {
			mempool_free(job, &s->rescue_pool);
			break;
		}
		job->s = s;
		INIT_WORK(&job->work, rescue_work);
		queue_work(s->read_wq, &job->work);
	}
}
