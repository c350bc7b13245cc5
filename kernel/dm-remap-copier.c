// SPDX-License-Identifier: GPL-2.0-only
/*
 * The copier: a worker that reads main and writes its replacement, window by window,
 * and makes sure that it is there. dm-remap-copy.c says when, and what it means.
 *
 * Everything here: may sleep, under memalloc_noio, with @lock of the copy held.
 */
#include <linux/completion.h>
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "dm-remap-copy.h"
#include "dm-remap-data.h"
#include "dm-remap-table.h"

/* What is read and written in one go, and the length of one bio. */
#define COPY_BYTES	(1U << 20)
#define COPY_PAGES	(COPY_BYTES / PAGE_SIZE)
#define COPY_BIO_PAGES	64U
/* A window is held for not much longer than this. */
#define WINDOW_JIFFIES	(HZ / 10)
/* After a read error the window shrinks to this part, down to one unit. */
#define SHRINK		16
/* How often the superblocks learn how far the copy has come. */
#define SAVE_JIFFIES	(60 * HZ)

/* Bios of one transfer. */
struct transfer {
	atomic_t pending;
	blk_status_t status;
	struct completion done;
};

static void transfer_end_io(struct bio *bio)
{
	struct transfer *t = bio->bi_private;

	if (bio->bi_status)
		WRITE_ONCE(t->status, bio->bi_status);
	bio_put(bio);
	if (atomic_dec_and_test(&t->pending))
		complete(&t->done);
}

static void transfer_begin(struct transfer *t)
{
	/* Our own count keeps pending from reaching 0 while we submit. */
	atomic_set(&t->pending, 1);
	t->status = BLK_STS_OK;
	init_completion(&t->done);
}

static void transfer_send(struct dmr_set *s, struct transfer *t,
			  struct block_device *bdev, sector_t sector,
			  struct page **page, unsigned int bytes, blk_opf_t opf)
{
	unsigned int len, i;
	struct bio *bio;

	while (bytes) {
		bio = bio_alloc_bioset(bdev, COPY_BIO_PAGES, opf, GFP_NOIO, &s->bios);
		bio->bi_iter.bi_sector = sector;
		bio->bi_end_io = transfer_end_io;
		bio->bi_private = t;
		for (i = 0; i < COPY_BIO_PAGES && bytes; i++) {
			len = min_t(unsigned int, bytes, PAGE_SIZE);
			__bio_add_page(bio, *page++, len, 0);
			bytes -= len;
			sector += len >> SECTOR_SHIFT;
		}
		atomic_inc(&t->pending);
		submit_bio(bio);
	}
}

static blk_status_t transfer_wait(struct transfer *t)
{
	if (!atomic_dec_and_test(&t->pending))
		wait_for_completion_io(&t->done);
	return READ_ONCE(t->status);
}

static blk_status_t transfer(struct dmr_set *s, struct block_device *bdev,
			     sector_t sector, struct page **page,
			     unsigned int bytes, blk_opf_t opf)
{
	struct transfer t;

	transfer_begin(&t);
	transfer_send(s, &t, bdev, sector, page, bytes, opf);
	return transfer_wait(&t);
}

static bool same(struct page **a, struct page **b, unsigned int bytes)
{
	unsigned int len;

	for (; bytes; bytes -= len) {
		len = min_t(unsigned int, bytes, PAGE_SIZE);
		if (memcmp(page_address(*a++), page_address(*b++), len))
			return false;
	}
	return true;
}

/**
 * dmr_copy_free() - free the copier's pages
 * @c: the copy
 *
 * Context: any; @lock of the copy held, or nobody uses the set any more.
 */
void dmr_copy_free(struct dmr_copy *c)
{
	unsigned int i;

	for (i = 0; c->page && i < 2 * COPY_PAGES; i++)
		if (c->page[i])
			__free_page(c->page[i]);
	kvfree(c->page);
	c->page = NULL;
}

/**
 * dmr_copy_alloc() - get the pages that the copier needs
 * @c: the copy
 *
 * Context: may sleep; @lock of the copy held. Return: 0 or -ENOMEM.
 */
int dmr_copy_alloc(struct dmr_copy *c)
{
	unsigned int i;

	if (c->page)
		return 0;
	c->page = kvcalloc(2 * COPY_PAGES, sizeof(*c->page), GFP_KERNEL);
	for (i = 0; c->page && i < 2 * COPY_PAGES; i++) {
		c->page[i] = alloc_page(GFP_KERNEL);
		if (!c->page[i]) {
			dmr_copy_free(c);
			break;
		}
	}
	return c->page ? 0 : -ENOMEM;
}

/**
 * dmr_copy_still_same() - is what was copied before still there?
 * @s: the set
 *
 * Looks where samples of main are.
 * Context: may sleep, under memalloc_noio; no I/O is under way. Return: false when
 * anything differs.
 */
bool dmr_copy_still_same(struct dmr_set *s)
{
	struct dmr_copy *c = &s->copy;
	unsigned int i, bytes = dmr_unit_bytes(s);
	struct page **a = c->page, **b = c->page + COPY_PAGES;
	sector_t sector;
	u64 unit, val;
	u32 place;
	bool found;

	for (i = 0; i < DMR_NR_SAMPLES; i++) {
		unit = dmr_sample_unit(&s->spare[0].sb, i);
		mutex_lock(&s->engine_lock);
		found = dmr_index_find(s, unit, &val, &place);
		mutex_unlock(&s->engine_lock);
		sector = dmr_unit_to_sector(s, unit);
		if (found || unit >= c->seen ||
		    transfer(s, s->main, sector, a, bytes, REQ_OP_READ))
			continue;
		if (transfer(s, c->bdev, sector, b, bytes, REQ_OP_READ) ||
		    !same(a, b, bytes))
			return false;
	}
	return true;
}

static void pause_copy(struct dmr_set *s, const char *why)
{
	struct dmr_copy *c = &s->copy;

	c->why = why;
	c->at = c->done;
	dmr_copy_set_phase(s, DMR_COPY_PAUSED);
	DMERR("%s: the copy of main waits at sector %llu: %s", dm_device_name(s->md),
	      dmr_unit_to_sector(s, c->done), why);
	dmr_event(s);
}

/* Main can't read this unit. Under the hold of the window. */
static int lose_unit(struct dmr_set *s, u64 unit)
{
	struct dmr_entry e = { .kind = DMR_KIND_LOST, .main_unit = unit };
	const char *why = NULL;

	mutex_lock(&s->engine_lock);
	if (s->failed || s->breaker_open || dmr_main_dead(s))
		why = "main-dead";
	else if (dmr_stage(s, &e) || dmr_commit(s))
		why = "table-full";
	mutex_unlock(&s->engine_lock);
	if (why) {
		pause_copy(s, why);
		return -EIO;
	}
	DMWARN_LIMIT("%s: sector %llu can't be read, so it is not copied: lost until it is written",
		     dm_device_name(s->md), dmr_unit_to_sector(s, unit));
	return 0;
}

static blk_status_t read_main(struct dmr_set *s, sector_t sector,
			      unsigned int bytes)
{
	bool one = bytes == dmr_unit_bytes(s);
	unsigned int tries = one ? READ_ONCE(s->opts.retries) : 0;
	blk_status_t status;

	while ((status = transfer(s, s->main, sector, s->copy.page, bytes,
				  REQ_OP_READ)) && tries--)
		atomic64_inc(&s->stats.retries);
	return status;
}

/* Does the replacement have it already? It may, after a copy that was cut off. */
static bool there_already(struct dmr_set *s, sector_t sector, unsigned int bytes)
{
	struct page **copied = s->copy.page + COPY_PAGES;

	return !transfer(s, s->copy.bdev, sector, copied, bytes, REQ_OP_READ) &&
	       same(s->copy.page, copied, bytes);
}

/* Copy units that have no entry. -ENODATA when main can't read them. */
static int copy_run(struct dmr_set *s, u64 unit, u64 n)
{
	struct dmr_copy *c = &s->copy;
	sector_t sector = dmr_unit_to_sector(s, unit);
	unsigned int bytes = n * dmr_unit_bytes(s);

	if (read_main(s, sector, bytes))
		return -ENODATA;
	if (unit < c->seen && there_already(s, sector, bytes))
		return 0;
	if (transfer(s, c->bdev, sector, c->page, bytes, REQ_OP_WRITE)) {
		dmr_copy_fail(s, "write", unit);
		return -EIO;
	}
	if (!there_already(s, sector, bytes)) {
		dmr_copy_fail(s, "verify", unit);
		return -EIO;
	}
	return 0;
}

/* A lost unit: if main can read it after all, it is one as any other. */
static int copy_lost(struct dmr_set *s, u64 unit)
{
	int r = copy_run(s, unit, 1);

	if (r)
		return r == -ENODATA ? 0 : r;
	mutex_lock(&s->engine_lock);
	r = dmr_stage_remove(s, unit) ?: dmr_commit(s);
	mutex_unlock(&s->engine_lock);
	if (r)
		pause_copy(s, "table");
	return r;
}

/* The next units below @end, all alike. Under the hold of the window. */
static int copy_step(struct dmr_set *s, u64 end)
{
	struct dmr_copy *c = &s->copy;
	u64 n = min_t(u64, end - c->done, COPY_BYTES / dmr_unit_bytes(s));
	struct dmr_entry e;
	int r = 0;
	u64 val;

	preempt_disable();
	n = dmr_index_run(s, c->done, n, &val);
	preempt_enable();
	dmr_val_entry(val, c->done, &e);
	if (!val) {
		r = copy_run(s, c->done, n);
	} else if (e.kind == DMR_KIND_LOST && !(e.flags & DMR_ENTRY_UNKNOWN)) {
		n = 1;
		r = copy_lost(s, c->done);
	}
	if (r == -ENODATA && n > 1) {
		/* Somewhere in it: with shorter windows, which hold nobody up. */
		c->piece = max_t(u64, n / SHRINK, 1);
		return r;
	}
	if (r == -ENODATA)
		r = lose_unit(s, c->done);
	else if (!r)
		c->piece = min_t(u64, 2 * c->piece,
				 DMR_COPY_WINDOW / dmr_unit_bytes(s));
	/* Who finds the hold gone finds this. */
	if (!r)
		WRITE_ONCE(c->done, c->done + n);
	return r;
}

/* Units of the next window: what a rate allows in a quarter of a second, at most. */
static u64 window_units(struct dmr_set *s)
{
	unsigned int kib = READ_ONCE(s->opts.copy_rate);
	u64 n = s->copy.piece;

	if (kib)
		n = min(n, max(256ULL * kib / dmr_unit_bytes(s), 1ULL));
	return min(n, s->nr_units - s->copy.done);
}

static void copy_window(struct dmr_set *s)
{
	struct dmr_copy *c = &s->copy;
	u64 end = c->done + window_units(s);
	unsigned long until;
	struct dmr_hold hold;
	int r = 0;

	dmr_hold_get(s, &hold, c->done, end - c->done);
	dmr_drain(s);
	until = jiffies + WINDOW_JIFFIES;
	do
		r = copy_step(s, end);
	while (!r && c->done < end && time_before(jiffies, until));
	dmr_hold_put(s, &hold);
}

/* Everything is there; from now on both are written. */
static void finish(struct dmr_set *s)
{
	struct dmr_copy *c = &s->copy;

	if (blkdev_issue_flush(c->bdev)) {
		dmr_copy_fail(s, "flush", 0);
		return;
	}
	dmr_copy_save(s, DMR_MOVE_RUNNING);
	dmr_copy_set_phase(s, DMR_COPY_COPIED);
	DMINFO("%s: main is copied to %pg, %llu units are lost",
	       dm_device_name(s->md), c->bdev, s->nr_lost + s->nr_unknown);
	dmr_event(s);
}

/* How long to wait so that the copy keeps to its rate. */
static unsigned long rate_delay(struct dmr_set *s, u64 units, unsigned long took)
{
	unsigned int kib = READ_ONCE(s->opts.copy_rate);
	unsigned long due;

	if (!kib)
		return 0;
	due = div_u64(units * (dmr_unit_bytes(s) >> SECTOR_SHIFT) * HZ, 2 * kib);
	return due > took ? due - took : 0;
}

static void run(struct dmr_set *s)
{
	struct dmr_copy *c = &s->copy;
	unsigned long start = jiffies;
	u64 from = c->done;

	/* What has failed must not look as if it had only been stopped. */
	if (c->phase == DMR_COPY_FAILED && c->state != DMR_MOVE_NONE)
		dmr_copy_save(s, DMR_MOVE_NONE);
	if (c->phase != DMR_COPY_RUNNING || READ_ONCE(s->suspending) ||
	    READ_ONCE(s->failed))
		return;
	copy_window(s);
	if (c->done == s->nr_units && READ_ONCE(c->on))
		finish(s);
	else if (time_after(jiffies, c->saved + SAVE_JIFFIES) && READ_ONCE(c->on))
		dmr_copy_save(s, DMR_MOVE_RUNNING);
	if (READ_ONCE(c->phase) == DMR_COPY_RUNNING)
		mod_delayed_work(s->read_wq, &c->work,
				 rate_delay(s, c->done - from, jiffies - start));
}

/**
 * dmr_copy_work() - the copier: one window, and whatever is due besides
 * @work: the work of a struct dmr_copy
 *
 * Context: may sleep; its queue has a rescuer.
 */
void dmr_copy_work(struct work_struct *work)
{
	struct dmr_set *s = container_of(work, struct dmr_set, copy.work.work);
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&s->copy.lock);
	run(s);
	mutex_unlock(&s->copy.lock);
	memalloc_noio_restore(noio);
}
