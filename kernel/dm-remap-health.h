/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The health score of a set, 0 (about to lose data) to 100 (nothing wrong).
 * Pure integer code: nothing here sleeps, allocates or locks.
 */
#ifndef DM_REMAP_HEALTH_H
#define DM_REMAP_HEALTH_H

#include "dm-remap-pure.h"

/**
 * struct dmr_health - what the score is made of
 * @capacity: units that the spares could take in all
 * @used: units of them in use
 * @lost: units whose data could not be read
 * @ios: reads and writes since the set was started
 * @errors: units of them that failed alone
 * @spares_total: spares in the set
 * @spares_present: spares that are in sync
 * @breaker_open: the main device was taken for dead
 * @failed: mappings can no longer be made durable
 */
struct dmr_health {
	u64 capacity;
	u64 used;
	u64 lost;
	u64 ios;
	u64 errors;
	u32 spares_total;
	u32 spares_present;
	bool breaker_open;
	bool failed;
};

/**
 * dmr_health_score() - the score
 * @h: its terms
 *
 * 100, less: up to 40 for the fill of the spares; 5 for every lost unit, up to
 * 30; 25 when more than 1 % of the I/Os failed, 10 when more than 0.1 % did; 20
 * for every spare that is not in sync. 0 when the breaker is open or the set
 * has failed.
 * Context: any. Return: 0 to 100.
 */
unsigned int dmr_health_score(const struct dmr_health *h);

#endif /* DM_REMAP_HEALTH_H */
