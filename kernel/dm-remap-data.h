/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Data on its way: our own I/O, what keeps others out meanwhile, where it goes, and
 * what is done about errors.
 */
#ifndef DM_REMAP_DATA_H
#define DM_REMAP_DATA_H

#include "dm-remap.h"

/* --- dm-remap-io.c: synchronous I/O of our own --------------------------- */

blk_status_t dmr_io_part(struct dmr_set *s, struct bio *bio, u64 off, u64 n,
			 struct block_device *bdev, sector_t sector,
			 blk_opf_t flags);
blk_status_t dmr_io_page(struct dmr_set *s, struct block_device *bdev,
			 sector_t sector, struct page *page, unsigned int bytes,
			 blk_opf_t opf);
int dmr_io_buf(struct bio_set *bs, struct block_device *bdev, sector_t sector,
	       void *buf, unsigned int bytes, blk_opf_t opf);
void dmr_io_both(struct dmr_set *s, struct block_device *const bdev[2],
		 const sector_t sector[2], void *buf, unsigned int bytes,
		 blk_opf_t opf, blk_status_t status[2]);
void dmr_copy_to_bio(struct dmr_set *s, struct bio *bio, u64 off,
		     struct page *page);
void dmr_copy_from_bio(struct dmr_set *s, struct bio *bio, u64 off,
		       struct page *page);

/* --- dm-remap-twin.c: a write that goes to two devices ------------------- */

int dmr_twins_init(struct dmr_set *s);
void dmr_twins_exit(struct dmr_set *s);
struct dmr_twin *dmr_twin_get(struct dmr_set *s, struct bio *bio,
			      struct block_device *bdev);
void dmr_twin_put(struct dmr_twin *twin);
void dmr_twin_send(struct dmr_twin *twin, struct bio *bio, sector_t sector,
		   blk_opf_t drop, dmr_twin_fn done);

/* --- dm-remap-copy.c: main is copied to its replacement ------------------- */

void dmr_copy_init(struct dmr_set *s);
void dmr_copy_load(struct dmr_set *s, const struct dmr_sb *ref);
void dmr_copy_describe(struct dmr_set *s, struct dmr_sb *sb);
int dmr_copy_attach(struct dmr_set *s, struct dmr_table *t);
bool dmr_copy_may_replace(struct dmr_set *s, struct dmr_table *t);
void dmr_copy_stop(struct dmr_set *s);
void dmr_copy_kick(struct dmr_set *s);
void dmr_copy_fail(struct dmr_set *s, const char *why, u64 unit);
void dmr_copy_twin_done(struct dmr_twin *twin, blk_status_t status);
void dmr_copy_part(struct dmr_set *s, struct bio *bio, u64 off, u64 n, u64 unit);
void dmr_copy_page(struct dmr_set *s, u64 unit, struct page *page);
bool dmr_copy_read(struct dmr_set *s, u64 unit, struct page *page);
int dmr_copy_command(struct dmr_set *s, const char *verb, const char *rest);
const char *dmr_copy_phase(struct dmr_set *s);

/*
 * Does a write of main at @unit go to its replacement, too? And for how many of @n
 * units is that so? To be asked after the holds were.
 */
static inline u64 dmr_copy_run(struct dmr_set *s, u64 unit, u64 n, bool *both)
{
	u64 done = READ_ONCE(s->copy.on) ? READ_ONCE(s->copy.done) : 0;

	*both = unit < done;
	return *both ? min(n, done - unit) : n;
}

/* --- dm-remap-hold.c: keeping writes out, waiting for those inside ------- */

void dmr_hold_get(struct dmr_set *s, struct dmr_hold *h, u64 first, u64 n);
bool dmr_hold_try(struct dmr_set *s, struct dmr_hold *h, u64 first, u64 n);
void dmr_hold_put(struct dmr_set *s, struct dmr_hold *h);
u64 dmr_hold_before(struct dmr_set *s, u64 unit, u64 n, bool *held);
bool dmr_hold_park(struct dmr_set *s, struct bio *bio, u64 unit, u64 n);
unsigned long dmr_inflight(struct dmr_set *s);
void dmr_drain(struct dmr_set *s);

/* --- dm-remap-breaker.c: a dead device must not eat the spares ----------- */

bool dmr_main_dead(struct dmr_set *s);
bool dmr_breaker_allows(struct dmr_set *s);
void dmr_breaker_close(struct dmr_set *s);

/* --- dm-remap-place.c: where a unit goes on the spares ------------------- */

unsigned int dmr_spare_health(struct dmr_set *s, unsigned int idx);
bool dmr_spare_answers(struct dmr_set *s, unsigned int idx);
int dmr_stage_bad(struct dmr_set *s, unsigned int idx, u64 spare_unit);
blk_status_t dmr_place_data(struct dmr_set *s, struct page *page,
			    unsigned int avoid, struct dmr_entry *e);
blk_status_t dmr_place_unit(struct dmr_set *s, struct page *page, u64 unit,
			    u8 flags);

/* Copies of a unit, as a mask. */
#define DMR_FIRST	0x1
#define DMR_SECOND	0x2

/**
 * struct dmr_where - what is not where it should be
 * @failed: copies that don't have the data, because their spare units are bad
 * @leave: rows where no copy is to stay, as a mask; the spare unit of a first copy
 *         that leaves one stays allocated
 * @avoid: rows where none is to come, besides those that are being emptied
 */
struct dmr_where {
	unsigned int failed;
	unsigned int leave;
	unsigned int avoid;
};

blk_status_t dmr_place_copies(struct dmr_set *s, struct page *page, u64 unit,
			      u8 flags, struct dmr_where w);
unsigned int dmr_draining_rows(struct dmr_set *s);
bool dmr_has_room(struct dmr_set *s, unsigned int avoid);

/* --- dm-remap-mirror.c: units that are on two spares --------------------- */

/**
 * struct dmr_pair - where the copies of a unit are
 * @first: its entry of kind REMAP or LOST; kind FREE when it has none
 * @second: its entry of kind MIRROR; kind FREE when it has none
 * @usable: copies that are on a spare that is there, and known; as a mask
 * @same: the second copy is the first one: a promotion is half done
 */
struct dmr_pair {
	struct dmr_entry first;
	struct dmr_entry second;
	unsigned int usable;
	bool same;
};

void dmr_pair_get(struct dmr_set *s, u64 unit, struct dmr_pair *p);
blk_status_t dmr_pair_read(struct dmr_set *s, const struct dmr_entry *e,
			   struct page *page);
u64 dmr_pairs_healthy(struct dmr_set *s);
void dmr_pairs_count(struct dmr_set *s, int sign);
void dmr_mirrors_flag(struct dmr_set *s);
void dmr_mirrors_publish(struct dmr_set *s);
u64 dmr_mirrors_load(struct dmr_set *s);
blk_status_t dmr_mirror_write(struct dmr_set *s, struct bio *bio, u64 off, u64 n,
			      u64 unit);
bool dmr_mirror_take_over(struct dmr_set *s, u64 unit, unsigned int leave);
void dmr_flush_forget(struct dmr_set *s, struct dmr_spare *sp);
bool dmr_mirror_serve(struct dmr_set *s, u64 unit, struct page *page);
int dmr_mirror_settle(struct dmr_set *s, u64 unit, u64 n);

/* --- dm-remap-redirect.c: writes that failed ----------------------------- */

void dmr_redirect_work(struct work_struct *work);

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

struct dmr_range {
	u64 unit;
	u64 n;
};

int dmr_interrupted(struct dmr_set *s);
int dmr_relocate(struct dmr_set *s, struct dmr_range *ranges, unsigned int nr,
		 struct dmr_moved *m);
int dmr_relocate_marginal(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m);
int dmr_return(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m);
int dmr_verify(struct dmr_set *s, u64 unit, u64 n, struct dmr_moved *m);

#endif /* DM_REMAP_DATA_H */
