// SPDX-License-Identifier: GPL-2.0-only
/*
 * What people see of a set: the status line, statistics, health.
 */
#include "dm-remap.h"
#include "dm-remap-health.h"

/**
 * dmr_capacity() - how many units can be remapped in all
 * @s: the set
 *
 * Context: any; a snapshot. Return: the lesser of table entries and spare units.
 */
u64 dmr_capacity(struct dmr_set *s)
{
	u64 entries = (u64)s->nr_leaves * DMR_LEAF_ENTRIES, units = 0;
	unsigned int limit = READ_ONCE(max_remaps), i;

	if (limit)
		entries = min_t(u64, entries, limit);
	for (i = 0; i < s->nr_spares; i++)
		if (s->spare[i].present)
			units += s->spare[i].usable;
	return min(entries, units);
}

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

static unsigned int health(struct dmr_set *s)
{
	struct dmr_health h = {
		.capacity = dmr_capacity(s),
		.used = s->nr_remaps + s->nr_bad,
		.lost = s->nr_lost + s->nr_unknown,
		.ios = dmr_counter_get(s, DMR_CNT_FAST_READS) +
		       dmr_counter_get(s, DMR_CNT_FAST_WRITES),
		.errors = atomic64_read(&s->stats.write_errors) +
			  atomic64_read(&s->stats.read_errors),
		.spares_total = s->nr_spares,
		.spares_present = dmr_nr_present(s),
		.breaker_open = s->breaker_open,
		.failed = s->failed,
	};

	return dmr_health_score(&h);
}

/**
 * dmr_status_line() - the status line, without start, length and target name
 * @s: the set
 * @result: where it goes
 * @maxlen: room there
 *
 * Context: any; numbers are a snapshot. Return: its length.
 */
unsigned int dmr_status_line(struct dmr_set *s, char *result,
			     unsigned int maxlen)
{
	u64 manual = s->nr_manual, automatic = s->nr_remaps - manual;
	u64 capacity = dmr_capacity(s);
	unsigned int sz = 0;

	DMEMIT("v4.0 %llu/%llu %llu/%llu %llu/%llu health=%u errors=W%llu:R%llu auto_remaps=%llu manual_remaps=%llu scan=0%%",
	       s->nr_remaps, capacity, s->nr_lost + s->nr_unknown, capacity,
	       automatic + manual, capacity, health(s),
	       (u64)atomic64_read(&s->stats.write_errors),
	       (u64)atomic64_read(&s->stats.read_errors), automatic, manual);
	DMEMIT(" set=%pUb main=%u:%u unit=%u spares=%u/%u mode=%s breaker=%s",
	       s->uuid, MAJOR(s->main->bd_dev), MINOR(s->main->bd_dev),
	       dmr_unit_bytes(s), dmr_nr_present(s), s->nr_spares,
	       s->failed ? "fail" : "rw", s->breaker_open ? "open" : "closed");
	DMEMIT(" bad_spare_units=%llu rescued=%llu events=%llu", s->nr_bad,
	       (u64)atomic64_read(&s->stats.rescued), s->events);
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
	unsigned int sz = 0;

	DMEMIT("health=%u\nused=%llu\ncapacity=%llu\nlost=%llu\nwrite_errors=%llu\nread_errors=%llu\nspares_present=%u\nspares_total=%u\nbreaker=%s\nmode=%s\n",
	       health(s), s->nr_remaps + s->nr_bad, dmr_capacity(s),
	       s->nr_lost + s->nr_unknown,
	       (u64)atomic64_read(&s->stats.write_errors),
	       (u64)atomic64_read(&s->stats.read_errors), dmr_nr_present(s),
	       s->nr_spares, s->breaker_open ? "open" : "closed",
	       s->failed ? "fail" : "rw");
	return sz;
}
