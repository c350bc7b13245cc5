/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel side of dm-remap: the structures that its files share, and the way of
 * every bio. What else they offer each other is in dm-remap-table.h, -data.h,
 * -spares.h, -scan.h and -faces.h.
 *
 * Units, everywhere: a sector is 512 bytes; a unit is the logical block size of
 * the dm-remap device (1 << unit_shift sectors). Main units count from the
 * first sector of the target, spare units from sector 0 of the spare.
 *
 * Lock order: hold (of a range; of several, the lowest first) -> engine_lock ->
 * lock of a waiting list.
 * drain_lock is taken with a hold held and never with engine_lock held. Under the
 * lock of the scan no other is taken.
 */
#ifndef DM_REMAP_H
#define DM_REMAP_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/completion.h>
#include <linux/device-mapper.h>
#include <linux/list.h>
#include <linux/mempool.h>
#include <linux/mutex.h>
#include <linux/percpu.h>
#include <linux/refcount.h>
#include <linux/spinlock.h>
#include <linux/wait.h>
#include <linux/workqueue.h>

#include "dm-remap-alloc.h"
#include "dm-remap-compat.h"
#include "dm-remap-format.h"
#include "dm-remap-records.h"
#include "dm-remap-region.h"
#include "dm-remap-scan.h"
#include "dm-remap-tag.h"
#include "dm-remap-uapi.h"

#define DM_MSG_PREFIX "remap"
#define DMR_VERSION "4.0.0"

/* Changes that one commit makes durable together, at the most. */
#define DMR_BATCH		64
/* Leaves kept in memory; no less than DMR_BATCH plus the bad-spare entries. */
#define DMR_LEAF_CACHE		(2 * DMR_BATCH)
/* Bios that a tag can't describe, below us, when there is no memory. */
#define DMR_RECORDS		16
/* Reads that can be in rescue at one time. */
#define DMR_RESCUE_JOBS		16
/* Seconds between two looks whether counters are worth a write. */
#define DMR_AUTOSAVE_SECONDS	300
/* Length of the buffer for reading and writing metadata in bulk. */
#define DMR_BULK_ORDER		4
#define DMR_BULK_BYTES		(PAGE_SIZE << DMR_BULK_ORDER)
#define DMR_ERROR_LEN		320

/* A device of the table that is no member of the set. */
#define DMR_NO_ROW		0xff

struct dmr_set;

/**
 * struct dmr_opts - options of the table line, changeable by message
 * @retries: how often a unit that failed alone is tried again
 * @backoff_ms: pause before the first such retry of a read; doubles each time
 * @breaker_remaps: new remaps within @breaker_seconds that open the breaker
 * @breaker_seconds: length of that window
 * @autosave_seconds: how often counters are saved when they have changed, 0: never
 * @spare_errors: units set aside on a spare that make it be emptied and taken
 *                out, 0: never
 * @space_percent: free space below which it is called low
 * @copy_rate: KiB in a second that main is copied with at the most, 0: no limit
 * @scan_rate: KiB in a second that are scanned at the most, 0: no limit
 * @scan_share: percent of the time that the scan takes while others use the disks
 * @relocate: enum dmr_relocation
 */
struct dmr_opts {
	unsigned int retries;
	unsigned int backoff_ms;
	unsigned int breaker_remaps;
	unsigned int breaker_seconds;
	unsigned int autosave_seconds;
	unsigned int spare_errors;
	unsigned int space_percent;
	unsigned int copy_rate;
	unsigned int scan_rate;
	unsigned int scan_share;
	unsigned int relocate;
};

/**
 * struct dmr_table - one loaded table; what ctr makes and dtr frees
 * @ti: the target
 * @main: the protected device
 * @spare: spares in the order of the table line
 * @nr_spares: their number
 * @copy: the replacement of main, NULL when there is none
 * @copy_id: who that is, a number for the superblocks
 * @degraded: may start although spares that were in sync are not there
 * @accept_main: may start although main has changed since a stop in order
 * @have_uuid: @uuid was given
 * @uuid: the only set that may be bound
 * @opts: options
 * @set: the live set; NULL until the first preresume
 * @set_idx: row of each spare in the set's table, DMR_NO_ROW for a device that
 *           is only attached
 */
struct dmr_table {
	struct dm_target *ti;
	struct dm_dev *main;
	struct dm_dev *spare[DMR_MAX_SPARES];
	unsigned int nr_spares;
	struct dm_dev *copy;
	u32 copy_id;
	bool degraded;
	bool accept_main;
	bool have_uuid;
	u8 uuid[DMR_UUID_LEN];
	struct dmr_opts opts;
	struct dmr_set *set;
	u8 set_idx[DMR_MAX_SPARES];
};

/**
 * struct dmr_pcpu - counters of one CPU; the healthy path writes nothing else
 * @inflight: bios mapped less bios ended, by epoch, but for reads of main (only
 *            the sum over all CPUs means something)
 * @done: reads [0] and writes [1] that ended well
 */
struct dmr_pcpu {
	unsigned long inflight[2];
	unsigned long done[2];
};

/**
 * struct dmr_region - one region of the index, never changed once published
 *                     but for single values
 * @n: number of entries
 * @shift: of its bitmap, with which @mem begins
 * @mem: the arrays, laid out by dmr_region_view()
 */
struct dmr_region {
	u32 n;
	u32 shift;
	u64 mem[];
};

/**
 * struct dmr_spare - one spare of a live set
 * @bdev: the device, NULL when it is missing
 * @present: in sync and in use: the data path may go there
 * @joining: is being brought up to date: metadata goes there, data doesn't
 * @torn: a metadata write failed while it was joining
 * @gave_up: the pool's worker can't empty it
 * @watched: it failed while this set ran, so that @unflushed tells of its data
 * @unflushed: bios have ended well that wrote to it, and nowhere else, since its
 *             last flush began
 * @twins: rows that have the other copy of what was written to it since then
 * @flushing: the same two, of the flushes under way: DMR_SOLE and rows
 * @nr_flushing: their number; both under fail_lock
 * @recorded: the other spares know that it isn't present
 * @flush_failed: it took no flush, and the redirect engine is to give it up
 * @sb: its superblock
 * @alloc: bitmap of its units, under engine_lock
 * @alloc_mem: memory of @alloc
 * @usable: units that can hold data
 * @used: entries of kind REMAP and MIRROR that point here, under engine_lock
 * @bad: units of it that were set aside, under engine_lock
 * @told_health: what somebody who knows its SMART data thinks of it, 0 to 100
 * @cursor: main unit from which on the next entry to be moved off is looked for
 * @pairs: units whose first copy is here, by the row of the second one; under
 *         engine_lock
 */
struct dmr_spare {
	struct block_device *bdev;
	bool present;
	bool joining;
	bool torn;
	bool gave_up;
	bool watched;
	bool unflushed;
	u8 twins;
	u16 flushing;
	u32 nr_flushing;
	bool recorded;
	bool flush_failed;
	struct dmr_sb sb;
	struct dmr_alloc alloc;
	void *alloc_mem;
	u64 usable;
	u64 used;
	u64 bad;
	unsigned int told_health;
	u64 cursor;
	u64 pairs[DMR_MAX_SPARES];
};

/* In a mask of rows: also what is on this spare only. */
#define DMR_SOLE	0x100
/* In the tag of a flush: it is counted in nr_flushing; and where its row stands. */
#define DMR_COUNTED	0x200
#define DMR_FLUSH_SHIFT	12
#define DMR_FLUSH_MASK	((1U << DMR_FLUSH_SHIFT) - 1)

/**
 * struct dmr_leaf - a leaf in memory
 * @no: its number; U32_MAX when this buffer is empty
 * @dirty: has changes that are not committed
 * @stamp: when it was last used
 * @ok: successful writes of the current commit, by spare
 * @buf: its 4096 bytes
 */
struct dmr_leaf {
	u32 no;
	bool dirty;
	u64 stamp;
	atomic_t ok[DMR_MAX_SPARES];
	void *buf;
};

/**
 * struct dmr_staged - a change that waits for its commit
 * @unit: key in the index: the main unit, or that of a second copy
 * @val: its new value; 0 removes the entry
 * @old: value before
 * @place: where the entry stands in the table
 * @indexed: false for an entry that has no main unit (a bad spare unit)
 * @keep: the spare unit of the second copy before stays allocated
 * @bad_idx: the spare of such an entry
 * @freed: it is such an entry, and goes
 */
struct dmr_staged {
	u64 unit;
	u64 val;
	u64 old;
	u32 place;
	bool indexed;
	bool freed;
	bool keep;
	u8 bad_idx;
};

/**
 * struct dmr_stats - counters of the slow path
 *
 * Each is an atomic: they are changed by several workers, rarely.
 */
struct dmr_stats {
	atomic64_t write_errors;	/* units that failed alone when written */
	atomic64_t read_errors;		/* units that failed alone when read */
	atomic64_t retries;		/* repeated attempts on single units */
	atomic64_t transient;		/* failed bios whose units all worked alone */
	atomic64_t rescued;		/* units read by a retry and moved to a spare */
	atomic64_t auto_remaps;		/* remaps made because of an error */
	atomic64_t manual_remaps;	/* remaps made on request */
	atomic64_t unremaps;		/* units moved back to main */
	atomic64_t spare_errors;	/* spare units that failed and were set aside */
	atomic64_t slow_writes;		/* writes that went through the redirect engine */
	atomic64_t slow_reads;		/* reads that went through the rescue engine */
	atomic64_t commits;		/* commits of the table */
	atomic64_t committed;		/* changes of entries they made durable */
	atomic64_t commit_writes;	/* device writes they took */
	atomic64_t meta_errors;		/* metadata writes that failed */
	atomic64_t refused;		/* errors passed up because the breaker was open */
	atomic64_t drains;		/* waits for in-flight I/O */
	atomic64_t scan_passes;		/* passes of the scan that came to their end */
	atomic64_t scan_reads;		/* its reads */
	atomic64_t scan_sectors;	/* what they read */
	atomic64_t scan_errors;		/* units that it could not read */
	atomic64_t scan_rescued;	/* units that it could read again */
	atomic64_t scan_slow;		/* pieces that were slow */
	atomic64_t scan_blanks;		/* regions that were blank, and had data */
	atomic64_t scan_relocated;	/* units that were moved because they were slow */
};

/**
 * struct dmr_copy - the copy of main to its replacement
 * @on: writes below @done go to both; under hold_lock
 * @done: units that are the same on both, or are remapped; changed under a hold
 * @bdev: the replacement, NULL when there is none
 * @lock: guards what is below
 * @phase: enum dmr_copy_phase
 * @state: enum dmr_move, for the superblocks; under engine_lock
 * @id: who the replacement is, for the superblocks
 * @sectors: its length
 * @seen: below this it may have the data already, from an earlier copy
 * @piece: units of the next window
 * @saved: jiffies of the last superblocks
 * @work: the copier
 * @page: what is copied, and what was read back
 * @why: why it failed or waits, a word
 * @at: the unit where that was
 * @identity: what the replacement is called
 */
struct dmr_copy {
	bool on;
	u64 done;
	struct block_device *bdev;
	/* guards what is below; @phase, @why, @at change without it on a failure */
	struct mutex lock;
	u8 phase;
	u8 state;
	u32 id;
	u64 sectors;
	u64 seen;
	u64 piece;
	unsigned long saved;
	struct delayed_work work;
	struct page **page;
	const char *why;
	u64 at;
	char identity[DMR_IDENTITY_LEN];
};

/**
 * struct dmr_set - a live set: one main device and its spares
 *
 * One set exists for one set UUID. It is found by preresume, survives table
 * reloads and goes when the last table that is bound to it goes.
 */
struct dmr_set {
	/*
	 * What every bio reads: one cache line, written when something happens
	 * only. What is written behind it must not be in that line.
	 */
	struct block_device *main;
	struct dmr_pcpu __percpu *pcpu;
	struct dmr_region __rcu **tbl;
	union {
		struct {
			/* entries in the index; under engine_lock */
			u32 nr_entries;
			/*
			 * Held ranges, +1 once failed, +1 while main is
			 * copied; under hold_lock
			 */
			u32 nr_holds;
		};
		u64 busy;		/* both of them */
	};
	u8 epoch;			/* under drain_lock */
	u8 unit_shift;
	u32 unit_bytes;

	/* Nothing can be made durable any more: no writes. */
	bool failed ____cacheline_aligned_in_smp;
	bool breaker_open;
	struct dmr_spare spare[DMR_MAX_SPARES];
	u32 nr_spares;
	u64 nr_units;
	u64 mirror_base;		/* key of unit 0's second copy */
	bool wide;			/* the index has room for second copies */
	mempool_t records;	/* struct dmr_record */

	/* Identity and life */
	u8 uuid[DMR_UUID_LEN];
	refcount_t ref;
	struct list_head list;		/* in the list of sets; under its lock */
	struct mapped_device *md;
	struct dmr_opts opts;
	bool suspending;		/* no pauses: somebody waits for our bios */

	/* ti_lock guards ti: the target of the table that is active */
	struct mutex ti_lock;
	struct dm_target *ti;
	struct work_struct event_work;

	/* fail_lock guards the two lists of bios that came back or were parked */
	spinlock_t fail_lock;
	struct bio_list slow_writes;
	struct bio_list slow_reads;
	struct workqueue_struct *write_wq;
	struct workqueue_struct *read_wq;
	struct work_struct write_work;
	struct work_struct read_work;
	mempool_t rescue_pool;

	/* hold_lock guards holds, what is parked on them, and nr_holds */
	spinlock_t hold_lock;
	struct list_head holds;
	wait_queue_head_t hold_wait;
	wait_queue_head_t backoff_wait;

	/* drain_lock: one drain at a time */
	struct mutex drain_lock;

	/*
	 * engine_lock guards everything below, the bitmaps of the spares, the
	 * membership (present, sb.spare[].state) and all writers of the index.
	 */
	struct mutex engine_lock;
	struct dmr_staged staged[DMR_BATCH];
	u32 nr_staged;
	struct dmr_leaf leaf[DMR_LEAF_CACHE];
	u64 leaf_clock;
	u32 nr_leaves;
	u64 *leaf_seq;			/* current sequence number of each leaf */
	u8 seq_step;			/* 2 when a copy unseen may be one ahead */
	enum dmr_policy policy;
	unsigned int next_spare;	/* whose turn it is, for round-robin */
	struct dmr_alloc places;	/* used slots of the table */
	void *places_mem;
	u64 events;
	u32 changed;			/* dmr_change() of the index */
	u64 generation;			/* number of the newest record */
	struct dmr_gen gen;		/* buffer for writing one */
	bool members_dirty;		/* superblocks must be written first */
	enum dmr_reason reason;		/* of a generation to be written with them */
	unsigned int reason_spare;
	bool space_low;			/* has been said */
	enum dmr_space space;		/* when it was told last */
	struct work_struct pool_work;	/* empties spares that failed too often */
	struct dmr_state state;		/* as it was last read or written */
	bool live;			/* loaded: has a state to write at the end */
	u64 nr_remaps;			/* entries of kind REMAP */
	u64 nr_manual;			/* of those: made on request */
	u64 nr_unknown;			/* of those: data unknown */
	u64 nr_lost;			/* entries of kind LOST */
	u64 nr_bad;			/* entries of kind BAD */
	u64 nr_mirrors;			/* entries of kind MIRROR */

	/* Redundancy, under engine_lock */
	u8 redundancy;			/* spares for every remap: 1 or 2 */
	u64 resync_at;			/* from this unit on copies may differ */
	u64 nr_unsynced;		/* pairs of copies that may */
	u64 mend_at;			/* where the worker is in the index */
	bool mend_again;		/* something has changed behind it */
	bool mend_on;			/* the worker may run */
	u64 last_below;			/* dmr_below() when it was told last */
	u64 mend_ios;			/* bios that had ended when it last ran */
	void *copy_buf;			/* DMR_BULK_BYTES for writing two copies */
	struct delayed_work mend_work;
	struct page *unit_page;		/* for moving one unit */
	struct page *check_page;	/* for reading it back */

	/* Breaker, under engine_lock */
	unsigned long window_start;	/* jiffies */
	u64 window_remaps;
	u64 window_writes_ok;
	u64 engine_writes_ok;		/* parts that the engine wrote to main */
	unsigned long canary_time;	/* jiffies of the last look at main */
	bool canary_alive;

	struct bio_set bios;		/* bios of our own: units and metadata */
	struct bio_set twins;		/* clones of writes that go to two devices */
	atomic_t pending;		/* metadata writes in flight */
	wait_queue_head_t pending_wait;

	struct dmr_copy copy;
	struct dmr_scan scan;

	struct dmr_stats stats;
	u64 done_base[2];		/* reads and writes of earlier lives */
	struct delayed_work state_work;	/* autosave */

	/* error_lock guards last_error */
	spinlock_t error_lock;
	char last_error[DMR_ERROR_LEN];

	/* Who works on it without a message; 0: nobody is let in */
	refcount_t visitors;
	struct completion visitors_gone;
	bool visitable;			/* changed by resume and postsuspend */
	struct dentry *debugfs;		/* its folder */
};

/**
 * struct dmr_wbio - a metadata write in flight
 * @s: the set
 * @ok: counts the writes that worked
 * @bio: the bio; what is before it is the front pad of @s->bios
 */
struct dmr_wbio {
	struct dmr_set *s;
	atomic_t *ok;
	struct bio bio;
};

struct dmr_twin;
/* What became of a twin. Any context; may set the status of @twin->first. */
typedef void (*dmr_twin_fn)(struct dmr_twin *twin, blk_status_t status);

/**
 * struct dmr_twin - a write's clone for a second device
 * @s: the set
 * @first: the write
 * @done: told when the twin has ended
 * @bio: the clone; what is before it is the front pad of @s->twins
 */
struct dmr_twin {
	struct dmr_set *s;
	struct bio *first;
	dmr_twin_fn done;
	struct bio bio;
};

/* A range of main units that no new write may enter. */
struct dmr_hold {
	struct list_head list;
	u64 first;
	u64 last;
	struct bio_list parked;
};

extern unsigned int dm_remap_debug;
extern unsigned int max_remaps;
/* dm-remap-params.c */
extern bool enable_background_scanning;
extern unsigned int scan_interval_hours;	/* 1 to 168 */
extern unsigned int health_threshold;		/* 0 to 100 */

#define dmr_debug(level, fmt, ...)					\
	do {								\
		if (unlikely(READ_ONCE(dm_remap_debug) >= (level)))	\
			DMINFO(fmt, ##__VA_ARGS__);			\
	} while (0)

/* Why a table can't be activated: a sentence in the kernel log. */
#define dmr_refuse(t, fmt, ...)						\
	DMERR("%s: " fmt,						\
	      dm_device_name(dm_table_get_md((t)->ti->table)), ##__VA_ARGS__)

static inline sector_t dmr_unit_to_sector(const struct dmr_set *s, u64 unit)
{
	return unit << s->unit_shift;
}

static inline u64 dmr_sector_to_unit(const struct dmr_set *s, sector_t sector)
{
	return sector >> s->unit_shift;
}

static inline unsigned int dmr_unit_bytes(const struct dmr_set *s)
{
	return s->unit_bytes;
}

/* Could this status mean a bad sector? See section 4 of the design notes. */
static inline bool dmr_is_medium(blk_status_t status)
{
	return status == BLK_STS_MEDIUM || status == BLK_STS_IOERR;
}

/* A read-only device changes nothing of main, so its state stays as it is. */
static inline bool dmr_table_writable(const struct dmr_table *t)
{
	return dm_table_get_mode(t->ti->table) & BLK_OPEN_WRITE;
}

/* The row of a spare, which all superblocks get. Under engine_lock. */
static inline struct dmr_spare_desc *dmr_row(struct dmr_set *s, unsigned int idx)
{
	return &s->spare[0].sb.spare[idx];
}

static inline bool dmr_takes_metadata(const struct dmr_spare *sp)
{
	return sp->present || sp->joining;
}

static inline bool dmr_spare_usable(const struct dmr_set *s, unsigned int idx)
{
	return READ_ONCE(s->spare[idx].present);
}

/* --- dm-remap-map.c: the path of every bio ------------------------------- */

int dmr_map(struct dm_target *ti, struct bio *bio);
int dmr_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error);

/* --- dm-remap-set.c: the live set ---------------------------------------- */

int dmr_set_bind(struct dmr_table *t);
void dmr_set_unbind(struct dmr_table *t);
void dmr_set_suspend(struct dmr_set *s);
void dmr_set_resume(struct dmr_set *s);
void dmr_sets_walk(void (*fn)(struct dmr_set *s, void *data), void *data);
u32 dmr_sets_changed(void);

/* --- dm-remap-event.c: what everybody has to know ------------------------ */

void dmr_event_work(struct work_struct *work);
void dmr_event(struct dmr_set *s);
void dmr_set_fail(struct dmr_set *s, const char *why);
bool dmr_noflush(struct dmr_set *s);
__printf(2, 3)
void dmr_set_error(struct dmr_set *s, const char *fmt, ...);
void dmr_get_error(struct dmr_set *s, char *text, size_t room);

/* --- dm-remap-queue.c: bios that we keep --------------------------------- */

void dmr_queue_write(struct dmr_set *s, struct bio *bio);
void dmr_queue_read(struct dmr_set *s, struct bio *bio);
void dmr_bio_finish(struct bio *bio, blk_status_t status);

#endif /* DM_REMAP_H */
