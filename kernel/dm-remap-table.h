/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The table: which units are remapped, in memory and on the spares.
 */
#ifndef DM_REMAP_TABLE_H
#define DM_REMAP_TABLE_H

#include "dm-remap.h"

/* --- dm-remap-index.c: which units are remapped -------------------------- */

int dmr_index_init(struct dmr_set *s, bool wide);
int dmr_index_widen(struct dmr_set *s);
void dmr_index_mark(struct dmr_set *s, u64 unit, bool mirrored);
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

	r = rcu_dereference_check(READ_ONCE(s->tbl)[first >> DMR_REGION_SHIFT],
				  rcu_read_lock_sched_held());
	if (!r)
		return !((first ^ last) >> DMR_REGION_SHIFT);
	return dmr_region_far(r->mem, r->shift, first, last);
}

bool dmr_index_find(struct dmr_set *s, u64 unit, u64 *val, u32 *place);
bool dmr_index_next(struct dmr_set *s, u64 *unit, u64 *val);
bool dmr_index_next_second(struct dmr_set *s, u64 *unit, u64 *val);

/**
 * struct dmr_filling - an index that is being filled
 * @left: how many entries of each region are still to come
 * @twice: spare units that were found used already
 * @twice_unit: the last of them
 * @twice_idx: on this spare
 */
struct dmr_filling {
	u32 *left;
	u64 twice;
	u64 twice_unit;
	u8 twice_idx;
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
int dmr_probe_spare(struct block_device *bdev, struct dmr_found *found);
int dmr_spare_alloc_init(struct dmr_spare *sp);
int dmr_load(struct dmr_set *s, struct dmr_table *t, struct dmr_found *found);

/* --- dm-remap-replicas.c: a pass over all copies, and their repair ------- */

/**
 * struct dmr_replicas - a pass over all replicas of the table
 * @s: the set
 * @best: the best version of each leaf
 * @seq: its sequence number, 0: none found
 * @found: sequence number of each replica, 0: not valid
 * @unseen: some replica could not be read
 * @bulk: buffer
 */
struct dmr_replicas {
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

int dmr_replicas_read(struct dmr_replicas *rp, struct dmr_set *s);
u32 dmr_replicas_repair(struct dmr_replicas *rp);
void dmr_replicas_free(struct dmr_replicas *rp);
int dmr_scrub_records(struct dmr_set *s, void *buf, struct dmr_scrub *found);
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

int dmr_device_blank(struct block_device *bdev, void *buf);
int dmr_make_set(struct dmr_table *t, struct dmr_found *found);

/* --- dm-remap-commit.c: from memory onto the spares ---------------------- */

int dmr_commit_init(struct dmr_set *s);
void dmr_commit_exit(struct dmr_set *s);
int dmr_stage(struct dmr_set *s, const struct dmr_entry *e);
int dmr_stage_remove(struct dmr_set *s, u64 unit);
u64 dmr_max_entries(struct dmr_set *s);
int dmr_stage_unbad(struct dmr_set *s, unsigned int idx, u32 place);
const void *dmr_leaf_read(struct dmr_set *s, u32 no);
int dmr_stage_mirror(struct dmr_set *s, const struct dmr_entry *e, bool keep);
int dmr_stage_unmirror(struct dmr_set *s, u64 unit, bool keep);
int dmr_stage_reserve(struct dmr_set *s, u32 n);
bool dmr_staged_overlaps(struct dmr_set *s, u64 unit, u64 n);
struct dmr_staged *dmr_staged_find(struct dmr_set *s, u64 key);
bool dmr_table_full(struct dmr_set *s);
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
unsigned int dmr_nr_members(struct dmr_set *s);
unsigned int dmr_member_row(struct dmr_set *s, const struct dmr_found *found);
bool dmr_may_have_lost(const struct dmr_spare *sp, struct block_device *bdev);

#endif /* DM_REMAP_TABLE_H */
