// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generic netlink: how sets are. What is told is a snapshot, read without the locks of
 * the sets, as the status line is: a set that waits for another device keeps nobody from
 * seeing how it is.
 */
#include "dm-remap-data.h"
#include "dm-remap-faces.h"
#include "dm-remap-message.h"
#include "dm-remap-netlink.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

static int put_dev(struct sk_buff *skb, int major, int minor, dev_t dev)
{
	return nla_put_u32(skb, major, MAJOR(dev)) ?:
	       nla_put_u32(skb, minor, MINOR(dev));
}

static int put_row_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, DMR_ROW_A_PAD);
}

static int put_row(struct sk_buff *skb, struct dmr_set *s, unsigned int row)
{
	struct dmr_spare_desc *desc = dmr_row(s, row);
	struct dmr_spare *sp = &s->spare[row];
	bool present = dmr_spare_usable(s, row);
	struct nlattr *nest = nla_nest_start(skb, DMR_A_ROW);

	if (!nest ||
	    nla_put_u32(skb, DMR_ROW_A_SPARE, row) ||
	    nla_put(skb, DMR_ROW_A_UUID, DMR_UUID_LEN, desc->uuid) ||
	    nla_put_string(skb, DMR_ROW_A_STATE, dmr_spare_state_name(s, row)) ||
	    put_row_u64(skb, DMR_ROW_A_SECTORS, desc->sectors) ||
	    put_row_u64(skb, DMR_ROW_A_USABLE, present ? sp->usable : 0) ||
	    put_row_u64(skb, DMR_ROW_A_FREE, present ? sp->alloc.nr_free : 0) ||
	    put_row_u64(skb, DMR_ROW_A_USED, sp->used) ||
	    put_row_u64(skb, DMR_ROW_A_BAD, sp->bad) ||
	    nla_put_u32(skb, DMR_ROW_A_TIER, desc->tier) ||
	    nla_put_u32(skb, DMR_ROW_A_HEALTH, dmr_spare_health(s, row)) ||
	    nla_put_u32(skb, DMR_ROW_A_DRAINING, !!(desc->flags & DMR_ROW_DRAINING)))
		return -EMSGSIZE;
	/* One that is in use is in the table, so it stays till we end. */
	if (present && put_dev(skb, DMR_ROW_A_MAJOR, DMR_ROW_A_MINOR, sp->bdev->bd_dev))
		return -EMSGSIZE;
	nla_nest_end(skb, nest);
	return 0;
}

static int put_rows(struct sk_buff *skb, struct dmr_set *s)
{
	unsigned int i;

	for (i = 0; i < s->nr_spares; i++)
		if (dmr_row(s, i)->state != DMR_SPARE_LEFT && put_row(skb, s, i))
			return -EMSGSIZE;
	return 0;
}

static enum dmr_set_mode mode_of(struct dmr_set *s)
{
	if (READ_ONCE(s->failed))
		return DMR_SET_FAILED;
	return dmr_nr_present(s) < dmr_nr_members(s) ? DMR_SET_DEGRADED : DMR_SET_OK;
}

static int put_identity(struct sk_buff *skb, struct dmr_set *s)
{
	char name[DM_NAME_LEN];

	dmr_set_name(s, name);
	return nla_put(skb, DMR_A_SET, DMR_UUID_LEN, s->uuid) ?:
	       nla_put_string(skb, DMR_A_NAME, name) ?:
	       put_dev(skb, DMR_A_MAJOR, DMR_A_MINOR, disk_devt(dm_disk(s->md))) ?:
	       dmr_put_u64(skb, DMR_A_INSTANCE, dmr_news_instance()) ?:
	       dmr_put_u64(skb, DMR_A_SEQ, dmr_news_seq()) ?:
	       nla_put_u32(skb, DMR_A_UNIT, dmr_unit_bytes(s)) ?:
	       dmr_put_u64(skb, DMR_A_SECTORS, dmr_unit_to_sector(s, s->nr_units));
}

static int put_state(struct sk_buff *skb, struct dmr_set *s)
{
	struct dmr_scan_report scan;

	dmr_scan_report(s, &scan);
	return nla_put_u32(skb, DMR_A_STATE, mode_of(s)) ?:
	       nla_put_u32(skb, DMR_A_SUSPENDED, READ_ONCE(s->suspending)) ?:
	       nla_put_u32(skb, DMR_A_HEALTH, scan.score) ?:
	       nla_put_u32(skb, DMR_A_BREAKER, READ_ONCE(s->breaker_open)) ?:
	       nla_put_u32(skb, DMR_A_SPACE, dmr_space(s)) ?:
	       nla_put_u32(skb, DMR_A_COPY, READ_ONCE(s->copy.phase)) ?:
	       nla_put_string(skb, DMR_A_SCAN_STATE, scan.state) ?:
	       nla_put_u32(skb, DMR_A_SCAN_PASS, scan.pass) ?:
	       nla_put_u32(skb, DMR_A_SCAN_PERCENT, scan.percent);
}

static int put_counts(struct sk_buff *skb, struct dmr_set *s)
{
	return dmr_put_u64(skb, DMR_A_REMAPS, READ_ONCE(s->nr_remaps)) ?:
	       dmr_put_u64(skb, DMR_A_MANUAL_REMAPS, READ_ONCE(s->nr_manual)) ?:
	       dmr_put_u64(skb, DMR_A_UNKNOWN, READ_ONCE(s->nr_unknown)) ?:
	       dmr_put_u64(skb, DMR_A_LOST, READ_ONCE(s->nr_lost)) ?:
	       dmr_put_u64(skb, DMR_A_BAD, READ_ONCE(s->nr_bad)) ?:
	       dmr_put_u64(skb, DMR_A_CAPACITY, dmr_capacity(s)) ?:
	       dmr_put_u64(skb, DMR_A_FREE, dmr_free_units(s)) ?:
	       nla_put_u32(skb, DMR_A_REDUNDANCY, READ_ONCE(s->redundancy)) ?:
	       dmr_put_u64(skb, DMR_A_BELOW, dmr_below(s)) ?:
	       dmr_put_u64(skb, DMR_A_READ_ERRORS,
			   atomic64_read(&s->stats.read_errors)) ?:
	       dmr_put_u64(skb, DMR_A_WRITE_ERRORS,
			   atomic64_read(&s->stats.write_errors));
}

static int put_last_error(struct sk_buff *skb, struct dmr_set *s)
{
	char text[DMR_ERROR_LEN];

	dmr_get_error(s, text, sizeof(text));
	return nla_put_string(skb, DMR_A_LAST_ERROR, text);
}

static int put_set(struct sk_buff *skb, struct dmr_set *s)
{
	return put_identity(skb, s) ?: put_state(skb, s) ?: put_counts(skb, s) ?:
	       put_rows(skb, s) ?: put_last_error(skb, s);
}

struct getting {
	struct dmr_wanted who;
	struct sk_buff *skb;
	unsigned int found;
	int err;
};

static void get_set(struct dmr_set *s, void *data)
{
	struct getting *g = data;

	if (!dmr_match_set(s, &g->who))
		return;
	if (!g->found++)
		g->err = put_set(g->skb, s);
}

/**
 * dmr_nl_get() - how a set is
 * @skb: the message
 * @info: likewise
 *
 * Context: may sleep. Return: 0 or a negative errno.
 */
int dmr_nl_get(struct sk_buff *skb, struct genl_info *info)
{
	struct getting g = { };
	void *head;
	int r;

	r = dmr_allowed(skb, info->extack) ?:
	    dmr_wanted(info->attrs, info->extack, &g.who);
	if (r)
		return r;
	g.skb = genlmsg_new(NLMSG_GOODSIZE, GFP_KERNEL);
	if (!g.skb)
		return -ENOMEM;
	head = genlmsg_put_reply(g.skb, info, &dmr_family, 0, DMR_CMD_GET);
	r = head ? 0 : -EMSGSIZE;
	if (!r) {
		dmr_sets_walk(get_set, &g);
		r = g.found ? g.err : dmr_no_set(info->extack, -ENODEV);
	}
	if (r) {
		nlmsg_free(g.skb);
		return r;
	}
	genlmsg_end(g.skb, head);
	return genlmsg_reply(g.skb, info);
}

/**
 * struct touring - where a dump of all sets is
 * @last: the UUID of the last one that was told
 * @begun: there was one
 *
 * By UUID, because sets come and go between two parts of a dump.
 */
struct touring {
	u8 last[DMR_UUID_LEN];
	u8 begun;
};

struct sets_dump {
	struct touring *t;
	struct sk_buff *skb;
	struct netlink_callback *cb;
	struct dmr_set *next;
	int err;
};

static void find_next(struct dmr_set *s, void *data)
{
	struct sets_dump *d = data;

	if (d->t->begun && memcmp(s->uuid, d->t->last, DMR_UUID_LEN) <= 0)
		return;
	if (!d->next || memcmp(s->uuid, d->next->uuid, DMR_UUID_LEN) < 0)
		d->next = s;
}

/* Looks at the set that was found; the lock of the list was let go since. */
static void dump_next(struct dmr_set *s, void *data)
{
	struct sets_dump *d = data;
	void *head;

	if (s != d->next)
		return;
	head = genlmsg_put(d->skb, NETLINK_CB(d->cb->skb).portid, d->cb->nlh->nlmsg_seq,
			   &dmr_family, NLM_F_MULTI, DMR_CMD_GET);
	if (!head || put_set(d->skb, s)) {
		if (head)
			genlmsg_cancel(d->skb, head);
		d->err = -EMSGSIZE;
		return;
	}
	genl_dump_check_consistent(d->cb, head);
	genlmsg_end(d->skb, head);
	memcpy(d->t->last, s->uuid, DMR_UUID_LEN);
	d->t->begun = true;
}

/**
 * dmr_nl_sets() - how all sets are
 * @skb: filled
 * @cb: the dump
 *
 * It is interrupted when a set came or went meanwhile. Context: may sleep. Return: length
 * of what was filled in, 0 at the end, or a negative errno.
 */
int dmr_nl_sets(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct sets_dump d = {
		.t = (struct touring *)cb->ctx,
		.skb = skb,
		.cb = cb,
	};

	BUILD_BUG_ON(sizeof(struct touring) > sizeof(cb->ctx));
	do {
		d.next = NULL;
		cb->seq = dmr_sets_changed();
		dmr_sets_walk(find_next, &d);
		if (d.next)
			dmr_sets_walk(dump_next, &d);
	} while (d.next && !d.err);
	return d.err && !skb->len ? d.err : skb->len;
}
