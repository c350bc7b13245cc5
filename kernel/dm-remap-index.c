// SPDX-License-Identifier: GPL-2.0-only
/*
 * The index: which units are remapped, and where their data is.
 *
 * DOC: shape and publication
 *
 * A flat array of pointers, one per region of 2^15 units; a region without
 * entries costs its NULL pointer. Readers (the data path) run under RCU and see
 * an old or a new region, never a mixture. Writers hold engine_lock and work in
 * three steps: dmr_index_prepare() makes the new regions of a batch (may fail),
 * the batch is committed to the spares, dmr_index_publish() swaps the pointers
 * (cannot fail).
 *
 * Second copies are in it as well: that of unit u under s->mirror_base + u, where
 * mirror_base is the first number behind the regions of main. The array is that
 * long only once there can be second copies. The data path never looks there.
 */
#include <linux/mm.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/sort.h>

#include "dm-remap.h"
#include "dm-remap-table.h"

/* Regions of main, before those of second copies. */
static u64 main_regions(const struct dmr_set *s)
{
	return s->mirror_base >> DMR_REGION_SHIFT;
}

static u64 nr_regions(const struct dmr_set *s)
{
	return main_regions(s) << s->wide;
}

static struct dmr_region *region_locked(struct dmr_set *s, u64 r)
{
	return rcu_dereference_protected(s->tbl[r],
					 lockdep_is_held(&s->engine_lock));
}

static struct dmr_region *region_rcu(struct dmr_set *s, u64 r)
{
	return rcu_dereference_check(READ_ONCE(s->tbl)[r],
				     rcu_read_lock_sched_held() ||
				     lockdep_is_held(&s->engine_lock));
}

/**
 * dmr_index_init() - an empty index
 * @s: the set; @s->nr_units says how large
 * @wide: with room for second copies
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int dmr_index_init(struct dmr_set *s, bool wide)
{
	s->mirror_base = round_up(s->nr_units, DMR_REGION_UNITS);
	s->wide = wide;
	s->tbl = kvcalloc(nr_regions(s), sizeof(*s->tbl), GFP_KERNEL);
	return s->tbl ? 0 : -ENOMEM;
}

/**
 * dmr_index_exit() - free the index
 * @s: the set; nobody reads it any more
 *
 * Context: may sleep.
 */
void dmr_index_exit(struct dmr_set *s)
{
	u64 i;

	for (i = 0; s->tbl && i < nr_regions(s); i++)
		dmr_region_free(rcu_dereference_protected(s->tbl[i], true));
	kvfree(s->tbl);
}

/**
 * dmr_index_widen() - make room for second copies
 * @s: the set
 *
 * Context: may sleep, under memalloc_noio, engine_lock held. Return: 0 or -ENOMEM.
 */
int dmr_index_widen(struct dmr_set *s)
{
	struct dmr_region __rcu **old = s->tbl, **new;

	if (s->wide)
		return 0;
	new = kvcalloc(2 * nr_regions(s), sizeof(*new), GFP_KERNEL);
	if (!new)
		return -ENOMEM;
	memcpy(new, old, nr_regions(s) * sizeof(*new));
	/* What the old one points to is in the new one, too. */
	smp_store_release(&s->tbl, new);
	s->wide = true;
	synchronize_rcu();
	kvfree(old);
	return 0;
}

/**
 * dmr_index_run() - what is at a unit, and for how long
 * @s: the set
 * @unit: main unit
 * @max: how far to look, at least 1; the answer crosses regions that are empty
 * @val: value of the index, 0 when there is no entry
 *
 * Context: preemption disabled, or engine_lock held. Return: units, 1 to @max.
 */
u64 dmr_index_run(struct dmr_set *s, u64 unit, u64 max, u64 *val)
{
	u32 off = unit & DMR_REGION_MASK;
	u64 at = unit >> DMR_REGION_SHIFT;
	u64 n = DMR_REGION_UNITS - off;
	struct dmr_region *r = region_rcu(s, at);
	struct dmr_rview v;

	if (r) {
		v = dmr_rview(r);
		return dmr_region_run(&v, off, min(max, n), val);
	}
	while (n < max && !region_rcu(s, ++at))
		n += DMR_REGION_UNITS;
	*val = 0;
	return min(max, n);
}

/**
 * dmr_index_find() - the entry of one unit
 * @s: the set
 * @unit: main unit
 * @val: its value, 0 when it has no entry
 * @place: where its entry stands in the table; undefined when it has none
 *
 * Context: engine_lock held. Return: true when it has an entry.
 */
bool dmr_index_find(struct dmr_set *s, u64 unit, u64 *val, u32 *place)
{
	struct dmr_rview v;
	u32 i;

	v = dmr_rview(region_locked(s, unit >> DMR_REGION_SHIFT));
	i = dmr_region_lower(&v, unit & DMR_REGION_MASK);
	*val = 0;
	if (i == v.n || v.key[i] != (unit & DMR_REGION_MASK))
		return false;
	*val = v.val[i];
	*place = v.place[i];
	return true;
}

/* The first entry at or behind a key, in the regions before @end. */
static bool next_entry(struct dmr_set *s, u64 *key, u64 end, u64 *val)
{
	u64 r = *key >> DMR_REGION_SHIFT;
	u32 off = *key & DMR_REGION_MASK;
	struct dmr_rview v;
	u32 i;

	for (; r < end; r++, off = 0) {
		v = dmr_rview(region_locked(s, r));
		i = dmr_region_lower(&v, off);
		if (i == v.n)
			continue;
		*key = (r << DMR_REGION_SHIFT) + v.key[i];
		*val = v.val[i];
		return true;
	}
	return false;
}

/**
 * dmr_index_next() - the first entry at or behind a unit
 * @s: the set
 * @unit: where to start; set to the unit that was found
 * @val: its value
 *
 * Second copies are not looked at.
 * Context: engine_lock held. Return: false when there is none.
 */
bool dmr_index_next(struct dmr_set *s, u64 *unit, u64 *val)
{
	return next_entry(s, unit, main_regions(s), val);
}

/**
 * dmr_index_next_second() - the first second copy of a unit at or behind one
 * @s: the set
 * @unit: where to start; set to the unit that was found
 * @val: the value of its second copy
 *
 * Context: engine_lock held. Return: false when there is none.
 */
bool dmr_index_next_second(struct dmr_set *s, u64 *unit, u64 *val)
{
	u64 key = s->mirror_base + *unit;

	if (!next_entry(s, &key, nr_regions(s), val))
		return false;
	*unit = key - s->mirror_base;
	return true;
}

/**
 * dmr_index_mark() - say whether a unit has a second copy
 * @s: the set
 * @unit: main unit that has an entry
 * @mirrored: it has
 *
 * Context: engine_lock held.
 */
void dmr_index_mark(struct dmr_set *s, u64 unit, bool mirrored)
{
	struct dmr_rview v;
	u32 i;

	v = dmr_rview(region_locked(s, unit >> DMR_REGION_SHIFT));
	i = dmr_region_lower(&v, unit & DMR_REGION_MASK);
	if (i == v.n || v.key[i] != (unit & DMR_REGION_MASK))
		return;
	WRITE_ONCE(v.val[i], (v.val[i] & ~DMR_VAL_MIRRORED) |
		   (mirrored ? DMR_VAL_MIRRORED : 0));
}

static int cmp_staged(const void *a, const void *b)
{
	const struct dmr_staged *x = a, *y = b;

	/* Entries without a main unit go to the end. */
	if (x->indexed != y->indexed)
		return x->indexed ? -1 : 1;
	if (x->unit != y->unit)
		return x->unit < y->unit ? -1 : 1;
	return 0;
}

/* Sorted changes of one region: how many of the @n at @all lie in it. */
static u32 same_region(const struct dmr_staged *all, u64 n)
{
	u64 r = all[0].unit >> DMR_REGION_SHIFT;
	u32 i = 0;

	while (i < n && all[i].indexed && all[i].unit >> DMR_REGION_SHIFT == r)
		i++;
	return i;
}

static u64 apply_change(struct dmr_change *c, const struct dmr_staged *st)
{
	c->off = st->unit & DMR_REGION_MASK;
	c->place = st->place;
	c->val = st->val;
	return st->unit >> DMR_REGION_SHIFT;
}

/**
 * dmr_index_count_begin() - begin to fill an empty index
 * @s: the set
 * @f: filled in; dmr_index_fill_end() is called in any case
 *
 * Two walks over all entries: dmr_index_count() for each, then
 * dmr_index_fill_begin(), then dmr_index_fill() for each, in any order. So there
 * is never more memory in use than the index itself takes, and only what lies
 * in one region has to be sorted.
 * Context: may sleep; nobody reads the index yet. Return: 0 or -ENOMEM.
 */
int dmr_index_count_begin(struct dmr_set *s, struct dmr_filling *f)
{
	f->left = kvcalloc(nr_regions(s), sizeof(*f->left), GFP_KERNEL);
	return f->left ? 0 : -ENOMEM;
}

/**
 * dmr_index_count() - announce an entry
 * @f: the index that is being filled
 * @unit: its main unit
 *
 * Context: any.
 */
void dmr_index_count(struct dmr_filling *f, u64 unit)
{
	f->left[unit >> DMR_REGION_SHIFT]++;
}

/**
 * dmr_index_fill_begin() - make room for all entries that were announced
 * @s: the set
 * @f: the index that is being filled
 *
 * Context: may sleep. Return: 0; -ENOMEM; -EEXIST when a region has more entries
 * than units.
 */
int dmr_index_fill_begin(struct dmr_set *s, struct dmr_filling *f)
{
	struct dmr_region *r;
	u64 i;

	for (i = 0; i < nr_regions(s); i++) {
		if (!f->left[i])
			continue;
		if (f->left[i] > DMR_REGION_UNITS)
			return -EEXIST;
		r = dmr_region_alloc(f->left[i], GFP_KERNEL);
		if (!r)
			return -ENOMEM;
		rcu_assign_pointer(s->tbl[i], r);
		s->nr_entries += r->n;
	}
	return 0;
}

/**
 * dmr_index_fill() - add an entry
 * @s: the set
 * @f: the index that is being filled
 * @unit: its main unit, as announced
 * @val: its value
 * @place: its place in the table
 *
 * Context: any.
 */
void dmr_index_fill(struct dmr_set *s, struct dmr_filling *f, u64 unit, u64 val,
		    u32 place)
{
	u64 at = unit >> DMR_REGION_SHIFT;
	struct dmr_rview v;
	u32 i;

	v = dmr_rview(rcu_dereference_protected(s->tbl[at], true));
	i = v.n - f->left[at]--;
	v.key[i] = unit & DMR_REGION_MASK;
	v.place[i] = place;
	v.val[i] = val;
}

/**
 * dmr_index_fill_end() - sort what was added
 * @s: the set
 * @f: the index that was being filled; used up
 * @twice: a unit that was added twice
 *
 * Context: may sleep. Return: 0; -EEXIST when @twice was set.
 */
int dmr_index_fill_end(struct dmr_set *s, struct dmr_filling *f, u64 *twice)
{
	struct dmr_region *region;
	struct dmr_rview v;
	int r = 0;
	u64 i;
	u32 k;

	for (i = 0; f->left && i < nr_regions(s) && !r; i++) {
		region = rcu_dereference_protected(s->tbl[i], true);
		/* After an error it may be there and not be full. */
		if (!region || f->left[i])
			continue;
		v = dmr_rview(region);
		dmr_region_sort(&v);
		dmr_region_map(&v);
		for (k = 1; k < v.n && !r; k++) {
			if (v.key[k] != v.key[k - 1])
				continue;
			*twice = (i << DMR_REGION_SHIFT) + v.key[k];
			r = -EEXIST;
		}
	}
	kvfree(f->left);
	return r;
}

/**
 * dmr_index_prepare() - make the regions that the staged changes lead to
 * @s: the set; @s->staged is sorted by this
 * @plan: filled in
 *
 * Context: may sleep (memory without I/O), engine_lock held. Return: 0 or
 * -ENOMEM; then nothing has changed.
 */
int dmr_index_prepare(struct dmr_set *s, struct dmr_plan *plan)
{
	struct dmr_change c[DMR_BATCH];
	struct dmr_rview old, new;
	struct dmr_region *r;
	u32 i = 0, j, k, n;
	u64 at = 0;

	plan->n = 0;
	plan->retired = kmalloc(struct_size(plan->retired, region, s->nr_staged),
				GFP_NOIO | __GFP_NOWARN);
	if (!plan->retired)
		return -ENOMEM;
	sort(s->staged, s->nr_staged, sizeof(*s->staged), cmp_staged, NULL);
	while (i < s->nr_staged && s->staged[i].indexed) {
		k = same_region(s->staged + i, s->nr_staged - i);
		for (j = 0; j < k; j++)
			at = apply_change(&c[j], &s->staged[i + j]);
		old = dmr_rview(region_locked(s, at));
		n = dmr_region_merged(&old, c, k);
		r = NULL;
		if (n) {
			r = dmr_region_alloc(n, GFP_NOIO | __GFP_NOWARN);
			if (!r) {
				dmr_index_abandon(plan);
				return -ENOMEM;
			}
			new = dmr_rview(r);
			dmr_region_merge(&new, &old, c, k);
			dmr_region_map(&new);
		}
		plan->region[plan->n] = r;
		plan->at[plan->n++] = at;
		i += k;
	}
	return 0;
}

static void free_retired(struct rcu_head *rcu)
{
	struct dmr_retired *retired = container_of(rcu, struct dmr_retired, rcu);

	while (retired->n)
		dmr_region_free(retired->region[--retired->n]);
	kfree(retired);
}

/**
 * dmr_index_publish() - swap the prepared regions in
 * @s: the set
 * @plan: from dmr_index_prepare(); used up
 *
 * Cannot fail. Context: engine_lock held.
 */
void dmr_index_publish(struct dmr_set *s, struct dmr_plan *plan)
{
	struct dmr_retired *retired = plan->retired;
	struct dmr_region *old, *new;
	u32 i;

	if (!retired)
		return;
	retired->n = 0;
	for (i = 0; i < plan->n; i++) {
		old = region_locked(s, plan->at[i]);
		new = plan->region[i];
		rcu_assign_pointer(s->tbl[plan->at[i]], new);
		WRITE_ONCE(s->nr_entries, s->nr_entries + (new ? new->n : 0) -
			   (old ? old->n : 0));
		if (old)
			retired->region[retired->n++] = old;
	}
	plan->n = 0;
	plan->retired = NULL;
	call_rcu(&retired->rcu, free_retired);
}

/**
 * dmr_index_abandon() - drop prepared regions
 * @plan: from dmr_index_prepare(); used up
 *
 * Context: may sleep.
 */
void dmr_index_abandon(struct dmr_plan *plan)
{
	while (plan->n)
		dmr_region_free(plan->region[--plan->n]);
	kfree(plan->retired);
	plan->retired = NULL;
}
