/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the files of /sys/kernel/dm-remap-v4 share.
 */
#ifndef DM_REMAP_SYSFS_H
#define DM_REMAP_SYSFS_H

#include <linux/kobject.h>
#include <linux/sysfs.h>

#include "dm-remap.h"

/**
 * struct dmr_page - a file while it is being made
 * @buf: a page
 * @len: how much of it is used
 * @more: lines that didn't fit
 */
struct dmr_page {
	char *buf;
	size_t len;
	unsigned int more;
};

/* A whole line with its end, into @room bytes, or the beginning of one. */
typedef int (*dmr_line_fn)(struct dmr_set *s, char *line, size_t room);

void dmr_page_lines(struct dmr_page *p, dmr_line_fn fn);
int dmr_parse_switch(const char *buf, unsigned int min, unsigned int *value);

/* Events that user space was asked for since the last reset. */
extern atomic64_t dmr_discovery_triggers;
bool dmr_auto_discovery(void);

/* The folders that need no kobject of their own. */
extern const struct attribute_group dmr_stats_group;
extern const struct attribute_group dmr_health_group;
extern const struct attribute_group dmr_config_group;

#endif /* DM_REMAP_SYSFS_H */
