/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The kernel side of dm-remap: structures shared by its files, and what each
 * file offers to the others.
 *
 * Units, everywhere: a sector is 512 bytes; a unit is the logical block size of
 * the dm-remap device (1 << unit_shift sectors). Main units count from the
 * first sector of the target, spare units from sector 0 of the spare.
 *
 * Lock order: hold (of a range) -> engine_lock -> lock of a waiting list.
 * drain_lock is taken with a hold held and never with engine_lock held.
 */
#ifndef DM_REMAP_H
#define DM_REMAP_H

#include <linux/bio.h>
#include <linux/blkdev.h>
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
#include "dm-remap-tag.h"

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
#define DMR_ERROR_LEN		256

struct dmr_set;

/**
 * struct dmr_opts - options of the table line, changeable by message
 * @retries: how often a unit that failed alone is tried again
 * @backoff_ms: pause before the first such retry of a read; doubles each time
 * @breaker_remaps: new remaps within @breaker_seconds that open the breaker
 * @breaker_seconds: length of that window
 * @autosave_seconds: how often counters are saved when they have changed, 0: never
 */
struct dmr_opts {
	unsigned int retries;
	unsigned int backoff_ms;
	unsigned int breaker_remaps;
	unsigned int breaker_seconds;
	unsigned int autosave_seconds;
};

/**
 * struct dmr_table - one loaded table; what ctr makes and dtr frees
 * @ti: the target
 * @main: the protected device
 * @spare: spares in the order of the table line
 * @nr_spares: their number
 * @degraded: may start although spares that were in sync are not there
 * @accept_main: may start although main has changed since a stop in order
 * @have_uuid: @uuid was given
 * @uuid: the only set that may be bound
 * @opts: options
 * @set: the live set; NULL until the first preresume
 * @set_idx: row of each spare in the set's table
 */
struct dmr_table {
	struct dm_target *ti;
	struct dm_dev *main;
	struct dm_dev *spare[DMR_MAX_SPARES];
	unsigned int nr_spares;
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
 * @unflushed: bios have ended well that wrote to it since its last flush began
 * @sb: its superblock
 * @alloc: bitmap of its units, under engine_lock
 * @alloc_mem: memory of @alloc
 * @usable: units that can hold data
 */
struct dmr_spare {
	struct block_device *bdev;
	bool present;
	bool unflushed;
	struct dmr_sb sb;
	struct dmr_alloc alloc;
	void *alloc_mem;
	u64 usable;
};

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
 * @unit: main unit
 * @val: new value of the index; 0 removes the entry
 * @old: value before
 * @place: where the entry stands in the table
 * @indexed: false for an entry that has no main unit (a bad spare unit)
 */
struct dmr_staged {
	u64 unit;
	u64 val;
	u64 old;
	u32 place;
	bool indexed;
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
			/* held ranges, +1 once failed; under hold_lock */
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
	struct dmr_alloc places;	/* used slots of the table */
	void *places_mem;
	u64 events;
	u64 generation;			/* number of the newest record */
	struct dmr_gen gen;		/* buffer for writing one */
	bool members_dirty;		/* superblocks must be written first */
	enum dmr_reason reason;		/* of a generation to be written with them */
	unsigned int reason_spare;
	struct dmr_state state;		/* as it was last read or written */
	bool live;			/* loaded: has a state to write at the end */
	u64 nr_remaps;			/* entries of kind REMAP */
	u64 nr_manual;			/* of those: made on request */
	u64 nr_unknown;			/* of those: data unknown */
	u64 nr_lost;			/* entries of kind LOST */
	u64 nr_bad;			/* entries of kind BAD */
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
	atomic_t pending;		/* metadata writes in flight */
	wait_queue_head_t pending_wait;

	struct dmr_stats stats;
	u64 done_base[2];		/* reads and writes of earlier lives */
	struct delayed_work state_work;	/* autosave */

	/* error_lock guards last_error */
	spinlock_t error_lock;
	char last_error[DMR_ERROR_LEN];
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

/* A range of main units that no new write may enter. */
struct dmr_hold {
	struct list_head list;
	u64 first;
	u64 last;
	struct bio_list parked;
};

extern unsigned int dm_remap_debug;
extern unsigned int max_remaps;

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

/* --- dm-remap-event.c: what everybody has to know ------------------------ */

void dmr_event_work(struct work_struct *work);
void dmr_event(struct dmr_set *s);
void dmr_set_fail(struct dmr_set *s, const char *why);
bool dmr_noflush(struct dmr_set *s);
__printf(2, 3)
void dmr_set_error(struct dmr_set *s, const char *fmt, ...);

/* --- dm-remap-queue.c: bios that we keep --------------------------------- */

void dmr_queue_write(struct dmr_set *s, struct bio *bio);
void dmr_queue_read(struct dmr_set *s, struct bio *bio);
void dmr_bio_finish(struct bio *bio, blk_status_t status);

/* --- dm-remap-index.c: which units are remapped -------------------------- */

int dmr_index_init(struct dmr_set *s);
void dmr_index_exit(struct dmr_set *s);
u64 dmr_index_run(struct dmr_set *s, u64 unit, u64 max, u64 *val);

static __always_inline struct dmr_rview dmr_rview(struct dmr_region *r)
{
	if (!r)
		return (struct dmr_rview){ .n = 0 };
	return dmr_region_view(r->mem, r->n, r->shift);
}

/*
 * Is there surely no entry in the range of a bio? One that crosses regions is not
 * looked at. Preemption is disabled.
 */
static __always_inline bool dmr_index_clear(const struct dmr_set *s,
					    const struct bvec_iter *iter)
{
	u64 first = dmr_sector_to_unit(s, iter->bi_sector);
	u64 last = dmr_sector_to_unit(s, iter->bi_sector +
				      (iter->bi_size >> SECTOR_SHIFT) - 1);
	const struct dmr_region *r;

	r = rcu_dereference_check(s->tbl[first >> DMR_REGION_SHIFT],
				  rcu_read_lock_sched_held());
	if (!r)
		return !((first ^ last) >> DMR_REGION_SHIFT);
	return dmr_region_far(r->mem, r->shift, first, last);
}

bool dmr_index_find(struct dmr_set *s, u64 unit, u64 *val, u32 *place);
bool dmr_index_next(struct dmr_set *s, u64 *unit, u64 *val);

/**
 * struct dmr_filling - an index that is being filled
 * @left: how many entries of each region are still to come
 */
struct dmr_filling {
	u32 *left;
};

int dmr_index_count_begin(struct dmr_set *s, struct dmr_filling *f);
void dmr_index_count(struct dmr_filling *f, u64 unit);
int dmr_index_fill_begin(struct dmr_set *s, struct dmr_filling *f);
void dmr_index_fill(struct dmr_set *s, struct dmr_filling *f, u64 unit, u64 val,
		    u32 place);
int dmr_index_fill_end(struct dmr_set *s, struct dmr_filling *f, u64 *twice);

/* Regions that a batch has replaced, until no reader has them any more. */
struct dmr_retired {
	struct rcu_head rcu;
	u32 n;
	struct dmr_region *region[];
};

/**
 * struct dmr_plan - the regions that a batch leads to
 * @region: new regions, NULL for one that becomes empty
 * @at: their numbers
 * @n: how many
 * @retired: room for those that they replace
 */
struct dmr_plan {
	struct dmr_region *region[DMR_BATCH];
	u64 at[DMR_BATCH];
	u32 n;
	struct dmr_retired *retired;
};

int dmr_index_prepare(struct dmr_set *s, struct dmr_plan *plan);
void dmr_index_publish(struct dmr_set *s, struct dmr_plan *plan);
void dmr_index_abandon(struct dmr_plan *plan);

/* --- dm-remap-mem.c: memory for the regions of the index ----------------- */

int dmr_mem_init(void);
void dmr_mem_exit(void);
struct dmr_region *dmr_region_alloc(u32 n, gfp_t gfp);
void dmr_region_free(struct dmr_region *r);

/* --- dm-remap-load.c: from the spares into memory ------------------------ */

/**
 * struct dmr_found - what is on one spare of a table
 * @sb: its newest valid superblock, if @valid
 * @valid: there is one
 * @damaged: some copy is missing, invalid or old
 * @err: why the first invalid copy was refused, enum dmr_fmt_error
 */
struct dmr_found {
	struct dmr_sb sb;
	bool valid;
	bool damaged;
	int err;
};

int dmr_probe(struct dmr_table *t, struct dmr_found *found);
int dmr_load(struct dmr_set *s, struct dmr_table *t, struct dmr_found *found);

/* --- dm-remap-scan.c: a pass over all copies, and their repair ----------- */

/**
 * struct dmr_scan - a pass over all replicas of the table
 * @s: the set
 * @best: the best version of each leaf
 * @seq: its sequence number, 0: none found
 * @found: sequence number of each replica, 0: not valid
 * @unseen: some replica could not be read
 * @bulk: buffer
 */
struct dmr_scan {
	struct dmr_set *s;
	u8 *best;
	u64 *seq;
	u64 *found;
	bool unseen;
	void *bulk;
};

/**
 * struct dmr_scrub - what a check of all metadata found
 * @leaves: leaves of the table
 * @superblocks: copies that were looked at
 * @records: generations
 * @repaired: blocks that were rewritten
 */
struct dmr_scrub {
	u32 leaves;
	u32 superblocks;
	u32 records;
	u32 repaired;
};

int dmr_scan_table(struct dmr_scan *sc, struct dmr_set *s);
u32 dmr_scan_repair(struct dmr_scan *sc);
void dmr_scan_free(struct dmr_scan *sc);
int dmr_scrub(struct dmr_set *s, struct dmr_scrub *found);

/* --- dm-remap-state.c: counters that survive, samples of main ------------ */

u64 dmr_counter_get(struct dmr_set *s, unsigned int counter);
void dmr_counters_clear(struct dmr_set *s);
int dmr_state_check(struct dmr_set *s, struct dmr_table *t);
void dmr_state_start(struct dmr_set *s, struct dmr_table *t);
void dmr_state_stop(struct dmr_set *s);
void dmr_state_sample(struct dmr_set *s);
int dmr_state_save(struct dmr_set *s, bool clean);
int dmr_state_reload(struct dmr_set *s);
void dmr_state_arm(struct dmr_set *s);
void dmr_state_work(struct work_struct *work);

/* --- dm-remap-mkfs.c: blank spares --------------------------------------- */

int dmr_make_set(struct dmr_table *t, struct dmr_found *found);

/* --- dm-remap-commit.c: from memory onto the spares ---------------------- */

int dmr_commit_init(struct dmr_set *s);
void dmr_commit_exit(struct dmr_set *s);
int dmr_stage(struct dmr_set *s, const struct dmr_entry *e);
int dmr_stage_remove(struct dmr_set *s, u64 unit);
bool dmr_staged_overlaps(struct dmr_set *s, u64 unit, u64 n);
int dmr_commit(struct dmr_set *s);
void dmr_count_entry(struct dmr_set *s, u64 val, int sign);

/* --- dm-remap-super.c: membership, superblocks, generations -------------- */

int dmr_write_superblocks(struct dmr_set *s);
bool dmr_write_meta(struct dmr_set *s, unsigned int idx, sector_t sector,
		    void *buf);
void dmr_members_changed(struct dmr_set *s, enum dmr_reason reason,
			 unsigned int idx);
void dmr_spare_lost(struct dmr_set *s, unsigned int idx, const char *why);
unsigned int dmr_nr_present(struct dmr_set *s);

/* --- dm-remap-io.c: synchronous I/O of our own --------------------------- */

blk_status_t dmr_io_part(struct dmr_set *s, struct bio *bio, u64 off, u64 n,
			 struct block_device *bdev, sector_t sector,
			 blk_opf_t flags);
blk_status_t dmr_io_page(struct dmr_set *s, struct block_device *bdev,
			 sector_t sector, struct page *page, unsigned int bytes,
			 blk_opf_t opf);
int dmr_io_buf(struct bio_set *bs, struct block_device *bdev, sector_t sector,
	       void *buf, unsigned int bytes, blk_opf_t opf);
void dmr_copy_to_bio(struct dmr_set *s, struct bio *bio, u64 off,
		     struct page *page);
void dmr_copy_from_bio(struct dmr_set *s, struct bio *bio, u64 off,
		       struct page *page);

/* --- dm-remap-hold.c: keeping writes out, waiting for those inside ------- */

void dmr_hold_get(struct dmr_set *s, struct dmr_hold *h, u64 first, u64 n);
void dmr_hold_put(struct dmr_set *s, struct dmr_hold *h);
u64 dmr_hold_before(struct dmr_set *s, u64 unit, u64 n, bool *held);
bool dmr_hold_park(struct dmr_set *s, struct bio *bio, u64 unit, u64 n);
void dmr_drain(struct dmr_set *s);

/* --- dm-remap-breaker.c: a dead device must not eat the spares ----------- */

bool dmr_main_dead(struct dmr_set *s);
bool dmr_breaker_allows(struct dmr_set *s);
void dmr_breaker_close(struct dmr_set *s);

/* --- dm-remap-redirect.c: writes that failed ----------------------------- */

void dmr_redirect_work(struct work_struct *work);
blk_status_t dmr_place_unit(struct dmr_set *s, struct page *page, u64 unit,
			    u8 flags);

/* --- dm-remap-rescue.c: reads that failed -------------------------------- */

int dmr_rescue_init(struct dmr_set *s);
void dmr_rescue_exit(struct dmr_set *s);
void dmr_rescue_dispatch(struct work_struct *work);

/* --- dm-remap-relocate.c: moving units on request ------------------------ */

struct dmr_moved {
	u64 done;
	u64 lost;
	u64 already;
	u64 kept;
	u64 errors;
};

int dmr_relocate(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m);
int dmr_return(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m);
int dmr_verify(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m);

/* --- dm-remap-status.c and dm-remap-message.c: what people see ----------- */

unsigned int dmr_status_line(struct dmr_set *s, char *result,
			     unsigned int maxlen);
unsigned int dmr_status_stats(struct dmr_set *s, char *result,
			      unsigned int maxlen);
unsigned int dmr_status_health(struct dmr_set *s, char *result,
			       unsigned int maxlen);
u64 dmr_capacity(struct dmr_set *s);
u64 dmr_done(struct dmr_set *s, int dir);
int dmr_message(struct dm_target *ti, unsigned int argc, char **argv,
		char *result, unsigned int maxlen);

/* Options that are numbers, for the words of an error. */
#define DMR_KEYS	"retries 0-16, backoff_ms 0-10000, "			\
			"breaker_remaps 1-1000000, breaker_seconds 1-86400, "	\
			"autosave_seconds 0-86400"

const unsigned int *dmr_opt_get(const struct dmr_opts *o, const char *key);
int dmr_opt_set(struct dmr_opts *o, const char *key, const char *value);

#endif /* DM_REMAP_H */
