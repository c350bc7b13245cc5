// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/dm-remap-v4/stats: all sets together. The files are described in
 * docs/abi.md.
 *
 * engine_lock is not taken: who has it may wait for a device on which somebody
 * sleeps, and who wants to wake it may need the list of sets, which we have.
 */
#include "dm-remap-faces.h"
#include "dm-remap-spares.h"
#include "dm-remap-sysfs.h"
#include "dm-remap-table.h"

/**
 * struct totals - sums over all sets
 * @sets: their number
 * @ok: of them, all spares are in use
 * @degraded: of them, some spare is not
 * @failed: of them, no mapping can be made durable any more
 * @spares: members
 * @in_use: of them, in sync and in use
 * @counter: enum dmr_counter
 * @remaps: units on spares
 * @manual: of them, moved there on request
 * @lost: units that can't be read
 * @unknown: remapped units whose data is unknown
 * @bad: units of spares that were set aside
 * @mirrors: second copies
 * @below: units with less copies than they should have
 * @capacity: units that can be remapped
 * @free: of them, not yet
 */
struct totals {
	unsigned int sets;
	unsigned int ok;
	unsigned int degraded;
	unsigned int failed;
	unsigned int spares;
	unsigned int in_use;
	u64 counter[DMR_NR_COUNTERS];
	u64 remaps;
	u64 manual;
	u64 lost;
	u64 unknown;
	u64 bad;
	u64 mirrors;
	u64 below;
	u64 capacity;
	u64 free;
};

static void count_states(struct totals *t, struct dmr_set *s)
{
	unsigned int members = dmr_nr_members(s), present = dmr_nr_present(s);

	t->sets++;
	t->spares += members;
	t->in_use += present;
	if (READ_ONCE(s->failed))
		t->failed++;
	else if (present < members)
		t->degraded++;
	else
		t->ok++;
}

static void add_set(struct dmr_set *s, void *data)
{
	struct totals *t = data;
	unsigned int i;

	count_states(t, s);
	for (i = 0; i < DMR_NR_COUNTERS; i++)
		t->counter[i] += dmr_counter_get(s, i);
	t->remaps += READ_ONCE(s->nr_remaps);
	t->manual += READ_ONCE(s->nr_manual);
	t->lost += READ_ONCE(s->nr_lost);
	t->unknown += READ_ONCE(s->nr_unknown);
	t->bad += READ_ONCE(s->nr_bad);
	t->mirrors += READ_ONCE(s->nr_mirrors);
	t->below += dmr_below(s);
	t->capacity += dmr_capacity(s);
	t->free += dmr_free_units(s);
}

static ssize_t global_stats_show(struct kobject *kobj,
				 struct kobj_attribute *attr, char *buf)
{
	struct totals t = { };
	unsigned int i;
	int len;

	dmr_sets_walk(add_set, &t);
	len = sysfs_emit(buf, "sets=%u\n", t.sets);
	for (i = 0; i < DMR_NR_COUNTERS; i++)
		len += sysfs_emit_at(buf, len, "%s=%llu\n", dmr_counter_name(i),
				     t.counter[i]);
	len += sysfs_emit_at(buf, len, "remaps=%llu\nmanual=%llu\nlost=%llu\nunknown=%llu\n",
			     t.remaps, t.manual, t.lost, t.unknown);
	len += sysfs_emit_at(buf, len, "bad_spare_units=%llu\nmirrors=%llu\nbelow=%llu\n",
			     t.bad, t.mirrors, t.below);
	len += sysfs_emit_at(buf, len, "capacity=%llu\nfree=%llu\n", t.capacity,
			     t.free);
	return len;
}

/**
 * struct health - the health of all sets
 * @sets: their number
 * @threshold: the score below which a set is counted in @below
 * @below: sets whose score is less
 * @lowest: the least score
 * @open: sets whose breaker is open
 * @running: sets that are being scanned
 * @scanned: sets that were scanned to the end once
 * @errors: the sums of struct dmr_scan_report
 * @rescued: likewise
 * @slow: likewise
 * @patterns: likewise
 * @relocated: likewise
 */
struct health {
	unsigned int sets;
	unsigned int threshold;
	unsigned int below;
	unsigned int lowest;
	unsigned int open;
	unsigned int running;
	unsigned int scanned;
	u64 errors;
	u64 rescued;
	u64 slow;
	u64 patterns;
	u64 relocated;
};

static void add_health(struct dmr_set *s, void *data)
{
	struct dmr_scan_report r;
	struct health *h = data;

	dmr_scan_report(s, &r);
	h->sets++;
	h->below += r.score < h->threshold;
	h->lowest = min(h->lowest, r.score);
	h->open += READ_ONCE(s->breaker_open);
	h->running += !strcmp(r.state, "running");
	h->scanned += !!r.last_pass;
	h->errors += r.errors;
	h->rescued += r.rescued;
	h->slow += r.slow;
	h->patterns += r.patterns;
	h->relocated += r.relocated;
}

static int health_line(struct dmr_set *s, char *line, size_t room)
{
	struct dmr_scan_report r;
	char name[DM_NAME_LEN];

	dmr_scan_report(s, &r);
	dmr_set_name(s, name);
	return scnprintf(line, room, "uuid=%pUb health=%u state=%s breaker=%s scan=%s:%u%% scan_errors=%llu last_scan=%llu next_scan=%llu name=%*pEs\n",
			 s->uuid, r.score, dmr_set_state(s),
			 READ_ONCE(s->breaker_open) ? "open" : "closed", r.state,
			 r.percent, r.errors, r.last_pass, r.next_pass,
			 (int)strlen(name), name);
}

static ssize_t health_stats_show(struct kobject *kobj,
				 struct kobj_attribute *attr, char *buf)
{
	struct health h = {
		.threshold = dmr_knob_get(&dmr_knob_threshold),
		.lowest = 100,
	};
	struct dmr_page page = { .buf = buf };

	dmr_sets_walk(add_health, &h);
	page.len = sysfs_emit(buf, "sets=%u\nthreshold=%u\nbelow_threshold=%u\nlowest=%u\nbreakers_open=%u\n",
			      h.sets, h.threshold, h.below, h.lowest, h.open);
	page.len += sysfs_emit_at(buf, page.len, "scans_running=%u\nsets_scanned=%u\nscan_errors=%llu\nscan_rescued=%llu\nscan_slow=%llu\nscan_patterns=%llu\nscan_relocated=%llu\n",
				  h.running, h.scanned, h.errors, h.rescued,
				  h.slow, h.patterns, h.relocated);
	dmr_page_lines(&page, health_line);
	return page.len;
}

static void add_states(struct dmr_set *s, void *data)
{
	count_states(data, s);
}

static ssize_t discovery_stats_show(struct kobject *kobj,
				    struct kobj_attribute *attr, char *buf)
{
	struct totals t = { };

	dmr_sets_walk(add_states, &t);
	return sysfs_emit(buf, "sets=%u\nok=%u\ndegraded=%u\nfailed=%u\nspares=%u\nspares_in_use=%u\nauto_discovery=%u\ntriggers=%lld\n",
			  t.sets, t.ok, t.degraded, t.failed, t.spares, t.in_use,
			  dmr_auto_discovery(),
			  (s64)atomic64_read(&dmr_discovery_triggers));
}

static struct kobj_attribute global_stats_attr = __ATTR_RO(global_stats);
static struct kobj_attribute health_stats_attr = __ATTR_RO(health_stats);
static struct kobj_attribute discovery_stats_attr = __ATTR_RO(discovery_stats);

static struct attribute *attrs[] = {
	&global_stats_attr.attr,
	&health_stats_attr.attr,
	&discovery_stats_attr.attr,
	NULL
};

const struct attribute_group dmr_stats_group = {
	.name = "stats",
	.attrs = attrs,
};
