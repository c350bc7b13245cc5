// SPDX-License-Identifier: GPL-2.0-only
/*
 * I/O of our own, one at a time and waited for: parts of a bio that we keep,
 * single units, metadata.
 */
#include <linux/completion.h>
#include <linux/mm.h>

#include "dm-remap.h"
#include "dm-remap-data.h"

/*
 * What a repeated attempt keeps of a bio's flags: nothing that makes it fail
 * sooner (NOWAIT, RAHEAD, FAILFAST, POLLED) or that belongs to a driver.
 */
#define DMR_KEEP_FLAGS	(REQ_SYNC | REQ_META | REQ_PRIO | REQ_IDLE)

static blk_status_t submit_and_put(struct bio *bio)
{
	blk_status_t status;

	submit_bio_wait(bio);
	status = bio->bi_status;
	bio_put(bio);
	return status;
}

/**
 * dmr_io_part() - submit a part of a bio that we keep, and wait
 * @s: the set
 * @bio: the bio
 * @off: first unit of the part, counted from the start of the bio
 * @n: number of units
 * @bdev: where to
 * @sector: sector there
 * @flags: flags to add, such as REQ_FUA
 *
 * A write-zeroes bio is submitted as such.
 * Context: may sleep, under memalloc_noio. Return: status.
 */
blk_status_t dmr_io_part(struct dmr_set *s, struct bio *bio, u64 off, u64 n,
			 struct block_device *bdev, sector_t sector,
			 blk_opf_t flags)
{
	blk_opf_t opf = bio_op(bio) | (bio->bi_opf & DMR_KEEP_FLAGS) | flags;
	struct bio *part;

	if (bio_op(bio) == REQ_OP_WRITE_ZEROES) {
		part = bio_alloc_bioset(bdev, 0, opf | REQ_NOUNMAP, GFP_NOIO,
					&s->bios);
		part->bi_iter.bi_size = n * dmr_unit_bytes(s);
	} else {
		part = bio_alloc_clone(bdev, bio, GFP_NOIO, &s->bios);
		part->bi_opf = opf;
		bio_trim(part, dmr_unit_to_sector(s, off),
			 dmr_unit_to_sector(s, n));
		/* The bio has lost its blkg when it first ended: a new one. */
		bio_set_dev(part, bdev);
	}
	part->bi_iter.bi_sector = sector;
	return submit_and_put(part);
}

/**
 * dmr_io_page() - read or write up to a page, and wait
 * @s: the set
 * @bdev: where
 * @sector: sector there
 * @page: the data, from its start
 * @bytes: length, a multiple of the device's logical block size
 * @opf: operation and flags
 *
 * Context: may sleep, under memalloc_noio. Return: status.
 */
blk_status_t dmr_io_page(struct dmr_set *s, struct block_device *bdev,
			 sector_t sector, struct page *page, unsigned int bytes,
			 blk_opf_t opf)
{
	struct bio *bio = bio_alloc_bioset(bdev, 1, opf, GFP_NOIO, &s->bios);

	bio->bi_iter.bi_sector = sector;
	__bio_add_page(bio, page, bytes, 0);
	return submit_and_put(bio);
}

static struct bio *buf_bio(struct bio_set *bs, struct block_device *bdev,
			   sector_t sector, void *buf, unsigned int bytes,
			   blk_opf_t opf)
{
	unsigned int done;
	struct bio *bio;

	bio = bio_alloc_bioset(bdev, DMR_BULK_BYTES / PAGE_SIZE, opf, GFP_NOIO, bs);
	bio->bi_iter.bi_sector = sector;
	for (done = 0; done < bytes; done += PAGE_SIZE)
		__bio_add_page(bio, virt_to_page(buf + done),
			       min_t(unsigned int, PAGE_SIZE, bytes - done),
			       offset_in_page(buf));
	return bio;
}

/**
 * dmr_io_buf() - read or write metadata in bulk, and wait
 * @bs: where the bio comes from; NULL while there is no set yet
 * @bdev: where
 * @sector: sector there
 * @buf: from alloc_pages(), up to DMR_BULK_BYTES
 * @bytes: length, a multiple of DMR_BLOCK_SIZE
 * @opf: operation and flags
 *
 * Context: may sleep, under memalloc_noio. Return: 0 or a negative errno.
 */
int dmr_io_buf(struct bio_set *bs, struct block_device *bdev, sector_t sector,
	       void *buf, unsigned int bytes, blk_opf_t opf)
{
	return blk_status_to_errno(submit_and_put(buf_bio(bs ?: &fs_bio_set, bdev,
							  sector, buf, bytes,
							  opf | REQ_META)));
}

static void both_end_io(struct bio *bio)
{
	complete(bio->bi_private);
}

/**
 * dmr_io_both() - write the same to two devices at the same time, and wait
 * @s: the set
 * @bdev: the devices; NULL: not to this one
 * @sector: sectors there
 * @buf: from alloc_pages(), up to DMR_BULK_BYTES
 * @bytes: length, a multiple of the units of the set
 * @opf: operation and flags
 * @status: filled in for each device that was written to
 *
 * Context: may sleep, under memalloc_noio.
 */
void dmr_io_both(struct dmr_set *s, struct block_device *const bdev[2],
		 const sector_t sector[2], void *buf, unsigned int bytes,
		 blk_opf_t opf, blk_status_t status[2])
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct bio *first = NULL;

	if (bdev[0]) {
		first = buf_bio(&s->bios, bdev[0], sector[0], buf, bytes, opf);
		first->bi_private = &done;
		first->bi_end_io = both_end_io;
		submit_bio(first);
	}
	if (bdev[1])
		status[1] = submit_and_put(buf_bio(&s->bios, bdev[1], sector[1],
						   buf, bytes, opf));
	if (!first)
		return;
	wait_for_completion_io(&done);
	status[0] = first->bi_status;
	bio_put(first);
}

static void copy_unit(struct dmr_set *s, struct bio *bio, u64 off,
		      struct page *page, bool to_bio)
{
	struct bvec_iter iter = bio->bi_iter;
	unsigned int left = dmr_unit_bytes(s), done = 0;
	struct bio_vec bv;

	bio_advance_iter(bio, &iter, off * left);
	while (left) {
		bv = bio_iter_iovec(bio, iter);
		bv.bv_len = min(bv.bv_len, left);
		if (to_bio)
			memcpy_to_bvec(&bv, page_address(page) + done);
		else
			memcpy_from_bvec(page_address(page) + done, &bv);
		bio_advance_iter_single(bio, &iter, bv.bv_len);
		done += bv.bv_len;
		left -= bv.bv_len;
	}
}

/**
 * dmr_copy_to_bio() - put one unit's data into a bio
 * @s: the set
 * @bio: a read that we keep
 * @off: which unit of it
 * @page: the data
 *
 * Context: any.
 */
void dmr_copy_to_bio(struct dmr_set *s, struct bio *bio, u64 off,
		     struct page *page)
{
	copy_unit(s, bio, off, page, true);
}

/**
 * dmr_copy_from_bio() - take one unit's data out of a bio
 * @s: the set
 * @bio: a write that we keep; zeros for write-zeroes
 * @off: which unit of it
 * @page: where the data goes
 *
 * Context: any.
 */
void dmr_copy_from_bio(struct dmr_set *s, struct bio *bio, u64 off,
		       struct page *page)
{
	if (bio_op(bio) == REQ_OP_WRITE_ZEROES)
		memset(page_address(page), 0, dmr_unit_bytes(s));
	else
		copy_unit(s, bio, off, page, false);
}
