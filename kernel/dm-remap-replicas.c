// SPDX-License-Identifier: GPL-2.0-only
/*
 * A pass over all that is on the spares: which copy is the best, and repair of
 * the others.
 *
 * The table is read when a set is loaded and when somebody asks for a check.
 * For each leaf the highest valid sequence number wins, and replicas that differ
 * are rewritten.
 *
 * Everything here: may sleep, under memalloc_noio; while the set is loaded, or
 * with engine_lock held.
 */
#include <linux/mm.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-table.h"

static u64 *replica_seq(struct dmr_replicas *rp, unsigned int spare,
			unsigned int k, u32 no)
{
	return &rp->found[((u64)spare * DMR_REPLICAS + k) * rp->s->nr_leaves + no];
}

static void look_at_leaf(struct dmr_replicas *rp, unsigned int spare,
			 unsigned int k, u32 no, const void *block)
{
	void *best = rp->best + (u64)no * DMR_BLOCK_SIZE;
	u64 seq = rp->seq[no];

	/* Most are the same as the first; that is sooner seen than a checksum. */
	if (!seq || memcmp(best, block, DMR_BLOCK_SIZE)) {
		if (dmr_leaf_check(block, rp->s->uuid, no))
			return;
		seq = dmr_leaf_seq(block);
	}
	*replica_seq(rp, spare, k, no) = seq;
	if (seq > rp->seq[no]) {
		rp->seq[no] = seq;
		memcpy(best, block, DMR_BLOCK_SIZE);
	}
}

/* Leaves [no, end) of a replica, which lie one behind the other. */
static void read_extent(struct dmr_replicas *rp, unsigned int spare,
			unsigned int k, u32 no, u32 end)
{
	struct dmr_spare *sp = &rp->s->spare[spare];
	u32 n, i;

	for (; no < end; no += n) {
		n = min_t(u32, end - no, DMR_BULK_BYTES / DMR_BLOCK_SIZE);
		if (!dmr_io_buf(&rp->s->bios, sp->bdev,
				dmr_leaf_sector(&sp->sb, no, k), rp->bulk,
				n * DMR_BLOCK_SIZE, REQ_OP_READ)) {
			for (i = 0; i < n; i++)
				look_at_leaf(rp, spare, k, no + i,
					     rp->bulk + i * DMR_BLOCK_SIZE);
			continue;
		}
		/* Something there is unreadable: one by one. */
		for (i = 0; i < n; i++) {
			if (dmr_io_buf(&rp->s->bios, sp->bdev,
				       dmr_leaf_sector(&sp->sb, no + i, k),
				       rp->bulk, DMR_BLOCK_SIZE, REQ_OP_READ))
				rp->unseen = true;
			else
				look_at_leaf(rp, spare, k, no + i, rp->bulk);
		}
	}
}

/**
 * dmr_replicas_free() - free what dmr_replicas_read() made
 * @rp: the pass
 *
 * Context: any.
 */
void dmr_replicas_free(struct dmr_replicas *rp)
{
	free_pages((unsigned long)rp->bulk, DMR_BULK_ORDER);
	kvfree(rp->found);
	kvfree(rp->seq);
	kvfree(rp->best);
}

/**
 * dmr_replicas_read() - read all replicas of the table from all present spares
 * @rp: the pass, zeroed; dmr_replicas_free() cleans up in any case
 * @s: the set
 *
 * Return: 0; -ENOMEM; -EILSEQ when a leaf has no valid copy, with the reason in
 * the kernel log.
 */
int dmr_replicas_read(struct dmr_replicas *rp, struct dmr_set *s)
{
	u32 n = s->nr_leaves, no;
	unsigned int i, k;

	rp->s = s;
	rp->best = kvmalloc_array(n, DMR_BLOCK_SIZE, GFP_KERNEL);
	rp->seq = kvcalloc(n, sizeof(u64), GFP_KERNEL);
	rp->found = kvcalloc((size_t)n * DMR_REPLICAS * s->nr_spares, sizeof(u64),
			     GFP_KERNEL);
	rp->bulk = (void *)__get_free_pages(GFP_KERNEL, DMR_BULK_ORDER);
	if (!rp->best || !rp->seq || !rp->found || !rp->bulk)
		return -ENOMEM;
	for (i = 0; i < s->nr_spares; i++) {
		for (k = 0; s->spare[i].present && k < DMR_REPLICAS; k++) {
			read_extent(rp, i, k, 0, min_t(u32, n, DMR_INLINE_LEAVES));
			read_extent(rp, i, k, DMR_INLINE_LEAVES, n);
		}
	}
	for (no = 0; no < n; no++) {
		if (!rp->seq[no]) {
			DMERR("%s: leaf %u of the table has no valid copy on any spare",
			      dm_device_name(s->md), no);
			return -EILSEQ;
		}
	}
	return 0;
}

/**
 * dmr_replicas_repair() - rewrite the replicas that are not the best version
 * @rp: a pass that succeeded
 *
 * Return: number of blocks that were rewritten.
 */
u32 dmr_replicas_repair(struct dmr_replicas *rp)
{
	struct dmr_set *s = rp->s;
	struct dmr_sb *sb;
	unsigned int i, k;
	u32 no, n = 0;

	for (i = 0; i < s->nr_spares; i++) {
		sb = &s->spare[i].sb;
		for (k = 0; s->spare[i].present && k < DMR_REPLICAS; k++) {
			for (no = 0; no < s->nr_leaves; no++) {
				if (*replica_seq(rp, i, k, no) == rp->seq[no])
					continue;
				memcpy(rp->bulk, rp->best + (u64)no * DMR_BLOCK_SIZE,
				       DMR_BLOCK_SIZE);
				n += dmr_write_meta(s, i,
						    dmr_leaf_sector(sb, no, k),
						    rp->bulk);
			}
		}
	}
	if (n)
		DMINFO("%s: %u metadata blocks repaired", dm_device_name(s->md), n);
	return n;
}

static int scrub_table(struct dmr_set *s, struct dmr_scrub *found)
{
	struct dmr_replicas rp = { };
	u32 no;
	int r;

	r = dmr_replicas_read(&rp, s);
	for (no = 0; no < s->nr_leaves && !r; no++)
		if (rp.seq[no] != s->leaf_seq[no])
			r = -EILSEQ;
	if (!r)
		found->repaired += dmr_replicas_repair(&rp);
	found->leaves = s->nr_leaves;
	dmr_replicas_free(&rp);
	return r;
}

static bool superblock_is_current(struct dmr_set *s, unsigned int spare,
				  unsigned int k, void *buf, struct dmr_sb *sb)
{
	struct block_device *bdev = s->spare[spare].bdev;

	return !dmr_io_buf(&s->bios, bdev, dmr_slot_sector(k), buf, DMR_BLOCK_SIZE,
			   REQ_OP_READ) &&
	       !dmr_sb_decode(buf, k, bdev_nr_sectors(bdev), sb) &&
	       sb->events == s->events && sb->generation == s->generation;
}

/* Superblocks are written all together, with a new number, when one is bad. */
static int scrub_superblocks(struct dmr_set *s, void *buf,
			     struct dmr_scrub *found)
{
	struct dmr_sb *sb = kmalloc(sizeof(*sb), GFP_KERNEL);
	unsigned int i, k;
	u32 bad = 0;
	int r = 0;

	if (!sb)
		return -ENOMEM;
	for (i = 0; i < s->nr_spares; i++) {
		for (k = 0; s->spare[i].present && k < DMR_REPLICAS; k++) {
			found->superblocks++;
			bad += !superblock_is_current(s, i, k, buf, sb);
		}
	}
	kfree(sb);
	if (bad)
		r = dmr_write_superblocks(s);
	if (!r)
		found->repaired += bad;
	return r;
}

/* The newest record for a place of the ring, in @best; its number, or 0. */
static u64 best_record(struct dmr_set *s, unsigned int place, void *buf,
		       void *best, struct dmr_gen *gen)
{
	unsigned int i, k;
	u64 number = 0;

	for (i = 0; i < s->nr_spares; i++) {
		for (k = 0; s->spare[i].present && k < DMR_GEN_COPIES; k++) {
			if (dmr_io_buf(&s->bios, s->spare[i].bdev,
				       dmr_gen_sector(place, k), buf,
				       DMR_BLOCK_SIZE, REQ_OP_READ) ||
			    dmr_gen_decode(buf, s->uuid, place, gen) ||
			    gen->number <= number || gen->number > s->generation)
				continue;
			number = gen->number;
			memcpy(best, buf, DMR_BLOCK_SIZE);
		}
	}
	return number;
}

/**
 * dmr_scrub_records() - rewrite the copies of generations that differ
 * @s: the set
 * @buf: DMR_BLOCK_SIZE bytes, page-aligned
 * @found: @records and @repaired are added to
 *
 * Context: may sleep, engine_lock held. Return: 0 or -ENOMEM.
 */
int dmr_scrub_records(struct dmr_set *s, void *buf, struct dmr_scrub *found)
{
	struct dmr_gen *gen = kmalloc(sizeof(*gen), GFP_KERNEL);
	void *best = (void *)__get_free_page(GFP_KERNEL);
	unsigned int place, i, k;

	if (!gen || !best) {
		kfree(gen);
		free_page((unsigned long)best);
		return -ENOMEM;
	}
	for (place = 0; place < DMR_GEN_RECORDS; place++) {
		if (!best_record(s, place, buf, best, gen))
			continue;
		found->records++;
		for (i = 0; i < s->nr_spares; i++) {
			for (k = 0; s->spare[i].present && k < DMR_GEN_COPIES; k++) {
				sector_t sector = dmr_gen_sector(place, k);

				if (!dmr_io_buf(&s->bios, s->spare[i].bdev, sector,
						buf, DMR_BLOCK_SIZE, REQ_OP_READ) &&
				    !memcmp(buf, best, DMR_BLOCK_SIZE))
					continue;
				found->repaired += dmr_write_meta(s, i, sector,
								  best);
			}
		}
	}
	free_page((unsigned long)best);
	kfree(gen);
	return 0;
}

/**
 * dmr_scrub() - read all copies of all metadata and repair those that differ
 * @s: the set
 * @found: what was looked at and repaired; set to 0 first
 *
 * Context: may sleep, engine_lock held, nothing staged. Return: 0; -ENOMEM; -EIO
 * when no spare takes superblocks; -EILSEQ when a leaf has no copy as new as the
 * table in memory.
 */
int dmr_scrub(struct dmr_set *s, struct dmr_scrub *found)
{
	void *buf = (void *)__get_free_page(GFP_KERNEL);
	int r;

	lockdep_assert_held(&s->engine_lock);
	memset(found, 0, sizeof(*found));
	if (!buf)
		return -ENOMEM;
	r = scrub_table(s, found);
	if (!r)
		r = scrub_superblocks(s, buf, found);
	if (!r)
		r = dmr_scrub_records(s, buf, found);
	free_page((unsigned long)buf);
	return r;
}
