// SPDX-License-Identifier: GPL-2.0-only
/*
 * The health scan: passes over all devices of a set, and when they run.
 *
 * DOC: a pass
 *
 * Main first, and then every spare, each region by region in the order of the pattern
 * (dm-remap-order.h). The worker reads a chunk of 128 KiB at a time. When nobody else
 * uses the disks, one after the other; otherwise it rests after each, so long that it
 * has taken no more than scan_share percent of the time. The bios are of the idle
 * class, for those schedulers that know classes.
 *
 * A suspend stops the worker between two chunks, and nothing is read until a resume.
 * It goes on after a restart, too (dm-remap-scan-keep.c).
 *
 * DOC: the clock
 *
 * When no pass runs, the same worker is the clock. The next pass begins an interval
 * after the last whole one has ended; that is shorter for a device that is not well
 * (dm-remap-pace.h). Time is that of the wall, for the machine may be off in between.
 */
#include <linux/bitmap.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "dm-remap.h"
#include "dm-remap-faces.h"
#include "dm-remap-news.h"
#include "dm-remap-table.h"
#include "dm-remap-trace.h"

/* How long the worker works before others have a turn on its processor. */
#define SLICE_JIFFIES		max(HZ / 20, 1)
/* How often the clock is looked at, at the least; it may be set meanwhile. */
#define CLOCK_SECONDS		600
/* How often the rate is measured. */
#define WINDOW_NS		NSEC_PER_SEC
/* Reads in turn that fail without a word about the medium, and the pause after each. */
#define MAX_FAILURES		6
#define FAILURE_JIFFIES		(5 * HZ)
/* The pause before a chunk is read again because others were there. */
#define DOUBT_JIFFIES		(HZ / 4)
/* Units that can't be read in one pass: then this is no matter of single sectors. */
#define MAX_ERRORS		4096
/* What a limited rate allows at once after a pause. */
#define BURST_BYTES		(4 * DMR_CHUNK_BYTES)

static sector_t data_start(unsigned int device)
{
	return device ? DMR_DATA_START : 0;
}

/**
 * dmr_scan_sectors() - length of a device that is scanned
 * @s: the set
 * @device: 0 main, n + 1 for spare n
 *
 * Context: any. Return: sectors, 0 for a spare that is not in use.
 */
sector_t dmr_scan_sectors(struct dmr_set *s, unsigned int device)
{
	if (!device)
		return dmr_unit_to_sector(s, s->nr_units);
	if (!dmr_spare_usable(s, device - 1))
		return 0;
	return READ_ONCE(dmr_row(s, device - 1)->sectors);
}

/**
 * dmr_scan_regions() - regions of a device that are scanned
 * @s: the set
 * @device: 0 main, n + 1 for spare n
 *
 * Context: any. Return: their number, 0 for a spare that is not in use.
 */
u64 dmr_scan_regions(struct dmr_set *s, unsigned int device)
{
	sector_t sectors = dmr_scan_sectors(s, device), start = data_start(device);

	return sectors > start ?
		DIV_ROUND_UP_ULL(sectors - start, DMR_REGION_SECTORS) : 0;
}

static u64 key_of(unsigned int device, u64 region)
{
	return (u64)device << DMR_KEY_SHIFT | region;
}

static void trace_pass(struct dmr_set *s, enum dmr_scan_event what)
{
	struct dmr_scan *sc = &s->scan;

	trace_dm_remap_scan(s, what, sc->st.pattern, sc->st.pass,
			    sc->done * DMR_REGION_SECTORS,
			    sc->total * DMR_REGION_SECTORS);
	if (what != DMR_SCAN_GOES_ON)
		dmr_news(s, DMR_NEWS_SCAN, what, DMR_NO_SPARE);
}

/* Steps of a whole pass over a device. */
static u64 whole_steps(struct dmr_set *s, unsigned int device)
{
	struct dmr_order *o = &s->scan.order;
	struct dmr_order all = { .pattern = o->pattern };

	all.nr = dmr_scan_regions(s, device);
	return dmr_order_total(&all);
}

/**
 * dmr_scan_open() - the order of the pass on the device where it is
 * @s: the set
 *
 * Context: the lock of the scan is held.
 */
void dmr_scan_open(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	struct dmr_order *o = &sc->order;
	u32 device = sc->st.device, i;

	dmr_order_init(o, sc->st.pattern, dmr_scan_regions(s, device),
		       sc->st.seed + device);
	i = dmr_marks_from(&sc->marks, key_of(device, 0));
	for (; i < sc->marks.n && sc->marks.mark[i].key >> DMR_KEY_SHIFT == device; i++)
		dmr_order_focus(o, sc->marks.mark[i].key & DMR_KEY_MASK);
	sc->step = 0;
}

/**
 * dmr_scan_measure() - how much of the pass is done
 * @s: the set; the device where the pass is was opened
 *
 * Context: the lock of the scan is held.
 */
void dmr_scan_measure(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	u64 left = dmr_order_total(&sc->order) - sc->step;
	unsigned int device;

	sc->total = 0;
	for (device = 0; device <= s->nr_spares; device++) {
		sc->total += whole_steps(s, device);
		if (device > sc->st.device)
			left += whole_steps(s, device);
	}
	/* What a focused pass begins with is repeated after a restart. */
	sc->done = sc->total - min(left, sc->total);
}

static unsigned int percent(const struct dmr_scan *sc)
{
	return sc->total ? div64_u64(sc->done * 100, sc->total) : 0;
}

/* Forget what is measured as time goes by. */
static void restart_clocks(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;

	sc->rate = 0;
	sc->window = 0;
	sc->window_at = 0;
	sc->failures = 0;
	sc->near = 0;
	sc->bucket.empty_at = 0;
	dmr_scan_look_begin(s);
}

/* What has something to tell comes first; otherwise, what is near to nothing seen. */
static unsigned int best_pattern(const struct dmr_scan *sc)
{
	return sc->marks.n ? DMR_PATTERN_FOCUSED : DMR_PATTERN_STAGGERED;
}

/* Under the lock; the worker does not run, or is where this is called. */
static void begin_pass(struct dmr_set *s, int pattern)
{
	struct dmr_scan *sc = &s->scan;
	struct dmr_scanned *st = &sc->st;

	st->flags = DMR_SCAN_RUNNING;
	st->pattern = pattern < 0 ? best_pattern(sc) : pattern;
	st->device = 0;
	st->pass++;
	st->seed = get_random_u64();
	st->began = ktime_get_real_seconds();
	st->errors = 0;
	st->rescued = 0;
	st->slow = 0;
	st->blanks = 0;
	st->relocated = 0;
	sc->why = "-";
	dmr_scan_open(s);
	dmr_scan_measure(s);
	restart_clocks(s);
	trace_pass(s, DMR_SCAN_BEGINS);
}

static void end_pass(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	struct dmr_scanned *st = &sc->st;

	st->flags = 0;
	sc->done = sc->total;
	sc->rate = 0;
	/* A sample says little about the whole. */
	if (st->pattern != DMR_PATTERN_RANDOM) {
		st->ended = ktime_get_real_seconds();
		st->since = st->ended;
		st->found_before = st->found;
		st->found = st->errors + st->rescued;
	}
	atomic64_inc(&s->stats.scan_passes);
	trace_pass(s, DMR_SCAN_ENDS);
	if (!st->errors && !st->rescued && !st->slow && !st->blanks)
		return;
	DMWARN("%s: the scan has found %llu blocks that can't be read, %llu that could be read again, %llu slow pieces of 32 KiB, %llu regions without their data",
	       dm_device_name(s->md), st->errors, st->rescued, st->slow, st->blanks);
	dmr_event(s);
}

/* Under the lock: the pass can't go on by itself. */
static void give_up(struct dmr_set *s, const char *why)
{
	struct dmr_scan *sc = &s->scan;

	sc->st.flags |= DMR_SCAN_PAUSED;
	sc->why = why;
	sc->rate = 0;
	trace_pass(s, DMR_SCAN_PAUSES);
	DMWARN("%s: the scan waits at %u %% until it is resumed: %s",
	       dm_device_name(s->md), percent(sc), why);
	dmr_event(s);
}

/* Go on to a device that has something to look at. False: that was the last. */
static bool next_device(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;

	while (sc->step >= dmr_order_total(&sc->order)) {
		if (sc->st.device >= s->nr_spares)
			return false;
		sc->st.device++;
		sc->near = 0;
		dmr_scan_open(s);
	}
	return true;
}

/* The region that is to be looked at, under the lock. False: the pass is over. */
static bool next_spot(struct dmr_set *s, struct dmr_spot *at)
{
	struct dmr_scan *sc = &s->scan;
	const struct dmr_mark *mark;

	if (!next_device(s))
		return false;
	at->device = sc->st.device;
	at->region = dmr_order_at(&sc->order, sc->step);
	at->sector = data_start(at->device) + at->region * DMR_REGION_SECTORS;
	at->sectors = min_t(u64, DMR_REGION_SECTORS,
			    dmr_scan_sectors(s, at->device) - at->sector);
	at->key = key_of(at->device, at->region);
	mark = dmr_marks_find(&sc->marks, at->key);
	at->usual = mark ? mark->usual : 0;
	return true;
}

/* A region is done. */
static void advance(struct dmr_set *s, const struct dmr_spot *at)
{
	struct dmr_scan *sc = &s->scan;
	unsigned int before;

	dmr_scan_look_end(s, at);
	mutex_lock(&sc->lock);
	before = percent(sc);
	sc->step++;
	dmr_scan_measure(s);
	if (percent(sc) != before)
		trace_pass(s, DMR_SCAN_GOES_ON);
	if (sc->st.errors > MAX_ERRORS)
		give_up(s, "too-many-errors");
	mutex_unlock(&sc->lock);
	dmr_scan_look_begin(s);
}

/* A chunk could not be looked at. Returns jiffies until it is tried again. */
static unsigned long failed(struct dmr_set *s, int r)
{
	struct dmr_scan *sc = &s->scan;

	if (r == -EAGAIN)
		return 1;
	if (r == -EBUSY)
		return DOUBT_JIFFIES;
	mutex_lock(&sc->lock);
	if (r == -EIO)
		give_up(s, "main-dead");
	else if (++sc->failures == MAX_FAILURES)
		give_up(s, "device-error");
	mutex_unlock(&sc->lock);
	return FAILURE_JIFFIES;
}

static void measure_rate(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	u64 now = ktime_get_ns(), rate;

	if (!sc->window_at) {
		sc->window_at = now;
		sc->window = 0;
		return;
	}
	if (now - sc->window_at < WINDOW_NS)
		return;
	/* Sectors of 512 bytes in ns, as KiB in seconds. */
	rate = div64_u64(sc->window * (NSEC_PER_SEC / 2), now - sc->window_at);
	mutex_lock(&sc->lock);
	sc->rate = sc->rate ? (3 * sc->rate + rate) / 4 : rate;
	mutex_unlock(&sc->lock);
	sc->window_at = now;
	sc->window = 0;
}

/* How long to rest before the next chunk, in ns. */
static u64 rest(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	u64 now = ktime_get_ns(), until;

	if (dmr_idle_busy(s)) {
		until = sc->worked_at +
			dmr_pace_rest(sc->worked, READ_ONCE(s->opts.scan_share));
		if (now < until)
			return until - now;
	}
	return dmr_bucket_take(&sc->bucket, now, DMR_CHUNK_BYTES,
			       READ_ONCE(s->opts.scan_rate), BURST_BYTES);
}

static void free_buffers(struct dmr_scan *sc)
{
	unsigned int i;

	for (i = 0; sc->page && i < DMR_CHUNK_PAGES; i++)
		if (sc->page[i])
			__free_page(sc->page[i]);
	kfree(sc->page);
	sc->page = NULL;
}

/* What the worker needs while a pass runs. */
static bool have_buffers(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	unsigned int i;

	if (sc->page)
		return true;
	sc->page = kcalloc(DMR_CHUNK_PAGES, sizeof(*sc->page), GFP_KERNEL);
	for (i = 0; sc->page && i < DMR_CHUNK_PAGES; i++) {
		sc->page[i] = alloc_page(GFP_KERNEL | __GFP_NOWARN);
		if (!sc->page[i])
			free_buffers(sc);
	}
	/* Without it nothing is said about data that has gone. */
	if (!sc->held)
		sc->held = kvcalloc(BITS_TO_LONGS(dmr_scan_regions(s, 0)),
				    sizeof(*sc->held), GFP_KERNEL | __GFP_NOWARN);
	return sc->page;
}

/* Look at the next chunk, and keep in mind how long that took. */
static int look(struct dmr_set *s, const struct dmr_spot *at)
{
	u64 start = ktime_get_ns();
	struct dmr_scan *sc = &s->scan;
	int r;

	sc->waited = 0;
	r = dmr_scan_look(s, at);
	sc->worked_at = ktime_get_ns();
	sc->worked = sc->worked_at - start - sc->waited;
	return r;
}

/*
 * Work for a while. Returns jiffies until there is more to do, 0 for at once;
 * MAX_JIFFY_OFFSET when the pass is over, or waits.
 */
static unsigned long run_pass(struct dmr_set *s)
{
	unsigned long until = jiffies + SLICE_JIFFIES;
	struct dmr_scan *sc = &s->scan;
	struct dmr_spot at;
	u64 pause;
	bool more;
	int r;

	while (READ_ONCE(sc->on) && time_before(jiffies, until)) {
		mutex_lock(&sc->lock);
		more = sc->st.flags == DMR_SCAN_RUNNING;
		if (more && !next_spot(s, &at)) {
			end_pass(s);
			more = false;
		}
		mutex_unlock(&sc->lock);
		if (!more)
			return MAX_JIFFY_OFFSET;
		pause = rest(s);
		if (pause)
			return nsecs_to_jiffies(pause) + 1;
		r = look(s, &at);
		measure_rate(s);
		if (r < 0)
			return failed(s, r);
		sc->failures = 0;
		if (r)
			advance(s, &at);
		cond_resched();
	}
	return 0;
}

static u64 interval_seconds(struct dmr_set *s)
{
	return dmr_scan_seconds(READ_ONCE(scan_interval_hours), dmr_set_health(s),
				READ_ONCE(health_threshold));
}

/* Seconds until the next pass begins. Under the lock. */
static u64 seconds_to_next(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	u64 now = ktime_get_real_seconds(), due, seconds = 0;

	/* The clock was set back: what is noted is of a time to come. */
	if (sc->st.since > now)
		sc->st.since = now;
	due = sc->st.since + interval_seconds(s);
	if (time_before(jiffies, sc->earliest))
		seconds = DIV_ROUND_UP(sc->earliest - jiffies, HZ);
	return max(seconds, due > now ? due - now : 0);
}

/* No pass runs: is it time for one? Returns jiffies until that is to be asked again. */
static unsigned long clock(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	u64 seconds;

	if (!READ_ONCE(enable_background_scanning))
		return MAX_JIFFY_OFFSET;
	mutex_lock(&sc->lock);
	seconds = seconds_to_next(s);
	if (!seconds)
		begin_pass(s, -1);
	mutex_unlock(&sc->lock);
	return min_t(u64, seconds, CLOCK_SECONDS) * HZ;
}

/**
 * dmr_scan_work() - the worker
 * @work: work of a struct dmr_scan
 *
 * Context: may sleep.
 */
void dmr_scan_work(struct work_struct *work)
{
	struct dmr_set *s = container_of(work, struct dmr_set, scan.work.work);
	struct dmr_scan *sc = &s->scan;
	unsigned int noio = memalloc_noio_save();
	unsigned long delay = MAX_JIFFY_OFFSET;

	mutex_lock(&sc->run);
	if (!READ_ONCE(sc->on) || READ_ONCE(s->failed))
		goto out;
	if (sc->st.flags == DMR_SCAN_RUNNING)
		delay = have_buffers(s) ? run_pass(s) : HZ;
	if (!sc->st.flags) {
		free_buffers(sc);
		delay = clock(s);
	}
out:
	mutex_unlock(&sc->run);
	memalloc_noio_restore(noio);
	if (delay != MAX_JIFFY_OFFSET && READ_ONCE(sc->on))
		queue_delayed_work(system_unbound_wq, &sc->work, delay);
}

static void kick(struct dmr_set *s)
{
	if (READ_ONCE(s->scan.on))
		mod_delayed_work(system_unbound_wq, &s->scan.work, 0);
}

/* After an order: the spares are to know of it. */
static void save(struct dmr_set *s)
{
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&s->engine_lock);
	if (s->live && !s->failed && !READ_ONCE(s->suspending))
		dmr_state_save(s, false);
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
}

/* Give an order while nothing is being read; @order is called under the lock. */
static int give(struct dmr_set *s, int (*order)(struct dmr_set *s, int arg), int arg)
{
	struct dmr_scan *sc = &s->scan;
	int r;

	mutex_lock(&sc->run);
	mutex_lock(&sc->lock);
	r = order(s, arg);
	mutex_unlock(&sc->lock);
	mutex_unlock(&sc->run);
	kick(s);
	if (!r)
		save(s);
	return r;
}

static int order_start(struct dmr_set *s, int pattern)
{
	if (s->scan.st.flags)
		return -EALREADY;
	begin_pass(s, pattern);
	return 0;
}

static int order_stop(struct dmr_set *s, int unused)
{
	struct dmr_scan *sc = &s->scan;

	if (!sc->st.flags)
		return -ENOENT;
	sc->st.flags = 0;
	sc->why = "-";
	sc->rate = 0;
	/* Or the clock would begin the next one at once. */
	sc->earliest = jiffies + interval_seconds(s) * HZ;
	trace_pass(s, DMR_SCAN_STOPS);
	return 0;
}

static int order_pause(struct dmr_set *s, int pause)
{
	struct dmr_scan *sc = &s->scan;

	if (!sc->st.flags)
		return -ENOENT;
	sc->st.flags = DMR_SCAN_RUNNING | (pause ? DMR_SCAN_PAUSED : 0);
	sc->why = "-";
	restart_clocks(s);
	trace_pass(s, pause ? DMR_SCAN_PAUSES : DMR_SCAN_RESUMES);
	return 0;
}

/**
 * dmr_scan_start() - begin a pass
 * @s: the set
 * @pattern: enum dmr_pattern; -1: what is best
 *
 * Context: may sleep; none of the locks of the set is held. Return: 0; -EALREADY when
 * one is under way.
 */
int dmr_scan_start(struct dmr_set *s, int pattern)
{
	return give(s, order_start, pattern);
}

/**
 * dmr_scan_stop() - end the pass
 * @s: the set
 *
 * When this returns nothing is being read.
 * Context: as dmr_scan_start(). Return: 0; -ENOENT when there is none.
 */
int dmr_scan_stop(struct dmr_set *s)
{
	return give(s, order_stop, 0);
}

/**
 * dmr_scan_pause() - let the pass wait, or go on
 * @s: the set
 * @pause: which
 *
 * When this returns nothing is being read, or it goes on.
 * Context: as dmr_scan_start(). Return: 0; -ENOENT when there is no pass.
 */
int dmr_scan_pause(struct dmr_set *s, bool pause)
{
	return give(s, order_pause, pause);
}

/**
 * dmr_scan_suspend() - no more reads
 * @s: the set
 *
 * Context: may sleep, called from presuspend; waits for the read that is under way.
 */
void dmr_scan_suspend(struct dmr_set *s)
{
	WRITE_ONCE(s->scan.on, false);
	cancel_delayed_work_sync(&s->scan.work);
}

/* Main is another device now, to which all was copied: it has no marks yet. */
static void forget_main(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	u32 n = dmr_marks_from(&sc->marks, key_of(1, 0));

	sc->marks.n -= n;
	memmove(sc->marks.mark, sc->marks.mark + n,
		sc->marks.n * sizeof(*sc->marks.mark));
	sc->changed = dmr_change();
	sc->main = s->main;
}

/**
 * dmr_scan_resume() - go on where the pass is
 * @s: the set
 *
 * Context: may sleep, called from resume and presuspend_undo.
 */
void dmr_scan_resume(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;
	u64 place;

	mutex_lock(&sc->run);
	mutex_lock(&sc->lock);
	if (sc->main && sc->main != s->main)
		forget_main(s);
	sc->main = s->main;
	/* Spares may have come and gone. */
	if (sc->st.flags) {
		place = dmr_order_place(&sc->order, sc->step);
		dmr_scan_open(s);
		sc->step = dmr_order_resume(&sc->order, place);
		dmr_scan_measure(s);
	}
	restart_clocks(s);
	mutex_unlock(&sc->lock);
	mutex_unlock(&sc->run);
	WRITE_ONCE(sc->on, true);
	kick(s);
}

/**
 * dmr_scan_init() - a set without a past
 * @s: the set
 *
 * Context: the set is being made.
 */
void dmr_scan_init(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;

	mutex_init(&sc->run);
	mutex_init(&sc->lock);
	sc->earliest = jiffies;
	INIT_DELAYED_WORK(&sc->work, dmr_scan_work);
	sc->why = "-";
}

/**
 * dmr_scan_exit() - free what the scan has
 * @s: the set; nobody uses it any more
 *
 * Context: may sleep.
 */
void dmr_scan_exit(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;

	free_buffers(sc);
	kvfree(sc->held);
	kvfree(sc->marks.mark);
}

static void changed_one(struct dmr_set *s, void *data)
{
	kick(s);
}

/**
 * dmr_scan_knobs_changed() - the knobs of all sets have changed
 *
 * Context: may sleep; none of the locks of a set is held.
 */
void dmr_scan_knobs_changed(void)
{
	dmr_sets_walk(changed_one, NULL);
}

static void start_one(struct dmr_set *s, void *data)
{
	int *started = data;

	*started += !READ_ONCE(s->failed) && !dmr_scan_start(s, -1);
}

/**
 * dmr_scan_trigger() - begin a pass over every live set
 *
 * But for those that are suspended.
 * Context: may sleep; none of the locks of a set is held. Return: number of sets
 * on which one was started.
 */
int dmr_scan_trigger(void)
{
	int started = 0;

	/* It waits for the worker, and for spares. */
	dmr_visit_all(start_one, &started);
	return started;
}

static const char *state_word(struct dmr_set *s)
{
	u32 flags = s->scan.st.flags;

	if (flags & DMR_SCAN_PAUSED)
		return "paused";
	if (flags)
		return READ_ONCE(s->scan.on) ? "running" : "suspended";
	return READ_ONCE(enable_background_scanning) ? "waiting" : "off";
}

/**
 * dmr_scan_report() - what the scan of a set is doing
 * @s: the set
 * @r: filled in
 *
 * Context: may sleep; also within dmr_sets_walk().
 */
void dmr_scan_report(struct dmr_set *s, struct dmr_scan_report *r)
{
	struct dmr_scan *sc = &s->scan;
	const struct dmr_scanned *st = &sc->st;
	u32 i;

	*r = (struct dmr_scan_report){ .score = dmr_set_health(s) };
	mutex_lock(&sc->lock);
	r->state = state_word(s);
	r->pattern = dmr_pattern_name(st->pattern);
	r->why = sc->why;
	r->percent = percent(sc);
	r->done = sc->done * DMR_REGION_SECTORS;
	r->total = sc->total * DMR_REGION_SECTORS;
	r->rate = sc->rate;
	if (r->rate)
		r->seconds_left = div64_u64((r->total - r->done) / 2, r->rate);
	r->pass = st->pass;
	r->errors = st->errors;
	r->rescued = st->rescued;
	r->slow = st->slow;
	r->patterns = st->blanks;
	r->relocated = st->relocated;
	r->last_pass = st->ended;
	if (!st->flags && READ_ONCE(enable_background_scanning))
		r->next_pass = ktime_get_real_seconds() + seconds_to_next(s);
	r->regions = sc->marks.n;
	for (i = 0; i < sc->marks.n; i++)
		if (!(sc->marks.mark[i].key >> DMR_KEY_SHIFT))
			r->candidates += (u64)DMR_PIECE_SECTORS *
				dmr_pieces_count(sc->marks.mark[i].marginal);
	mutex_unlock(&sc->lock);
}
