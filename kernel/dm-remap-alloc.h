/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Allocation of spare units: a hierarchical bitmap.
 *
 * DOC: why a tree of bitmaps
 *
 * Level 0 has one bit per unit, set when it is used; a bit of level k is set
 * when the 64 bits below it at level k-1 are all set. The lowest free unit is
 * found by one find-first-zero per level: at most 7 steps for 2^40 units,
 * whatever the fill, and units given out one after the other are neighbours.
 *
 * Pure code, caller's memory, caller's locking. Nothing here sleeps.
 */
#ifndef DM_REMAP_ALLOC_H
#define DM_REMAP_ALLOC_H

#include "dm-remap-pure.h"

#define DMR_ALLOC_LEVELS 7

/**
 * struct dmr_alloc - the bitmap of one spare
 * @level: words of each level, level 0 first
 * @nr_levels: levels in use; the last one has a single word
 * @size: number of units
 * @nr_free: units that are free
 */
struct dmr_alloc {
	u64 *level[DMR_ALLOC_LEVELS];
	unsigned int nr_levels;
	u64 size;
	u64 nr_free;
};

/**
 * dmr_alloc_bytes() - memory that a bitmap needs
 * @size: number of units, 1 to 2^40
 *
 * Context: any. Return: bytes, a multiple of 8.
 */
size_t dmr_alloc_bytes(u64 size);

/**
 * dmr_alloc_init() - make all units free
 * @a: the bitmap
 * @mem: dmr_alloc_bytes(@size) bytes, aligned to 8
 * @size: number of units
 *
 * Context: any.
 */
void dmr_alloc_init(struct dmr_alloc *a, void *mem, u64 size);

/**
 * dmr_alloc_test() - is a unit used?
 * @a: the bitmap
 * @unit: below @a->size
 *
 * Context: any; caller holds the lock of @a. Return: true when it is used.
 */
bool dmr_alloc_test(const struct dmr_alloc *a, u64 unit);

/**
 * dmr_alloc_set() - mark a unit as used
 * @a: the bitmap
 * @unit: any number
 *
 * Context: any; caller holds the lock of @a. Return: false when it was used
 * already or is beyond the end.
 */
bool dmr_alloc_set(struct dmr_alloc *a, u64 unit);

/**
 * dmr_alloc_clear() - mark a unit as free
 * @a: the bitmap
 * @unit: any number
 *
 * Context: any; caller holds the lock of @a. Return: false when it was free
 * already or is beyond the end.
 */
bool dmr_alloc_clear(struct dmr_alloc *a, u64 unit);

/**
 * dmr_alloc_get() - take the lowest free unit
 * @a: the bitmap
 * @unit: where its number goes
 *
 * Context: any; caller holds the lock of @a. Return: false when none is free.
 */
bool dmr_alloc_get(struct dmr_alloc *a, u64 *unit);

#endif /* DM_REMAP_ALLOC_H */
