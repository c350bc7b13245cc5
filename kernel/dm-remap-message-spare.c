// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages about the pool: dmsetup message DEVICE 0 spare COMMAND ...
 *
 * All handlers: process context, may sleep; the core keeps the table while one
 * runs.
 */
#include "dm-remap-data.h"
#include "dm-remap-message.h"
#include "dm-remap-spares.h"

#define SPARE_USAGE							\
	"list; usage; join <major>:<minor> [force|trust]; drain <row> on|off; "	\
	"tier <row> 0-15; health <row> 0-100; "				\
	"migrate <row> <row>|any <units>; drop <row> [lose]"

static const char *const policy_names[DMR_NR_POLICIES] = {
	[DMR_POLICY_LEAST_USED] = "least-used",
	[DMR_POLICY_FIRST_FIT] = "first-fit",
	[DMR_POLICY_ROUND_ROBIN] = "round-robin",
	[DMR_POLICY_HEALTHIEST] = "healthiest",
	[DMR_POLICY_TIERED] = "tiered",
};

/**
 * dmr_policy_name() - a word for a policy
 * @policy: enum dmr_policy
 *
 * Context: any. Return: a constant string.
 */
const char *dmr_policy_name(unsigned int policy)
{
	return policy_names[policy];
}

/**
 * dmr_set_policy() - change where new remaps go, for good
 * @s: the set
 * @word: the name of the policy
 *
 * Context: may sleep. Return: 0; -EINVAL, -EIO with a sentence in last_error.
 */
int dmr_set_policy(struct dmr_set *s, const char *word)
{
	unsigned int i;

	for (i = 0; i < DMR_NR_POLICIES; i++)
		if (!strcmp(word, policy_names[i]))
			break;
	if (i == DMR_NR_POLICIES) {
		dmr_set_error(s, "%s is no policy; these are: least-used, first-fit, round-robin, healthiest, tiered.",
			      word);
		return -EINVAL;
	}
	mutex_lock(&s->engine_lock);
	s->policy = i;
	mutex_unlock(&s->engine_lock);
	return dmr_pool_save(s);
}

static int parse_row(struct dmr_call *c, const char *word, unsigned int *row)
{
	if (kstrtouint(word, 10, row) || *row >= c->s->nr_spares ||
	    dmr_row(c->s, *row)->state == DMR_SPARE_LEFT) {
		dmr_set_error(c->s, "There is no spare %s; \"spare list\" shows them.",
			      word);
		return -EINVAL;
	}
	return 0;
}

static int parse_value(struct dmr_call *c, unsigned int max, unsigned int *value)
{
	if (kstrtouint(c->argv[2], 10, value) || *value > max) {
		dmr_set_error(c->s, "%s takes a number from 0 to %u, not %s.",
			      c->argv[0], max, c->argv[2]);
		return -EINVAL;
	}
	return 0;
}

/**
 * dmr_spare_state_name() - a word for the state of a spare
 * @s: the set
 * @row: the spare
 *
 * Context: any; a snapshot. Return: a constant string.
 */
const char *dmr_spare_state_name(struct dmr_set *s, unsigned int row)
{
	static const char *const words[DMR_SPARE_NR_STATES] = {
		[DMR_SPARE_NONE] = "none",
		[DMR_SPARE_IN_SYNC] = "in-sync",
		[DMR_SPARE_FAILED] = "failed",
		[DMR_SPARE_MISSING] = "missing",
		[DMR_SPARE_LEFT] = "left",
	};

	return s->spare[row].joining ? "joining" : words[dmr_row(s, row)->state];
}

static void print_device(struct dmr_call *c, struct block_device *bdev)
{
	if (bdev)
		dmr_reply(c, "%u:%u", MAJOR(bdev->bd_dev), MINOR(bdev->bd_dev));
	else
		dmr_reply(c, "-");
}

static void print_row(struct dmr_call *c, unsigned int row)
{
	struct dmr_spare_desc *desc = dmr_row(c->s, row);
	struct dmr_spare *sp = &c->s->spare[row];

	dmr_reply(c, "%u ", row);
	print_device(c, sp->bdev);
	dmr_reply(c, " %s %pUb sectors=%llu usable=%llu free=%llu used=%llu bad=%llu tier=%u health=%u draining=%u\n",
		  dmr_spare_state_name(c->s, row), desc->uuid, desc->sectors,
		  sp->present ? sp->usable : 0,
		  sp->present ? sp->alloc.nr_free : 0, sp->used, sp->bad,
		  desc->tier, dmr_spare_health(c->s, row),
		  !!(desc->flags & DMR_ROW_DRAINING));
}

static int spare_list(struct dmr_call *c)
{
	struct dmr_table *t = c->t;
	struct dmr_set *s = c->s;
	unsigned int i;

	mutex_lock(&s->engine_lock);
	for (i = 0; i < s->nr_spares; i++)
		if (dmr_row(s, i)->state != DMR_SPARE_LEFT)
			print_row(c, i);
	for (i = 0; i < t->nr_spares; i++) {
		unsigned int row = t->set_idx[i];

		if (row != DMR_NO_ROW && dmr_row(s, row)->state != DMR_SPARE_LEFT)
			continue;
		dmr_reply(c, "- ");
		print_device(c, t->spare[i]->bdev);
		dmr_reply(c, " attached\n");
	}
	mutex_unlock(&s->engine_lock);
	return 0;
}

static int spare_usage(struct dmr_call *c)
{
	struct dmr_set *s = c->s;
	u32 i;

	mutex_lock(&s->engine_lock);
	dmr_reply(c, "capacity=%llu free=%llu used=%llu\n", dmr_capacity(s),
		  dmr_free_units(s), s->nr_remaps + s->nr_lost + s->nr_bad);
	for (i = 0; i < s->state.nr_usage; i++)
		dmr_reply(c, "%llu %llu\n", s->state.usage[i].time,
			  s->state.usage[i].used);
	mutex_unlock(&s->engine_lock);
	return 0;
}

static int spare_join(struct dmr_call *c)
{
	unsigned int major, minor, row;
	const char *how = c->argc > 2 ? c->argv[2] : "";
	bool force = !strcmp(how, "force"), trust = !strcmp(how, "trust");
	char rest;
	int r;

	if (sscanf(c->argv[1], "%u:%u%c", &major, &minor, &rest) != 2 ||
	    (*how && !force && !trust)) {
		dmr_set_error(c->s, "join takes a device as <major>:<minor>, and \"force\" or \"trust\".");
		return -EINVAL;
	}
	r = dmr_join(c->t, MKDEV(major, minor), force, trust, &row);
	if (!r)
		dmr_reply(c, "row=%u", row);
	return r;
}

static int spare_drain(struct dmr_call *c)
{
	bool on = !strcmp(c->argv[2], "on");
	unsigned int row;
	int r = parse_row(c, c->argv[1], &row);

	if (!r && !on && strcmp(c->argv[2], "off")) {
		dmr_set_error(c->s, "drain is on or off, not %s.", c->argv[2]);
		r = -EINVAL;
	}
	if (!r)
		r = dmr_pool_drain(c->s, row, on);
	if (!r)
		dmr_reply(c, "row=%u draining=%u", row, on);
	return r;
}

static int spare_tier(struct dmr_call *c)
{
	unsigned int row, tier;
	int r = parse_row(c, c->argv[1], &row) ?:
		parse_value(c, DMR_MAX_TIER, &tier);

	if (r)
		return r;
	mutex_lock(&c->s->engine_lock);
	dmr_row(c->s, row)->tier = tier;
	mutex_unlock(&c->s->engine_lock);
	r = dmr_pool_save(c->s);
	if (!r)
		dmr_reply(c, "row=%u tier=%u", row, tier);
	return r;
}

static int spare_health(struct dmr_call *c)
{
	unsigned int row, health;
	int r = parse_row(c, c->argv[1], &row) ?: parse_value(c, 100, &health);

	if (r)
		return r;
	mutex_lock(&c->s->engine_lock);
	c->s->spare[row].told_health = health;
	mutex_unlock(&c->s->engine_lock);
	dmr_reply(c, "row=%u health=%u", row, health);
	return 0;
}

/* The rows that units may not go to, as a mask. */
static int parse_target(struct dmr_call *c, unsigned int from, unsigned int *avoid)
{
	struct dmr_set *s = c->s;
	unsigned int to;
	int r;

	*avoid = dmr_migrate_avoids(s, from);
	if (!strcmp(c->argv[2], "any"))
		return 0;
	r = parse_row(c, c->argv[2], &to);
	if (!r && (to == from || !s->spare[to].present)) {
		dmr_set_error(s, "Units of spare %u can't go to spare %u: it is the same, or not in use.",
			      from, to);
		r = -EINVAL;
	}
	if (!r)
		*avoid = ~(1U << to);
	return r;
}

static int spare_migrate(struct dmr_call *c)
{
	struct dmr_migrated m = { };
	struct dmr_set *s = c->s;
	unsigned int from, avoid;
	u64 units;
	int r = parse_row(c, c->argv[1], &from) ?: parse_target(c, from, &avoid);

	if (!r && (kstrtou64(c->argv[3], 10, &units) || !units)) {
		dmr_set_error(s, "migrate takes a number of units, not %s.",
			      c->argv[3]);
		r = -EINVAL;
	}
	if (!r && !s->spare[from].present) {
		dmr_set_error(s, "Spare %u is not in use: what is on it can't be read.",
			      from);
		r = -ENODEV;
	}
	if (!r)
		r = dmr_migrate(s, from, avoid, units, &m);
	if (r < 0)
		return r;
	dmr_reply(c, "moved=%llu left=%llu failed=%llu end=%u", m.moved,
		  s->spare[from].used, m.failed, r);
	return 0;
}

static int spare_drop(struct dmr_call *c)
{
	bool lose = c->argc > 2;
	unsigned int row;
	u64 lost = 0;
	int r = parse_row(c, c->argv[1], &row);

	if (!r && lose && strcmp(c->argv[2], "lose")) {
		dmr_set_error(c->s, "drop takes a row, and \"lose\" when what is on it can go.");
		r = -EINVAL;
	}
	if (!r)
		r = dmr_pool_drop(c->s, row, lose, &lost);
	if (!r)
		dmr_reply(c, "row=%u lost=%llu", row, lost);
	return r;
}

static const struct {
	const char *name;
	unsigned int min_args;
	unsigned int max_args;
	int (*run)(struct dmr_call *c);
} commands[] = {
	{ "list", 1, 1, spare_list },
	{ "usage", 1, 1, spare_usage },
	{ "join", 2, 3, spare_join },
	{ "drain", 3, 3, spare_drain },
	{ "tier", 3, 3, spare_tier },
	{ "health", 3, 3, spare_health },
	{ "migrate", 4, 4, spare_migrate },
	{ "drop", 2, 3, spare_drop },
};

/**
 * dmr_run_spare() - the message "spare"
 * @c: the call, its first argument being the command
 *
 * Context: process, may sleep. Return: 0 or a negative errno, with a sentence in
 * last_error.
 */
int dmr_run_spare(struct dmr_call *c)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(c->argv[0], commands[i].name) &&
		    c->argc >= commands[i].min_args &&
		    c->argc <= commands[i].max_args)
			return commands[i].run(c);
	dmr_set_error(c->s, "spare takes: " SPARE_USAGE ".");
	return -EINVAL;
}
