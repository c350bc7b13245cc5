/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * How fast and how often a device is scanned. Pure integer code: nothing here
 * sleeps, allocates or locks.
 */
#ifndef DM_REMAP_PACE_H
#define DM_REMAP_PACE_H

#include "dm-remap-pure.h"

#define DMR_SCAN_MIN_HOURS	1
#define DMR_SCAN_MAX_HOURS	168
/* How much more often an unhealthy device is scanned, at the most. */
#define DMR_SCAN_MAX_FACTOR	8
/* A rest between two reads of a busy device, in ns. */
#define DMR_REST_MIN		1000000ULL
#define DMR_REST_MAX		10000000000ULL

/**
 * struct dmr_bucket - a token bucket
 * @empty_at: when it was empty last, or will be, in ns
 *
 * Tokens drip into it at the rate of the limit, up to a burst; each byte takes one.
 * Instead of counting them it is enough to know when there would be none (the
 * generic cell rate algorithm), which needs no clock of its own.
 */
struct dmr_bucket {
	u64 empty_at;
};

/**
 * dmr_bucket_take() - may so much be read now?
 * @b: the bucket; zeros at first
 * @now: ns, never going back
 * @bytes: what is to be read, up to 2^30
 * @rate: limit in KiB/s; 0: there is none
 * @burst: what may be read at once after a pause, in bytes, up to 2^30
 *
 * In any time t no more than t * @rate + @burst + one request is let through.
 * Context: any; caller holds the lock of @b. Return: 0, and the tokens are taken;
 * or ns until they are there.
 */
u64 dmr_bucket_take(struct dmr_bucket *b, u64 now, u32 bytes, u32 rate, u32 burst);

/**
 * dmr_pace_rest() - how long to rest after a look at a device that others use
 * @worked: what the look took, in ns
 * @share: percent of the time that may be taken, 1 to 100
 *
 * Context: any. Return: ns, 0 when @share is 100, else DMR_REST_MIN to DMR_REST_MAX.
 */
u64 dmr_pace_rest(u64 worked, u32 share);

/**
 * dmr_scan_factor() - how much more often than others a device is scanned
 * @score: its health, 0 to 100
 * @threshold: health below which it is called unhealthy, 0 to 100
 *
 * Context: any. Return: 1 from the threshold on; 2 below, 4 below half of it, 8 below
 * a quarter.
 */
u32 dmr_scan_factor(u32 score, u32 threshold);

/**
 * dmr_scan_seconds() - time from the end of a pass to the next
 * @hours: the interval for a healthy device; taken as 1 to 168
 * @score: as for dmr_scan_factor()
 * @threshold: likewise
 *
 * Context: any. Return: seconds, at least 450.
 */
u32 dmr_scan_seconds(u32 hours, u32 score, u32 threshold);

#endif /* DM_REMAP_PACE_H */
