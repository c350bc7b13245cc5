// SPDX-License-Identifier: GPL-2.0-only
/*
 * The circuit breaker: a device that is dead or read-only must not eat the
 * spares.
 *
 * DOC: when it opens
 *
 * Before a unit that failed alone is given a spare, two questions are asked.
 * Does main still answer? Up to eight units spread over it are read; when none
 * of at least three can be read, the device is gone. Are there too many? More
 * than breaker_remaps new remaps within breaker_seconds, or 256 of them without
 * a single write that worked, are no grown bad sectors. An open breaker passes
 * errors up as they come; it closes by message, or with the next activation of
 * the set.
 *
 * Everything here: may sleep, engine_lock held.
 */
#include <linux/jiffies.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-faces.h"
#include "dm-remap-news.h"
#include "dm-remap-table.h"

#define NR_CANARIES		8
#define MIN_CANARIES		3
#define CANARY_JIFFIES		HZ
/* Remaps without one good write before the device counts as read-only. */
#define MAX_UNANSWERED		256

static bool canary_answers(struct dmr_set *s, u64 unit)
{
	return !dmr_io_page(s, s->main, dmr_unit_to_sector(s, unit),
			    s->check_page, dmr_unit_bytes(s), REQ_OP_READ);
}

/**
 * dmr_main_dead() - does main answer nothing at all?
 * @s: the set
 *
 * The answer is kept for a second.
 * Return: true when all units that were tried failed.
 */
bool dmr_main_dead(struct dmr_set *s)
{
	unsigned int i, tried = 0;
	u64 unit, val;
	u32 place;

	lockdep_assert_held(&s->engine_lock);
	if (s->canary_time &&
	    time_before(jiffies, s->canary_time + CANARY_JIFFIES))
		return !s->canary_alive;
	s->canary_alive = false;
	for (i = 0; i < NR_CANARIES && !s->canary_alive; i++) {
		unit = div_u64(s->nr_units, 2 * NR_CANARIES) * (2 * i + 1);
		if (dmr_index_find(s, unit, &val, &place))
			continue;
		tried++;
		s->canary_alive = canary_answers(s, unit);
	}
	if (tried < MIN_CANARIES)
		s->canary_alive = true;
	s->canary_time = jiffies ?: 1;
	return !s->canary_alive;
}

static void breaker_open(struct dmr_set *s, const char *why)
{
	DMERR("%s: circuit breaker opened: %s; errors of %pg are passed up from now on, no sector is remapped",
	      dm_device_name(s->md), why, s->main);
	WRITE_ONCE(s->breaker_open, true);
	dmr_news(s, DMR_NEWS_BREAKER, true, DMR_NO_SPARE);
	dmr_event(s);
}

/**
 * dmr_breaker_allows() - may one more failed unit be given a spare?
 * @s: the set
 *
 * Counts the unit. Return: false when the breaker is open.
 */
bool dmr_breaker_allows(struct dmr_set *s)
{
	u64 writes_ok = dmr_done(s, 1) + s->engine_writes_ok;
	unsigned long window = READ_ONCE(s->opts.breaker_seconds) * HZ;

	lockdep_assert_held(&s->engine_lock);
	if (s->breaker_open)
		return false;
	if (bdev_read_only(s->main)) {
		breaker_open(s, "the main device is read-only");
		return false;
	}
	if (dmr_main_dead(s)) {
		breaker_open(s, "the main device answers no read");
		return false;
	}
	if (!s->window_start || time_after(jiffies, s->window_start + window)) {
		s->window_start = jiffies ?: 1;
		s->window_remaps = 0;
		s->window_writes_ok = writes_ok;
	}
	if (writes_ok == s->window_writes_ok &&
	    s->window_remaps >= MAX_UNANSWERED) {
		breaker_open(s, "the main device takes no writes");
		return false;
	}
	if (s->window_remaps >= READ_ONCE(s->opts.breaker_remaps)) {
		breaker_open(s, "too many sectors failed in a short time");
		return false;
	}
	s->window_remaps++;
	return true;
}

/**
 * dmr_breaker_close() - give the device another chance
 * @s: the set
 */
void dmr_breaker_close(struct dmr_set *s)
{
	lockdep_assert_held(&s->engine_lock);
	s->window_start = 0;
	s->canary_time = 0;
	if (s->breaker_open)
		dmr_news(s, DMR_NEWS_BREAKER, false, DMR_NO_SPARE);
	WRITE_ONCE(s->breaker_open, false);
}
