// SPDX-License-Identifier: GPL-2.0-only
/*
 * Memory for the regions of the index.
 *
 * DOC: sizes
 *
 * A set with a million scattered entries has some ten thousand regions of some
 * hundred bytes. kmalloc() has little more than powers of two: a third of the
 * memory would be lost. So there are caches for the seven eighths between them,
 * and from a page on whole pages. No more than an eighth is lost then, or what is
 * left of the last page.
 */
#include <linux/log2.h>
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/vmalloc.h>

#include "dm-remap.h"
#include "dm-remap-table.h"

/* Powers of two between which there are caches: 64 to 4096. */
#define MIN_SHIFT	6
#define MAX_SHIFT	12
/* Sizes between two powers of two: 9/8 to 15/8 of the smaller one. */
#define PER_SHIFT	7
#define NR_CACHES	((MAX_SHIFT - MIN_SHIFT) * PER_SHIFT)

static struct kmem_cache *caches[NR_CACHES];

/* The cache for a size, NULL where kmalloc() has one that is as good. */
static struct kmem_cache *cache_for(size_t bytes)
{
	unsigned int shift, eighth;

	if (bytes <= 1U << MIN_SHIFT || bytes > 1U << MAX_SHIFT)
		return NULL;
	shift = ilog2(bytes - 1);
	eighth = (bytes - 1) >> (shift - 3) & 7;
	if (eighth == PER_SHIFT)
		return NULL;
	return caches[(shift - MIN_SHIFT) * PER_SHIFT + eighth];
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
		bytes = (9 + i % PER_SHIFT) << (MIN_SHIFT - 3 + i / PER_SHIFT);
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
		*r = (struct dmr_region){ .n = n, .shift = dmr_region_shift(n) };
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
