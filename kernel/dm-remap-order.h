/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * In which order a device is scanned. Pure integer code: nothing here sleeps,
 * allocates or locks.
 *
 * DOC: patterns
 *
 * A device is a row of regions. A pass is a number of steps, and each step is a
 * region that can be computed from the number of the step: so a pass is described
 * by a few numbers, and goes on after a restart where it was.
 *
 * sequential   from the first region to the last: fewest movements of the heads
 * random       a sample, evenly spread, another one in each pass
 * staggered    the device is cut into groups of neighbours; first the first region
 *              of every group, then the second of every group, and so on. Errors
 *              come in clusters, so that one of a cluster is found long before a
 *              sequential pass comes there (Oprea and Juels, FAST '10). Groups that
 *              follow each other in a round lie far apart
 * focused      regions around what is known to be bad or slow, and then all others:
 *              most second errors lie near the first one (Bairavasundaram et al.,
 *              SIGMETRICS '07; Schwarz et al., MASCOTS '04)
 *
 * But for random, every pattern visits every region exactly once.
 */
#ifndef DM_REMAP_ORDER_H
#define DM_REMAP_ORDER_H

#include "dm-remap-pure.h"

enum dmr_pattern {
	DMR_PATTERN_SEQUENTIAL = 0,
	DMR_PATTERN_RANDOM,
	DMR_PATTERN_STAGGERED,
	DMR_PATTERN_FOCUSED,
	DMR_NR_PATTERNS,
};

/* Most regions of a device: 2^48 sectors in regions of 2048. */
#define DMR_ORDER_MAX		(1ULL << 37)
/* Ranges that a focused pass begins with, at the most. */
#define DMR_ORDER_HOT		64
/* Regions on each side of one that is bad. */
#define DMR_ORDER_NEAR		1
/* Of a random pass, so many regions of a hundred. */
#define DMR_ORDER_SAMPLE	12
/* Regions of a group; fewer when there would be less than so many groups. */
#define DMR_ORDER_GROUP		128
#define DMR_ORDER_GROUPS	16

/**
 * struct dmr_hot - regions that a focused pass begins with
 * @first: the first of them
 * @n: their number
 */
struct dmr_hot {
	u64 first;
	u64 n;
};

/**
 * struct dmr_order - a pass over a device
 * @pattern: enum dmr_pattern
 * @nr_hot: ranges in @hot
 * @nr: regions of the device
 * @seed: says which sample it is
 * @from: of all that is not in @hot, a focused pass visits what lies from here on
 * @hot: by rising number; they neither overlap nor touch
 */
struct dmr_order {
	u32 pattern;
	u32 nr_hot;
	u64 nr;
	u64 seed;
	u64 from;
	struct dmr_hot hot[DMR_ORDER_HOT];
};

/**
 * dmr_pattern_name() - a word for a pattern
 * @pattern: enum dmr_pattern
 *
 * Context: any. Return: a constant string, never NULL.
 */
const char *dmr_pattern_name(unsigned int pattern);

/**
 * dmr_order_init() - describe a pass
 * @o: filled in
 * @pattern: enum dmr_pattern
 * @nr: regions of the device, up to DMR_ORDER_MAX
 * @seed: any number, for random
 *
 * Context: any.
 */
void dmr_order_init(struct dmr_order *o, unsigned int pattern, u64 nr, u64 seed);

/**
 * dmr_order_focus() - a region is bad or slow: begin with it and its neighbours
 * @o: the pass, before its first step; nothing happens unless it is focused
 * @region: the region
 *
 * Context: any. Return: false when there is no room for another range; its regions
 * have their turn with all others then.
 */
bool dmr_order_focus(struct dmr_order *o, u64 region);

/**
 * dmr_order_total() - steps of a pass
 * @o: the pass
 *
 * Context: any. Return: their number.
 */
u64 dmr_order_total(const struct dmr_order *o);

/**
 * dmr_order_at() - the region of a step
 * @o: the pass
 * @step: below dmr_order_total()
 *
 * Context: any. Return: a region.
 */
u64 dmr_order_at(const struct dmr_order *o, u64 step);

/**
 * dmr_order_place() - how far a pass has come, as a number that can be kept
 * @o: the pass
 * @step: the next step
 *
 * Context: any. Return: a number for dmr_order_resume(), which need not have the same
 * ranges to begin with.
 */
u64 dmr_order_place(const struct dmr_order *o, u64 step);

/**
 * dmr_order_resume() - go on with a pass
 * @o: the pass before its first step, with the ranges that it begins with now
 * @place: from dmr_order_place(); anything else does no harm
 *
 * A focused pass begins with what is bad once more.
 * Context: any. Return: the next step, up to dmr_order_total(). No region is left
 * out.
 */
u64 dmr_order_resume(struct dmr_order *o, u64 place);

#endif /* DM_REMAP_ORDER_H */
