// SPDX-License-Identifier: GPL-2.0-only
/*
 * Staging changes to the table, and committing them to the spares.
 *
 * DOC: a commit
 *
 * Changes are staged in leaves in memory. dmr_commit() then
 *
 *   1. prepares the new regions of the index (may fail, nothing has happened);
 *   2. writes each changed leaf, with the next sequence number, to replicas 0, 2
 *      and 4 of every spare with FUA, and waits; then to replicas 1 and 3;
 *   3. when a spare took none of them, marks it as failed in the superblocks of
 *      the others, so that it is known as stale when it comes back;
 *   4. publishes the regions, which cannot fail.
 *
 * A crash in the first phase leaves replicas 1 and 3 whole, one in the second
 * leaves 0, 2 and 4 whole: no write of 4 KiB is assumed to be atomic. Only after
 * that may a write be acknowledged. When no spare is left the set fails for
 * good: it takes no more writes, because it could not say later where their data
 * is.
 */
#include <linux/mm.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-news.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"
#include "dm-remap-trace.h"

/* Slots of a leaf in the bitmap of places: a power of two, the rest unused. */
#define PLACES_PER_LEAF		256

/**
 * dmr_commit_init() - memory for leaves, places and metadata I/O
 * @s: the set; @s->nr_leaves says how many leaves there are
 *
 * Context: may sleep. Return: 0 or -ENOMEM; dmr_commit_exit() cleans up in
 * either case.
 */
int dmr_commit_init(struct dmr_set *s)
{
	u64 places = (u64)s->nr_leaves * PLACES_PER_LEAF;
	u32 i, k;

	for (i = 0; i < DMR_LEAF_CACHE; i++) {
		s->leaf[i].no = U32_MAX;
		s->leaf[i].buf = (void *)__get_free_page(GFP_KERNEL);
		if (!s->leaf[i].buf)
			return -ENOMEM;
	}
	s->leaf_seq = kvcalloc(s->nr_leaves, sizeof(u64), GFP_KERNEL);
	s->places_mem = kvmalloc(dmr_alloc_bytes(places), GFP_KERNEL);
	s->copy_buf = (void *)__get_free_pages(GFP_KERNEL, DMR_BULK_ORDER);
	s->unit_page = alloc_page(GFP_KERNEL);
	s->check_page = alloc_page(GFP_KERNEL);
	if (!s->leaf_seq || !s->places_mem || !s->copy_buf || !s->unit_page ||
	    !s->check_page)
		return -ENOMEM;
	dmr_alloc_init(&s->places, s->places_mem, places);
	for (i = 0; i < s->nr_leaves; i++)
		for (k = DMR_LEAF_ENTRIES; k < PLACES_PER_LEAF; k++)
			dmr_alloc_set(&s->places, DMR_PLACE(i, k));
	return 0;
}

/**
 * dmr_commit_exit() - free what dmr_commit_init() made
 * @s: the set
 *
 * Context: may sleep; nothing is staged or in flight.
 */
void dmr_commit_exit(struct dmr_set *s)
{
	u32 i;

	free_pages((unsigned long)s->copy_buf, DMR_BULK_ORDER);
	if (s->check_page)
		__free_page(s->check_page);
	if (s->unit_page)
		__free_page(s->unit_page);
	kvfree(s->places_mem);
	kvfree(s->leaf_seq);
	for (i = 0; i < DMR_LEAF_CACHE; i++)
		free_page((unsigned long)s->leaf[i].buf);
}

/**
 * dmr_count_entry() - keep the counts of entries
 * @s: the set
 * @val: value of the index
 * @sign: +1 when it comes, -1 when it goes
 *
 * Context: engine_lock held, or the set is being loaded.
 */
void dmr_count_entry(struct dmr_set *s, u64 val, int sign)
{
	struct dmr_entry e;

	if (!val)
		return;
	dmr_val_entry(val, 0, &e);
	if (e.kind == DMR_KIND_LOST) {
		s->nr_lost += sign;
		return;
	}
	s->spare[e.spare_idx].used += sign;
	if (e.kind == DMR_KIND_MIRROR) {
		s->nr_mirrors += sign;
		return;
	}
	s->nr_remaps += sign;
	if (e.flags & DMR_ENTRY_MANUAL)
		s->nr_manual += sign;
	if (e.flags & DMR_ENTRY_UNKNOWN)
		s->nr_unknown += sign;
}

/* Read a leaf's current version from any replica that has it. */
static int read_leaf(struct dmr_set *s, struct dmr_leaf *l, u32 no)
{
	struct dmr_spare *sp;
	unsigned int i, k;

	for (k = 0; k < DMR_REPLICAS; k++) {
		for (i = 0; i < s->nr_spares; i++) {
			sp = &s->spare[i];
			if (!sp->present)
				continue;
			if (dmr_io_buf(&s->bios, sp->bdev,
				       dmr_leaf_sector(&sp->sb, no, k), l->buf,
				       DMR_BLOCK_SIZE, REQ_OP_READ))
				continue;
			if (dmr_leaf_check(l->buf, s->uuid, no) == DMR_FMT_OK &&
			    dmr_leaf_seq(l->buf) == s->leaf_seq[no])
				return 0;
		}
	}
	DMERR("leaf %u can't be read from any copy", no);
	return -EIO;
}

static struct dmr_leaf *get_leaf(struct dmr_set *s, u32 no)
{
	struct dmr_leaf *l, *old = NULL;
	u32 i;

	for (i = 0; i < DMR_LEAF_CACHE; i++) {
		l = &s->leaf[i];
		if (l->no == no) {
			l->stamp = ++s->leaf_clock;
			return l;
		}
		if (!l->dirty && (!old || l->stamp < old->stamp))
			old = l;
	}
	/* A batch dirties fewer leaves than there are buffers. */
	if (WARN_ON_ONCE(!old))
		return ERR_PTR(-EBUSY);
	old->no = U32_MAX;
	old->stamp = ++s->leaf_clock;
	if (read_leaf(s, old, no))
		return ERR_PTR(-EIO);
	old->no = no;
	return old;
}

/**
 * dmr_leaf_read() - the committed content of a leaf
 * @s: the set
 * @no: its number
 *
 * Context: may sleep, engine_lock held, nothing staged. Return: its 4096 bytes,
 * until the next change of the table; an error pointer.
 */
const void *dmr_leaf_read(struct dmr_set *s, u32 no)
{
	struct dmr_leaf *l = get_leaf(s, no);

	return IS_ERR(l) ? ERR_CAST(l) : l->buf;
}

/**
 * dmr_staged_overlaps() - is a change staged for a unit of this range?
 * @s: the set
 * @unit: first main unit
 * @n: number of units
 *
 * Context: engine_lock held. Return: true when there is one.
 */
bool dmr_staged_overlaps(struct dmr_set *s, u64 unit, u64 n)
{
	u32 i;
	u64 u;

	for (i = 0; i < s->nr_staged; i++) {
		u = s->staged[i].unit;
		if (u >= s->mirror_base)
			u -= s->mirror_base;
		if (s->staged[i].indexed && u >= unit && u - unit < n)
			return true;
	}
	return false;
}

/**
 * dmr_staged_find() - the change that is staged for a key of the index
 * @s: the set
 * @key: a main unit, or the key of its second copy
 *
 * Context: engine_lock held. Return: the change; NULL when there is none.
 */
struct dmr_staged *dmr_staged_find(struct dmr_set *s, u64 key)
{
	u32 i;

	for (i = 0; i < s->nr_staged; i++)
		if (s->staged[i].indexed && s->staged[i].unit == key)
			return &s->staged[i];
	return NULL;
}

/**
 * dmr_stage_reserve() - make sure that some changes will be in one batch
 * @s: the set
 * @n: how many, at most DMR_BATCH; no two of them for one key
 *
 * Context: may sleep, engine_lock held. Return: 0 or -EIO.
 */
int dmr_stage_reserve(struct dmr_set *s, u32 n)
{
	return s->nr_staged + n > DMR_BATCH ? dmr_commit(s) : 0;
}

/* Commit first when the batch is full or holds a change of this key already. */
static int make_room(struct dmr_set *s, bool indexed, u64 key)
{
	if (s->nr_staged == DMR_BATCH || (indexed && dmr_staged_find(s, key)))
		return dmr_commit(s);
	return 0;
}

/**
 * dmr_max_entries() - entries that the table may have
 * @s: the set
 *
 * Context: any. Return: what the format has room for, or max_remaps if that is less.
 */
u64 dmr_max_entries(struct dmr_set *s)
{
	u64 max = (u64)s->nr_leaves * DMR_LEAF_ENTRIES;
	unsigned int limit = READ_ONCE(max_remaps);

	return limit ? min_t(u64, max, limit) : max;
}

/**
 * dmr_table_full() - is there no slot for one more entry?
 * @s: the set
 *
 * Context: engine_lock held. Return: true when there is none.
 */
bool dmr_table_full(struct dmr_set *s)
{
	u64 used = s->nr_remaps + s->nr_lost + s->nr_bad + s->nr_mirrors +
		   s->nr_staged;

	return used >= dmr_max_entries(s) || !s->places.nr_free;
}

static int get_place(struct dmr_set *s, u32 *place)
{
	u64 p;

	if (dmr_table_full(s) || !dmr_alloc_get(&s->places, &p))
		return -ENOSPC;
	*place = p;
	return 0;
}

/**
 * dmr_stage() - stage an entry for the next commit
 * @s: the set
 * @e: the entry; kind REMAP or LOST replaces what its unit has, kind BAD is new
 *
 * Commits what is staged when that is needed for room.
 * Context: may sleep, engine_lock held. Return: 0; -ENOSPC when the table is
 * full; -EIO when metadata can't be read or the set has failed.
 */
int dmr_stage(struct dmr_set *s, const struct dmr_entry *e)
{
	bool indexed = e->kind != DMR_KIND_BAD, have;
	u64 old = 0, key = e->main_unit;
	struct dmr_staged *st;
	struct dmr_leaf *l;
	u32 place = 0;
	int r;

	if (e->kind == DMR_KIND_MIRROR)
		key += s->mirror_base;
	r = make_room(s, indexed, key);
	if (r)
		return r;
	have = indexed && dmr_index_find(s, key, &old, &place);
	if (!have) {
		r = get_place(s, &place);
		if (r)
			return r;
	}
	l = get_leaf(s, DMR_PLACE_LEAF(place));
	if (IS_ERR(l)) {
		if (!have)
			dmr_alloc_clear(&s->places, place);
		return PTR_ERR(l);
	}
	dmr_leaf_set(l->buf, DMR_PLACE_SLOT(place), e);
	l->dirty = true;
	st = &s->staged[s->nr_staged++];
	*st = (struct dmr_staged){
		.unit = key,
		.val = dmr_val(e),
		.old = old,
		.place = place,
		.indexed = indexed,
		.bad_idx = e->spare_idx,
	};
	return 0;
}

/* Stage that there is nothing under a key any more. */
static int stage_nothing(struct dmr_set *s, u64 key, bool keep)
{
	struct dmr_entry e = { .kind = DMR_KIND_FREE };
	struct dmr_leaf *l;
	u32 place;
	u64 old;
	int r;

	r = make_room(s, true, key);
	if (r)
		return r;
	if (!dmr_index_find(s, key, &old, &place))
		return 0;
	l = get_leaf(s, DMR_PLACE_LEAF(place));
	if (IS_ERR(l))
		return PTR_ERR(l);
	dmr_leaf_set(l->buf, DMR_PLACE_SLOT(place), &e);
	l->dirty = true;
	s->staged[s->nr_staged++] = (struct dmr_staged){
		.unit = key,
		.old = old,
		.place = place,
		.indexed = true,
		.keep = keep,
	};
	return 0;
}

/**
 * dmr_stage_remove() - stage the removal of a unit's entry
 * @s: the set
 * @unit: main unit; has an entry
 *
 * The spare unit of the entry stays allocated: the caller frees it when no I/O
 * can go there any more.
 * Context: may sleep, engine_lock held. Return: as dmr_stage().
 */
int dmr_stage_remove(struct dmr_set *s, u64 unit)
{
	return stage_nothing(s, unit, false);
}

/**
 * dmr_stage_mirror() - stage the entry of a second copy
 * @s: the set
 * @e: the entry, of kind MIRROR; the data is there
 * @keep: the spare unit of the second copy before is not to be freed: it is bad,
 *        or in use as the first one
 *
 * A spare unit that is freed is free when the batch is durable. Nobody can be
 * under way to it: only holders of engine_lock go to second copies.
 * Context: may sleep, engine_lock held. Return: as dmr_stage().
 */
int dmr_stage_mirror(struct dmr_set *s, const struct dmr_entry *e, bool keep)
{
	int r = dmr_stage(s, e);

	if (!r)
		s->staged[s->nr_staged - 1].keep = keep;
	return r;
}

/**
 * dmr_stage_unmirror() - stage that a unit has no second copy any more
 * @s: the set
 * @unit: main unit
 * @keep: as for dmr_stage_mirror()
 *
 * Context: may sleep, engine_lock held. Return: as dmr_stage().
 */
int dmr_stage_unmirror(struct dmr_set *s, u64 unit, bool keep)
{
	return s->wide ? stage_nothing(s, s->mirror_base + unit, keep) : 0;
}

/**
 * dmr_stage_unbad() - stage the removal of an entry of kind BAD
 * @s: the set
 * @idx: the spare that it is about
 * @place: where it stands
 *
 * Context: may sleep, engine_lock held. Return: as dmr_stage().
 */
int dmr_stage_unbad(struct dmr_set *s, unsigned int idx, u32 place)
{
	struct dmr_entry e = { .kind = DMR_KIND_FREE };
	struct dmr_staged *st;
	struct dmr_leaf *l;
	int r = 0;

	if (s->nr_staged == DMR_BATCH)
		r = dmr_commit(s);
	if (r)
		return r;
	l = get_leaf(s, DMR_PLACE_LEAF(place));
	if (IS_ERR(l))
		return PTR_ERR(l);
	dmr_leaf_set(l->buf, DMR_PLACE_SLOT(place), &e);
	l->dirty = true;
	st = &s->staged[s->nr_staged++];
	*st = (struct dmr_staged){
		.place = place,
		.bad_idx = idx,
		.freed = true,
	};
	return 0;
}

static void write_end_io(struct bio *bio)
{
	struct dmr_wbio *w = container_of(bio, struct dmr_wbio, bio);
	struct dmr_set *s = w->s;

	if (bio->bi_status)
		atomic64_inc(&s->stats.meta_errors);
	else
		atomic_inc(w->ok);
	bio_put(bio);
	if (atomic_dec_and_test(&s->pending))
		wake_up(&s->pending_wait);
}

/* Write one block with FUA; counts in @ok when it has worked. */
static void write_block(struct dmr_set *s, struct dmr_spare *sp, sector_t sector,
			void *buf, atomic_t *ok)
{
	struct dmr_wbio *w;
	struct bio *bio;

	bio = bio_alloc_bioset(sp->bdev, 1,
			       REQ_OP_WRITE | REQ_FUA | REQ_SYNC | REQ_META,
			       GFP_NOIO, &s->bios);
	w = container_of(bio, struct dmr_wbio, bio);
	w->s = s;
	w->ok = ok;
	bio->bi_iter.bi_sector = sector;
	bio->bi_end_io = write_end_io;
	__bio_add_page(bio, virt_to_page(buf), DMR_BLOCK_SIZE, offset_in_page(buf));
	atomic_inc(&s->pending);
	atomic64_inc(&s->stats.commit_writes);
	submit_bio(bio);
}

static void wait_writes(struct dmr_set *s)
{
	if (!atomic_dec_and_test(&s->pending))
		wait_event(s->pending_wait, !atomic_read(&s->pending));
}

/* One phase of a commit: replicas @first, @first + 2, ... of all dirty leaves. */
static void write_phase(struct dmr_set *s, unsigned int first)
{
	unsigned int i, k;
	struct dmr_spare *sp;
	struct dmr_leaf *l;

	/* Our own count keeps pending from reaching 0 while we submit. */
	atomic_set(&s->pending, 1);
	for (l = s->leaf; l < s->leaf + DMR_LEAF_CACHE; l++) {
		if (!l->dirty)
			continue;
		for (i = 0; i < s->nr_spares; i++) {
			sp = &s->spare[i];
			if (!dmr_takes_metadata(sp))
				continue;
			for (k = first; k < DMR_REPLICAS; k += 2)
				write_block(s, sp,
					    dmr_leaf_sector(&sp->sb, l->no, k),
					    l->buf, &l->ok[i]);
		}
	}
	wait_writes(s);
}

static void seal_dirty(struct dmr_set *s)
{
	struct dmr_leaf *l;
	unsigned int i;

	for (l = s->leaf; l < s->leaf + DMR_LEAF_CACHE; l++) {
		if (!l->dirty)
			continue;
		s->leaf_seq[l->no] += s->seq_step;
		dmr_leaf_seal(l->buf, s->uuid, s->leaf_seq[l->no], s->events);
		for (i = 0; i < DMR_MAX_SPARES; i++)
			atomic_set(&l->ok[i], 0);
	}
}

/*
 * Which spares did not take a leaf? One that joins must take every copy: an old
 * one could win later. And all leaves are clean again.
 */
static void judge_writes(struct dmr_set *s)
{
	struct dmr_leaf *l;
	unsigned int i;

	for (l = s->leaf; l < s->leaf + DMR_LEAF_CACHE; l++) {
		for (i = 0; l->dirty && i < s->nr_spares; i++) {
			if (s->spare[i].present && !atomic_read(&l->ok[i]))
				dmr_spare_lost(s, i, "took no copy of the table");
			else if (s->spare[i].joining &&
				 atomic_read(&l->ok[i]) < DMR_REPLICAS)
				s->spare[i].torn = true;
		}
		l->dirty = false;
	}
}

static int write_leaves(struct dmr_set *s)
{
	seal_dirty(s);
	write_phase(s, 0);
	write_phase(s, 1);
	judge_writes(s);
	return s->members_dirty ? dmr_write_superblocks(s) : 0;
}

/* The spare unit of a second copy that has moved or gone can be used again. */
static void free_second(struct dmr_set *s, const struct dmr_staged *st)
{
	struct dmr_entry e;

	if (st->unit < s->mirror_base || !st->old || st->keep)
		return;
	dmr_val_entry(st->old, 0, &e);
	if (s->spare[e.spare_idx].present)
		dmr_alloc_clear(&s->spare[e.spare_idx].alloc, e.spare_unit);
}

/* The places of removed entries can be used again; the counts follow. */
static void account_batch(struct dmr_set *s)
{
	struct dmr_staged *st;

	for (st = s->staged; st < s->staged + s->nr_staged; st++) {
		trace_dm_remap_remap(s, st);
		dmr_news_entry(s, st);
		if (!st->indexed) {
			s->nr_bad += st->freed ? -1 : 1;
			s->spare[st->bad_idx].bad += st->freed ? -1 : 1;
			if (st->freed)
				dmr_alloc_clear(&s->places, st->place);
			continue;
		}
		dmr_count_entry(s, st->old, -1);
		dmr_count_entry(s, st->val, 1);
		if (!st->val)
			dmr_alloc_clear(&s->places, st->place);
		free_second(s, st);
	}
	dmr_pairs_count(s, 1);
	s->nr_staged = 0;
	s->changed = dmr_change();
}

static int commit(struct dmr_set *s)
{
	struct dmr_plan plan = { .n = 0 };
	int r = 0;

	if (s->nr_staged) {
		dmr_mirrors_flag(s);
		r = dmr_index_prepare(s, &plan);
		if (r) {
			dmr_set_fail(s, "no memory for the index");
			return -EIO;
		}
	}
	if (s->members_dirty)
		r = dmr_write_superblocks(s);
	if (!r && s->nr_staged)
		r = write_leaves(s);
	if (r) {
		dmr_index_abandon(&plan);
		dmr_set_fail(s, "no spare takes metadata any more");
		return -EIO;
	}
	atomic64_inc(&s->stats.commits);
	atomic64_add(s->nr_staged, &s->stats.committed);
	dmr_pairs_count(s, -1);
	dmr_index_publish(s, &plan);
	dmr_mirrors_publish(s);
	account_batch(s);
	dmr_below_changed(s);
	dmr_pool_look(s);
	dmr_event(s);
	return 0;
}

/**
 * dmr_commit() - make all staged changes durable and visible
 * @s: the set
 *
 * Context: may sleep, under memalloc_noio, engine_lock held. Return: 0; -EIO
 * when it could not be made durable: the set has failed then.
 */
int dmr_commit(struct dmr_set *s)
{
	u64 writes = atomic64_read(&s->stats.commit_writes);
	u32 changes = s->nr_staged;
	int r;

	if (s->failed)
		return -EIO;
	if (!changes && !s->members_dirty)
		return 0;
	r = commit(s);
	trace_dm_remap_commit(s, changes,
			      atomic64_read(&s->stats.commit_writes) - writes, r);
	return r;
}
