// SPDX-License-Identifier: GPL-2.0-only
/*
 * The generic netlink family "dm_remap": who may ask, what is understood, and events.
 * docs/netlink.md describes it, kernel/uapi/dm_remap.yaml for programs.
 *
 * DOC: locks
 *
 * Operations run in parallel: otherwise one that waits for a disk would hold up all of
 * generic netlink. Each command finds its set as a visitor (dm-remap-visit.c) and takes
 * the locks that a message takes. The list of sets is read without the lock of any set,
 * so it never waits for one.
 *
 * DOC: unloading
 *
 * The core keeps the module while a dump is under way, and waits for commands when the
 * family goes. Who listens keeps nothing: he hears nothing any more, and joins again
 * when the family is there again.
 */
#include <linux/capability.h>

#include "dm-remap-faces.h"
#include "dm-remap-netlink.h"

/* Room for an event, with all that it can have. */
#define EVENT_LEN	256

static const struct nla_policy get_policy[DMR_A_MAX + 1] = {
	[DMR_A_SET] = NLA_POLICY_EXACT_LEN(DMR_UUID_LEN),
	[DMR_A_NAME] = { .type = NLA_NUL_STRING, .len = DM_NAME_LEN - 1 },
};

static const struct nla_policy remaps_policy[DMR_A_MAX + 1] = {
	[DMR_A_SET] = NLA_POLICY_EXACT_LEN(DMR_UUID_LEN),
	[DMR_A_NAME] = { .type = NLA_NUL_STRING, .len = DM_NAME_LEN - 1 },
	[DMR_A_SECTOR] = { .type = NLA_U64 },
};

static const struct nla_policy regions_policy[DMR_A_MAX + 1] = {
	[DMR_A_SET] = NLA_POLICY_EXACT_LEN(DMR_UUID_LEN),
	[DMR_A_NAME] = { .type = NLA_NUL_STRING, .len = DM_NAME_LEN - 1 },
};

static const struct nla_policy configure_policy[DMR_A_MAX + 1] = {
	[DMR_A_SET] = NLA_POLICY_EXACT_LEN(DMR_UUID_LEN),
	[DMR_A_NAME] = { .type = NLA_NUL_STRING, .len = DM_NAME_LEN - 1 },
	[DMR_A_KEY] = { .type = NLA_NUL_STRING, .len = 31 },
	[DMR_A_VALUE] = { .type = NLA_NUL_STRING, .len = 31 },
};

static const struct nla_policy scan_policy[DMR_A_MAX + 1] = {
	[DMR_A_SET] = NLA_POLICY_EXACT_LEN(DMR_UUID_LEN),
	[DMR_A_NAME] = { .type = NLA_NUL_STRING, .len = DM_NAME_LEN - 1 },
	[DMR_A_SCAN_ORDER] = NLA_POLICY_MAX(NLA_U32, DMR_NR_SCAN_ORDERS - 1),
	[DMR_A_PATTERN] = { .type = NLA_NUL_STRING, .len = 31 },
};

static const struct nla_policy remap_policy[DMR_A_MAX + 1] = {
	[DMR_A_SET] = NLA_POLICY_EXACT_LEN(DMR_UUID_LEN),
	[DMR_A_NAME] = { .type = NLA_NUL_STRING, .len = DM_NAME_LEN - 1 },
	[DMR_A_REMAP_ORDER] = NLA_POLICY_MAX(NLA_U32, DMR_NR_REMAP_ORDERS - 1),
	[DMR_A_SECTOR] = { .type = NLA_U64 },
	[DMR_A_SECTORS] = { .type = NLA_U64 },
};

static const struct nla_policy spare_policy[DMR_A_MAX + 1] = {
	[DMR_A_SET] = NLA_POLICY_EXACT_LEN(DMR_UUID_LEN),
	[DMR_A_NAME] = { .type = NLA_NUL_STRING, .len = DM_NAME_LEN - 1 },
	[DMR_A_SPARE_ORDER] = NLA_POLICY_MAX(NLA_U32, DMR_NR_SPARE_ORDERS - 1),
	[DMR_A_SPARE] = NLA_POLICY_MAX(NLA_U32, DMR_MAX_SPARES - 1),
	[DMR_A_SECOND_SPARE] = NLA_POLICY_MAX(NLA_U32, DMR_MAX_SPARES - 1),
	[DMR_A_MAJOR] = { .type = NLA_U32 },
	[DMR_A_MINOR] = { .type = NLA_U32 },
	[DMR_A_COUNT] = { .type = NLA_U64 },
};

static const struct genl_ops ops[] = {
	{
		.cmd = DMR_CMD_GET,
		.policy = get_policy,
		.maxattr = DMR_A_MAX,
		.doit = dmr_nl_get,
		.start = dmr_nl_start,
		.dumpit = dmr_nl_sets,
	},
	{
		.cmd = DMR_CMD_REMAPS,
		.policy = remaps_policy,
		.maxattr = DMR_A_MAX,
		.start = dmr_nl_start,
		.dumpit = dmr_nl_remaps,
	},
	{
		.cmd = DMR_CMD_REGIONS,
		.policy = regions_policy,
		.maxattr = DMR_A_MAX,
		.start = dmr_nl_start,
		.dumpit = dmr_nl_regions,
	},
	{
		.cmd = DMR_CMD_CONFIGURE,
		.policy = configure_policy,
		.maxattr = DMR_A_MAX,
		.doit = dmr_nl_configure,
	},
	{
		.cmd = DMR_CMD_SCAN,
		.policy = scan_policy,
		.maxattr = DMR_A_MAX,
		.doit = dmr_nl_scan,
	},
	{
		.cmd = DMR_CMD_REMAP,
		.policy = remap_policy,
		.maxattr = DMR_A_MAX,
		.doit = dmr_nl_remap,
	},
	{
		.cmd = DMR_CMD_SPARE,
		.policy = spare_policy,
		.maxattr = DMR_A_MAX,
		.doit = dmr_nl_spare,
	},
};

static const struct genl_multicast_group groups[] = {
	{ .name = DMR_GENL_EVENTS, .flags = GENL_MCAST_CAP_SYS_ADMIN },
};

struct genl_family dmr_family __ro_after_init = {
	.name = DMR_GENL_NAME,
	.version = DMR_GENL_VERSION,
	.maxattr = DMR_A_MAX,
	.ops = ops,
	.n_ops = ARRAY_SIZE(ops),
	.mcgrps = groups,
	.n_mcgrps = ARRAY_SIZE(groups),
	.parallel_ops = true,
	.module = THIS_MODULE,
};

/**
 * dmr_allowed() - may the sender of a message say it?
 * @skb: the message
 * @extack: told why not
 *
 * Device mapper asks for CAP_SYS_ADMIN, and so do we; the flags of genetlink would ask
 * for CAP_NET_ADMIN.
 * Context: process. Return: 0 or -EPERM.
 */
int dmr_allowed(struct sk_buff *skb, struct netlink_ext_ack *extack)
{
	if (netlink_capable(skb, CAP_SYS_ADMIN))
		return 0;
	NL_SET_ERR_MSG(extack, "only with CAP_SYS_ADMIN");
	return -EPERM;
}

/**
 * dmr_wanted() - which set a message is about
 * @attrs: its attributes
 * @extack: told what is missing
 * @w: filled in
 *
 * Context: any. Return: 0 or -EINVAL.
 */
int dmr_wanted(struct nlattr **attrs, struct netlink_ext_ack *extack,
	       struct dmr_wanted *w)
{
	w->set = attrs[DMR_A_SET];
	w->name = attrs[DMR_A_NAME];
	if (w->set || w->name)
		return 0;
	NL_SET_ERR_MSG(extack, "which set? give its UUID or the name of its device");
	return -EINVAL;
}

/**
 * dmr_match_set() - is it the set that is wanted?
 * @s: the set
 * @data: struct dmr_wanted
 *
 * Context: may sleep, within dmr_sets_walk(). Return: true when all that was given
 * fits.
 */
bool dmr_match_set(struct dmr_set *s, void *data)
{
	const struct dmr_wanted *w = data;
	char name[DM_NAME_LEN];

	if (w->set && memcmp(nla_data(w->set), s->uuid, DMR_UUID_LEN))
		return false;
	if (!w->name)
		return true;
	dmr_set_name(s, name);
	return !nla_strcmp(w->name, name);
}

/**
 * dmr_no_set() - say why no set was found
 * @extack: told
 * @r: from dmr_visit()
 *
 * Context: any. Return: @r.
 */
int dmr_no_set(struct netlink_ext_ack *extack, int r)
{
	if (r == -EAGAIN)
		NL_SET_ERR_MSG(extack, "the device is suspended; resume it and try again");
	else
		NL_SET_ERR_MSG(extack, "there is no such set");
	return r;
}

/* The attribute of what single events tell, 0 when they tell nothing more. */
static int detail_of(u32 type)
{
	switch (type) {
	case DMR_NEWS_REMAP:
	case DMR_NEWS_MOVED:
		return DMR_A_MANUAL;
	case DMR_NEWS_MEMBERS:
		return DMR_A_REASON;
	case DMR_NEWS_SPACE:
		return DMR_A_SPACE;
	case DMR_NEWS_BREAKER:
		return DMR_A_BREAKER;
	case DMR_NEWS_SCAN:
		return DMR_A_SCAN_EVENT;
	case DMR_NEWS_FINDING:
		return DMR_A_FINDING;
	case DMR_NEWS_COPY:
		return DMR_A_COPY;
	default:
		return 0;
	}
}

static int put_event(struct sk_buff *skb, const struct dmr_item *item)
{
	int detail = detail_of(item->type);

	if (dmr_put_u64(skb, DMR_A_INSTANCE, dmr_news_instance()) ||
	    dmr_put_u64(skb, DMR_A_SEQ, item->seq) ||
	    dmr_put_u64(skb, DMR_A_TIME, item->time) ||
	    nla_put_u32(skb, DMR_A_EVENT, item->type) ||
	    dmr_put_u64(skb, DMR_A_COUNT, item->count))
		return -EMSGSIZE;
	if (item->type == DMR_NEWS_DROPPED)
		return 0;
	if (nla_put(skb, DMR_A_SET, DMR_UUID_LEN, item->set) ||
	    nla_put_u32(skb, DMR_A_MAJOR, MAJOR(item->dev)) ||
	    nla_put_u32(skb, DMR_A_MINOR, MINOR(item->dev)))
		return -EMSGSIZE;
	if (item->spare != DMR_NO_SPARE &&
	    nla_put_u32(skb, DMR_A_SPARE, item->spare))
		return -EMSGSIZE;
	if (item->sectors && (dmr_put_u64(skb, DMR_A_SECTOR, item->sector) ||
			      dmr_put_u64(skb, DMR_A_SECTORS, item->sectors)))
		return -EMSGSIZE;
	return detail && nla_put_u32(skb, detail, item->what) ? -EMSGSIZE : 0;
}

/**
 * dmr_netlink_heard() - does anybody listen?
 *
 * Context: any. Return: false when an event needs not be sent.
 */
bool dmr_netlink_heard(void)
{
	return genl_has_listeners(&dmr_family, &init_net, 0);
}

/**
 * dmr_netlink_send() - send an event to all who listen
 * @item: the event
 *
 * Without memory it is not sent, and its number is missing.
 * Context: may sleep.
 */
void dmr_netlink_send(const struct dmr_item *item)
{
	struct sk_buff *skb = genlmsg_new(EVENT_LEN, GFP_KERNEL);
	void *head;

	if (!skb)
		return;
	head = genlmsg_put(skb, 0, 0, &dmr_family, 0, DMR_CMD_EVENT);
	if (!head || WARN_ON_ONCE(put_event(skb, item))) {
		nlmsg_free(skb);
		return;
	}
	genlmsg_end(skb, head);
	genlmsg_multicast(&dmr_family, skb, 0, 0, GFP_KERNEL);
}

/**
 * dmr_netlink_init() - make the family
 *
 * Context: may sleep, called when the module is loaded. Return: 0 or a negative errno.
 */
int __init dmr_netlink_init(void)
{
	dmr_news_init();
	return genl_register_family(&dmr_family);
}

/**
 * dmr_netlink_exit() - send the last events, and remove the family
 *
 * Context: may sleep, called when the module goes: there are no sets any more.
 */
void dmr_netlink_exit(void)
{
	dmr_news_exit();
	genl_unregister_family(&dmr_family);
}
