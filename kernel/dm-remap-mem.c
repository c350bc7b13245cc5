// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory for the regions of the index.
 *
 * DOC: sizes
 *
 * A set with a million scattered entries has some ten thousand regions of some
 * hundred bytes. From 256 bytes on kmalloc() has powers of two only: a third of
 * the memory would be lost. So there are caches for the three quarters between
 * them, and from two pages on whole pages. No more than a fifth is lost then.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "dm-remap.h"

/* Powers of two between which there are caches: 256 to 8192. */
#define MIN_SHIFT	8
#define MAX_SHIFT	13
/* Sizes between two powers of two: 5/4, 6/4 and 7/4 of the smaller one. */
#define PER_SHIFT	3
#define NR_CACHES	((MAX_SHIFT - MIN_SHIFT) * PER_SHIFT)

static struct kmem_cache *caches[NR_CACHES];

/* The cache for a size, NULL where kmalloc() has one that is as good. */
static struct kmem_cache *cache_for(size_t bytes)
{
	unsigned int shift, quarter;

	if (bytes <= 1U << MIN_SHIFT || bytes > 1U << MAX_SHIFT)
		return NULL;
	shift = ilog2(bytes - 1);
	quarter = (bytes - 1) >> (shift - 2) & 3;
	if (quarter == PER_SHIFT)
		return NULL;
	return caches[(shift - MIN_SHIFT) * PER_SHIFT + quarter];
}

static size_t region_bytes(u32 n)
{
	return sizeof(struct dmr_region) + dmr_region_bytes(n);
}

/**
 * dmr_mem_init() - make the caches
 *
 * Context: loading of the module. Return: 0 or -ENOMEM; then there are none.
 */
int dmr_mem_init(void)
{
	unsigned int i, bytes;
	char name[32];

	for (i = 0; i < NR_CACHES; i++) {
		bytes = (5 + i % PER_SHIFT) << (MIN_SHIFT - 2 + i / PER_SHIFT);
		snprintf(name, sizeof(name), "dm-remap-%u", bytes);
		caches[i] = kmem_cache_create(name, bytes, sizeof(u64), 0, NULL);
		if (!caches[i]) {
			dmr_mem_exit();
			return -ENOMEM;
		}
	}
	return 0;
}

/**
 * dmr_mem_exit() - remove the caches
 *
 * Context: may sleep; all regions are freed.
 */
void dmr_mem_exit(void)
{
	unsigned int i;

	for (i = 0; i < NR_CACHES; i++)
		kmem_cache_destroy(caches[i]);
	memset(caches, 0, sizeof(caches));
}

/**
 * dmr_region_alloc() - memory for a region
 * @n: number of its entries
 * @gfp: how; may sleep
 *
 * Context: may sleep. Return: the region, its arrays not set; NULL without
 * memory.
 */
struct dmr_region *dmr_region_alloc(u32 n, gfp_t gfp)
{
	size_t bytes = region_bytes(n);
	struct kmem_cache *cache = cache_for(bytes);
	struct dmr_region *r;

	if (cache)
		r = kmem_cache_alloc(cache, gfp);
	else if (bytes <= 1U << MAX_SHIFT)
		r = kmalloc(bytes, gfp);
	else
		r = __vmalloc(bytes, gfp);
	if (r)
		r->n = n;
	return r;
}

/**
 * dmr_region_free() - free a region
 * @r: from dmr_region_alloc(); may be NULL
 *
 * Context: any but NMI; no reader has it any more.
 */
void dmr_region_free(struct dmr_region *r)
{
	struct kmem_cache *cache;

	if (!r)
		return;
	cache = cache_for(region_bytes(r->n));
	if (cache)
		kmem_cache_free(cache, r);
	else
		kvfree(r);
}
