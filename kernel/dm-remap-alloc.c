// SPDX-License-Identifier: GPL-2.0-only
/*
 * Hierarchical bitmap. Pure code: see dm-remap-alloc.h.
 */
#include "dm-remap-alloc.h"

#define FULL	(~0ULL)

static u64 words(u64 bits)
{
	return (bits + 63) / 64;
}

size_t dmr_alloc_bytes(u64 size)
{
	u64 total = 0;

	do {
		size = words(size);
		total += size;
	} while (size > 1);
	return total * sizeof(u64);
}

void dmr_alloc_init(struct dmr_alloc *a, void *mem, u64 size)
{
	u64 bits = size, *p = mem;
	unsigned int l = 0;

	memset(mem, 0, dmr_alloc_bytes(size));
	memset(a, 0, sizeof(*a));
	a->size = size;
	a->nr_free = size;
	do {
		a->level[l++] = p;
		/* What lies beyond the end counts as used. */
		if (bits % 64)
			p[bits / 64] = FULL << (bits % 64);
		bits = words(bits);
		p += bits;
	} while (bits > 1);
	a->nr_levels = l;
}

bool dmr_alloc_test(const struct dmr_alloc *a, u64 unit)
{
	return a->level[0][unit / 64] >> (unit % 64) & 1;
}

bool dmr_alloc_set(struct dmr_alloc *a, u64 unit)
{
	unsigned int l;

	if (unit >= a->size || dmr_alloc_test(a, unit))
		return false;
	a->nr_free--;
	for (l = 0; l < a->nr_levels; l++) {
		u64 *w = &a->level[l][unit / 64];

		*w |= 1ULL << (unit % 64);
		if (*w != FULL)
			break;
		unit /= 64;
	}
	return true;
}

bool dmr_alloc_clear(struct dmr_alloc *a, u64 unit)
{
	unsigned int l;

	if (unit >= a->size || !dmr_alloc_test(a, unit))
		return false;
	a->nr_free++;
	for (l = 0; l < a->nr_levels; l++) {
		u64 *w = &a->level[l][unit / 64];
		bool was_full = *w == FULL;

		*w &= ~(1ULL << (unit % 64));
		if (!was_full)
			break;
		unit /= 64;
	}
	return true;
}

bool dmr_alloc_get(struct dmr_alloc *a, u64 *unit)
{
	unsigned int l = a->nr_levels;
	u64 i = 0;

	if (!a->nr_free)
		return false;
	while (l--)
		i = i * 64 + __builtin_ctzll(~a->level[l][i]);
	*unit = i;
	return dmr_alloc_set(a, i);
}
