// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people see of a set: the status line, statistics, health.
 */
#include <linux/ktime.h>
#include <linux/timekeeping.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-faces.h"
#include "dm-remap-health.h"
#include "dm-remap-message.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

/**
 * dmr_done() - bios that ended well on the healthy path since the set started
 * @s: the set
 * @dir: 0 for reads, 1 for writes
 *
 * Context: any. Return: their number, a snapshot.
 */
u64 dmr_done(struct dmr_set *s, int dir)
{
	u64 sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(s->pcpu, cpu)->done[dir]);
	return sum;
}

static void health_of(struct dmr_set *s, struct dmr_health *h)
{
	const struct dmr_scanned *scan = &s->scan.st;
	u64 now = ktime_get_real_seconds(), since = READ_ONCE(scan->since);

	*h = (struct dmr_health){
		.capacity = dmr_capacity(s),
		.used = s->nr_remaps + s->nr_bad,
		.lost = s->nr_lost + s->nr_unknown,
		.ios = dmr_counter_get(s, DMR_CNT_FAST_READS) +
		       dmr_counter_get(s, DMR_CNT_FAST_WRITES) +
		       atomic64_read(&s->stats.scan_reads),
		.errors = atomic64_read(&s->stats.write_errors) +
			  atomic64_read(&s->stats.read_errors),
		.spares_total = dmr_nr_members(s),
		.spares_present = dmr_nr_present(s),
		.warnings = READ_ONCE(s->scan.warned),
		.found = READ_ONCE(scan->found),
		.found_before = READ_ONCE(scan->found_before),
		.age = now > since ? now - since : 0,
		.interval = READ_ONCE(scan_interval_hours) * 3600,
		.breaker_open = s->breaker_open,
		.failed = s->failed,
	};
}

/**
 * dmr_set_health() - the health score of a set
 * @s: the set
 *
 * Context: any; a snapshot. Return: 0 to 100.
 */
unsigned int dmr_set_health(struct dmr_set *s)
{
	struct dmr_health h;

	health_of(s, &h);
	return dmr_health_score(&h);
}

/**
 * dmr_status_line() - the status line, without start, length and target name
 * @s: the set
 * @result: where it goes
 * @maxlen: room there
 *
 * Context: may sleep; numbers are a snapshot. Return: its length.
 */
unsigned int dmr_status_line(struct dmr_set *s, char *result,
			     unsigned int maxlen)
{
	u64 manual = s->nr_manual, automatic = s->nr_remaps - manual;
	u64 capacity = dmr_capacity(s);
	struct dmr_scan_report scan;
	unsigned int sz = 0;

	dmr_scan_report(s, &scan);
	DMEMIT("v4.0 %llu/%llu %llu/%llu %llu/%llu health=%u errors=W%llu:R%llu auto_remaps=%llu manual_remaps=%llu scan=%u%%",
	       s->nr_remaps, capacity, s->nr_lost + s->nr_unknown, capacity,
	       automatic + manual, capacity, scan.score,
	       (u64)atomic64_read(&s->stats.write_errors),
	       (u64)atomic64_read(&s->stats.read_errors), automatic, manual,
	       scan.percent);
	DMEMIT(" set=%pUb main=%u:%u unit=%u spares=%u/%u mode=%s breaker=%s",
	       s->uuid, MAJOR(s->main->bd_dev), MINOR(s->main->bd_dev),
	       dmr_unit_bytes(s), dmr_nr_present(s), dmr_nr_members(s),
	       s->failed ? "fail" : "rw", s->breaker_open ? "open" : "closed");
	DMEMIT(" bad_spare_units=%llu rescued=%llu events=%llu", s->nr_bad,
	       (u64)atomic64_read(&s->stats.rescued), s->events);
	DMEMIT(" free=%llu space=%s allocation=%s", dmr_free_units(s),
	       dmr_space_name(dmr_space(s)), dmr_policy_name(s->policy));
	DMEMIT(" redundancy=%u below=%llu", s->redundancy, dmr_below(s));
	DMEMIT(" scan_state=%s", scan.state);
	if (READ_ONCE(s->copy.phase) != DMR_COPY_OFF)
		DMEMIT(" copy=%s:%llu", dmr_copy_phase(s),
		       dmr_unit_to_sector(s, READ_ONCE(s->copy.done)));
	return sz;
}

/**
 * dmr_status_stats() - statistics, a line "name=value" each
 * @s: the set
 * @result: where they go
 * @maxlen: room there
 *
 * Context: any. Return: length.
 */
unsigned int dmr_status_stats(struct dmr_set *s, char *result,
			      unsigned int maxlen)
{
	unsigned int sz = 0, i;

	for (i = 0; i < DMR_NR_COUNTERS; i++)
		DMEMIT("%s=%llu\n", dmr_counter_name(i), dmr_counter_get(s, i));
	DMEMIT("remaps=%llu\nlost=%llu\nunknown=%llu\nbad_spare_units=%llu\n",
	       s->nr_remaps, s->nr_lost, s->nr_unknown, s->nr_bad);
	DMEMIT("mirrors=%llu\nmending=%u\n", s->nr_mirrors, dmr_mending(s));
	for (i = 0; i < s->nr_spares; i++)
		if (s->spare[i].present)
			DMEMIT("spare%u_free=%llu\nspare%u_usable=%llu\n", i,
			       s->spare[i].alloc.nr_free, i, s->spare[i].usable);
	return sz;
}

/**
 * dmr_status_health() - the health score and its terms, a line each
 * @s: the set
 * @result: where they go
 * @maxlen: room there
 *
 * Context: any. Return: length.
 */
unsigned int dmr_status_health(struct dmr_set *s, char *result,
			       unsigned int maxlen)
{
	u32 minus[DMR_NR_TERMS], i;
	unsigned int sz = 0, score;
	struct dmr_health h;

	health_of(s, &h);
	score = dmr_health_score(&h);
	dmr_health_terms(&h, minus);
	DMEMIT("health=%u\nused=%llu\ncapacity=%llu\nlost=%llu\nwrite_errors=%llu\nread_errors=%llu\nspares_present=%u\nspares_total=%u\nbreaker=%s\nmode=%s\n",
	       score, h.used, h.capacity, h.lost,
	       (u64)atomic64_read(&s->stats.write_errors),
	       (u64)atomic64_read(&s->stats.read_errors), h.spares_present,
	       h.spares_total, h.breaker_open ? "open" : "closed",
	       h.failed ? "fail" : "rw");
	DMEMIT("verdict=%s\nios=%llu\nwarnings=%llu\nfound=%llu\nfound_before=%llu\nscan_age=%llu\n",
	       dmr_health_word(score), h.ios, h.warnings, h.found, h.found_before,
	       h.age);
	for (i = 0; i < DMR_NR_TERMS; i++)
		DMEMIT("minus_%s=%u\n", dmr_health_term_name(i), minus[i]);
	return sz;
}
