// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generic netlink: what changes a set. An order becomes the message that does the same
 * (dm-remap-message*.c); its answer goes back, and the reason of an error is what the
 * command "get" has as the last error.
 */
#include <linux/slab.h>

#include "dm-remap-faces.h"
#include "dm-remap-netlink.h"

/* Room for an answer; those of orders are a line. */
#define ANSWER_LEN	512
/* Words of an order at the most, and what one has room for. */
#define MAX_WORDS	5
#define WORD_LEN	32
/* Sectors of one order, so that none keeps generic netlink for long. */
#define MAX_SECTORS	2048
/* Blocks that one order moves off a spare. */
#define MAX_UNITS	2048

/**
 * struct order - an order on its way
 * @info: the message
 * @n: its words
 * @word: they
 * @argv: the same, as a message wants them
 * @answer: what came back
 */
struct order {
	struct genl_info *info;
	unsigned int n;
	char word[MAX_WORDS][WORD_LEN];
	char *argv[MAX_WORDS];
	char answer[ANSWER_LEN];
};

__printf(2, 3)
static void add_word(struct order *o, const char *fmt, ...)
{
	va_list args;

	o->argv[o->n] = o->word[o->n];
	va_start(args, fmt);
	vscnprintf(o->word[o->n++], WORD_LEN, fmt, args);
	va_end(args);
}

/* Zero when the attribute is there. */
static int need(struct genl_info *info, int attr)
{
	if (info->attrs[attr])
		return 0;
	NL_SET_ERR_MSG(info->extack, "an attribute of this order is missing");
	return -EINVAL;
}

static u32 number(struct genl_info *info, int attr)
{
	return nla_get_u32(info->attrs[attr]);
}

static int answer(struct order *o)
{
	struct sk_buff *skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	void *head;

	if (!skb)
		return -ENOMEM;
	head = genlmsg_put_reply(skb, o->info, &dmr_family, 0, o->info->genlhdr->cmd);
	if (!head || nla_put_string(skb, DMR_A_ANSWER, o->answer)) {
		nlmsg_free(skb);
		return -EMSGSIZE;
	}
	genlmsg_end(skb, head);
	return genlmsg_reply(skb, o->info);
}

/* Give the order to its set, and send the answer. */
static int carry_out(struct order *o)
{
	struct dmr_wanted who;
	struct dmr_table *t;
	int r;

	r = dmr_wanted(o->info->attrs, o->info->extack, &who);
	if (r)
		return r;
	t = dmr_visit(dmr_match_set, &who);
	if (IS_ERR(t))
		return dmr_no_set(o->info->extack, PTR_ERR(t));
	r = dmr_message(t->ti, o->n, o->argv, o->answer, sizeof(o->answer));
	dmr_visit_end(t);
	if (r >= 0)
		return answer(o);
	NL_SET_ERR_MSG(o->info->extack, "refused: last-error of the set tells why");
	return r;
}

/* Make the words of an order, and do it. */
static int do_order(struct sk_buff *skb, struct genl_info *info,
		    int (*words)(struct order *o, struct genl_info *info))
{
	struct order *o;
	int r = dmr_allowed(skb, info->extack);

	if (r)
		return r;
	o = kzalloc(sizeof(*o), GFP_KERNEL);
	if (!o)
		return -ENOMEM;
	o->info = info;
	r = words(o, info) ?: carry_out(o);
	kfree(o);
	return r;
}

static int configure_words(struct order *o, struct genl_info *info)
{
	int r = need(info, DMR_A_KEY) ?: need(info, DMR_A_VALUE);

	if (r)
		return r;
	add_word(o, "set");
	add_word(o, "%s", (char *)nla_data(info->attrs[DMR_A_KEY]));
	add_word(o, "%s", (char *)nla_data(info->attrs[DMR_A_VALUE]));
	return 0;
}

/**
 * dmr_nl_configure() - change an option
 * @skb: the message
 * @info: likewise
 *
 * Context: may sleep. Return: 0 or a negative errno.
 */
int dmr_nl_configure(struct sk_buff *skb, struct genl_info *info)
{
	return do_order(skb, info, configure_words);
}

static int scan_words(struct order *o, struct genl_info *info)
{
	static const char *const verbs[DMR_NR_SCAN_ORDERS] = {
		[DMR_SCAN_ORDER_START] = "start",
		[DMR_SCAN_ORDER_STOP] = "stop",
		[DMR_SCAN_ORDER_PAUSE] = "pause",
		[DMR_SCAN_ORDER_RESUME] = "resume",
	};
	int r = need(info, DMR_A_SCAN_ORDER);

	if (r)
		return r;
	add_word(o, "scan");
	add_word(o, "%s", verbs[number(info, DMR_A_SCAN_ORDER)]);
	if (info->attrs[DMR_A_PATTERN])
		add_word(o, "%s", (char *)nla_data(info->attrs[DMR_A_PATTERN]));
	return 0;
}

/**
 * dmr_nl_scan() - give an order to the scan
 * @skb: the message
 * @info: likewise
 *
 * Context: may sleep. Return: 0 or a negative errno.
 */
int dmr_nl_scan(struct sk_buff *skb, struct genl_info *info)
{
	return do_order(skb, info, scan_words);
}

static int remap_words(struct order *o, struct genl_info *info)
{
	static const char *const verbs[DMR_NR_REMAP_ORDERS] = {
		[DMR_REMAP_ORDER_REMAP] = "remap",
		[DMR_REMAP_ORDER_RELOCATE] = "relocate",
		[DMR_REMAP_ORDER_UNREMAP] = "unremap",
		[DMR_REMAP_ORDER_VERIFY] = "verify",
	};
	int r = need(info, DMR_A_REMAP_ORDER) ?: need(info, DMR_A_SECTOR) ?:
		need(info, DMR_A_SECTORS);

	if (r)
		return r;
	if (nla_get_u64(info->attrs[DMR_A_SECTORS]) > MAX_SECTORS) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[DMR_A_SECTORS],
				    "at most 2048 sectors at a time");
		return -ERANGE;
	}
	add_word(o, "%s", verbs[number(info, DMR_A_REMAP_ORDER)]);
	add_word(o, "%llu", nla_get_u64(info->attrs[DMR_A_SECTOR]));
	add_word(o, "%llu", nla_get_u64(info->attrs[DMR_A_SECTORS]));
	return 0;
}

/**
 * dmr_nl_remap() - move a range to a spare, or back, or read it there
 * @skb: the message
 * @info: likewise
 *
 * Context: may sleep. Return: 0 or a negative errno.
 */
int dmr_nl_remap(struct sk_buff *skb, struct genl_info *info)
{
	return do_order(skb, info, remap_words);
}

static int join_words(struct order *o, struct genl_info *info, const char *how)
{
	int r = need(info, DMR_A_MAJOR) ?: need(info, DMR_A_MINOR);

	if (r)
		return r;
	add_word(o, "join");
	add_word(o, "%u:%u", number(info, DMR_A_MAJOR), number(info, DMR_A_MINOR));
	if (how)
		add_word(o, "%s", how);
	return 0;
}

static int row_words(struct order *o, struct genl_info *info, const char *verb,
		     const char *how)
{
	int r = need(info, DMR_A_SPARE);

	if (r)
		return r;
	add_word(o, "%s", verb);
	add_word(o, "%u", number(info, DMR_A_SPARE));
	if (how)
		add_word(o, "%s", how);
	return 0;
}

static int value_words(struct order *o, struct genl_info *info, const char *verb)
{
	int r = need(info, DMR_A_COUNT) ?: row_words(o, info, verb, NULL);

	if (!r)
		add_word(o, "%llu", nla_get_u64(info->attrs[DMR_A_COUNT]));
	return r;
}

static int migrate_words(struct order *o, struct genl_info *info)
{
	int r = need(info, DMR_A_COUNT) ?: row_words(o, info, "migrate", NULL);

	if (r)
		return r;
	if (nla_get_u64(info->attrs[DMR_A_COUNT]) > MAX_UNITS) {
		NL_SET_ERR_MSG_ATTR(info->extack, info->attrs[DMR_A_COUNT],
				    "at most 2048 blocks at a time");
		return -ERANGE;
	}
	if (info->attrs[DMR_A_SECOND_SPARE])
		add_word(o, "%u", number(info, DMR_A_SECOND_SPARE));
	else
		add_word(o, "any");
	add_word(o, "%llu", nla_get_u64(info->attrs[DMR_A_COUNT]));
	return 0;
}

static int spare_words(struct order *o, struct genl_info *info)
{
	int r = need(info, DMR_A_SPARE_ORDER);

	if (r)
		return r;
	add_word(o, "spare");
	switch (number(info, DMR_A_SPARE_ORDER)) {
	case DMR_SPARE_ORDER_JOIN:
		return join_words(o, info, NULL);
	case DMR_SPARE_ORDER_JOIN_FORCE:
		return join_words(o, info, "force");
	case DMR_SPARE_ORDER_JOIN_TRUST:
		return join_words(o, info, "trust");
	case DMR_SPARE_ORDER_DRAIN:
		return row_words(o, info, "drain", "on");
	case DMR_SPARE_ORDER_UNDRAIN:
		return row_words(o, info, "drain", "off");
	case DMR_SPARE_ORDER_TIER:
		return value_words(o, info, "tier");
	case DMR_SPARE_ORDER_HEALTH:
		return value_words(o, info, "health");
	case DMR_SPARE_ORDER_MIGRATE:
		return migrate_words(o, info);
	case DMR_SPARE_ORDER_DROP:
		return row_words(o, info, "drop", NULL);
	case DMR_SPARE_ORDER_DROP_LOSE:
		return row_words(o, info, "drop", "lose");
	}
	return -EINVAL;
}

/**
 * dmr_nl_spare() - change the pool of spares
 * @skb: the message
 * @info: likewise
 *
 * Context: may sleep. Return: 0 or a negative errno.
 */
int dmr_nl_spare(struct sk_buff *skb, struct genl_info *info)
{
	return do_order(skb, info, spare_words);
}
