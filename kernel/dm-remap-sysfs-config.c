// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/dm-remap-v4/config: what runs here, and its counters to 0. The files
 * are described in docs/abi.md.
 */
#include "dm-remap-sysfs.h"
#include "dm-remap-table.h"

static ssize_t version_info_show(struct kobject *kobj,
				 struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "version=%s\ntargets=remap,remap-v4\nformat=%u\nmax_spares=%u\nmax_remaps=%u\ndefault_max_remaps=%u\n",
			  DMR_VERSION, DMR_FORMAT_VERSION, DMR_MAX_SPARES,
			  DMR_MAX_MAX_REMAPS, DMR_DEFAULT_MAX_REMAPS);
}

static void clear(struct dmr_set *s, void *data)
{
	dmr_counters_clear(s);
}

static ssize_t reset_stats_store(struct kobject *kobj,
				 struct kobj_attribute *attr, const char *buf,
				 size_t count)
{
	unsigned int value;
	int r = dmr_parse_switch(buf, 1, &value);

	if (r)
		return r;
	dmr_sets_walk(clear, NULL);
	atomic64_set(&dmr_discovery_triggers, 0);
	return count;
}

static struct kobj_attribute version_info_attr = __ATTR_RO(version_info);
static struct kobj_attribute reset_stats_attr = __ATTR_WO(reset_stats);

static struct attribute *attrs[] = {
	&version_info_attr.attr,
	&reset_stats_attr.attr,
	NULL
};

const struct attribute_group dmr_config_group = {
	.name = "config",
	.attrs = attrs,
};
