// SPDX-License-Identifier: GPL-2.0-only
/*
 * How fast and how often a device is scanned. Pure code: see dm-remap-pace.h.
 */
#include "dm-remap-pace.h"

#define NS_PER_SECOND	1000000000ULL

/* Rounded up, so that many small requests don't get more. Fits: 2^30 * 2^30. */
static u64 ns_for(u32 bytes, u32 rate)
{
	u64 per_second = (u64)rate * 1024;

	return (bytes * NS_PER_SECOND + per_second - 1) / per_second;
}

u64 dmr_bucket_take(struct dmr_bucket *b, u64 now, u32 bytes, u32 rate, u32 burst)
{
	u64 full;

	if (!rate) {
		b->empty_at = now;
		return 0;
	}
	full = ns_for(burst, rate);
	if (b->empty_at > now + full)
		return b->empty_at - full - now;
	if (b->empty_at < now)
		b->empty_at = now;
	b->empty_at += ns_for(bytes, rate);
	return 0;
}

u64 dmr_pace_rest(u64 worked, u32 share)
{
	u64 rest;

	if (share >= 100)
		return 0;
	if (!share)
		return DMR_REST_MAX;
	/* With any share that is the longest rest, and the product fits. */
	if (worked > 100 * DMR_REST_MAX)
		return DMR_REST_MAX;
	rest = worked * (100 - share) / share;
	if (rest < DMR_REST_MIN)
		return DMR_REST_MIN;
	return rest < DMR_REST_MAX ? rest : DMR_REST_MAX;
}

u32 dmr_scan_factor(u32 score, u32 threshold)
{
	if (score >= threshold)
		return 1;
	if (score * 2 >= threshold)
		return 2;
	return score * 4 >= threshold ? 4 : DMR_SCAN_MAX_FACTOR;
}

u32 dmr_scan_seconds(u32 hours, u32 score, u32 threshold)
{
	if (hours < DMR_SCAN_MIN_HOURS)
		hours = DMR_SCAN_MIN_HOURS;
	if (hours > DMR_SCAN_MAX_HOURS)
		hours = DMR_SCAN_MAX_HOURS;
	return hours * 3600 / dmr_scan_factor(score, threshold);
}
