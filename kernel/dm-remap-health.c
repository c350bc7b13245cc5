// SPDX-License-Identifier: GPL-2.0-only
/*
 * Health scores. Pure code: see dm-remap-health.h.
 */
#include "dm-remap-health.h"

/* n times what one costs, but no more than the most. */
static u32 times(u64 n, u32 cost, u32 most)
{
	return n > most / cost ? most : n * cost;
}

static u32 error_rate(u64 errors, u64 of, u32 critical, u32 poor)
{
	if (errors > of / 100)
		return critical;
	return errors > of / 1000 ? poor : 0;
}

/* Units are below 2^43 (8 spares of 2^40), so the product fits. */
static u32 fill(u64 used, u64 capacity)
{
	return used >= capacity ? DMR_HEALTH_FULL :
				  used * DMR_HEALTH_FULL / capacity;
}

static u32 lateness(u64 age, u32 interval)
{
	u64 late;

	if (!interval)
		return 0;
	late = age / interval;
	return late <= DMR_HEALTH_PATIENCE ? 0 :
		times(late - DMR_HEALTH_PATIENCE, DMR_HEALTH_LATE, DMR_HEALTH_MAX_LATE);
}

void dmr_health_terms(const struct dmr_health *h, u32 *minus)
{
	u64 more = h->found > h->found_before ? h->found - h->found_before : 0;

	minus[DMR_TERM_FULL] = fill(h->used, h->capacity);
	minus[DMR_TERM_LOST] = times(h->lost, DMR_HEALTH_LOST, DMR_HEALTH_MAX_LOST);
	minus[DMR_TERM_ERRORS] = h->errors <= DMR_HEALTH_FEW ? 0 :
		error_rate(h->errors, h->ios, DMR_HEALTH_CRITICAL, DMR_HEALTH_POOR);
	minus[DMR_TERM_SPARES] = (h->spares_total - h->spares_present) *
				 DMR_HEALTH_SPARE;
	minus[DMR_TERM_WARNINGS] = times(h->warnings, DMR_HEALTH_WARNING,
					 DMR_HEALTH_MAX_WARNING);
	minus[DMR_TERM_TREND] = times(more, DMR_HEALTH_TREND, DMR_HEALTH_MAX_TREND);
	minus[DMR_TERM_AGE] = lateness(h->age, h->interval);
}

const char *dmr_health_term_name(unsigned int term)
{
	static const char *const words[DMR_NR_TERMS] = {
		[DMR_TERM_FULL] = "full",
		[DMR_TERM_LOST] = "lost",
		[DMR_TERM_ERRORS] = "errors",
		[DMR_TERM_SPARES] = "spares",
		[DMR_TERM_WARNINGS] = "warnings",
		[DMR_TERM_TREND] = "trend",
		[DMR_TERM_AGE] = "age",
	};

	return term < DMR_NR_TERMS ? words[term] : "unknown";
}

unsigned int dmr_health_score(const struct dmr_health *h)
{
	u32 minus[DMR_NR_TERMS], sum = 0, i;

	if (h->breaker_open || h->failed)
		return 0;
	dmr_health_terms(h, minus);
	for (i = 0; i < DMR_NR_TERMS; i++)
		sum += minus[i];
	return sum > 100 ? 0 : 100 - sum;
}

unsigned int dmr_region_score(const struct dmr_region_health *h)
{
	u32 sum;

	sum = h->errors ? error_rate(h->errors, h->units, 60, 30) : 0;
	if (h->errors && sum < 10)
		sum = 10;
	sum += times(h->retries, 10, 40);
	sum += times(h->slow, 3, 15);
	sum += times(h->marginal, 5, 25);
	sum += times(h->blanks, 2, 4);
	return sum > 100 ? 0 : 100 - sum;
}

const char *dmr_health_word(unsigned int score)
{
	if (score >= 75)
		return "good";
	if (score >= 50)
		return "fair";
	return score >= 25 ? "poor" : "critical";
}
