// SPDX-License-Identifier: GPL-2.0-only
/*
 * A region of the index. Pure code: see dm-remap-region.h.
 */
#include "dm-remap-region.h"

/* Entries that make one more word of the bitmap worth it: 21 bits for each. */
#define WORD_ENTRIES	3

u64 dmr_val(const struct dmr_entry *e)
{
	return (e->spare_unit & DMR_VAL_UNIT_MASK) | (u64)e->spare_idx << DMR_VAL_IDX_SHIFT |
	       (u64)e->kind << DMR_VAL_KIND_SHIFT |
	       (u64)e->flags << DMR_VAL_FLAGS_SHIFT;
}

void dmr_val_entry(u64 val, u64 main_unit, struct dmr_entry *e)
{
	e->main_unit = main_unit;
	e->spare_unit = val & DMR_VAL_UNIT_MASK;
	e->spare_idx = (val >> DMR_VAL_IDX_SHIFT) & 0xf;
	e->kind = (val >> DMR_VAL_KIND_SHIFT) & 0xf;
	e->flags = (val >> DMR_VAL_FLAGS_SHIFT) & DMR_ENTRY_FLAGS_KNOWN;
}

u32 dmr_region_shift(u32 n)
{
	u32 words = n / WORD_ENTRIES, log2;

	/* A power of two, from one word to a bit for every unit. */
	log2 = words ? 31 - __builtin_clz(words) : 0;
	return log2 < DMR_MAX_SHIFT ? DMR_MAX_SHIFT - log2 : 0;
}

size_t dmr_region_bytes(u32 n)
{
	return dmr_region_words(dmr_region_shift(n)) * sizeof(u64) +
	       (size_t)n * (sizeof(u64) + sizeof(u32) + sizeof(u16));
}

void dmr_region_map(const struct dmr_rview *v)
{
	u32 i, bit;

	memset(v->bits, 0, dmr_region_words(v->shift) * sizeof(u64));
	for (i = 0; i < v->n; i++) {
		bit = v->key[i] >> v->shift;
		v->bits[bit / 64] |= 1ULL << bit % 64;
	}
}

u32 dmr_region_lower(const struct dmr_rview *v, u32 off)
{
	return dmr_keys_lower(v->key, v->n, off);
}

/* Move entry @i down, in steps of @gap, to where it belongs. */
static void sink(const struct dmr_rview *v, u32 i, u32 gap)
{
	u32 place = v->place[i];
	u64 val = v->val[i];
	u16 key = v->key[i];

	for (; i >= gap && v->key[i - gap] > key; i -= gap) {
		v->key[i] = v->key[i - gap];
		v->place[i] = v->place[i - gap];
		v->val[i] = v->val[i - gap];
	}
	v->key[i] = key;
	v->place[i] = place;
	v->val[i] = val;
}

/* Shell sort with Knuth's gaps: three arrays at once, and no memory. */
void dmr_region_sort(const struct dmr_rview *v)
{
	u32 gap = 1, i;

	while (gap < v->n / 3)
		gap = 3 * gap + 1;
	for (; gap; gap /= 3)
		for (i = gap; i < v->n; i++)
			sink(v, i, gap);
}

/* The value that makes the next unit part of the same run. */
static u64 follower(u64 val)
{
	/* A lost unit has no spare unit that could rise. */
	return (val >> DMR_VAL_KIND_SHIFT & 0xf) == DMR_KIND_LOST ? val : val + 1;
}

u32 dmr_region_run(const struct dmr_rview *v, u32 off, u32 max, u64 *val)
{
	u32 i = dmr_region_lower(v, off), n;
	u64 expect;

	if (i == v->n) {
		*val = 0;
		return max;
	}
	if (v->key[i] != off) {
		*val = 0;
		n = v->key[i] - off;
		return n < max ? n : max;
	}
	/* Values may be replaced under a reader: read each of them once. */
	*val = __atomic_load_n(&v->val[i], __ATOMIC_RELAXED);
	expect = *val;
	for (n = 1; n < max && i + n < v->n; n++) {
		expect = follower(expect);
		if (v->key[i + n] != off + n ||
		    __atomic_load_n(&v->val[i + n], __ATOMIC_RELAXED) != expect)
			break;
	}
	return n;
}

u32 dmr_region_merged(const struct dmr_rview *v, const struct dmr_change *c,
		      u32 nc)
{
	u32 n = v->n, j, i;

	for (j = 0; j < nc; j++) {
		i = dmr_region_lower(v, c[j].off);
		if (i < v->n && v->key[i] == c[j].off)
			n -= !c[j].val;
		else
			n += !!c[j].val;
	}
	return n;
}

void dmr_region_merge(const struct dmr_rview *dst, const struct dmr_rview *src,
		      const struct dmr_change *c, u32 nc)
{
	u32 i = 0, j = 0, n = 0;

	while (i < src->n || j < nc) {
		if (j == nc || (i < src->n && src->key[i] < c[j].off)) {
			dst->key[n] = src->key[i];
			dst->place[n] = src->place[i];
			dst->val[n++] = src->val[i++];
			continue;
		}
		if (i < src->n && src->key[i] == c[j].off)
			i++;
		if (c[j].val) {
			dst->key[n] = c[j].off;
			dst->place[n] = c[j].place;
			dst->val[n++] = c[j].val;
		}
		j++;
	}
}
