// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages: dmsetup message DEVICE 0 COMMAND ...
 *
 * The answer goes back through the result of the ioctl. When a command fails,
 * the ioctl returns an error number, and "error" tells the reason as a sentence.
 *
 * All handlers: process context, may sleep; the core keeps the table while one
 * runs.
 */
#include <linux/sched/mm.h>
#include <linux/slab.h>

#include "dm-remap-data.h"
#include "dm-remap-faces.h"
#include "dm-remap-message.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

/* Ranges of one message at the most: what one commit can make durable. */
#define REMAP_PAIRS	DMR_BATCH

struct dmr_command {
	const char *name;
	unsigned int min_args;
	unsigned int max_args;
	const char *help;
	int (*run)(struct dmr_call *c);
};

/**
 * dmr_reply() - add to the answer
 * @c: the call
 * @fmt: what; is cut when there is no room
 *
 * Context: any.
 */
void dmr_reply(struct dmr_call *c, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	c->sz += vscnprintf(c->result + c->sz, c->maxlen - c->sz, fmt, args);
	va_end(args);
}

/*
 * The pair of arguments "<sector> [<count>]", counted from 0, to units; a range is
 * widened to whole units.
 */
static int parse_range(struct dmr_call *c, unsigned int pair, struct dmr_range *range)
{
	struct dmr_set *s = c->s;
	u64 from, count = 1, end, sectors = dmr_unit_to_sector(s, s->nr_units);
	char **argv = c->argv + 2 * pair;
	char where[20] = "";

	if (c->argc > 2)
		scnprintf(where, sizeof(where), "Pair %u: ", pair + 1);
	if (kstrtou64(argv[0], 10, &from) ||
	    (c->argc > 2 * pair + 1 && kstrtou64(argv[1], 10, &count))) {
		dmr_set_error(s, "%sA sector and a count are decimal numbers of 512-byte sectors.",
			      where);
		return -EINVAL;
	}
	if (!count || from >= sectors || count > sectors - from) {
		dmr_set_error(s, "%sSectors %llu to %llu are not on the device, which has %llu.",
			      where, from, from + count - 1, sectors);
		return -ERANGE;
	}
	end = from + count;
	range->unit = dmr_sector_to_unit(s, from);
	range->n = dmr_sector_to_unit(s, end + (1U << s->unit_shift) - 1) -
		   range->unit;
	return 0;
}

/* All pairs, before anything is done. */
static int parse_ranges(struct dmr_call *c, struct dmr_range *ranges)
{
	unsigned int i;
	int r = 0;

	if (c->argc > 1 && c->argc % 2) {
		dmr_set_error(c->s, "remap takes a sector, or pairs of a sector and a count, not %u numbers.",
			      c->argc);
		return -EINVAL;
	}
	for (i = 0; 2 * i < c->argc && !r; i++)
		r = parse_range(c, i, &ranges[i]);
	return r;
}

static int run_ping(struct dmr_call *c)
{
	dmr_reply(c, "pong dm-remap " DMR_VERSION " set=%pUb", c->s->uuid);
	return 0;
}

static int run_status(struct dmr_call *c)
{
	c->sz = dmr_status_line(c->s, c->result, c->maxlen);
	return 0;
}

static int run_stats(struct dmr_call *c)
{
	c->sz = dmr_status_stats(c->s, c->result, c->maxlen);
	return 0;
}

static int run_clear_stats(struct dmr_call *c)
{
	dmr_counters_clear(c->s);
	dmr_reply(c, "cleared");
	return 0;
}

static int run_health(struct dmr_call *c)
{
	c->sz = dmr_status_health(c->s, c->result, c->maxlen);
	return 0;
}

static int run_remap(struct dmr_call *c)
{
	struct dmr_range *ranges;
	struct dmr_moved m = { };
	int r;

	ranges = kmalloc_array(REMAP_PAIRS, sizeof(*ranges), GFP_KERNEL);
	if (!ranges)
		return -ENOMEM;
	r = parse_ranges(c, ranges);
	if (!r)
		r = dmr_relocate(c->s, ranges, DIV_ROUND_UP(c->argc, 2), &m);
	kfree(ranges);
	if (!r)
		dmr_reply(c, "remapped=%llu lost=%llu already=%llu", m.done, m.lost,
			  m.already);
	return r;
}

static int run_relocate(struct dmr_call *c)
{
	struct dmr_moved m = { };
	struct dmr_range range;
	int r = parse_range(c, 0, &range);

	if (!r)
		r = dmr_relocate_marginal(c->s, range.unit, range.n, &m);
	if (!r)
		dmr_reply(c, "relocated=%llu already=%llu kept=%llu", m.done, m.already,
			  m.kept);
	return r;
}

static int run_unremap(struct dmr_call *c)
{
	struct dmr_moved m = { };
	struct dmr_range range;
	int r = parse_range(c, 0, &range);

	if (!r)
		r = dmr_return(c->s, range.unit, range.n, &m);
	if (!r)
		dmr_reply(c, "unremapped=%llu kept=%llu lost=%llu", m.done, m.kept,
			  m.lost);
	return r;
}

static int run_verify(struct dmr_call *c)
{
	struct dmr_moved m = { };
	struct dmr_range range = { .n = c->s->nr_units };
	int r = c->argc ? parse_range(c, 0, &range) : 0;

	if (!r)
		r = dmr_verify(c->s, range.unit, range.n, &m);
	if (!r)
		dmr_reply(c, "verified=%llu errors=%llu", m.done, m.errors);
	return r;
}

static int run_clear(struct dmr_call *c)
{
	struct dmr_moved m = { };
	int r = dmr_return(c->s, 0, c->s->nr_units, &m);

	if (!r)
		dmr_reply(c, "cleared=%llu kept=%llu lost=%llu", m.done, m.kept, m.lost);
	return r;
}

static int run_save(struct dmr_call *c)
{
	struct dmr_set *s = c->s;
	unsigned int noio = memalloc_noio_save();
	int r;

	mutex_lock(&s->engine_lock);
	r = dmr_commit(s) ?: dmr_write_superblocks(s);
	if (!r) {
		dmr_state_sample(s);
		r = dmr_state_save(s, false);
	}
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
	if (r)
		dmr_set_error(s, "No spare takes metadata; see the kernel log.");
	else
		dmr_reply(c, "saved events=%llu state=%llu", s->events, s->state.seq);
	return r;
}

/* All copies of all metadata; and, when asked for, the counters saved last. */
static int check_metadata(struct dmr_call *c, bool reload)
{
	struct dmr_set *s = c->s;
	unsigned int noio = memalloc_noio_save();
	struct dmr_scrub found;
	int r;

	mutex_lock(&s->engine_lock);
	r = dmr_commit(s) ?: dmr_scrub(s, &found);
	if (!r && reload)
		r = dmr_state_reload(s);
	mutex_unlock(&s->engine_lock);
	memalloc_noio_restore(noio);
	if (r)
		dmr_set_error(s, "The table on the spares is damaged beyond what its copies can repair, or older than the one in memory; see the kernel log.");
	else
		dmr_reply(c, "leaves=%u superblocks=%u records=%u repaired=%u",
			  found.leaves, found.superblocks, found.records,
			  found.repaired);
	return r;
}

static int run_repair(struct dmr_call *c)
{
	return check_metadata(c, false);
}

static int run_restore(struct dmr_call *c)
{
	return check_metadata(c, true);
}

/* Length of the line of one entry, at the most. */
#define LIST_LINE	80

static void print_entry(struct dmr_call *c, u64 unit, u64 val)
{
	struct dmr_set *s = c->s;
	struct dmr_entry e;
	struct dmr_pair p;

	dmr_val_entry(val, unit, &e);
	if (e.kind == DMR_KIND_LOST) {
		dmr_reply(c, "%llu %u - - lost auto\n", dmr_unit_to_sector(s, unit),
			  1U << s->unit_shift);
		return;
	}
	dmr_reply(c, "%llu %u %u %llu %s %s", dmr_unit_to_sector(s, unit),
		  1U << s->unit_shift, e.spare_idx,
		  dmr_unit_to_sector(s, e.spare_unit),
		  e.flags & DMR_ENTRY_UNKNOWN ? "unknown" : "remap",
		  e.flags & DMR_ENTRY_MANUAL ? "manual" : "auto");
	dmr_pair_get(s, unit, &p);
	if (dmr_val_mirrored(val) && !p.same)
		dmr_reply(c, " %u %llu", p.second.spare_idx,
			  dmr_unit_to_sector(s, p.second.spare_unit));
	dmr_reply(c, "\n");
}

static int run_list(struct dmr_call *c)
{
	struct dmr_set *s = c->s;
	u64 from, unit, val, max;
	bool more;

	if (kstrtou64(c->argv[0], 10, &from) || kstrtou64(c->argv[1], 10, &max)) {
		dmr_set_error(s, "list takes the first sector and the greatest number of lines.");
		return -EINVAL;
	}
	from = min_t(u64, from, dmr_unit_to_sector(s, s->nr_units));
	unit = dmr_sector_to_unit(s, from + (1U << s->unit_shift) - 1);
	mutex_lock(&s->engine_lock);
	while ((more = unit < s->nr_units && dmr_index_next(s, &unit, &val))) {
		if (!max-- || c->maxlen - c->sz < 2 * LIST_LINE)
			break;
		print_entry(c, unit++, val);
	}
	mutex_unlock(&s->engine_lock);
	if (more)
		dmr_reply(c, "next=%llu", dmr_unit_to_sector(s, unit));
	else
		dmr_reply(c, "end");
	return 0;
}

static int set_redundancy(struct dmr_call *c)
{
	const char *value = c->argv[1];
	int r;

	if (strcmp(value, "1") && strcmp(value, "2")) {
		dmr_set_error(c->s, "Redundancy is 1 or 2: the number of spares that every remap is on.");
		return -EINVAL;
	}
	r = dmr_set_redundancy(c->s, *value - '0');
	if (r == -EIO)
		dmr_set_error(c->s, "No spare takes metadata; see the kernel log.");
	return r;
}

static int run_set(struct dmr_call *c)
{
	struct dmr_set *s = c->s;
	int r;

	if (!strcmp(c->argv[0], "breaker")) {
		if (strcmp(c->argv[1], "closed")) {
			dmr_set_error(s, "The breaker can only be set to closed.");
			return -EINVAL;
		}
		mutex_lock(&s->engine_lock);
		dmr_breaker_close(s);
		mutex_unlock(&s->engine_lock);
	} else if (!strcmp(c->argv[0], "allocation")) {
		r = dmr_set_policy(s, c->argv[1]);
		if (r)
			return r;
	} else if (!strcmp(c->argv[0], "redundancy")) {
		r = set_redundancy(c);
		if (r)
			return r;
	} else if (!strcmp(c->argv[0], "relocate")) {
		if (dmr_relocation_set(&s->opts, c->argv[1])) {
			dmr_set_error(s, "relocate is off, ask, half or always, not %s.",
				      c->argv[1]);
			return -EINVAL;
		}
	} else if (dmr_opt_set(&s->opts, c->argv[0], c->argv[1])) {
		dmr_set_error(s, "%s can't be set to %s; the keys are: " DMR_KEYS ", allocation, breaker closed, redundancy 1-2, relocate.",
			      c->argv[0], c->argv[1]);
		return -EINVAL;
	}
	if (!strcmp(c->argv[0], "autosave_seconds"))
		dmr_state_arm(s);
	dmr_reply(c, "%s=%s", c->argv[0], c->argv[1]);
	return 0;
}

static int run_get(struct dmr_call *c)
{
	const unsigned int *value = dmr_opt_get(&c->s->opts, c->argv[0]);

	if (value) {
		dmr_reply(c, "%s=%u", c->argv[0], *value);
	} else if (!strcmp(c->argv[0], "breaker")) {
		dmr_reply(c, "breaker=%s", c->s->breaker_open ? "open" : "closed");
	} else if (!strcmp(c->argv[0], "allocation")) {
		dmr_reply(c, "allocation=%s", dmr_policy_name(c->s->policy));
	} else if (!strcmp(c->argv[0], "redundancy")) {
		dmr_reply(c, "redundancy=%u", c->s->redundancy);
	} else if (!strcmp(c->argv[0], "relocate")) {
		dmr_reply(c, "relocate=%s", dmr_relocation_name(c->s->opts.relocate));
	} else {
		dmr_set_error(c->s, "%s is not a key; the keys are: " DMR_KEYS ", allocation, breaker, redundancy, relocate.",
			      c->argv[0]);
		return -EINVAL;
	}
	return 0;
}

static int run_copy(struct dmr_call *c)
{
	struct dmr_set *s = c->s;
	struct block_device *bdev;
	char identity[DMR_IDENTITY_LEN] = "";
	unsigned int i, len = 0;
	int r;

	for (i = 1; i < c->argc; i++)
		len += scnprintf(identity + len, sizeof(identity) - len, "%s%s",
				 i > 1 ? " " : "", c->argv[i]);
	r = dmr_copy_command(s, c->argv[0], identity);
	if (r)
		return r;
	dmr_reply(c, "state=%s copied=%llu total=%llu lost=%llu rate=%u reason=%s at=%llu",
		  dmr_copy_phase(s), dmr_unit_to_sector(s, s->copy.done),
		  dmr_unit_to_sector(s, s->nr_units),
		  dmr_unit_to_sector(s, s->nr_lost + s->nr_unknown),
		  s->opts.copy_rate, s->copy.why,
		  dmr_unit_to_sector(s, s->copy.at));
	/* Of the last copy, too: a tool knows a disk again by that. */
	dmr_reply(c, " id=%u sectors=%llu", s->copy.id, s->copy.sectors);
	bdev = READ_ONCE(s->copy.bdev);
	if (bdev)
		dmr_reply(c, " to=%u:%u", MAJOR(bdev->bd_dev), MINOR(bdev->bd_dev));
	return 0;
}

static int run_error(struct dmr_call *c)
{
	struct dmr_set *s = c->s;

	spin_lock(&s->error_lock);
	dmr_reply(c, "%s", s->last_error);
	spin_unlock(&s->error_lock);
	return 0;
}

static int run_help(struct dmr_call *c);

static const struct dmr_command commands[] = {
	{ "ping", 0, 0, "is the target alive?", run_ping },
	{ "help", 0, 0, "this list", run_help },
	{ "status", 0, 0, "the status line", run_status },
	{ "stats", 0, 0, "counters", run_stats },
	{ "clear_stats", 0, 0, "counters to 0", run_clear_stats },
	{ "health", 0, 0, "health score and its terms", run_health },
	{ "remap", 1, 2 * REMAP_PAIRS,
	  "<sector> [<count> [<sector> <count>]...]: move sectors to a spare",
	  run_remap },
	{ "relocate", 1, 2,
	  "<sector> [<count>]: move to a spare what can be read, before it can't",
	  run_relocate },
	{ "unremap", 1, 2, "<sector> [<count>]: move them back, verified",
	  run_unremap },
	{ "verify", 0, 2, "[<sector> [<count>]]: read remapped sectors from their spares",
	  run_verify },
	{ "clear", 0, 0, "unremap everything that main takes", run_clear },
	{ "save", 0, 0, "write superblocks, counters, samples of main", run_save },
	{ "repair", 0, 0, "check all copies of all metadata, rewrite those that differ",
	  run_repair },
	{ "restore", 0, 0, "repair, and set the counters to those saved last",
	  run_restore },
	{ "list", 2, 2, "<from sector> <lines>: remapped sectors", run_list },
	{ "spare", 1, 4, "list, usage, join, drain, tier, health, migrate, drop: the pool of spares",
	  dmr_run_spare },
	{ "scan", 1, 2, "start [<pattern>], stop, pause, resume, status, regions [<from>], candidates [<from>]: the health scan",
	  dmr_run_scan },
	{ "get", 1, 1, "<key>: an option", run_get },
	{ "set", 2, 2, "<key> <value>: change an option until the table is reloaded",
	  run_set },
	{ "copy", 1, 32, "start|pause|abort|complete [<name>...]|status: copy main to the device of the option copy_to",
	  run_copy },
	{ "error", 0, 0, "why the last failed message failed", run_error },
};

static int run_help(struct dmr_call *c)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		dmr_reply(c, "%s - %s\n", commands[i].name, commands[i].help);
	return 0;
}

static bool single_reader(const struct dmr_command *cmd)
{
	return cmd->run == run_error;
}

/**
 * dmr_message() - message method of the target
 * @ti: the target
 * @argc: number of words
 * @argv: the words, the command first
 * @result: where the answer goes
 * @maxlen: room there
 *
 * Context: process, may sleep. Return: 1 (there is an answer) or a negative
 * errno.
 */
int dmr_message(struct dm_target *ti, unsigned int argc, char **argv,
		char *result, unsigned int maxlen)
{
	struct dmr_table *t = ti->private;
	struct dmr_call c = {
		.t = t,
		.s = t->set,
		.argc = argc - 1,
		.argv = argv + 1,
		.result = result,
		.maxlen = maxlen,
	};
	const struct dmr_command *cmd;
	unsigned int i;
	int r;

	if (!argc)
		return -EINVAL;
	/* A reload has swapped the tables, and this one is not resumed yet. */
	if (!c.s)
		return -EAGAIN;
	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(argv[0], commands[i].name))
			break;
	if (i == ARRAY_SIZE(commands)) {
		dmr_set_error(c.s, "There is no message \"%s\"; \"help\" lists them.",
			      argv[0]);
		return -EINVAL;
	}
	cmd = &commands[i];
	if (c.argc < cmd->min_args || c.argc > cmd->max_args) {
		dmr_set_error(c.s, "%s takes %u to %u arguments, not %u: %s",
			      cmd->name, cmd->min_args, cmd->max_args, c.argc,
			      cmd->help);
		return -EINVAL;
	}
	if (!single_reader(cmd))
		dmr_set_error(c.s, "%s failed for want of memory or because it was interrupted.",
			      cmd->name);
	r = cmd->run(&c);
	if (!r && !single_reader(cmd))
		dmr_set_error(c.s, "No message has failed.");
	return r ?: 1;
}
