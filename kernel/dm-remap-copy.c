// SPDX-License-Identifier: GPL-2.0-only
/*
 * Copying main to its replacement while it is in use.
 *
 * DOC: the watermark
 *
 * The table option copy_to names the replacement. What lies below a watermark is
 * the same on both; the copier raises it. It holds a window of units, drains,
 * reads main, writes the replacement, reads that back and compares; writes of the
 * window wait meanwhile, for a tenth of a second on a disk that is well. A write
 * of main below the watermark goes to both (dm-remap-twin.c), one above it to main
 * alone, and one that meets the watermark is cut there. While a copy is on,
 * nr_holds is one higher than there are holds, so that every write takes the slow
 * path, where the watermark is looked at; the fast path knows nothing of all this.
 *
 * Units with an entry are left out: a remapped one has its data on a spare,
 * whatever main is. Only of a lost one main is asked again. One that main can't
 * read any more becomes lost: what is
 * not known is not written to the replacement. When main is replaced, lost units
 * become unknown, for what the replacement has in their place is nothing.
 *
 * DOC: when it may go on
 *
 * The superblocks say whether the two may differ. RUNNING: after a crash they do,
 * wherever writes were under way, so the next copy begins at 0. STOPPED: all was
 * flushed when the set stopped, so it goes on at the watermark. Whoever starts the
 * set without the replacement, or when the replacement has failed, sets it to NONE
 * before a write is accepted. In any case the superblocks remember how far it had
 * come: below that both are read and compared, and only what differs is written.
 *
 * Everything here but dmr_copy_fail(): may sleep. @lock of a struct dmr_copy is
 * taken before a hold.
 */
#include <linux/sched/mm.h>

#include "dm-remap-copy.h"
#include "dm-remap-data.h"
#include "dm-remap-news.h"
#include "dm-remap-table.h"

static const char *const phases[] = {
	[DMR_COPY_OFF] = "off",
	[DMR_COPY_PAUSED] = "paused",
	[DMR_COPY_RUNNING] = "running",
	[DMR_COPY_COPIED] = "copied",
	[DMR_COPY_READY] = "ready",
	[DMR_COPY_FAILED] = "failed",
};

/* Writes are looked at from now on, or no more. */
static void set_on(struct dmr_set *s, bool on, enum dmr_copy_phase phase)
{
	struct dmr_copy *c = &s->copy;

	spin_lock_irq(&s->hold_lock);
	if (c->on != on) {
		WRITE_ONCE(c->on, on);
		WRITE_ONCE(s->nr_holds, s->nr_holds + (on ? 1 : -1));
	}
	WRITE_ONCE(c->phase, phase);
	spin_unlock_irq(&s->hold_lock);
}

/**
 * dmr_copy_set_phase() - the next phase, unless the copy has failed meanwhile
 * @s: the set
 * @phase: the phase
 *
 * Context: @lock of the copy held.
 */
void dmr_copy_set_phase(struct dmr_set *s, enum dmr_copy_phase phase)
{
	struct dmr_copy *c = &s->copy;
	bool on;

	spin_lock_irq(&s->hold_lock);
	on = c->on;
	if (on)
		WRITE_ONCE(c->phase, phase);
	spin_unlock_irq(&s->hold_lock);
	if (on)
		dmr_news(s, DMR_NEWS_COPY, phase, DMR_NO_SPARE);
}

/**
 * dmr_copy_fail() - the replacement is not what main is
 * @s: the set
 * @why: a word
 * @unit: where
 *
 * The set goes on with main alone. Nothing is lost but the copy.
 * Context: any.
 */
void dmr_copy_fail(struct dmr_set *s, const char *why, u64 unit)
{
	struct dmr_copy *c = &s->copy;
	unsigned long flags;
	bool was;

	spin_lock_irqsave(&s->hold_lock, flags);
	was = c->on;
	if (was) {
		WRITE_ONCE(c->on, false);
		WRITE_ONCE(s->nr_holds, s->nr_holds - 1);
		WRITE_ONCE(c->phase, DMR_COPY_FAILED);
		c->why = why;
		c->at = unit;
	}
	spin_unlock_irqrestore(&s->hold_lock, flags);
	if (!was)
		return;
	DMERR("%s: the copy of main has failed at sector %llu (%s): %pg must not be used instead of main",
	      dm_device_name(s->md), dmr_unit_to_sector(s, unit), why, c->bdev);
	dmr_news(s, DMR_NEWS_COPY, DMR_COPY_FAILED, DMR_NO_SPARE);
	dmr_event(s);
	/* The superblocks must know before anybody says that all is well. */
	mod_delayed_work(s->read_wq, &c->work, 0);
}

/**
 * dmr_copy_twin_done() - a write to the replacement has ended
 * @twin: the twin of a write to main
 * @status: its result
 *
 * Context: any.
 */
void dmr_copy_twin_done(struct dmr_twin *twin, blk_status_t status)
{
	struct dmr_set *s = twin->s;

	/* Nobody reads what was discarded. */
	if (status && bio_op(twin->first) != REQ_OP_DISCARD)
		dmr_copy_fail(s, "write",
			      dmr_sector_to_unit(s, twin->bio.bi_iter.bi_sector));
}

/**
 * dmr_copy_describe() - what a superblock says of the copy
 * @s: the set
 * @sb: the superblock
 *
 * Context: engine_lock held.
 */
void dmr_copy_describe(struct dmr_set *s, struct dmr_sb *sb)
{
	struct dmr_copy *c = &s->copy;

	sb->move_state = c->state;
	sb->move_id = c->id;
	sb->move_sectors = c->sectors;
	sb->move_units = max(c->done, c->seen);
}

/**
 * dmr_copy_load() - what the superblocks say of a copy, into a new set
 * @s: the set
 * @ref: the superblock that counts
 *
 * Context: the set is being loaded.
 */
void dmr_copy_load(struct dmr_set *s, const struct dmr_sb *ref)
{
	struct dmr_copy *c = &s->copy;

	c->state = ref->move_state;
	c->id = ref->move_id;
	c->sectors = ref->move_sectors;
	c->seen = ref->move_units;
}

/**
 * dmr_copy_save() - write how far the copy has come to the superblocks
 * @s: the set
 * @state: whether main and its replacement may differ
 *
 * Context: may sleep, under memalloc_noio; @lock of the copy held. Return: 0 or a
 * negative errno.
 */
int dmr_copy_save(struct dmr_set *s, enum dmr_move state)
{
	struct dmr_copy *c = &s->copy;
	int r;

	mutex_lock(&s->engine_lock);
	c->state = state;
	r = dmr_commit(s) ?: dmr_write_superblocks(s);
	mutex_unlock(&s->engine_lock);
	c->saved = jiffies;
	return r;
}

/*
 * From now on writes below the watermark go to both. No I/O is under way, or the
 * watermark is 0.
 */
static int begin(struct dmr_set *s, bool go_on)
{
	struct dmr_copy *c = &s->copy;
	int r;

	r = dmr_copy_alloc(c);
	if (r)
		return r;
	c->done = go_on && dmr_copy_still_same(s) ? c->seen : 0;
	c->piece = DMR_COPY_WINDOW / dmr_unit_bytes(s);
	c->why = "-";
	r = dmr_copy_save(s, DMR_MOVE_RUNNING);
	if (r)
		return r;
	set_on(s, true, c->done == s->nr_units ? DMR_COPY_COPIED : DMR_COPY_PAUSED);
	DMINFO("%s: main can be copied to %pg, from sector %llu on",
	       dm_device_name(s->md), c->bdev, dmr_unit_to_sector(s, c->done));
	return 0;
}

/* No copy any more; the superblocks say so. */
static int end(struct dmr_set *s)
{
	struct dmr_copy *c = &s->copy;

	set_on(s, false, DMR_COPY_OFF);
	c->seen = max(c->done, c->seen);
	c->done = 0;
	dmr_copy_free(c);
	return c->state == DMR_MOVE_NONE ? 0 : dmr_copy_save(s, DMR_MOVE_NONE);
}

/* Every lost unit becomes unknown: what the new main has there is not its data. */
static int forget_lost(struct dmr_set *s)
{
	struct dmr_entry e;
	u64 unit, val;
	int r;

	for (unit = 0; dmr_index_next(s, &unit, &val); unit++) {
		dmr_val_entry(val, unit, &e);
		if (e.kind != DMR_KIND_LOST || e.flags & DMR_ENTRY_UNKNOWN)
			continue;
		e.flags |= DMR_ENTRY_UNKNOWN;
		r = dmr_stage(s, &e);
		if (r)
			return r;
	}
	return dmr_commit(s);
}

/* The replacement becomes main, in one write of the superblocks. No I/O runs. */
static int replace_main(struct dmr_set *s)
{
	struct dmr_copy *c = &s->copy;
	struct dmr_sb *sb;
	unsigned int i;
	int r;

	lockdep_assert_held(&s->engine_lock);
	r = blkdev_issue_flush(c->bdev) ?: forget_lost(s);
	if (r)
		return r;
	for (i = 0; i < s->nr_spares; i++) {
		sb = &s->spare[i].sb;
		sb->main_lbs = bdev_logical_block_size(c->bdev);
		memcpy(sb->identity, c->identity, DMR_IDENTITY_LEN);
	}
	c->state = DMR_MOVE_NONE;
	c->id = 0;
	c->sectors = 0;
	c->done = 0;
	c->seen = 0;
	dmr_members_changed(s, DMR_REASON_MAIN_REPLACED, 0);
	r = dmr_write_superblocks(s);
	if (r)
		return r;
	DMINFO("%s: %pg is main now instead of %pg", dm_device_name(s->md),
	       c->bdev, s->main);
	s->main = c->bdev;
	dmr_breaker_close(s);
	dmr_state_sample(s);
	dmr_state_save(s, false);
	return 0;
}

static int switch_main(struct dmr_set *s, struct dmr_table *t)
{
	struct dmr_copy *c = &s->copy;
	int r;

	mutex_lock(&s->engine_lock);
	r = replace_main(s);
	mutex_unlock(&s->engine_lock);
	if (r) {
		dmr_refuse(t, "%s can't become main (error %d)", t->main->name, r);
		return r;
	}
	set_on(s, false, DMR_COPY_OFF);
	dmr_copy_free(c);
	c->bdev = NULL;
	return 0;
}

static int check_replacement(struct dmr_set *s, struct dmr_table *t)
{
	unsigned int lbs = bdev_logical_block_size(t->copy->bdev);

	if (lbs <= dmr_unit_bytes(s))
		return 0;
	dmr_refuse(t, "%s can't replace main: it has logical blocks of %u bytes, and the set remaps units of %u",
		   t->copy->name, lbs, dmr_unit_bytes(s));
	return -EINVAL;
}

/* The table has a replacement that the set doesn't know yet. */
static int take_replacement(struct dmr_set *s, struct dmr_table *t)
{
	struct dmr_copy *c = &s->copy;
	u64 sectors = bdev_nr_sectors(t->copy->bdev);
	bool same = c->id == t->copy_id && c->sectors == sectors;
	bool go_on = same && c->state == DMR_MOVE_STOPPED;
	int r = check_replacement(s, t);

	if (r)
		return r;
	if (!same)
		c->seen = 0;
	c->done = 0;
	c->id = t->copy_id;
	c->sectors = sectors;
	c->bdev = t->copy->bdev;
	r = begin(s, go_on);
	if (r)
		dmr_refuse(t, "the copy of main can't begin (error %d)", r);
	return r;
}

static int attach(struct dmr_set *s, struct dmr_table *t)
{
	struct dmr_copy *c = &s->copy;
	struct block_device *bdev = t->copy ? t->copy->bdev : NULL;
	int r = 0;

	if (t->main->bdev != s->main)
		return switch_main(s, t);
	if (!dmr_table_writable(t))
		return 0;
	if (bdev && bdev == c->bdev)
		return 0;
	/* Before any write is accepted that the replacement doesn't get. */
	if (c->on || c->state == DMR_MOVE_RUNNING ||
	    (c->state == DMR_MOVE_STOPPED && !bdev))
		r = end(s);
	if (r) {
		dmr_refuse(t, "no spare takes superblocks");
		return r;
	}
	WRITE_ONCE(c->phase, DMR_COPY_OFF);
	c->bdev = NULL;
	return bdev ? take_replacement(s, t) : 0;
}

/**
 * dmr_copy_attach() - a table takes the set over: with a replacement, or without
 * @s: the set
 * @t: the table, which fits the set otherwise
 *
 * Context: called from preresume: no I/O is under way. Return: 0 or a negative
 * errno, with the reason in the kernel log.
 */
int dmr_copy_attach(struct dmr_set *s, struct dmr_table *t)
{
	unsigned int noio = memalloc_noio_save();
	int r;

	cancel_delayed_work_sync(&s->copy.work);
	mutex_lock(&s->copy.lock);
	r = attach(s, t);
	mutex_unlock(&s->copy.lock);
	memalloc_noio_restore(noio);
	return r;
}

/**
 * dmr_copy_may_replace() - may this table have another main than the set?
 * @s: the set
 * @t: the table
 *
 * Context: called from preresume. Return: true when main was copied there, every
 * write since has gone to both, and "copy complete" was said.
 */
bool dmr_copy_may_replace(struct dmr_set *s, struct dmr_table *t)
{
	return s->copy.on && s->copy.phase == DMR_COPY_READY &&
	       t->main->bdev == s->copy.bdev && !t->copy &&
	       dmr_table_writable(t);
}

/**
 * dmr_copy_stop() - the last words on the copy of a set
 * @s: the set; nobody uses it any more
 *
 * When both devices are flushed, and the superblocks say so, the copy goes on
 * here next time.
 */
void dmr_copy_stop(struct dmr_set *s)
{
	unsigned int noio = memalloc_noio_save();
	struct dmr_copy *c = &s->copy;

	if (c->on && !s->failed && !blkdev_issue_flush(s->main) &&
	    !blkdev_issue_flush(c->bdev)) {
		c->seen = c->done;
		dmr_copy_save(s, DMR_MOVE_STOPPED);
	} else if (!c->on && c->state != DMR_MOVE_NONE && s->live && !s->failed) {
		dmr_copy_save(s, DMR_MOVE_NONE);
	}
	dmr_copy_free(c);
	memalloc_noio_restore(noio);
}

/* So many units of @n from @unit on have to go to the replacement, too. */
static u64 below(struct dmr_set *s, u64 unit, u64 n)
{
	bool both;

	n = dmr_copy_run(s, unit, n, &both);
	return both ? n : 0;
}

/**
 * dmr_copy_part() - main has taken a part of a bio that we keep
 * @s: the set
 * @bio: the bio
 * @off: first unit of the part, counted from the start of the bio
 * @n: number of units
 * @unit: first unit on main
 *
 * The replacement gets it too, as far as the copy has come.
 * Context: may sleep, under memalloc_noio, engine_lock held.
 */
void dmr_copy_part(struct dmr_set *s, struct bio *bio, u64 off, u64 n, u64 unit)
{
	sector_t sector = dmr_unit_to_sector(s, unit);
	struct block_device *bdev = s->copy.bdev;
	int r;

	n = below(s, unit, n);
	if (!n)
		return;
	if (bio_op(bio) == REQ_OP_WRITE_ZEROES)
		r = blkdev_issue_zeroout(bdev, sector, dmr_unit_to_sector(s, n),
					 GFP_NOIO, BLKDEV_ZERO_NOUNMAP);
	else
		r = blk_status_to_errno(dmr_io_part(s, bio, off, n, bdev, sector, 0));
	if (r)
		dmr_copy_fail(s, "write", unit);
}

/**
 * dmr_copy_page() - main has taken a unit
 * @s: the set
 * @unit: the unit
 * @page: its data
 *
 * Context: as dmr_copy_part().
 */
void dmr_copy_page(struct dmr_set *s, u64 unit, struct page *page)
{
	if (below(s, unit, 1) &&
	    dmr_io_page(s, s->copy.bdev, dmr_unit_to_sector(s, unit), page,
			dmr_unit_bytes(s), REQ_OP_WRITE | REQ_SYNC))
		dmr_copy_fail(s, "write", unit);
}

/**
 * dmr_copy_read() - main can't read a unit: can its replacement?
 * @s: the set
 * @unit: the unit, which is held and drained and has no entry
 * @page: where its data goes
 *
 * Context: may sleep, under memalloc_noio. Return: true when it was read.
 */
bool dmr_copy_read(struct dmr_set *s, u64 unit, struct page *page)
{
	return below(s, unit, 1) &&
	       !dmr_io_page(s, s->copy.bdev, dmr_unit_to_sector(s, unit), page,
			    dmr_unit_bytes(s), REQ_OP_READ | REQ_SYNC);
}

/**
 * dmr_copy_init() - prepare a set for copies
 * @s: the set
 *
 * Context: any.
 */
void dmr_copy_init(struct dmr_set *s)
{
	mutex_init(&s->copy.lock);
	INIT_DELAYED_WORK(&s->copy.work, dmr_copy_work);
	s->copy.why = "-";
}

/**
 * dmr_copy_kick() - go on after a suspend
 * @s: the set
 *
 * Context: any.
 */
void dmr_copy_kick(struct dmr_set *s)
{
	if (READ_ONCE(s->copy.phase) == DMR_COPY_RUNNING)
		mod_delayed_work(s->read_wq, &s->copy.work, 0);
}

static int no_copy(struct dmr_set *s)
{
	dmr_set_error(s, "The table names no replacement of main; load one with the option copy_to.");
	return -EINVAL;
}

/* A copy that was given up, or that failed, begins anew. */
static int start(struct dmr_set *s)
{
	struct dmr_copy *c = &s->copy;
	int r = 0;

	if (c->phase == DMR_COPY_COPIED || c->phase == DMR_COPY_READY)
		return 0;
	if (c->phase == DMR_COPY_OFF || c->phase == DMR_COPY_FAILED) {
		r = end(s) ?: begin(s, false);
		if (r) {
			dmr_set_error(s, "The copy can't begin: no memory, or no spare takes superblocks; see the kernel log.");
			return r;
		}
	}
	c->why = "-";
	dmr_copy_set_phase(s, DMR_COPY_RUNNING);
	mod_delayed_work(s->read_wq, &c->work, 0);
	return 0;
}

static int make_ready(struct dmr_set *s, const char *identity)
{
	struct dmr_copy *c = &s->copy;

	if (c->phase != DMR_COPY_COPIED && c->phase != DMR_COPY_READY) {
		dmr_set_error(s, "The copy is %s, not copied: it can't be completed yet.",
			      phases[c->phase]);
		return -EBUSY;
	}
	memset(c->identity, 0, sizeof(c->identity));
	strscpy(c->identity, identity, sizeof(c->identity));
	dmr_copy_set_phase(s, DMR_COPY_READY);
	return 0;
}

static int command(struct dmr_set *s, const char *verb, const char *rest)
{
	struct dmr_copy *c = &s->copy;

	if (!c->bdev)
		return no_copy(s);
	if (!strcmp(verb, "start"))
		return start(s);
	if (!strcmp(verb, "complete"))
		return make_ready(s, rest);
	if (!strcmp(verb, "abort"))
		return end(s);
	if (strcmp(verb, "pause")) {
		dmr_set_error(s, "copy takes start, pause, abort, complete or status, not %s.",
			      verb);
		return -EINVAL;
	}
	if (c->phase == DMR_COPY_RUNNING)
		dmr_copy_set_phase(s, DMR_COPY_PAUSED);
	return 0;
}

/**
 * dmr_copy_command() - the message "copy"
 * @s: the set
 * @verb: start, pause, abort, complete or status
 * @rest: of "complete": what the replacement is called, for the superblocks
 *
 * Context: process. Return: 0 or a negative errno, with a sentence in last_error.
 */
int dmr_copy_command(struct dmr_set *s, const char *verb, const char *rest)
{
	unsigned int noio;
	int r;

	/* Doesn't wait for what the copier waits for. */
	if (!strcmp(verb, "status"))
		return 0;
	noio = memalloc_noio_save();
	mutex_lock(&s->copy.lock);
	r = command(s, verb, rest);
	mutex_unlock(&s->copy.lock);
	memalloc_noio_restore(noio);
	return r;
}

/**
 * dmr_copy_phase() - what the copy is doing, in a word
 * @s: the set
 *
 * Context: any. Return: a constant string.
 */
const char *dmr_copy_phase(struct dmr_set *s)
{
	return phases[READ_ONCE(s->copy.phase)];
}
