// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/dm-remap-v4/health: when sets are scanned, and which score is bad.
 * The files are described in docs/abi.md.
 */
#include "dm-remap-faces.h"
#include "dm-remap-sysfs.h"

/* A file that is a knob of all sets. */
struct knob_file {
	struct kobj_attribute attr;
	const struct dmr_knob *knob;
};

static const struct dmr_knob *knob_of(struct kobj_attribute *attr)
{
	return container_of(attr, struct knob_file, attr)->knob;
}

static ssize_t knob_show(struct kobject *kobj, struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", dmr_knob_get(knob_of(attr)));
}

static ssize_t knob_store(struct kobject *kobj, struct kobj_attribute *attr,
			  const char *buf, size_t count)
{
	return dmr_knob_set(knob_of(attr), buf) ?: count;
}

static struct knob_file scanning_file = {
	__ATTR(health_scanning, 0644, knob_show, knob_store), &dmr_knob_scanning,
};

static struct knob_file interval_file = {
	__ATTR(scan_interval, 0644, knob_show, knob_store), &dmr_knob_interval,
};

static struct knob_file threshold_file = {
	__ATTR(health_threshold, 0644, knob_show, knob_store), &dmr_knob_threshold,
};

static ssize_t trigger_health_scan_store(struct kobject *kobj,
					 struct kobj_attribute *attr,
					 const char *buf, size_t count)
{
	unsigned int value;
	int r = dmr_parse_switch(buf, 1, &value);

	/* None is started where one runs already: that is what was asked for. */
	if (!r)
		r = min(dmr_scan_trigger(), 0);
	return r ?: count;
}

static struct kobj_attribute trigger_health_scan_attr = __ATTR_WO(trigger_health_scan);

static struct attribute *attrs[] = {
	&scanning_file.attr.attr,
	&interval_file.attr.attr,
	&threshold_file.attr.attr,
	&trigger_health_scan_attr.attr,
	NULL
};

const struct attribute_group dmr_health_group = {
	.name = "health",
	.attrs = attrs,
};
