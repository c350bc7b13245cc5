// SPDX-License-Identifier: GPL-2.0-only
/*
 * Messages about the health scan: dmsetup message DEVICE 0 scan COMMAND ...
 *
 * All handlers: process context, may sleep; the core keeps the table while one
 * runs.
 */
#include "dm-remap-health.h"
#include "dm-remap-message.h"

static const char *const relocations[DMR_NR_RELOCATIONS] = {
	[DMR_RELOCATE_OFF] = "off",
	[DMR_RELOCATE_ASK] = "ask",
	[DMR_RELOCATE_HALF] = "half",
	[DMR_RELOCATE_ALWAYS] = "always",
};

/**
 * dmr_relocation_name() - a word for what becomes of slow pieces
 * @policy: enum dmr_relocation
 *
 * Context: any. Return: a constant string.
 */
const char *dmr_relocation_name(unsigned int policy)
{
	return relocations[policy];
}

/**
 * dmr_relocation_set() - say what becomes of slow pieces
 * @o: the options
 * @word: the name of the policy
 *
 * Context: any. Return: 0; -EINVAL when there is no such word.
 */
int dmr_relocation_set(struct dmr_opts *o, const char *word)
{
	unsigned int i;

	for (i = 0; i < DMR_NR_RELOCATIONS; i++) {
		if (!strcmp(word, relocations[i])) {
			WRITE_ONCE(o->relocate, i);
			return 0;
		}
	}
	return -EINVAL;
}

#define SCAN_USAGE							\
	"start [sequential|random|staggered|focused]; stop; pause; resume; "	\
	"status; regions [<from region>]; candidates [<from sector>]"

/* Length of a line, at the most, and of the last one. */
#define LINE		160

static int scan_status(struct dmr_call *c)
{
	struct dmr_scan_report r;

	dmr_scan_report(c->s, &r);
	dmr_reply(c, "state=%s reason=%s pattern=%s pass=%u percent=%u done=%llu total=%llu rate=%llu left=%llu",
		  r.state, r.why, r.pattern, r.pass, r.percent, r.done, r.total,
		  r.rate, r.seconds_left);
	dmr_reply(c, " errors=%llu rescued=%llu slow=%llu blanks=%llu relocated=%llu",
		  r.errors, r.rescued, r.slow, r.patterns, r.relocated);
	dmr_reply(c, " regions=%u candidates=%llu last=%llu next=%llu health=%u",
		  r.regions, r.candidates, r.last_pass, r.next_pass, r.score);
	return 0;
}

static int scan_start(struct dmr_call *c)
{
	int pattern = -1, r;

	if (c->argc > 1) {
		for (pattern = 0; pattern < DMR_NR_PATTERNS; pattern++)
			if (!strcmp(c->argv[1], dmr_pattern_name(pattern)))
				break;
		if (pattern == DMR_NR_PATTERNS) {
			dmr_set_error(c->s, "%s is no pattern; these are: sequential, random, staggered, focused.",
				      c->argv[1]);
			return -EINVAL;
		}
	}
	r = dmr_scan_start(c->s, pattern);
	if (!r)
		return scan_status(c);
	dmr_set_error(c->s, "A scan is under way already; stop it, or resume it if it is paused.");
	return r;
}

static int none(struct dmr_call *c, int r)
{
	if (!r)
		return scan_status(c);
	dmr_set_error(c->s, "No scan is under way.");
	return r;
}

static int scan_stop(struct dmr_call *c)
{
	return none(c, dmr_scan_stop(c->s));
}

static int scan_pause(struct dmr_call *c)
{
	return none(c, dmr_scan_pause(c->s, true));
}

static int scan_resume(struct dmr_call *c)
{
	return none(c, dmr_scan_pause(c->s, false));
}

static int parse_from(struct dmr_call *c, u64 *from)
{
	*from = 0;
	if (c->argc < 2 || !kstrtou64(c->argv[1], 10, from))
		return 0;
	dmr_set_error(c->s, "%s is no number to begin with.", c->argv[1]);
	return -EINVAL;
}

static struct dmr_region_health health_of(struct dmr_set *s, const struct dmr_mark *m)
{
	return (struct dmr_region_health){
		.units = DMR_REGION_SECTORS >> s->unit_shift,
		.errors = m->errors,
		.retries = m->retries,
		.slow = dmr_pieces_count(m->slow),
		.marginal = dmr_pieces_count(m->marginal),
		.blanks = m->blanks,
	};
}

/**
 * dmr_mark_score() - the health score of a region
 * @s: the set
 * @m: its mark
 *
 * Context: any; the lock of the marks is held. Return: 0 to 100.
 */
unsigned int dmr_mark_score(struct dmr_set *s, const struct dmr_mark *m)
{
	struct dmr_region_health h = health_of(s, m);

	return dmr_region_score(&h);
}

/**
 * dmr_mark_line() - what is known of a region, as a line
 * @s: the set
 * @m: its mark
 * @line: where it goes
 * @room: there
 *
 * Context: any; the lock of the marks is held. Return: its length.
 */
int dmr_mark_line(struct dmr_set *s, const struct dmr_mark *m, char *line,
		  size_t room)
{
	unsigned int device = m->key >> DMR_KEY_SHIFT;
	u64 sector = (m->key & DMR_KEY_MASK) * DMR_REGION_SECTORS;
	struct dmr_region_health h = health_of(s, m);
	int len;

	if (device)
		len = scnprintf(line, room, "%u %llu", device - 1,
				sector + DMR_DATA_START);
	else
		len = scnprintf(line, room, "- %llu", sector);
	return len + scnprintf(line + len, room - len, " health=%u errors=%u retries=%u slow=%u marginal=%u blanks=%u usual_us=%u pass=%u\n",
			       dmr_region_score(&h), h.errors, h.retries, h.slow,
			       h.marginal, h.blanks, m->usual, m->pass);
}

/* Regions with something to tell, from a key on; the last line says where to go on. */
static int scan_regions(struct dmr_call *c)
{
	struct dmr_scan *sc = &c->s->scan;
	u64 from;
	u32 i;
	int r = parse_from(c, &from);

	if (r)
		return r;
	mutex_lock(&sc->lock);
	for (i = dmr_marks_from(&sc->marks, from);
	     i < sc->marks.n && c->maxlen - c->sz >= 2 * LINE; i++)
		c->sz += dmr_mark_line(c->s, sc->marks.mark + i,
				       c->result + c->sz, c->maxlen - c->sz);
	if (i < sc->marks.n)
		dmr_reply(c, "next=%llu", sc->marks.mark[i].key);
	else
		dmr_reply(c, "end");
	mutex_unlock(&sc->lock);
	return 0;
}

/* Marginal pieces of a region, those that touch as one range. */
static void print_candidates(struct dmr_call *c, const struct dmr_mark *m)
{
	u64 sector = (m->key & DMR_KEY_MASK) * DMR_REGION_SECTORS;
	u64 end = dmr_unit_to_sector(c->s, c->s->nr_units);
	unsigned int i, n;
	u64 from;

	for (i = 0; i < DMR_REGION_PIECES; i += n + 1) {
		for (n = 0; i + n < DMR_REGION_PIECES && m->marginal >> (i + n) & 1;)
			n++;
		from = sector + i * DMR_PIECE_SECTORS;
		if (n && from < end)
			dmr_reply(c, "%llu %llu\n", from,
				  min_t(u64, n * DMR_PIECE_SECTORS, end - from));
	}
}

/* Room for the lines of one region, and the last one. */
#define CANDIDATES	(DMR_REGION_PIECES / 2 * 40 + 40)

static int scan_candidates(struct dmr_call *c)
{
	struct dmr_scan *sc = &c->s->scan;
	const struct dmr_mark *m;
	bool more = false;
	u64 from;
	u32 i;
	int r = parse_from(c, &from);

	if (r)
		return r;
	mutex_lock(&sc->lock);
	for (i = dmr_marks_from(&sc->marks, from / DMR_REGION_SECTORS);
	     i < sc->marks.n && !more; i++) {
		m = sc->marks.mark + i;
		if (m->key >> DMR_KEY_SHIFT)
			break;
		more = c->maxlen - c->sz < CANDIDATES;
		if (more)
			dmr_reply(c, "next=%llu", m->key * DMR_REGION_SECTORS);
		else
			print_candidates(c, m);
	}
	if (!more)
		dmr_reply(c, "end");
	mutex_unlock(&sc->lock);
	return 0;
}

static const struct {
	const char *name;
	unsigned int max_args;
	int (*run)(struct dmr_call *c);
} commands[] = {
	{ "start", 2, scan_start },
	{ "stop", 1, scan_stop },
	{ "pause", 1, scan_pause },
	{ "resume", 1, scan_resume },
	{ "status", 1, scan_status },
	{ "regions", 2, scan_regions },
	{ "candidates", 2, scan_candidates },
};

/**
 * dmr_run_scan() - the message "scan"
 * @c: the call, its first argument being the command
 *
 * Context: process, may sleep. Return: 0 or a negative errno, with a sentence in
 * last_error.
 */
int dmr_run_scan(struct dmr_call *c)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(commands); i++)
		if (!strcmp(c->argv[0], commands[i].name) &&
		    c->argc <= commands[i].max_args)
			return commands[i].run(c);
	dmr_set_error(c->s, "scan takes: " SCAN_USAGE ".");
	return -EINVAL;
}
