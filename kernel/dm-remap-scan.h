/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The health scan: reads everything from time to time, so that what goes bad is
 * found before somebody needs it. docs/health.md tells what it looks at.
 */
#ifndef DM_REMAP_SCAN_H
#define DM_REMAP_SCAN_H

#include <linux/mutex.h>
#include <linux/types.h>
#include <linux/workqueue.h>

#include "dm-remap-marks.h"
#include "dm-remap-order.h"
#include "dm-remap-pace.h"
#include "dm-remap-records.h"
#include "dm-remap-uapi.h"

struct dmr_opts;
struct dmr_set;
struct page;

/* What is read at one time: pieces of a region, and how many times that. */
#define DMR_CHUNK_PIECES	4
#define DMR_CHUNK_SECTORS	(DMR_CHUNK_PIECES * DMR_PIECE_SECTORS)
#define DMR_CHUNK_BYTES		(DMR_CHUNK_SECTORS << SECTOR_SHIFT)
#define DMR_CHUNK_PAGES		(DMR_CHUNK_BYTES / PAGE_SIZE)
#define DMR_CHUNKS		(DMR_REGION_PIECES / DMR_CHUNK_PIECES)

/* What becomes of a piece that is slow time and again. */
enum dmr_relocation {
	DMR_RELOCATE_OFF,	/* nothing */
	DMR_RELOCATE_ASK,	/* nothing; "scan candidates" lists it */
	DMR_RELOCATE_HALF,	/* it is moved, or not: at every look by chance */
	DMR_RELOCATE_ALWAYS,	/* it is moved */
	DMR_NR_RELOCATIONS,
};

/**
 * struct dmr_idle - does anybody else use the disks?
 * @ios: bios of the set that had ended, when it was looked at last
 * @sectors: that the disks had done then
 * @own: of those since, sectors that the scan has read
 * @busy_until: ns; until then somebody is taken to be there
 */
struct dmr_idle {
	u64 ios;
	u64 sectors;
	u64 own;
	u64 busy_until;
};

/**
 * struct dmr_spot - a region that is being looked at
 * @device: 0 main, n + 1 for spare n
 * @region: number of the region
 * @sector: where it begins on the device
 * @sectors: its length
 * @key: of its mark
 * @usual: what a read takes there usually, in microseconds; 0: not known
 */
struct dmr_spot {
	unsigned int device;
	u64 region;
	sector_t sector;
	unsigned int sectors;
	u64 key;
	u32 usual;
};

/**
 * struct dmr_scan - the health scan of a set
 * @run: held by the worker while it works, and by whoever gives it an order
 * @lock: guards what follows; nobody sleeps for I/O or takes another lock under it
 * @st: what is kept on the spares, but for @place and @noted
 * @order: of the pass, on the device where it is
 * @step: the next step of it
 * @done: regions of the pass that are done
 * @total: regions of it
 * @marks: what is known of single regions
 * @changed: dmr_change() of the marks
 * @warned: regions that are slow, or were blank
 * @why: why it is paused, a word
 * @rate: KiB in a second, of late
 * @earliest: jiffies; no pass begins by itself before
 * @on: the worker may run; it has what follows for itself
 * @work: the worker: a pass, or the clock of the next one
 * @main: the main device that the marks are about
 * @page: what is read into; NULL unless a pass runs
 * @held: regions of main that held data, a bitmap; may be NULL
 * @chunk: of the region that is being looked at, the next one
 * @look: what was found there so far
 * @known: units there that were known to be lost
 * @blank: all of that was blank
 * @doubt: something of the chunk was slow, and others were there
 * @doubts: how often that was so for this chunk
 * @near: what a read takes on this device, in microseconds; 0: not known
 * @idle: does anybody else use the disks?
 * @bucket: limits the rate
 * @worked_at: when the last chunk was done, in ns
 * @worked: how long reading and looking at it took, in ns
 * @waited: how much of that was for retries, which have pauses of their own, in ns
 * @window_at: when the measurement of @rate began, in ns
 * @window: sectors read since
 * @failures: reads in turn that failed, and not because of the medium
 */
struct dmr_scan {
	/* run: one works or gives orders at a time; comes before a hold */
	struct mutex run;
	/* guards what follows, up to @earliest, which change with @run held, too */
	struct mutex lock;
	struct dmr_scanned st;
	struct dmr_order order;
	u64 step;
	u64 done;
	u64 total;
	struct dmr_marks marks;
	u32 changed;
	u32 warned;
	const char *why;
	u64 rate;
	unsigned long earliest;

	bool on;
	struct delayed_work work;
	struct block_device *main;
	struct page **page;
	unsigned long *held;
	unsigned int chunk;
	struct dmr_look look;
	u32 known;
	bool blank;
	bool doubt;
	unsigned int doubts;
	u32 near;
	struct dmr_idle idle;
	struct dmr_bucket bucket;
	u64 worked_at;
	u64 worked;
	u64 waited;
	u64 window_at;
	u64 window;
	unsigned int failures;
};

/**
 * struct dmr_scan_report - what the scan of a set is doing, and what it found
 * @state: a word: off, waiting, running, paused, suspended
 * @pattern: in which order, a word
 * @why: why it is paused, a word; - when there is no reason but the order
 * @percent: how far the pass is; 100 when it is over, 0 when there was none
 * @done: sectors of this pass, or the last one, that were looked at
 * @total: sectors of it in all
 * @rate: KiB in a second, of late; 0 when nothing runs
 * @seconds_left: until the pass is over at that rate, 0 when that isn't known
 * @pass: number of the pass
 * @errors: blocks that could not be read, in this pass or the last one
 * @rescued: blocks that could be read again, and were moved to a spare
 * @slow: pieces of 32 KiB that were slow
 * @patterns: regions that were blank, and weren't before
 * @relocated: blocks that were moved to a spare because they were slow
 * @last_pass: when the last whole pass ended, seconds since 1970; 0: never
 * @next_pass: when the next one is due; 0: never by itself
 * @regions: regions of which something is noted
 * @candidates: sectors in pieces that are slow time and again
 * @score: health of the set, 0 to 100
 */
struct dmr_scan_report {
	const char *state;
	const char *pattern;
	const char *why;
	unsigned int percent;
	u64 done;
	u64 total;
	u64 rate;
	u64 seconds_left;
	u32 pass;
	u64 errors;
	u64 rescued;
	u64 slow;
	u64 patterns;
	u64 relocated;
	u64 last_pass;
	u64 next_pass;
	u32 regions;
	u64 candidates;
	unsigned int score;
};

/* --- dm-remap-scan.c: passes, and when they run -------------------------- */

void dmr_scan_knobs_changed(void);
int dmr_scan_trigger(void);
void dmr_scan_report(struct dmr_set *s, struct dmr_scan_report *r);
void dmr_scan_init(struct dmr_set *s);
void dmr_scan_exit(struct dmr_set *s);
void dmr_scan_suspend(struct dmr_set *s);
void dmr_scan_resume(struct dmr_set *s);
void dmr_scan_work(struct work_struct *work);
void dmr_scan_open(struct dmr_set *s);
void dmr_scan_measure(struct dmr_set *s);
int dmr_scan_start(struct dmr_set *s, int pattern);
int dmr_scan_stop(struct dmr_set *s);
int dmr_scan_pause(struct dmr_set *s, bool pause);
sector_t dmr_scan_sectors(struct dmr_set *s, unsigned int device);
u64 dmr_scan_regions(struct dmr_set *s, unsigned int device);

/* --- dm-remap-scan-keep.c: what is known after a restart ----------------- */

void dmr_scan_load(struct dmr_set *s, const struct dmr_scanned *from);
void dmr_scan_save(struct dmr_set *s, struct dmr_scanned *to);

/* --- dm-remap-message-scan.c: what people see of it ---------------------- */

const char *dmr_relocation_name(unsigned int policy);
int dmr_relocation_set(struct dmr_opts *o, const char *word);
int dmr_mark_line(struct dmr_set *s, const struct dmr_mark *m, char *line,
		  size_t room);
unsigned int dmr_mark_score(struct dmr_set *s, const struct dmr_mark *m);

/* --- dm-remap-scan-region.c: a look at a region -------------------------- */

void dmr_scan_look_begin(struct dmr_set *s);
int dmr_scan_look(struct dmr_set *s, const struct dmr_spot *at);
void dmr_scan_look_end(struct dmr_set *s, const struct dmr_spot *at);

/* --- dm-remap-idle.c: does anybody else use the disks? ------------------- */

bool dmr_idle_look(struct dmr_set *s);
bool dmr_idle_busy(struct dmr_set *s);
void dmr_idle_own(struct dmr_set *s, struct block_device *bdev,
		  unsigned int sectors);

#endif /* DM_REMAP_SCAN_H */
