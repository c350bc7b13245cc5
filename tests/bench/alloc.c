// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count what it costs to find a free spare unit, in processor ticks, with the module's own code.
 *
 *   bench-alloc <units> <samples>
 *
 * A bitmap is filled more and more, in three patterns; at each fill, so many units (samples) are
 * allocated and freed again, several times. Output: a line
 * "<pattern> <units in use> <median ticks> <most ticks>" for each fill.
 *
 *   lowest	units are used from the first on, as they are given out
 *   random	in a random order, as they are when remaps come and go
 *   words	the last unit of every word of 64 stays free as long as others are: every allocation
 *		then fills a word, and often one of the level above
 *
 * Under QEMU's -icount shift=0 a tick is an executed instruction.
 */

#include "bench.h"

#include "../../kernel/dm-remap-alloc.h"

#define WORD 64
#define REPEATS 5

/* In use, in thousandths of the units; after the last of them all but the samples are. */
static const unsigned int fills[] = { 0, 500, 900, 990, 999 };
#define NR_FILLS (sizeof(fills) / sizeof(fills[0]))

static int compare(const void *a, const void *b)
{
	u64 x = *(const u64 *)a, y = *(const u64 *)b;

	return (x > y) - (x < y);
}

/* The order in which a pattern uses units. */
static void make_order(const char *pattern, u32 *order, u64 size)
{
	uint64_t random = 1;
	u64 other, n = 0, i;
	u32 swap;

	for (i = 0; i < size; i++)
		order[i] = i;
	if (!strcmp(pattern, "random")) {
		for (i = size - 1; i > 0; i--) {
			other = next_random(&random) % (i + 1);
			swap = order[i];
			order[i] = order[other];
			order[other] = swap;
		}
	} else if (!strcmp(pattern, "words")) {
		for (i = 0; i < size; i++)
			if (i % WORD != WORD - 1)
				order[n++] = i;
		for (i = WORD - 1; i < size; i += WORD)
			order[n++] = i;
	}
}

/* What reading the clock costs by itself. */
static u64 clock_cost(void)
{
	u64 least = UINT64_MAX, start, took;
	unsigned int i;

	for (i = 0; i < REPEATS; i++) {
		start = ticks();
		took = ticks() - start;
		if (took < least)
			least = took;
	}
	return least;
}

/* Allocate, and free again. Each allocation must be of a unit that is free, the next lowest. */
static void sample(struct dmr_alloc *a, u64 *took, u64 *units, u64 n)
{
	u64 none = clock_cost(), start, this;
	bool found;
	u64 i;

	for (i = 0; i < n; i++) {
		start = ticks();
		found = dmr_alloc_get(a, &units[i]);
		this = ticks() - start - none;
		if (!found || !dmr_alloc_test(a, units[i]) || (i && units[i] <= units[i - 1]))
			die("an allocation went wrong", EINVAL);
		if (this < took[i])
			took[i] = this;
	}
	for (i = 0; i < n; i++)
		if (!dmr_alloc_clear(a, units[i]))
			die("a unit was free already", EINVAL);
}

/* The same allocations several times: the least of each, which no interrupt has met. */
static void report(const char *pattern, struct dmr_alloc *a, u64 *took, u64 *units, u64 n)
{
	u64 used = a->size - a->nr_free;
	unsigned int i;

	memset(took, 0xff, n * sizeof(*took));
	for (i = 0; i < REPEATS; i++)
		sample(a, took, units, n);
	qsort(took, n, sizeof(*took), compare);
	printf("%s %llu %llu %llu\n", pattern, (unsigned long long)used,
	       (unsigned long long)took[n / 2], (unsigned long long)took[n - 1]);
}

static void run(const char *pattern, u64 size, u64 n, void *mem, u32 *order, u64 *took, u64 *units)
{
	struct dmr_alloc a;
	u64 used = 0, want;
	unsigned int f;

	make_order(pattern, order, size);
	dmr_alloc_init(&a, mem, size);
	for (f = 0; f <= NR_FILLS; f++) {
		want = f < NR_FILLS ? size * fills[f] / 1000 : size - n;
		while (used < want)
			if (!dmr_alloc_set(&a, order[used++]))
				die("a unit was used already", EINVAL);
		report(pattern, &a, took, units, n);
	}
}

int main(int argc, char **argv)
{
	static const char * const patterns[] = { "lowest", "random", "words" };
	u64 size = argc == 3 ? strtoull(argv[1], NULL, 10) : 0;
	u64 n = argc == 3 ? strtoull(argv[2], NULL, 10) : 0;
	u64 *took = calloc(n, sizeof(*took)), *units = calloc(n, sizeof(*units));
	u32 *order = calloc(size, sizeof(*order));
	void *mem = NULL;
	unsigned int i;

	if (!n || size / 1000 < n || size > UINT32_MAX) {
		fprintf(stderr, "usage: at the top of alloc.c\n");
		return 2;
	}
	mem = malloc(dmr_alloc_bytes(size));
	if (!took || !units || !order || !mem)
		die("memory", ENOMEM);
	/* All there, so that no page fault is counted. */
	memset(took, 1, n * sizeof(*took));
	memset(units, 1, n * sizeof(*units));
	for (i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		run(patterns[i], size, n, mem, order, took, units);
	return 0;
}
