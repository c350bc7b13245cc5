// SPDX-License-Identifier: GPL-2.0-only
/*
 * From the spares into memory: superblocks, membership, the table.
 *
 * DOC: which spare is believed
 *
 * Of all valid superblocks the one with the highest events is the reference. A
 * spare that the reference calls failed or missing is stale: nothing of it is
 * used. A spare that the reference calls in sync but that is not there may hold
 * newer remaps than those that are; without the option "degraded" the set does
 * not start then. Started degraded, it writes that down before anything else,
 * so that the absent spare is known as stale when it comes back.
 *
 * All replicas of all current spares are read; for each leaf the highest valid
 * sequence number wins, and replicas that differ are rewritten. Every entry is
 * bounded, and a table that maps a unit twice is refused, never followed.
 *
 * Everything here: may sleep; called from preresume.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

static void probe_copies(struct block_device *bdev, struct dmr_found *found,
			 void *buf, struct dmr_sb *sb)
{
	unsigned int k;
	int r;

	found->err = DMR_FMT_OK;
	for (k = 0; k < DMR_REPLICAS; k++) {
		r = DMR_FMT_UNREADABLE;
		if (!dmr_io_buf(NULL, bdev, dmr_slot_sector(k), buf,
				DMR_BLOCK_SIZE, REQ_OP_READ))
			r = dmr_sb_decode(buf, k, bdev_nr_sectors(bdev), sb);
		if (r) {
			found->damaged = true;
			if (!found->err || found->err == DMR_FMT_BLANK)
				found->err = r;
			continue;
		}
		if (found->valid && sb->events != found->sb.events)
			found->damaged = true;
		if (!found->valid || sb->events > found->sb.events)
			found->sb = *sb;
		found->valid = true;
	}
}

/**
 * dmr_probe_spare() - read the superblocks of one device
 * @bdev: the device
 * @found: zeroed; filled in
 *
 * Return: 0 or -ENOMEM.
 */
int dmr_probe_spare(struct block_device *bdev, struct dmr_found *found)
{
	void *buf = (void *)__get_free_page(GFP_KERNEL);
	struct dmr_sb *sb = kmalloc(sizeof(*sb), GFP_KERNEL);
	int r = buf && sb ? 0 : -ENOMEM;

	if (!r)
		probe_copies(bdev, found, buf, sb);
	kfree(sb);
	free_page((unsigned long)buf);
	return r;
}

/**
 * dmr_probe() - read the superblocks of a table's spares
 * @t: the table
 * @found: one per spare, zeroed; filled in
 *
 * Return: number of spares with a valid superblock, or a negative errno.
 */
int dmr_probe(struct dmr_table *t, struct dmr_found *found)
{
	unsigned int i;
	int r, nr = 0;

	for (i = 0; i < t->nr_spares; i++) {
		r = dmr_probe_spare(t->spare[i]->bdev, &found[i]);
		if (r)
			return r;
		nr += found[i].valid;
	}
	return nr;
}

/*
 * A spare that calls the reference failed or missing has lived on without it,
 * and the reference without that spare: each may have remaps that the other
 * doesn't know.
 */
static int check_split(struct dmr_table *t, struct dmr_found *found,
		       const struct dmr_sb *ref)
{
	unsigned int i;

	for (i = 0; i < t->nr_spares; i++) {
		if (&found[i].sb == ref ||
		    found[i].sb.spare[ref->spare_idx].state == DMR_SPARE_IN_SYNC)
			continue;
		dmr_refuse(t, "spare %s and spare %u of the set were each started without the other, so that their remaps differ; leave the one out whose changes can go",
			   t->spare[i]->name, ref->spare_idx);
		return -EINVAL;
	}
	return 0;
}

/*
 * May it be the reference instead of another? The newest, but not a spare that
 * says itself that it is not in sync: it was joining, and took superblocks.
 */
static bool counts_more(const struct dmr_sb *sb, const struct dmr_sb *ref)
{
	bool sync = sb->spare[sb->spare_idx].state == DMR_SPARE_IN_SYNC;
	bool ref_sync = ref->spare[ref->spare_idx].state == DMR_SPARE_IN_SYNC;

	return sync != ref_sync ? sync : sb->events > ref->events;
}

/* All spares must be of one set; the one that counts most is the reference. */
static const struct dmr_sb *find_reference(struct dmr_table *t,
					   struct dmr_found *found)
{
	const struct dmr_sb *ref = NULL;
	unsigned int i;

	for (i = 0; i < t->nr_spares; i++) {
		if (!found[i].valid) {
			dmr_refuse(t, "spare %s is not one of this set: %s",
				   t->spare[i]->name,
				   dmr_fmt_strerror(found[i].err));
			return NULL;
		}
		if (memcmp(found[i].sb.set_uuid, found[0].sb.set_uuid,
			   DMR_UUID_LEN)) {
			dmr_refuse(t, "spare %s belongs to set %pUb, spare %s to set %pUb",
				   t->spare[i]->name, found[i].sb.set_uuid,
				   t->spare[0]->name, found[0].sb.set_uuid);
			return NULL;
		}
		if (!ref || counts_more(&found[i].sb, ref))
			ref = &found[i].sb;
	}
	if (t->have_uuid && memcmp(ref->set_uuid, t->uuid, DMR_UUID_LEN)) {
		dmr_refuse(t, "the spares belong to set %pUb, not to %pUb",
			   ref->set_uuid, t->uuid);
		return NULL;
	}
	return check_split(t, found, ref) ? NULL : ref;
}

static int check_main(struct dmr_table *t, const struct dmr_sb *ref)
{
	struct gendisk *disk = dm_disk(dm_table_get_md(t->ti->table));
	unsigned int lbs = bdev_logical_block_size(t->main->bdev), i;

	if (ref->main_sectors != t->ti->len) {
		dmr_refuse(t, "wrong main device %s: these spares belong to one of %llu sectors, the table has %llu",
			   t->main->name, ref->main_sectors, (u64)t->ti->len);
		return -EINVAL;
	}
	if (ref->main_lbs != lbs) {
		dmr_refuse(t, "wrong main device %s: its logical blocks have %u bytes, those of the set's main %u",
			   t->main->name, lbs, ref->main_lbs);
		return -EINVAL;
	}
	for (i = 0; i < t->nr_spares; i++)
		lbs = max(lbs, bdev_logical_block_size(t->spare[i]->bdev));
	if (lbs > (DMR_SECTOR_SIZE << ref->unit_shift)) {
		dmr_refuse(t, "a device has logical blocks of %u bytes, but the set remaps units of %u",
			   lbs, DMR_SECTOR_SIZE << ref->unit_shift);
		return -EINVAL;
	}
	/* Limits were stacked before the set was known. */
	if (queue_logical_block_size(disk->queue) < DMR_SECTOR_SIZE << ref->unit_shift) {
		dmr_refuse(t, "the set remaps units of %u bytes because of a spare that is not here; writes of %u bytes can't be served without it",
			   DMR_SECTOR_SIZE << ref->unit_shift,
			   queue_logical_block_size(disk->queue));
		return -EINVAL;
	}
	return 0;
}

/*
 * A spare that is in sync has the shape that the reference says. Its own
 * superblock was held against the device, the reference's rows were not.
 */
static bool same_shape(const struct dmr_sb *sb, const struct dmr_sb *ref)
{
	return sb->nr_leaves == ref->nr_leaves &&
	       sb->unit_shift == ref->unit_shift &&
	       sb->main_sectors == ref->main_sectors &&
	       sb->spare[sb->spare_idx].sectors ==
	       ref->spare[sb->spare_idx].sectors;
}

/* Put the table's spares into the rows of the set; mark who is current. */
static int place_spares(struct dmr_set *s, struct dmr_table *t,
			struct dmr_found *found, const struct dmr_sb *ref)
{
	struct dmr_spare *sp;
	unsigned int i, idx, present = 0;

	s->nr_spares = ref->nr_spares;
	for (i = 0; i < t->nr_spares; i++) {
		idx = found[i].sb.spare_idx;
		if (idx >= ref->nr_spares ||
		    memcmp(ref->spare[idx].uuid, found[i].sb.spare_uuid,
			   DMR_UUID_LEN)) {
			dmr_refuse(t, "spare %s is no member of the set any more",
				   t->spare[i]->name);
			return -EINVAL;
		}
		sp = &s->spare[idx];
		if (sp->bdev) {
			dmr_refuse(t, "%s and %pg are the same spare, or one is a copy of the other",
				   t->spare[i]->name, sp->bdev);
			return -EINVAL;
		}
		t->set_idx[i] = idx;
		sp->bdev = t->spare[i]->bdev;
		sp->sb = found[i].sb;
		if (ref->spare[idx].state == DMR_SPARE_IN_SYNC) {
			if (!same_shape(&sp->sb, ref)) {
				dmr_refuse(t, "spares disagree on the size of the table, of a unit, of main or of spare %s",
					   t->spare[i]->name);
				return -EILSEQ;
			}
			/* It may not know yet of a spare that has joined. */
			sp->sb.nr_spares = ref->nr_spares;
			sp->present = true;
			present++;
			s->members_dirty |= found[i].damaged ||
					    found[i].sb.events != ref->events;
		} else {
			DMWARN("%s: spare %s is stale (%llu events, the set has %llu): not used, its sectors return errors",
			       dm_device_name(s->md), t->spare[i]->name,
			       found[i].sb.events, ref->events);
		}
	}
	if (!present) {
		dmr_refuse(t, "no current spare is in the table");
		return -EINVAL;
	}
	return 0;
}

/* Spares that should be there and are not. */
static int check_missing(struct dmr_set *s, struct dmr_table *t,
			 const struct dmr_sb *ref)
{
	struct dmr_spare_desc desc[DMR_MAX_SPARES];
	unsigned int i;

	memcpy(desc, ref->spare, sizeof(desc));
	s->events = ref->events;
	s->generation = ref->generation;
	for (i = 0; i < s->nr_spares; i++) {
		if (s->spare[i].bdev || desc[i].state != DMR_SPARE_IN_SYNC)
			continue;
		if (!t->degraded) {
			dmr_refuse(t, "spare %u (%pUb) is missing and may hold newer remaps; add it to the table, or give the option \"degraded yes\" to start without it for good: its sectors return errors then",
				   i, desc[i].uuid);
			return -ENODEV;
		}
		DMWARN("%s: starting without spare %u (%pUb): its sectors return errors",
		       dm_device_name(s->md), i, desc[i].uuid);
		desc[i].state = DMR_SPARE_MISSING;
		dmr_members_changed(s, DMR_REASON_SPARE_MISSING, i);
	}
	for (i = 0; i < s->nr_spares; i++)
		memcpy(s->spare[i].sb.spare, desc, sizeof(desc));
	return 0;
}

/**
 * dmr_spare_alloc_init() - the bitmap of a spare
 * @sp: the spare, whose superblock is known
 *
 * What can't hold data is marked as used.
 * Return: 0 or -ENOMEM.
 */
int dmr_spare_alloc_init(struct dmr_spare *sp)
{
	u64 units = sp->sb.spare[sp->sb.spare_idx].sectors >> sp->sb.unit_shift;
	u64 each, u, from, to;
	unsigned int k;

	sp->alloc_mem = kvmalloc(dmr_alloc_bytes(units), GFP_KERNEL);
	if (!sp->alloc_mem)
		return -ENOMEM;
	dmr_alloc_init(&sp->alloc, sp->alloc_mem, units);
	for (u = 0; u < DMR_DATA_START >> sp->sb.unit_shift; u++)
		dmr_alloc_set(&sp->alloc, u);
	if (sp->sb.nr_leaves > DMR_INLINE_LEAVES) {
		each = (u64)(sp->sb.nr_leaves - DMR_INLINE_LEAVES) *
		       DMR_BLOCK_SECTORS;
		for (k = 0; k < DMR_REPLICAS; k++) {
			from = sp->sb.overflow[k] >> sp->sb.unit_shift;
			to = (sp->sb.overflow[k] + each) >> sp->sb.unit_shift;
			for (u = from; u < to; u++)
				dmr_alloc_set(&sp->alloc, u);
		}
	}
	sp->usable = sp->alloc.nr_free;
	return 0;
}

static u64 index_key(struct dmr_set *s, const struct dmr_entry *e)
{
	return e->main_unit + (e->kind == DMR_KIND_MIRROR ? s->mirror_base : 0);
}

/* Check an entry, mark what it uses, and announce it to the index. */
static int take_entry(struct dmr_set *s, struct dmr_filling *f,
		      const struct dmr_entry *e, u32 place)
{
	struct dmr_spare *sp = NULL;
	int r;

	r = dmr_entry_check(&s->spare[0].sb, e);
	if (!r) {
		sp = &s->spare[e->spare_idx];
		if (e->kind != DMR_KIND_LOST && sp->present &&
		    !dmr_spare_unit_usable(&sp->sb, e->spare_unit))
			r = DMR_FMT_SPARE_RANGE;
	}
	if (r) {
		DMERR("%s: entry %u of leaf %u is not valid: %s",
		      dm_device_name(s->md), DMR_PLACE_SLOT(place),
		      DMR_PLACE_LEAF(place), dmr_fmt_strerror(r));
		return -EILSEQ;
	}
	dmr_alloc_set(&s->places, place);
	if (e->kind == DMR_KIND_BAD)
		return 0;
	/* Allowed only where a second copy has become the first one. */
	if (e->kind != DMR_KIND_LOST && sp->present &&
	    !dmr_alloc_set(&sp->alloc, e->spare_unit)) {
		f->twice++;
		f->twice_unit = e->spare_unit;
		f->twice_idx = e->spare_idx;
	}
	dmr_index_count(f, index_key(s, e));
	return 0;
}

/* Put an entry into the index; all of them are valid by now. */
static int index_entry(struct dmr_set *s, struct dmr_filling *f,
		       const struct dmr_entry *e, u32 place)
{
	struct dmr_spare *sp = &s->spare[e->spare_idx];
	u64 val;

	if (e->kind == DMR_KIND_BAD) {
		/*
		 * It may overlap a remap: a crash can come between the two
		 * leaves of one batch.
		 */
		if (sp->present)
			dmr_alloc_set(&sp->alloc, e->spare_unit);
		s->nr_bad++;
		sp->bad++;
		return 0;
	}
	val = dmr_val(e);
	dmr_count_entry(s, val, 1);
	dmr_index_fill(s, f, index_key(s, e), val, place);
	return 0;
}

typedef int (*dmr_entry_fn)(struct dmr_set *s, struct dmr_filling *f,
			    const struct dmr_entry *e, u32 place);

static int walk_leaf(struct dmr_set *s, struct dmr_filling *f,
		     const void *block, u32 no, dmr_entry_fn fn)
{
	struct dmr_entry e;
	u32 slot, used = 0;
	int r;

	for (slot = 0; slot < DMR_LEAF_ENTRIES; slot++) {
		r = dmr_leaf_get(block, slot, &e);
		if (!r && e.kind == DMR_KIND_FREE) {
			/* It must be empty, or dmr_leaf_set() miscounts later. */
			r = dmr_entry_check(&s->spare[0].sb, &e);
			if (!r)
				continue;
		}
		if (r) {
			DMERR("%s: entry %u of leaf %u is not valid: %s",
			      dm_device_name(s->md), slot, no, dmr_fmt_strerror(r));
			return -EILSEQ;
		}
		used++;
		r = fn(s, f, &e, DMR_PLACE(no, slot));
		if (r)
			return r;
	}
	if (used != dmr_leaf_used(block)) {
		DMERR("%s: leaf %u: %s", dm_device_name(s->md), no,
		      dmr_fmt_strerror(DMR_FMT_NR_USED));
		return -EILSEQ;
	}
	return 0;
}

/* All entries of the table, by the best version of each leaf. */
static int walk_table(struct dmr_replicas *rp, struct dmr_filling *f, dmr_entry_fn fn)
{
	u32 no;
	int r = 0;

	for (no = 0; no < rp->s->nr_leaves && !r; no++)
		r = walk_leaf(rp->s, f, rp->best + (u64)no * DMR_BLOCK_SIZE, no, fn);
	return r;
}

/* Which unit has which second copy; and is any spare unit used by two units? */
static int load_mirrors(struct dmr_set *s, const struct dmr_filling *f)
{
	unsigned int noio = memalloc_noio_save();
	u64 same;

	mutex_lock(&s->engine_lock);
	same = dmr_mirrors_load(s);
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
	if (f->twice == same)
		return 0;
	DMERR("%s: unit %llu of spare %u is used twice", dm_device_name(s->md),
	      f->twice_unit, f->twice_idx);
	return -EILSEQ;
}

/*
 * Twice over all entries: to check and count them, and to put them into the
 * index, which has exactly the memory that it needs then.
 */
static int load_index(struct dmr_replicas *rp)
{
	struct dmr_set *s = rp->s;
	struct dmr_filling f = { };
	u64 twice = 0;
	int r, end;

	r = dmr_index_count_begin(s, &f);
	if (!r)
		r = walk_table(rp, &f, take_entry);
	if (!r) {
		r = dmr_index_fill_begin(s, &f);
		if (r == -EEXIST)
			DMERR("%s: more entries than units: some unit is mapped twice",
			      dm_device_name(s->md));
	}
	if (!r)
		r = walk_table(rp, &f, index_entry);
	end = dmr_index_fill_end(s, &f, &twice);
	if (!r && end)
		DMERR("%s: unit %llu is mapped twice", dm_device_name(s->md),
		      twice < s->mirror_base ? twice : twice - s->mirror_base);
	r = r ?: end;
	if (!r)
		r = load_mirrors(s, &f);
	return r == -EEXIST ? -EILSEQ : r;
}

static int load_table(struct dmr_set *s)
{
	struct dmr_replicas rp = { };
	int r;

	r = dmr_replicas_read(&rp, s);
	if (!r) {
		/*
		 * A copy that can't be read now may be of a commit that a crash
		 * cut off, one ahead of the others, and be readable again some
		 * day.
		 */
		s->seq_step = rp.unseen ? 2 : 1;
		memcpy(s->leaf_seq, rp.seq, s->nr_leaves * sizeof(u64));
		r = load_index(&rp);
	}
	if (!r)
		dmr_replicas_repair(&rp);
	dmr_replicas_free(&rp);
	return r;
}

/**
 * dmr_load() - fill a new set from the spares of its table
 * @s: the set: zeroed but for md, main and bios
 * @t: the table
 * @found: from dmr_probe() or dmr_make_set()
 *
 * Return: 0 or a negative errno, with the reason in the kernel log; whoever
 * frees the set cleans up.
 */
int dmr_load(struct dmr_set *s, struct dmr_table *t, struct dmr_found *found)
{
	const struct dmr_sb *ref = find_reference(t, found);
	unsigned int i;
	int r;

	if (!ref)
		return -EINVAL;
	r = check_main(t, ref);
	if (r)
		return r;
	memcpy(s->uuid, ref->set_uuid, DMR_UUID_LEN);
	s->unit_shift = ref->unit_shift;
	s->unit_bytes = DMR_SECTOR_SIZE << ref->unit_shift;
	s->nr_units = dmr_main_units(ref);
	s->nr_leaves = ref->nr_leaves;
	s->policy = ref->policy;
	dmr_copy_load(s, ref);
	s->redundancy = ref->redundancy ?: 1;
	for (i = 0; i < DMR_MAX_SPARES; i++)
		s->spare[i].told_health = 100;
	r = place_spares(s, t, found, ref);
	if (!r)
		r = check_missing(s, t, ref);
	for (i = 0; i < s->nr_spares && !r; i++) {
		if (!s->spare[i].present) {
			/* Only what the table says of it is known. */
			s->spare[i].sb.nr_spares = ref->nr_spares;
			s->spare[i].sb.unit_shift = ref->unit_shift;
			s->spare[i].sb.main_sectors = ref->main_sectors;
			s->spare[i].sb.feature_incompat = ref->feature_incompat;
			continue;
		}
		s->spare[i].sb.feature_incompat = ref->feature_incompat;
		r = dmr_spare_alloc_init(&s->spare[i]);
	}
	if (!r)
		r = dmr_commit_init(s);
	if (!r)
		r = dmr_index_init(s, ref->feature_incompat & DMR_FEATURE_MIRRORS);
	if (!r)
		r = load_table(s);
	if (!r)
		r = dmr_state_check(s, t);
	/* After a power cut copies may differ; or who knows of it isn't here. */
	if (!r && s->nr_mirrors &&
	    (s->members_dirty || !(s->state.flags & DMR_STATE_CLEAN)))
		dmr_resync_all(s);
	if (!r && s->members_dirty) {
		mutex_lock(&s->engine_lock);
		r = dmr_write_superblocks(s);
		mutex_unlock(&s->engine_lock);
	}
	if (!r && dmr_table_writable(t))
		dmr_state_start(s, t);
	return r;
}
