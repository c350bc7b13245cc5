/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The news: what happens to sets, numbered, for those who listen.
 */
#ifndef DM_REMAP_NEWS_H
#define DM_REMAP_NEWS_H

#include <linux/types.h>

#include "dm-remap-format.h"
#include "dm-remap-uapi.h"

struct dmr_set;
struct dmr_staged;

/* What has not changed since the module was loaded; dmr_change() never returns it. */
#define DMR_UNCHANGED	1

/* About no spare. */
#define DMR_NO_SPARE	(-1)

/**
 * struct dmr_item - an event
 * @seq: its number; the next one has the next number
 * @time: ns since 1970
 * @set: the set that it is about; zeros when it is about none
 * @dev: its device
 * @type: enum dmr_news
 * @what: which of several, as @type has it: an enum dmr_reason, dmr_space,
 *        dmr_scan_event, dmr_finding or dmr_copy_phase, or a switch
 * @spare: the row that it is about, or DMR_NO_SPARE
 * @count: how often it happened
 * @sector: where, in sectors of the device
 * @sectors: how far; 0 when it is about no range
 */
struct dmr_item {
	u64 seq;
	u64 time;
	u8 set[DMR_UUID_LEN];
	dev_t dev;
	u32 type;
	u32 what;
	s32 spare;
	u64 count;
	u64 sector;
	u64 sectors;
};

/* dm-remap-news.c */
u32 dmr_change(void);
void dmr_news(struct dmr_set *s, enum dmr_news type, u32 what, int spare);
void dmr_news_at(struct dmr_set *s, enum dmr_news type, u32 what, int spare,
		 sector_t sector, u64 sectors, u64 count);
void dmr_news_unit(struct dmr_set *s, enum dmr_news type, u64 unit);
void dmr_news_entry(struct dmr_set *s, const struct dmr_staged *st);
u64 dmr_news_seq(void);
u64 dmr_news_instance(void);
void dmr_news_init(void);
void dmr_news_exit(void);

/* dm-remap-netlink.c: send an event */
bool dmr_netlink_heard(void);
void dmr_netlink_send(const struct dmr_item *item);

#endif /* DM_REMAP_NEWS_H */
