/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * One region of the index: a sorted array of remapped units, and the run
 * arithmetic on it.
 *
 * DOC: values of the index
 *
 * A region covers 2^15 units of the main device. For every unit with an entry
 * it holds a 16-bit key (offset in the region), a 64-bit value (what the data
 * path needs) and the 32-bit place of the entry in the table (leaf and slot;
 * what the commit path needs): 14 bytes an entry. Arrays are never changed in
 * place but for one value at a time; an insertion makes a new array, which the
 * kernel publishes by RCU.
 *
 * A bitmap tells most bios that come near entries that they meet none. It has a
 * bit for every 2^shift units, 10 to 22 bits for an entry, at least 64.
 *
 *   value: spare_unit:40 | spare_idx:4 | kind:4 | flags:4 | 0:12
 *
 * The flags are those of the entry, and one that is in no entry: the unit has a
 * second copy, whose entry (of kind MIRROR) is found under another key.
 *
 * A value is never 0, so 0 stands for "no entry".
 *
 * Pure code. Nothing here sleeps, allocates or locks.
 */
#ifndef DM_REMAP_REGION_H
#define DM_REMAP_REGION_H

#include "dm-remap-format.h"

#define DMR_REGION_SHIFT	15
#define DMR_REGION_UNITS	(1U << DMR_REGION_SHIFT)
#define DMR_REGION_MASK		(DMR_REGION_UNITS - 1)

/* Of a bitmap of one word. */
#define DMR_MAX_SHIFT		(DMR_REGION_SHIFT - 6)

#define DMR_VAL_UNIT_MASK	((1ULL << 40) - 1)
#define DMR_VAL_IDX_SHIFT	40
#define DMR_VAL_KIND_SHIFT	44
#define DMR_VAL_FLAGS_SHIFT	48
#define DMR_VAL_MIRRORED	(0x4ULL << DMR_VAL_FLAGS_SHIFT)

/* The place of an entry: leaf_no * 256 + slot. */
#define DMR_PLACE(leaf, slot)	((u32)(leaf) << 8 | (slot))
#define DMR_PLACE_LEAF(place)	((place) >> 8)
#define DMR_PLACE_SLOT(place)	((place) & 0xff)

/**
 * struct dmr_rview - the arrays of a region
 * @n: number of entries
 * @shift: dmr_region_shift() of @n
 * @bits: bitmap of 2^@shift units a bit, set by dmr_region_map()
 * @val: values
 * @place: places
 * @key: offsets in the region, strictly rising
 */
struct dmr_rview {
	u32 n;
	u32 shift;
	u64 *bits;
	u64 *val;
	u32 *place;
	u16 *key;
};

/**
 * struct dmr_change - one change to a region
 * @off: offset of the unit in its region
 * @val: new value; 0 removes the entry
 * @place: its place
 */
struct dmr_change {
	u32 off;
	u32 place;
	u64 val;
};

/**
 * dmr_val() - build the value of an entry
 * @e: a valid entry of kind REMAP, LOST or MIRROR
 *
 * Context: any. Return: the value, never 0.
 */
u64 dmr_val(const struct dmr_entry *e);

/**
 * dmr_val_entry() - the entry that a value stands for
 * @val: a value
 * @main_unit: the unit it was found under
 * @e: filled in; DMR_KIND_FREE for value 0
 *
 * Context: any.
 */
void dmr_val_entry(u64 val, u64 main_unit, struct dmr_entry *e);

/**
 * dmr_val_plain() - is the data of an entry on a spare?
 * @val: its value
 *
 * Context: any. Return: true for one of kind REMAP whose data is known.
 */
static inline bool dmr_val_plain(u64 val)
{
	/* the lowest flag, DMR_ENTRY_UNKNOWN, lies above the kind */
	return (val >> DMR_VAL_KIND_SHIFT & 0x1f) == DMR_KIND_REMAP;
}

/**
 * dmr_val_alone() - is the data of an entry on a spare, and nowhere else?
 * @val: its value
 *
 * Context: any. Return: true for what is plain and has no second copy.
 */
static inline bool dmr_val_alone(u64 val)
{
	return (val >> DMR_VAL_KIND_SHIFT & 0x5f) == DMR_KIND_REMAP;
}

/**
 * dmr_val_mirrored() - has the data of an entry a second copy?
 * @val: its value
 *
 * Context: any. Return: true when there is an entry of kind MIRROR, too.
 */
static inline bool dmr_val_mirrored(u64 val)
{
	return val & DMR_VAL_MIRRORED;
}

/**
 * dmr_region_shift() - how fine the bitmap of a region is
 * @n: number of entries
 *
 * Context: any. Return: log2 of the units that share a bit.
 */
u32 dmr_region_shift(u32 n);

/**
 * dmr_region_bytes() - memory for the arrays of a region
 * @n: number of entries
 *
 * Context: any. Return: bytes.
 */
size_t dmr_region_bytes(u32 n);

/* Words of a bitmap. */
static inline u32 dmr_region_words(u32 shift)
{
	return 1U << (DMR_MAX_SHIFT - shift);
}

/**
 * dmr_region_view() - lay the arrays out in memory, the bitmap first
 * @mem: dmr_region_bytes(@n) bytes, aligned to 8
 * @n: number of entries
 * @shift: dmr_region_shift() of @n
 *
 * Context: any. Return: the view.
 */
static inline struct dmr_rview dmr_region_view(void *mem, u32 n, u32 shift)
{
	struct dmr_rview v = { .n = n, .shift = shift, .bits = mem };

	v.val = v.bits + dmr_region_words(shift);
	v.place = (u32 *)(v.val + n);
	v.key = (u16 *)(v.place + n);
	return v;
}

/**
 * dmr_region_map() - fill the bitmap in
 * @v: a region whose keys are set
 *
 * Context: any.
 */
void dmr_region_map(const struct dmr_rview *v);

/**
 * dmr_region_far() - is a range surely without entries, by the bitmap?
 * @bits: the bitmap
 * @shift: log2 of the units that share a bit
 * @first: first main unit; the bitmap is that of its region
 * @last: last main unit, not before @first
 *
 * A range of more than one bit isn't looked at, which those are that cross
 * regions. Context: any. Return: true when it has no entry.
 */
static inline bool dmr_region_far(const u64 *bits, u32 shift, u64 first, u64 last)
{
	u32 bit = (first & DMR_REGION_MASK) >> shift;

	return !((first ^ last) >> shift) && !(bits[bit / 64] >> bit % 64 & 1);
}

/**
 * dmr_keys_lower() - the first of some rising keys that is not below an offset
 * @key: the keys
 * @n: their number
 * @off: the offset, below DMR_REGION_UNITS
 *
 * Most are near the place that they would have if all were spread evenly: it is
 * looked for there first, and by halves if that is in vain.
 * Context: any. Return: its index, @n when all keys are below.
 */
static inline u32 dmr_keys_lower(const u16 *key, u32 n, u32 off)
{
	u32 hi = off * n >> DMR_REGION_SHIFT, lo = hi > 1 ? hi - 2 : 0, mid;

	if (!lo || key[lo - 1] < off) {
		for (hi = lo + 6 < n ? lo + 6 : n; lo < hi; lo++)
			if (key[lo] >= off)
				return lo;
		hi = n;
	} else {
		hi = lo - 1;
		lo = 0;
	}
	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (key[mid] < off)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

/**
 * dmr_region_whole() - is a range as a whole without entries, or on a spare?
 * @v: the region
 * @off: offset of its first unit in the region
 * @n: its number of units, at least 1
 * @val: 0, or the value of the first unit: those of the others rise by one
 *
 * Context: any. Return: false when it is neither; @val means nothing then.
 */
static inline bool dmr_region_whole(const struct dmr_rview *v, u32 off, u32 n,
				    u64 *val)
{
	u32 i = dmr_keys_lower(v->key, v->n, off), k;

	if (i == v->n || v->key[i] != off) {
		*val = 0;
		return i == v->n || v->key[i] >= off + n;
	}
	/* Values may be replaced under a reader: read each of them once. */
	*val = __atomic_load_n(&v->val[i], __ATOMIC_RELAXED);
	for (k = 1; k < n; k++)
		if (i + k == v->n || v->key[i + k] != off + k ||
		    __atomic_load_n(&v->val[i + k], __ATOMIC_RELAXED) != *val + k)
			return false;
	return true;
}

/**
 * dmr_region_lower() - first entry at or behind an offset
 * @v: the region
 * @off: offset of a unit in the region
 *
 * Context: any. Return: index, @v->n when there is none.
 */
u32 dmr_region_lower(const struct dmr_rview *v, u32 off);

/**
 * dmr_region_sort() - order entries by their keys
 * @v: a region whose keys may stand in any order, at most DMR_REGION_UNITS
 *
 * Context: any.
 */
void dmr_region_sort(const struct dmr_rview *v);

/**
 * dmr_region_run() - what is at an offset, and for how long
 * @v: the region
 * @off: offset of a unit in the region
 * @max: how far to look at the most, in units, at least 1
 * @val: where the value at @off goes; 0 when it has no entry
 *
 * A run ends where a unit has an entry and its neighbour has none, where the
 * spare units stop being consecutive, and where kind or flags change.
 * Context: any. Return: length of the run in units, 1 to @max.
 */
u32 dmr_region_run(const struct dmr_rview *v, u32 off, u32 max, u64 *val);

/**
 * dmr_region_merged() - size of a region after a set of changes
 * @v: the region as it is
 * @c: changes, strictly rising by @off
 * @nc: their number
 *
 * Context: any. Return: number of entries.
 */
u32 dmr_region_merged(const struct dmr_rview *v, const struct dmr_change *c,
		      u32 nc);

/**
 * dmr_region_merge() - apply a set of changes, into new arrays
 * @dst: arrays with room for dmr_region_merged() entries
 * @src: the region as it is
 * @c: changes, strictly rising by @off
 * @nc: their number
 *
 * Context: any.
 */
void dmr_region_merge(const struct dmr_rview *dst, const struct dmr_rview *src,
		      const struct dmr_change *c, u32 nc);

#endif /* DM_REMAP_REGION_H */
