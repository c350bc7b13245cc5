// SPDX-License-Identifier: GPL-2.0-only
/*
 * Health score. Pure code: see dm-remap-health.h.
 */
#include "dm-remap-health.h"

unsigned int dmr_health_score(const struct dmr_health *h)
{
	u64 minus = 0;

	if (h->breaker_open || h->failed)
		return 0;
	/* Units are below 2^43 (8 spares of 2^40), so the product fits. */
	if (h->used >= h->capacity)
		minus += 40;
	else
		minus += h->used * 40 / h->capacity;
	minus += h->lost > 6 ? 30 : h->lost * 5;
	if (h->errors > h->ios / 100)
		minus += 25;
	else if (h->errors > h->ios / 1000)
		minus += 10;
	minus += 20 * (u64)(h->spares_total - h->spares_present);
	return minus > 100 ? 0 : 100 - minus;
}
