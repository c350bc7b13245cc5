/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of the generic netlink family "dm_remap" share.
 */
#ifndef DM_REMAP_NETLINK_H
#define DM_REMAP_NETLINK_H

#include <net/genetlink.h>

#include "dm-remap.h"
#include "dm-remap-news.h"

/* Who a command is about, and how it is found; see dmr_match_set(). */
struct dmr_wanted {
	struct nlattr *set;
	struct nlattr *name;
};

/* dm-remap-netlink.c */
extern struct genl_family dmr_family;
int dmr_netlink_init(void);
void dmr_netlink_exit(void);
bool dmr_match_set(struct dmr_set *s, void *data);
int dmr_allowed(struct sk_buff *skb, struct netlink_ext_ack *extack);
int dmr_wanted(struct nlattr **attrs, struct netlink_ext_ack *extack,
	       struct dmr_wanted *w);
int dmr_no_set(struct netlink_ext_ack *extack, int r);

/* A 64-bit attribute, aligned. */
static inline int dmr_put_u64(struct sk_buff *skb, int attr, u64 value)
{
	return nla_put_u64_64bit(skb, attr, value, DMR_A_PAD);
}

/* dm-remap-netlink-sets.c */
int dmr_nl_get(struct sk_buff *skb, struct genl_info *info);
int dmr_nl_sets(struct sk_buff *skb, struct netlink_callback *cb);

/* dm-remap-netlink-dump.c */
int dmr_nl_start(struct netlink_callback *cb);
int dmr_nl_remaps(struct sk_buff *skb, struct netlink_callback *cb);
int dmr_nl_regions(struct sk_buff *skb, struct netlink_callback *cb);

/* dm-remap-netlink-orders.c */
int dmr_nl_configure(struct sk_buff *skb, struct genl_info *info);
int dmr_nl_scan(struct sk_buff *skb, struct genl_info *info);
int dmr_nl_remap(struct sk_buff *skb, struct genl_info *info);
int dmr_nl_spare(struct sk_buff *skb, struct genl_info *info);

#endif /* DM_REMAP_NETLINK_H */
