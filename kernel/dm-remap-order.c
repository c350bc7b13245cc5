// SPDX-License-Identifier: GPL-2.0-only
/*
 * In which order a device is scanned. Pure code: see dm-remap-order.h.
 */
#include "dm-remap-order.h"

#define FEISTEL_ROUNDS	4

const char *dmr_pattern_name(unsigned int pattern)
{
	static const char *const words[DMR_NR_PATTERNS] = {
		[DMR_PATTERN_SEQUENTIAL] = "sequential",
		[DMR_PATTERN_RANDOM] = "random",
		[DMR_PATTERN_STAGGERED] = "staggered",
		[DMR_PATTERN_FOCUSED] = "focused",
	};

	return pattern < DMR_NR_PATTERNS ? words[pattern] : "unknown";
}

void dmr_order_init(struct dmr_order *o, unsigned int pattern, u64 nr, u64 seed)
{
	memset(o, 0, sizeof(*o));
	o->pattern = pattern;
	o->nr = nr;
	o->seed = seed;
}

bool dmr_order_focus(struct dmr_order *o, u64 region)
{
	u64 first, end;
	u32 i, k;

	if (o->pattern != DMR_PATTERN_FOCUSED || region >= o->nr)
		return true;
	first = region < DMR_ORDER_NEAR ? 0 : region - DMR_ORDER_NEAR;
	end = region + DMR_ORDER_NEAR + 1;
	if (end > o->nr)
		end = o->nr;
	for (i = 0; i < o->nr_hot && o->hot[i].first + o->hot[i].n < first; i++)
		;
	/* All from i to k - 1 overlap it or touch it: one range. */
	for (k = i; k < o->nr_hot && o->hot[k].first <= end; k++) {
		if (o->hot[k].first < first)
			first = o->hot[k].first;
		if (o->hot[k].first + o->hot[k].n > end)
			end = o->hot[k].first + o->hot[k].n;
	}
	if (k == i && o->nr_hot == DMR_ORDER_HOT)
		return false;
	memmove(o->hot + i + 1, o->hot + k, (o->nr_hot - k) * sizeof(*o->hot));
	o->nr_hot -= k - i;
	o->nr_hot++;
	o->hot[i].first = first;
	o->hot[i].n = end - first;
	return true;
}

/* Regions in the ranges, from @from on. */
static u64 hot_from(const struct dmr_order *o, u64 from)
{
	u64 n = 0, end;
	u32 i;

	for (i = 0; i < o->nr_hot; i++) {
		end = o->hot[i].first + o->hot[i].n;
		if (end > from)
			n += end - (o->hot[i].first > from ? o->hot[i].first : from);
	}
	return n;
}

u64 dmr_order_total(const struct dmr_order *o)
{
	if (o->pattern == DMR_PATTERN_RANDOM)
		return (o->nr * DMR_ORDER_SAMPLE + 99) / 100;
	if (o->pattern == DMR_PATTERN_FOCUSED)
		return hot_from(o, 0) + o->nr - o->from - hot_from(o, o->from);
	return o->nr;
}

static u64 mix(u64 x)
{
	x ^= x >> 33;
	x *= 0xff51afd7ed558ccdULL;
	x ^= x >> 33;
	x *= 0xc4ceb9fe1a85ec53ULL;
	return x ^ x >> 33;
}

/* A permutation of the numbers of 2 * half bits. */
static u64 feistel(u64 x, unsigned int half, u64 seed)
{
	u64 mask = (1ULL << half) - 1, left = x >> half, right = x & mask, next;
	unsigned int round;

	for (round = 0; round < FEISTEL_ROUNDS; round++) {
		next = left ^ (mix(right + mix(seed + round)) & mask);
		left = right;
		right = next;
	}
	return left << half | right;
}

/* One of the numbers below nr: they are a cycle's part of a larger permutation. */
static u64 shuffled(const struct dmr_order *o, u64 step)
{
	unsigned int half = 1;

	while (1ULL << 2 * half < o->nr)
		half++;
	do {
		step = feistel(step, half, o->seed);
	} while (step >= o->nr);
	return step;
}

static u64 gcd(u64 a, u64 b)
{
	u64 rest;

	while (b) {
		rest = a % b;
		a = b;
		b = rest;
	}
	return a;
}

/* The i-th of n groups: those that follow each other are 3/8 of them apart. */
static u64 far_apart(u64 i, u64 n)
{
	u64 stride = n * 3 / 8;

	if (!stride)
		return i;
	while (gcd(stride, n) != 1)
		stride++;
	/* Both are below 2^32. */
	return i * stride % n;
}

/*
 * Groups differ in length by one at the most; the first ones are longer, and there
 * is a last round for them.
 */
static u64 staggered(const struct dmr_order *o, u64 step)
{
	u64 groups = o->nr / DMR_ORDER_GROUP, len, longer, round, group;

	if (groups < DMR_ORDER_GROUPS)
		groups = o->nr < DMR_ORDER_GROUPS ? o->nr : DMR_ORDER_GROUPS;
	len = o->nr / groups;
	longer = o->nr % groups;
	round = step / groups;
	group = far_apart(step % groups, round < len ? groups : longer);
	return group * len + (group < longer ? group : longer) + round;
}

static u64 focused(const struct dmr_order *o, u64 step)
{
	u64 region, end;
	u32 i;

	for (i = 0; i < o->nr_hot; i++) {
		if (step < o->hot[i].n)
			return o->hot[i].first + step;
		step -= o->hot[i].n;
	}
	/* All others: each range that lies before moves them on. */
	region = o->from + step;
	for (i = 0; i < o->nr_hot && o->hot[i].first <= region; i++) {
		end = o->hot[i].first + o->hot[i].n;
		if (end > o->from)
			region += end - (o->hot[i].first > o->from ?
					 o->hot[i].first : o->from);
	}
	return region;
}

u64 dmr_order_at(const struct dmr_order *o, u64 step)
{
	switch (o->pattern) {
	case DMR_PATTERN_RANDOM:
		return shuffled(o, step);
	case DMR_PATTERN_STAGGERED:
		return staggered(o, step);
	case DMR_PATTERN_FOCUSED:
		return focused(o, step);
	default:
		return step;
	}
}

u64 dmr_order_place(const struct dmr_order *o, u64 step)
{
	if (o->pattern != DMR_PATTERN_FOCUSED)
		return step;
	if (step < hot_from(o, 0))
		return o->from;
	/* All regions below that one have been visited. */
	return step < dmr_order_total(o) ? focused(o, step) : o->nr;
}

u64 dmr_order_resume(struct dmr_order *o, u64 place)
{
	u64 total = dmr_order_total(o);

	if (place > total)
		place = total;
	if (o->pattern != DMR_PATTERN_FOCUSED || place == total)
		return place;
	o->from = place;
	return 0;
}
