/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What we must know of a bio while it is below us.
 *
 * DOC: a tag instead of per-bio data
 *
 * When a bio fails we send it again, so its iterator must be known as it was at
 * map time: the layers below use it up. Per-bio data of dm would hold it, but
 * would make the core's clone larger than that of dm-linear, from 256 to 320
 * bytes, which every bio pays for. So what is known is put into the clone's
 * bi_private, which belongs to whoever submits the bio, that is, to us:
 *
 *   main sector:48 | sectors-1:11 | epoch:1 | place:4
 *
 * A bio of at most 1 MiB that begins with its first bio_vec is described by
 * that. Of another one, DMR_AT_RECORD and the address of a struct dmr_record
 * are there.
 */
#ifndef DM_REMAP_TAG_H
#define DM_REMAP_TAG_H

#include <linux/bio.h>

#include "dm-remap-format.h"

/*
 * Where a bio is. One that is kept is not counted in an epoch, and the next
 * end_io is its last; neither is a read of main, for which nobody has to wait.
 */
enum dmr_at {
	DMR_AT_READ = 0,	/* a read, on main */
	DMR_AT_MAIN,		/* anything else, on main */
	DMR_AT_SPARE,		/* on spare n - DMR_AT_SPARE */
	DMR_AT_US = DMR_AT_SPARE + DMR_MAX_SPARES,	/* kept by us */
	DMR_AT_RECORD,		/* as the record says */
	DMR_AT_FLUSH,		/* a flush, on a spare */
};

#define DMR_TAG_AT_MASK		0xfUL
#define DMR_TAG_EPOCH_SHIFT	4
#define DMR_TAG_LEN_SHIFT	5
#define DMR_TAG_SECTOR_SHIFT	16
#define DMR_TAG_MAX_BYTES	(SECTOR_SIZE << (DMR_TAG_SECTOR_SHIFT - DMR_TAG_LEN_SHIFT))

/**
 * struct dmr_trip - a bio below us
 * @iter: its iterator at map time; the sector is that of main
 * @at: where it is
 * @epoch: per-CPU counter in which it is counted, 0 or 1
 */
struct dmr_trip {
	struct bvec_iter iter;
	u8 at;
	u8 epoch;
};

/* A trip that doesn't fit in a tag. The tag needs the low bits of its address. */
struct dmr_record {
	struct dmr_trip trip;
} __aligned(DMR_TAG_AT_MASK + 1);
/* From a power of two on, kmalloc() aligns as well as that. */
static_assert(!(sizeof(struct dmr_record) & (sizeof(struct dmr_record) - 1)));

static inline unsigned long dmr_tag_get(const struct bio *bio)
{
	return (unsigned long)bio->bi_private;
}

static inline unsigned int dmr_tag_at(unsigned long tag)
{
	return tag & DMR_TAG_AT_MASK;
}

static inline unsigned int dmr_tag_epoch(unsigned long tag)
{
	return tag >> DMR_TAG_EPOCH_SHIFT & 1;
}

/* Can a tag tell what the bio's iterator is? */
static inline bool dmr_tag_fits(const struct bvec_iter *iter)
{
	return IS_ENABLED(CONFIG_64BIT) && !(iter->bi_idx | iter->bi_bvec_done) &&
	       iter->bi_size <= DMR_TAG_MAX_BYTES;
}

/*
 * Tag a bio that fits. An empty flush has no sectors, which makes a nonsense of
 * that part of its tag; nobody reads it, for it is never sent again.
 */
static inline void dmr_tag_set(struct bio *bio, const struct bvec_iter *iter,
			       unsigned int at, unsigned int epoch)
{
	unsigned long tag = (u64)iter->bi_sector << DMR_TAG_SECTOR_SHIFT;

	tag |= (iter->bi_size - SECTOR_SIZE) >> (SECTOR_SHIFT - DMR_TAG_LEN_SHIFT);
	bio->bi_private = (void *)(tag | epoch << DMR_TAG_EPOCH_SHIFT | at);
}

/* Read a tag that is no record. */
static inline void dmr_tag_trip(unsigned long tag, struct dmr_trip *trip)
{
	unsigned int sectors = tag >> DMR_TAG_LEN_SHIFT &
			       (DMR_TAG_MAX_BYTES / SECTOR_SIZE - 1);

	*trip = (struct dmr_trip){
		.iter.bi_sector = (u64)tag >> DMR_TAG_SECTOR_SHIFT,
		.iter.bi_size = (sectors + 1) << SECTOR_SHIFT,
		.at = dmr_tag_at(tag),
		.epoch = dmr_tag_epoch(tag),
	};
}

#endif /* DM_REMAP_TAG_H */
