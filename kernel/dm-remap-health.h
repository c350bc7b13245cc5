/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Health scores: of a set, and of a region of its main device. 0 is "about to lose
 * data", 100 is "nothing wrong". Pure integer code: nothing here sleeps, allocates
 * or locks. docs/health.md gives the reason for every number.
 */
#ifndef DM_REMAP_HEALTH_H
#define DM_REMAP_HEALTH_H

#include "dm-remap-pure.h"

/* What a term takes away, and the most of it. */
#define DMR_HEALTH_FULL		40	/* all spares are full */
#define DMR_HEALTH_LOST		5	/* a lost unit */
#define DMR_HEALTH_MAX_LOST	30
#define DMR_HEALTH_CRITICAL	76	/* more than 1 % of the I/Os failed */
#define DMR_HEALTH_POOR		51	/* more than 0.1 % did */
#define DMR_HEALTH_FEW		3	/* so few errors are no rate */
#define DMR_HEALTH_SPARE	20	/* a spare that is not in sync */
#define DMR_HEALTH_WARNING	1	/* a region with a warning */
#define DMR_HEALTH_MAX_WARNING	15
#define DMR_HEALTH_TREND	2	/* a bad unit more than in the pass before */
#define DMR_HEALTH_MAX_TREND	15
#define DMR_HEALTH_LATE		1	/* an interval without a scan */
#define DMR_HEALTH_MAX_LATE	10
/* Intervals without a scan that are nothing to worry about. */
#define DMR_HEALTH_PATIENCE	2

/**
 * struct dmr_health - what the score of a set is made of
 * @capacity: units that the spares could take in all
 * @used: units of them in use
 * @lost: units whose data could not be read
 * @ios: reads and writes in the life of the set
 * @errors: units of them that failed alone
 * @spares_total: spares in the set
 * @spares_present: spares that are in sync
 * @warnings: regions that are slow, or blank and had data
 * @found: bad units that the last pass of the scan found
 * @found_before: those that the pass before it found
 * @age: seconds since the last pass ended
 * @interval: seconds from pass to pass; 0: the age doesn't count
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
	u64 warnings;
	u64 found;
	u64 found_before;
	u64 age;
	u32 interval;
	bool breaker_open;
	bool failed;
};

/**
 * struct dmr_region_health - what the score of a region is made of
 * @units: units of the region
 * @errors: of them, those that could not be read
 * @retries: those that could be read again
 * @slow: pieces that were slow when it was read last
 * @marginal: of them, those that were slow the time before, too
 * @blanks: how often it was blank although it had data
 */
struct dmr_region_health {
	u32 units;
	u32 errors;
	u32 retries;
	u32 slow;
	u32 marginal;
	u32 blanks;
};

/**
 * enum dmr_health_term - what takes something away from the score of a set
 * @DMR_TERM_FULL: how full the spares are
 * @DMR_TERM_LOST: units that are lost
 * @DMR_TERM_ERRORS: the share of I/Os that failed
 * @DMR_TERM_SPARES: spares that are not in sync
 * @DMR_TERM_WARNINGS: regions with a warning
 * @DMR_TERM_TREND: more bad units were found than before
 * @DMR_TERM_AGE: nobody has looked for long
 */
enum dmr_health_term {
	DMR_TERM_FULL = 0,
	DMR_TERM_LOST,
	DMR_TERM_ERRORS,
	DMR_TERM_SPARES,
	DMR_TERM_WARNINGS,
	DMR_TERM_TREND,
	DMR_TERM_AGE,
	DMR_NR_TERMS,
};

/**
 * dmr_health_terms() - what takes how much away from the score
 * @h: what the score is made of
 * @minus: filled in, DMR_NR_TERMS numbers by enum dmr_health_term
 *
 * Context: any.
 */
void dmr_health_terms(const struct dmr_health *h, u32 *minus);

/**
 * dmr_health_term_name() - a word for a term
 * @term: enum dmr_health_term
 *
 * Context: any. Return: a constant string, never NULL.
 */
const char *dmr_health_term_name(unsigned int term);

/**
 * dmr_health_score() - the score of a set
 * @h: what it is made of
 *
 * 100 less all terms; 0 when the breaker is open or the set has failed.
 * Context: any. Return: 0 to 100.
 */
unsigned int dmr_health_score(const struct dmr_health *h);

/**
 * dmr_region_score() - the score of a region
 * @h: what it is made of
 *
 * 100, less: 10 for any unit that could not be read, 30 when they are more than
 * 0.1 % of its units, 60 over 1 %; 10 for each that could be read again, up to 40;
 * 3 for each slow piece, up to 15, and 5 for each that is marginal, up to 25; 2 for
 * each time that it was blank, up to 4.
 * Context: any. Return: 0 to 100.
 */
unsigned int dmr_region_score(const struct dmr_region_health *h);

/**
 * dmr_health_word() - what a score means
 * @score: 0 to 100
 *
 * Context: any. Return: good from 75 on, fair from 50 on, poor from 25 on, critical;
 * a constant string.
 */
const char *dmr_health_word(unsigned int score);

#endif /* DM_REMAP_HEALTH_H */
