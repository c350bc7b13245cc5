// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/dm-remap-v4: what user space asks of all sets together. The files
 * are described in docs/abi.md.
 *
 * "discovery" is a kobject of its own in a kset, because only what is in a kset
 * can send uevents.
 */
#include <linux/completion.h>

#include "dm-remap-faces.h"
#include "dm-remap-sysfs.h"
#include "dm-remap-table.h"

/* Room that the last line of a page needs. */
#define MORE_LEN	sizeof("more=4294967295\n")

static struct kset *dmr_kset;
static DECLARE_COMPLETION(discovery_released);
static bool auto_discovery = true;
atomic64_t dmr_discovery_triggers;

/**
 * dmr_auto_discovery() - may sets start by themselves?
 *
 * Context: any. Return: what user space has set.
 */
bool dmr_auto_discovery(void)
{
	return READ_ONCE(auto_discovery);
}

/**
 * dmr_set_name() - the name of a set's device
 * @s: the set
 * @name: DM_NAME_LEN bytes; empty when the device is being removed
 *
 * Context: may sleep, within dmr_sets_walk().
 */
void dmr_set_name(struct dmr_set *s, char *name)
{
	if (dm_copy_name_and_uuid(s->md, name, NULL))
		*name = '\0';
}

/**
 * dmr_set_state() - a word for the state of a set
 * @s: the set
 *
 * Context: any. Return: ok; degraded, some spare is not in use; failed, no mapping
 * can be made durable any more.
 */
const char *dmr_set_state(struct dmr_set *s)
{
	if (READ_ONCE(s->failed))
		return "failed";
	return dmr_nr_present(s) < dmr_nr_members(s) ? "degraded" : "ok";
}

/**
 * dmr_set_devices() - the words "main=... spares=..." of a line
 * @s: the set
 * @line: where they go
 * @room: there
 *
 * Context: may sleep, within dmr_sets_walk(). Return: their length.
 */
int dmr_set_devices(struct dmr_set *s, char *line, size_t room)
{
	const char *sep = "";
	unsigned int i;
	int len;

	len = scnprintf(line, room, "main=%u:%u spares=",
			MAJOR(s->main->bd_dev), MINOR(s->main->bd_dev));
	for (i = 0; i < s->nr_spares; i++) {
		struct dmr_spare *spare = &s->spare[i];

		/* One that is in use is in the table, so it stays till we end. */
		if (dmr_spare_usable(s, i))
			len += scnprintf(line + len, room - len, "%s%u:%u", sep,
					 MAJOR(spare->bdev->bd_dev),
					 MINOR(spare->bdev->bd_dev));
		else
			len += scnprintf(line + len, room - len, "%s-", sep);
		sep = ",";
	}
	return len;
}

struct adding {
	struct dmr_page *page;
	dmr_line_fn fn;
};

static void add_line(struct dmr_set *s, void *data)
{
	struct adding *a = data;
	struct dmr_page *p = a->page;
	size_t room = PAGE_SIZE - MORE_LEN - p->len;
	int len;

	if (!p->more) {
		len = a->fn(s, p->buf + p->len, room);
		/* Cut lines are worse than none. */
		if (len < room - 1) {
			p->len += len;
			return;
		}
	}
	p->more++;
}

/**
 * dmr_page_lines() - add a line for each set, and how many didn't fit
 * @p: the page
 * @fn: makes a line
 *
 * Context: may sleep, also while a set is being loaded or stopped.
 */
void dmr_page_lines(struct dmr_page *p, dmr_line_fn fn)
{
	struct adding a = { p, fn };

	dmr_sets_walk(add_line, &a);
	if (p->more)
		p->len += scnprintf(p->buf + p->len, PAGE_SIZE - p->len,
				    "more=%u\n", p->more);
}

/* The name is last, because it may have spaces in it. All that could end the line is escaped. */
static int device_line(struct dmr_set *s, char *line, size_t room)
{
	char name[DM_NAME_LEN];
	int len;

	dmr_set_name(s, name);
	len = scnprintf(line, room, "uuid=%pUb ", s->uuid);
	len += dmr_set_devices(s, line + len, room - len);
	len += scnprintf(line + len, room - len, " state=%s name=%*pEs\n",
			 dmr_set_state(s), (int)strlen(name), name);
	return len;
}

static ssize_t device_list_show(struct kobject *kobj,
				struct kobj_attribute *attr, char *buf)
{
	struct dmr_page page = { .buf = buf };

	dmr_page_lines(&page, device_line);
	return page.len;
}

/**
 * dmr_parse_switch() - read what was written to a file
 * @buf: exactly one of the numbers from @min to 1, and perhaps a newline
 * @min: 0 or 1
 * @value: the number
 *
 * Context: any. Return: 0 or -EINVAL.
 */
int dmr_parse_switch(const char *buf, unsigned int min, unsigned int *value)
{
	if (kstrtouint(buf, 10, value) || *value < min || *value > 1)
		return -EINVAL;
	return 0;
}

static ssize_t auto_discovery_show(struct kobject *kobj,
				   struct kobj_attribute *attr, char *buf)
{
	return sysfs_emit(buf, "%u\n", READ_ONCE(auto_discovery));
}

static ssize_t auto_discovery_store(struct kobject *kobj,
				    struct kobj_attribute *attr,
				    const char *buf, size_t count)
{
	unsigned int value;
	int r = dmr_parse_switch(buf, 0, &value);

	if (r)
		return r;
	WRITE_ONCE(auto_discovery, value);
	return count;
}

static ssize_t trigger_discovery_store(struct kobject *kobj,
				       struct kobj_attribute *attr,
				       const char *buf, size_t count)
{
	char *env[2] = { "DM_REMAP_DISCOVER=1" };
	unsigned int value;
	int r = dmr_parse_switch(buf, 1, &value);

	if (!r)
		r = kobject_uevent_env(kobj, KOBJ_CHANGE, env);
	if (!r)
		atomic64_inc(&dmr_discovery_triggers);
	return r ?: count;
}

static struct kobj_attribute device_list_attr = __ATTR_RO(device_list);
static struct kobj_attribute auto_discovery_attr = __ATTR_RW(auto_discovery);
static struct kobj_attribute trigger_discovery_attr = __ATTR_WO(trigger_discovery);

static struct attribute *discovery_attrs[] = {
	&device_list_attr.attr,
	&auto_discovery_attr.attr,
	&trigger_discovery_attr.attr,
	NULL
};
ATTRIBUTE_GROUPS(discovery);

static void discovery_release(struct kobject *kobj)
{
	complete(&discovery_released);
}

static const struct kobj_type discovery_type = {
	.release = discovery_release,
	.sysfs_ops = &kobj_sysfs_ops,
	.default_groups = discovery_groups,
};

static struct kobject discovery;

/* Their files find no kobject of their own, and need none. */
static const struct attribute_group *folders[] = {
	&dmr_stats_group,
	&dmr_health_group,
	&dmr_config_group,
	NULL
};

/* Whoever is in one of the files is waited for, and so is the last reference. */
static void discovery_put(void)
{
	kobject_put(&discovery);
	wait_for_completion(&discovery_released);
}

/**
 * dmr_sysfs_init() - make the files
 *
 * Context: may sleep, called when the module is loaded. Return: 0 or a negative
 * errno.
 */
int __init dmr_sysfs_init(void)
{
	int r;

	dmr_kset = kset_create_and_add("dm-remap-v4", NULL, kernel_kobj);
	if (!dmr_kset)
		return -ENOMEM;
	r = sysfs_create_groups(&dmr_kset->kobj, folders);
	if (r)
		goto err_kset;
	discovery.kset = dmr_kset;
	r = kobject_init_and_add(&discovery, &discovery_type, NULL, "discovery");
	if (!r)
		return 0;
	discovery_put();
	sysfs_remove_groups(&dmr_kset->kobj, folders);
err_kset:
	kset_unregister(dmr_kset);
	return r;
}

/**
 * dmr_sysfs_exit() - remove the files
 *
 * Whoever is in one of them is waited for. Context: may sleep, called when the
 * module goes: there are no sets any more.
 */
void dmr_sysfs_exit(void)
{
	discovery_put();
	sysfs_remove_groups(&dmr_kset->kobj, folders);
	kset_unregister(dmr_kset);
}
