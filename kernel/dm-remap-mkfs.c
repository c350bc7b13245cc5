// SPDX-License-Identifier: GPL-2.0-only
/*
 * A new set on blank spares, for those who use dmsetup alone.
 *
 * Only spares that carry nothing at all are formatted here: the metadata area
 * and the end of the device, where RAID and partition tables keep copies, must
 * read as zeros. Everything else is up to pyctl, which knows what it finds and
 * asks. A table line with "set <uuid>" never leads here.
 *
 * Everything here: may sleep, called from preresume.
 */
#include <linux/math64.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/uuid.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-table.h"

/* How much of the end of a spare must be blank, in sectors. */
#define TAIL_SECTORS	2048

static int range_blank(struct block_device *bdev, sector_t from, sector_t to,
		       void *buf)
{
	unsigned int sectors;
	int r;

	for (; from < to; from += sectors) {
		sectors = min_t(sector_t, to - from, DMR_BULK_BYTES / DMR_SECTOR_SIZE);
		sectors = round_down(sectors, DMR_BLOCK_SECTORS);
		if (!sectors)
			break;
		r = dmr_io_buf(NULL, bdev, from, buf, sectors * DMR_SECTOR_SIZE,
			       REQ_OP_READ);
		if (r)
			return r;
		if (memchr_inv(buf, 0, sectors * DMR_SECTOR_SIZE))
			return -EEXIST;
	}
	return 0;
}

/**
 * dmr_device_blank() - does a device carry nothing?
 * @bdev: the device, at least DMR_MIN_SPARE_SECTORS long
 * @buf: DMR_BULK_BYTES
 *
 * Looks at the metadata area, and at the end, where others keep theirs.
 * Context: may sleep. Return: 0; -EEXIST when it does; an error of reading.
 */
int dmr_device_blank(struct block_device *bdev, void *buf)
{
	sector_t end = round_down(bdev_nr_sectors(bdev), DMR_BLOCK_SECTORS);
	int r;

	r = range_blank(bdev, 0, DMR_DATA_START, buf);
	if (!r)
		r = range_blank(bdev, end - TAIL_SECTORS, end, buf);
	return r;
}

static int spare_blank(struct dmr_table *t, unsigned int i, void *buf)
{
	int r = dmr_device_blank(t->spare[i]->bdev, buf);

	if (r == -EEXIST)
		dmr_refuse(t, "spare %s carries other data; use pyctl create --force, or wipe it, if it can go",
			   t->spare[i]->name);
	else if (r)
		dmr_refuse(t, "spare %s can't be read (error %d)",
			   t->spare[i]->name, r);
	return r;
}

static int write_leaves(const struct dmr_sb *sb, struct block_device *bdev,
			unsigned int replica, void *buf)
{
	u32 no, first = 0, n = 0;
	int r = 0;

	for (no = 0; no < sb->nr_leaves && !r; no++) {
		dmr_leaf_init(buf + n * DMR_BLOCK_SIZE, no);
		dmr_leaf_seal(buf + n * DMR_BLOCK_SIZE, sb->set_uuid, 1, sb->events);
		n++;
		if (n * DMR_BLOCK_SIZE < DMR_BULK_BYTES &&
		    no + 1 < sb->nr_leaves && no + 1 != DMR_INLINE_LEAVES)
			continue;
		r = dmr_io_buf(NULL, bdev, dmr_leaf_sector(sb, first, replica), buf,
			       n * DMR_BLOCK_SIZE, REQ_OP_WRITE | REQ_FUA);
		first = no + 1;
		n = 0;
	}
	return r;
}

/* The first generation: all spares as they are now. */
static int write_first_record(const struct dmr_sb *sb, struct block_device *bdev,
			      void *buf)
{
	struct dmr_gen *gen = kzalloc(sizeof(*gen), GFP_KERNEL);
	unsigned int k;
	int r = 0;

	if (!gen)
		return -ENOMEM;
	gen->number = sb->generation;
	gen->events = sb->events;
	gen->time = sb->created;
	gen->main_sectors = sb->main_sectors;
	gen->reason = DMR_REASON_CREATED;
	gen->nr_spares = sb->nr_spares;
	memcpy(gen->spare, sb->spare, sizeof(gen->spare));
	dmr_gen_encode(gen, sb->set_uuid, buf);
	kfree(gen);
	for (k = 0; k < DMR_GEN_COPIES && !r; k++)
		r = dmr_io_buf(NULL, bdev, dmr_gen_sector(sb->generation, k), buf,
			       DMR_BLOCK_SIZE, REQ_OP_WRITE | REQ_FUA);
	return r;
}

/* Leaves first: a superblock promises that they are there. */
static int write_spare(struct dmr_sb *sb, struct block_device *bdev, void *buf)
{
	unsigned int k;
	int r = 0;

	for (k = 0; k < DMR_REPLICAS && !r; k++)
		r = write_leaves(sb, bdev, k, buf);
	if (!r)
		r = write_first_record(sb, bdev, buf);
	for (k = 0; k < DMR_REPLICAS && !r; k++) {
		sb->copy_idx = k;
		dmr_sb_encode(sb, buf);
		r = dmr_io_buf(NULL, bdev, dmr_slot_sector(k), buf, DMR_BLOCK_SIZE,
			       REQ_OP_WRITE | REQ_FUA | REQ_PREFLUSH);
	}
	return r;
}

/* The unit is the largest logical block of all devices. */
static int unit_shift(struct dmr_table *t)
{
	unsigned int lbs = bdev_logical_block_size(t->main->bdev), i;

	for (i = 0; i < t->nr_spares; i++)
		lbs = max(lbs, bdev_logical_block_size(t->spare[i]->bdev));
	if (lbs == 512)
		return 0;
	return lbs <= 4096 ? 3 : -EINVAL;
}

static int describe_set(struct dmr_table *t, struct dmr_sb *sb)
{
	unsigned int limit = READ_ONCE(max_remaps), i;
	int shift = unit_shift(t);

	if (shift < 0 || t->ti->len & ((1U << shift) - 1)) {
		dmr_refuse(t, "logical block sizes over 4096 bytes, or a length that is no multiple of them, can't be served");
		return -EINVAL;
	}
	memset(sb, 0, sizeof(*sb));
	generate_random_uuid(sb->set_uuid);
	sb->events = 1;
	sb->generation = 1;
	sb->created = ktime_get_real_seconds();
	sb->updated = sb->created;
	sb->main_sectors = t->ti->len;
	sb->main_lbs = bdev_logical_block_size(t->main->bdev);
	sb->max_remaps = limit ?: DMR_DEFAULT_MAX_REMAPS;
	sb->nr_spares = t->nr_spares;
	sb->unit_shift = shift;
	for (i = 0; i < t->nr_spares; i++) {
		generate_random_uuid(sb->spare[i].uuid);
		sb->spare[i].sectors = round_down(bdev_nr_sectors(t->spare[i]->bdev),
						  DMR_BLOCK_SECTORS);
		sb->spare[i].events = sb->events;
		sb->spare[i].state = DMR_SPARE_IN_SYNC;
	}
	return 0;
}

/**
 * dmr_make_set() - format the spares of a table, all of which must be blank
 * @t: the table
 * @found: one per spare; filled in as dmr_probe() would
 *
 * Context: may sleep. Return: 0 or a negative errno, with the reason in the
 * kernel log.
 */
int dmr_make_set(struct dmr_table *t, struct dmr_found *found)
{
	struct dmr_sb *sb;
	unsigned int i;
	void *buf;
	int r;

	buf = (void *)__get_free_pages(GFP_KERNEL, DMR_BULK_ORDER);
	if (!buf)
		return -ENOMEM;
	for (i = 0, r = 0; i < t->nr_spares && !r; i++)
		r = spare_blank(t, i, buf);
	if (!r)
		r = describe_set(t, &found[0].sb);
	for (i = 0; i < t->nr_spares && !r; i++) {
		sb = &found[i].sb;
		if (i)
			*sb = found[0].sb;
		sb->spare_idx = i;
		memcpy(sb->spare_uuid, sb->spare[i].uuid, DMR_UUID_LEN);
		r = dmr_sb_layout(sb);
		if (r) {
			dmr_refuse(t, "spare %s can't be formatted: %s",
				   t->spare[i]->name, dmr_fmt_strerror(r));
			r = -ENOSPC;
		}
	}
	for (i = 0; i < t->nr_spares && !r; i++) {
		r = write_spare(&found[i].sb, t->spare[i]->bdev, buf);
		if (r)
			dmr_refuse(t, "spare %s can't be written (error %d)",
				   t->spare[i]->name, r);
		found[i].valid = true;
		found[i].damaged = false;
	}
	free_pages((unsigned long)buf, DMR_BULK_ORDER);
	if (!r)
		DMINFO("%s: %u blank spares formatted as set %pUb",
		       dm_device_name(dm_table_get_md(t->ti->table)), t->nr_spares,
		       found[0].sb.set_uuid);
	return r;
}
