// SPDX-License-Identifier: GPL-2.0-only
/*
 * What may be lost without harm, and is nevertheless kept: counters, from which
 * health is computed, and samples of main.
 *
 * DOC: the state of a set
 *
 * A block on every spare, two places in turns. It is written when a set starts
 * (as not clean) and stops (as clean, after a flush), on request, and every
 * autosave_seconds when something has happened on the slow path; a healthy
 * device never writes it while it runs.
 *
 * A set that was stopped in order knows what main contained in some places, when
 * nothing but dm-remap writes to it. If that has changed, somebody has written to
 * main behind our back, or it is another device: what is on the spares doesn't
 * belong to it any more. Such a set does not start without "accept_main yes".
 * After a crash the samples are older than main, and nothing follows from them.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/timekeeping.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-faces.h"
#include "dm-remap-table.h"

/* Where each counter lives; those of the healthy path are per CPU. */
static const size_t counters[DMR_NR_COUNTERS] = {
	[DMR_CNT_WRITE_ERRORS] = offsetof(struct dmr_stats, write_errors),
	[DMR_CNT_READ_ERRORS] = offsetof(struct dmr_stats, read_errors),
	[DMR_CNT_RETRIES] = offsetof(struct dmr_stats, retries),
	[DMR_CNT_TRANSIENT] = offsetof(struct dmr_stats, transient),
	[DMR_CNT_RESCUED] = offsetof(struct dmr_stats, rescued),
	[DMR_CNT_AUTO_REMAPS] = offsetof(struct dmr_stats, auto_remaps),
	[DMR_CNT_MANUAL_REMAPS] = offsetof(struct dmr_stats, manual_remaps),
	[DMR_CNT_UNREMAPS] = offsetof(struct dmr_stats, unremaps),
	[DMR_CNT_SPARE_ERRORS] = offsetof(struct dmr_stats, spare_errors),
	[DMR_CNT_SLOW_WRITES] = offsetof(struct dmr_stats, slow_writes),
	[DMR_CNT_SLOW_READS] = offsetof(struct dmr_stats, slow_reads),
	[DMR_CNT_COMMITS] = offsetof(struct dmr_stats, commits),
	[DMR_CNT_COMMITTED] = offsetof(struct dmr_stats, committed),
	[DMR_CNT_COMMIT_WRITES] = offsetof(struct dmr_stats, commit_writes),
	[DMR_CNT_META_ERRORS] = offsetof(struct dmr_stats, meta_errors),
	[DMR_CNT_REFUSED] = offsetof(struct dmr_stats, refused),
	[DMR_CNT_DRAINS] = offsetof(struct dmr_stats, drains),
	[DMR_CNT_SCAN_PASSES] = offsetof(struct dmr_stats, scan_passes),
	[DMR_CNT_SCAN_READS] = offsetof(struct dmr_stats, scan_reads),
	[DMR_CNT_SCAN_SECTORS] = offsetof(struct dmr_stats, scan_sectors),
	[DMR_CNT_SCAN_ERRORS] = offsetof(struct dmr_stats, scan_errors),
	[DMR_CNT_SCAN_RESCUED] = offsetof(struct dmr_stats, scan_rescued),
	[DMR_CNT_SCAN_SLOW] = offsetof(struct dmr_stats, scan_slow),
	[DMR_CNT_SCAN_BLANKS] = offsetof(struct dmr_stats, scan_blanks),
	[DMR_CNT_SCAN_RELOCATED] = offsetof(struct dmr_stats, scan_relocated),
};

static bool is_per_cpu(unsigned int counter)
{
	return counter == DMR_CNT_FAST_READS || counter == DMR_CNT_FAST_WRITES;
}

static atomic64_t *slow_counter(struct dmr_set *s, unsigned int counter)
{
	return (atomic64_t *)((char *)&s->stats + counters[counter]);
}

/**
 * dmr_counter_get() - the value of a counter over the life of the set
 * @s: the set
 * @counter: enum dmr_counter
 *
 * Context: any. Return: a snapshot.
 */
u64 dmr_counter_get(struct dmr_set *s, unsigned int counter)
{
	unsigned int dir = counter - DMR_CNT_FAST_READS;

	if (is_per_cpu(counter))
		return READ_ONCE(s->done_base[dir]) + dmr_done(s, dir);
	return atomic64_read(slow_counter(s, counter));
}

static void counter_set(struct dmr_set *s, unsigned int counter, u64 value)
{
	unsigned int dir = counter - DMR_CNT_FAST_READS;

	if (is_per_cpu(counter))
		WRITE_ONCE(s->done_base[dir], value - dmr_done(s, dir));
	else
		atomic64_set(slow_counter(s, counter), value);
}

/**
 * dmr_counters_clear() - set the counters of the slow path to 0
 * @s: the set
 *
 * Context: any.
 */
void dmr_counters_clear(struct dmr_set *s)
{
	unsigned int i;

	for (i = 0; i < DMR_NR_COUNTERS; i++)
		if (!is_per_cpu(i))
			counter_set(s, i, 0);
}

static void counters_restore(struct dmr_set *s)
{
	unsigned int i;

	for (i = 0; i < DMR_NR_COUNTERS; i++)
		counter_set(s, i, s->state.counter[i]);
}

/* Has anything happened that is worth a write? */
static bool counters_changed(struct dmr_set *s)
{
	unsigned int i;

	for (i = 0; i < DMR_NR_COUNTERS; i++)
		if (!is_per_cpu(i) &&
		    dmr_counter_get(s, i) != s->state.counter[i])
			return true;
	return false;
}

/* CRC of a unit of main; false when it is remapped or can't be read. */
static bool sample_crc(struct dmr_set *s, u64 unit, u32 *crc)
{
	void *buf = page_address(s->unit_page);
	u32 place;
	u64 val;

	if (unit >= s->nr_units || dmr_index_find(s, unit, &val, &place))
		return false;
	/* A layer below that says "done" and reads nothing must not differ. */
	memset(buf, 0, dmr_unit_bytes(s));
	if (dmr_io_page(s, s->main, dmr_unit_to_sector(s, unit), s->unit_page,
			dmr_unit_bytes(s), REQ_OP_READ))
		return false;
	*crc = dmr_crc32c(~0U, buf, dmr_unit_bytes(s));
	return true;
}

/**
 * dmr_state_sample() - take samples of main
 * @s: the set
 *
 * Context: may sleep, under memalloc_noio, engine_lock held.
 */
void dmr_state_sample(struct dmr_set *s)
{
	struct dmr_sample *sample = s->state.sample;
	unsigned int i;

	for (i = 0; i < DMR_NR_SAMPLES; i++, sample++) {
		sample->unit = dmr_sample_unit(&s->spare[0].sb, i);
		sample->crc = 0;
		sample->valid = !s->breaker_open &&
				sample_crc(s, sample->unit, &sample->crc);
	}
}

/**
 * dmr_state_save() - write counters and samples to all present spares
 * @s: the set
 * @clean: main is as the samples say, and will stay so
 *
 * What a spare does not take is no reason to give it up: the table is what it
 * must keep.
 * Context: may sleep, under memalloc_noio, engine_lock held. Return: 0; -EIO when
 * no spare took it.
 */
int dmr_state_save(struct dmr_set *s, bool clean)
{
	void *buf = page_address(s->check_page);
	struct dmr_state *st = &s->state;
	unsigned int i, ok = 0;

	for (i = 0; i < DMR_NR_COUNTERS; i++)
		st->counter[i] = dmr_counter_get(s, i);
	st->seq++;
	st->time = ktime_get_real_seconds();
	st->flags = clean ? DMR_STATE_CLEAN : 0;
	dmr_scan_save(s, &st->scan);
	dmr_usage_add(st, st->time, s->nr_remaps + s->nr_lost + s->nr_bad);
	dmr_state_encode(st, s->uuid, buf);
	for (i = 0; i < s->nr_spares; i++)
		if (s->spare[i].present)
			ok += dmr_write_meta(s, i, dmr_state_sector(st->seq), buf);
	return ok ? 0 : -EIO;
}

/* The newest valid state of all present spares into s->state. */
static int read_state(struct dmr_set *s)
{
	struct dmr_state *found = kmalloc(sizeof(*found), GFP_KERNEL);
	void *buf = page_address(s->check_page);
	unsigned int i, k;

	if (!found)
		return -ENOMEM;
	for (i = 0; i < s->nr_spares; i++) {
		for (k = 0; s->spare[i].present && k < DMR_STATE_BLOCKS; k++) {
			if (dmr_io_buf(&s->bios, s->spare[i].bdev,
				       dmr_state_sector(k), buf, DMR_BLOCK_SIZE,
				       REQ_OP_READ) ||
			    dmr_state_decode(buf, s->uuid, k, found) ||
			    found->seq <= s->state.seq)
				continue;
			s->state = *found;
		}
	}
	kfree(found);
	return 0;
}

/* How many samples of main are as they were, and where the first is that isn't. */
static void compare_samples(struct dmr_set *s, unsigned int *same,
			    unsigned int *differ, u64 *first)
{
	struct dmr_sample *sample = s->state.sample;
	unsigned int i;
	u32 crc;

	for (i = 0; i < DMR_NR_SAMPLES; i++, sample++) {
		if (!sample->valid || !sample_crc(s, sample->unit, &crc))
			continue;
		if (crc == sample->crc)
			++*same;
		else if (!(*differ)++)
			*first = sample->unit;
	}
}

static int check_samples(struct dmr_set *s, struct dmr_table *t)
{
	unsigned int same = 0, differ = 0;
	u64 first = 0;

	if (!(s->state.flags & DMR_STATE_CLEAN) || t->accept_main)
		return 0;
	compare_samples(s, &same, &differ, &first);
	if (!differ)
		return 0;
	dmr_refuse(t, "main device %s has changed since the set was stopped: %u of %u samples differ, the first at sector %llu; it was written to without dm-remap, or it is another device: the option \"accept_main yes\" starts it nevertheless",
		   t->main->name, differ, same + differ,
		   (u64)dmr_unit_to_sector(s, first));
	return -EINVAL;
}

/**
 * dmr_state_check() - read the state, and see whether main is the same
 * @s: the set, whose table is loaded
 * @t: its table
 *
 * Context: may sleep, called from preresume. Return: 0; -ENOMEM; -EINVAL when
 * main was changed, with the reason in the kernel log.
 */
int dmr_state_check(struct dmr_set *s, struct dmr_table *t)
{
	unsigned int noio = memalloc_noio_save();
	int r;

	mutex_lock(&s->engine_lock);
	r = read_state(s) ?: check_samples(s, t);
	if (!r)
		dmr_scan_load(s, &s->state.scan);
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
	return r;
}

/**
 * dmr_state_start() - take the counters over; the set begins to work
 * @s: the set
 * @t: its table
 *
 * From here on the state on the spares says that the set runs.
 * Context: may sleep, called from preresume after dmr_state_check().
 */
void dmr_state_start(struct dmr_set *s, struct dmr_table *t)
{
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&s->engine_lock);
	counters_restore(s);
	if (!s->state.seq || t->accept_main)
		dmr_state_sample(s);
	if (dmr_state_save(s, false))
		DMWARN("%s: no spare takes the state block", dm_device_name(s->md));
	s->live = true;
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
	dmr_state_arm(s);
}

/**
 * dmr_state_stop() - the last words of a set
 * @s: the set; nobody uses it any more, and its queues are empty
 *
 * Context: may sleep.
 */
void dmr_state_stop(struct dmr_set *s)
{
	unsigned int noio, i;
	bool clean;

	if (!s->live || s->failed)
		return;
	noio = memalloc_noio_save();
	mutex_lock(&s->engine_lock);
	dmr_state_sample(s);
	/*
	 * What is sampled must be what is there after a power cut, and so must
	 * second copies be the same as the first ones.
	 */
	clean = s->resync_at == U64_MAX && !blkdev_issue_flush(s->main);
	for (i = 0; i < s->nr_spares; i++)
		if (s->spare[i].present && blkdev_issue_flush(s->spare[i].bdev))
			clean = false;
	dmr_state_save(s, clean);
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
}

/**
 * dmr_state_reload() - set the counters back to what was saved last
 * @s: the set
 *
 * Context: may sleep, under memalloc_noio, engine_lock held. Return: 0 or -ENOMEM.
 */
int dmr_state_reload(struct dmr_set *s)
{
	int r = read_state(s);

	if (!r)
		counters_restore(s);
	return r;
}

/**
 * dmr_state_arm() - start or restart the clock of the autosave
 * @s: the set
 *
 * Context: any. With autosave_seconds 0 it stands still.
 */
void dmr_state_arm(struct dmr_set *s)
{
	unsigned int seconds = READ_ONCE(s->opts.autosave_seconds);

	if (seconds)
		mod_delayed_work(s->write_wq, &s->state_work, seconds * HZ);
	else
		cancel_delayed_work(&s->state_work);
}

/**
 * dmr_state_work() - autosave
 * @work: state_work of a set
 *
 * Context: may sleep. A suspended device is left alone.
 */
void dmr_state_work(struct work_struct *work)
{
	struct dmr_set *s = container_of(work, struct dmr_set, state_work.work);
	unsigned int noio = memalloc_noio_save();

	mutex_lock(&s->engine_lock);
	if (!READ_ONCE(s->suspending) && !s->failed && counters_changed(s))
		dmr_state_save(s, false);
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
	dmr_state_arm(s);
}
