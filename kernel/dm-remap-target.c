// SPDX-License-Identifier: GPL-2.0-only
/*
 * The target: table line, life cycle, module.
 *
 *   <start> <len> remap <main> <spare>... [<#words> <option> <value>...]
 *
 * ctr parses and opens, and writes nothing; dmr_set_bind() in preresume finds or
 * makes the live set.
 */
#include <linux/ctype.h>
#include <linux/module.h>
#include <linux/slab.h>
#include <linux/uuid.h>

#include "dm-remap.h"
#include "dm-remap-faces.h"
#include "dm-remap-netlink.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

#define MAX_OPTION_WORDS	40
#define DMR_OPTIONS		"set, degraded, accept_main, copy_to, copy_id, relocate, " DMR_KEYS

u32 dmr_crc32c(u32 crc, const void *data, size_t len)
{
	return dmr_kernel_crc32c(crc, data, len);
}

static const struct dmr_option {
	const char *key;
	size_t offset;
	unsigned int min;
	unsigned int max;
} options[] = {
	{ "retries", offsetof(struct dmr_opts, retries), 0, 16 },
	{ "backoff_ms", offsetof(struct dmr_opts, backoff_ms), 0, 10000 },
	{ "breaker_remaps", offsetof(struct dmr_opts, breaker_remaps), 1, 1000000 },
	{ "breaker_seconds", offsetof(struct dmr_opts, breaker_seconds), 1, 86400 },
	{ "autosave_seconds", offsetof(struct dmr_opts, autosave_seconds), 0, 86400 },
	{ "spare_errors", offsetof(struct dmr_opts, spare_errors), 0, 1000000 },
	{ "space_percent", offsetof(struct dmr_opts, space_percent), 0, 100 },
	{ "copy_rate", offsetof(struct dmr_opts, copy_rate), 0, 4194304 },
	{ "scan_rate", offsetof(struct dmr_opts, scan_rate), 0, 4194304 },
	{ "scan_share", offsetof(struct dmr_opts, scan_share), 1, 100 },
};

static const struct dmr_option *find_option(const char *key)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(options); i++)
		if (!strcmp(key, options[i].key))
			return &options[i];
	return NULL;
}

/**
 * dmr_opt_get() - look at one numeric option
 * @o: the options
 * @key: its name
 *
 * Context: any. Return: where it is; NULL when the key is unknown.
 */
const unsigned int *dmr_opt_get(const struct dmr_opts *o, const char *key)
{
	const struct dmr_option *opt = find_option(key);

	return opt ? (const void *)o + opt->offset : NULL;
}

/**
 * dmr_opt_set() - change one numeric option
 * @o: the options
 * @key: its name
 * @value: its new value, decimal
 *
 * Context: any. Return: 0; -EINVAL when the key is unknown or the value out of
 * range, and nothing has changed.
 */
int dmr_opt_set(struct dmr_opts *o, const char *key, const char *value)
{
	const struct dmr_option *opt = find_option(key);
	unsigned int v;

	if (!opt || kstrtouint(value, 10, &v) || v < opt->min || v > opt->max)
		return -EINVAL;
	WRITE_ONCE(*(unsigned int *)((void *)o + opt->offset), v);
	return 0;
}

static int parse_switch(struct dm_target *ti, const char *value, bool *on,
			char *error)
{
	if (strcmp(value, "yes") && strcmp(value, "no")) {
		ti->error = error;
		return -EINVAL;
	}
	*on = !strcmp(value, "yes");
	return 0;
}

/* One of them is the whole disk that the other is part of, or both are one. */
static bool same_storage(struct dm_dev *a, struct dm_dev *b)
{
	if (a->bdev == b->bdev)
		return true;
	return a->bdev->bd_disk == b->bdev->bd_disk &&
	       (!bdev_is_partition(a->bdev) || !bdev_is_partition(b->bdev));
}

/* The replacement of main. */
static int open_copy(struct dm_target *ti, struct dmr_table *t, const char *path)
{
	unsigned int i;
	bool twice;
	int r;

	if (t->copy || !dmr_table_writable(t)) {
		ti->error = "copy_to is given twice, or for a read-only device";
		return -EINVAL;
	}
	r = dm_get_device(ti, path, BLK_OPEN_READ | BLK_OPEN_WRITE, &t->copy);
	if (r) {
		ti->error = "the replacement of main (copy_to) can't be opened";
		return r;
	}
	twice = same_storage(t->copy, t->main);
	for (i = 0; i < t->nr_spares; i++)
		twice |= same_storage(t->copy, t->spare[i]);
	if (twice) {
		ti->error = "the replacement of main (copy_to) is main or a spare";
		return -EINVAL;
	}
	if (bdev_nr_sectors(t->copy->bdev) < ti->len) {
		ti->error = "the replacement of main (copy_to) is smaller than the target";
		return -EINVAL;
	}
	return 0;
}

static int parse_option(struct dm_target *ti, struct dmr_table *t,
			const char *key, const char *value)
{
	uuid_t uuid;

	if (!strcmp(key, "set")) {
		if (uuid_parse(value, &uuid)) {
			ti->error = "option set needs a UUID";
			return -EINVAL;
		}
		export_uuid(t->uuid, &uuid);
		t->have_uuid = true;
		return 0;
	}
	if (!strcmp(key, "degraded"))
		return parse_switch(ti, value, &t->degraded,
				    "option degraded is yes or no");
	if (!strcmp(key, "accept_main"))
		return parse_switch(ti, value, &t->accept_main,
				    "option accept_main is yes or no");
	if (!strcmp(key, "copy_to"))
		return open_copy(ti, t, value);
	if (!strcmp(key, "copy_id")) {
		if (!kstrtou32(value, 10, &t->copy_id))
			return 0;
		ti->error = "copy_id is a number of 32 bits";
		return -EINVAL;
	}
	if (!strcmp(key, "relocate")) {
		if (!dmr_relocation_set(&t->opts, value))
			return 0;
		ti->error = "option relocate is off, ask, half or always";
		return -EINVAL;
	}
	if (dmr_opt_set(&t->opts, key, value)) {
		ti->error = "unknown option, or a value out of range (" DMR_OPTIONS ")";
		return -EINVAL;
	}
	return 0;
}

static int parse_options(struct dm_target *ti, struct dmr_table *t,
			 struct dm_arg_set *as)
{
	static const struct dm_arg group[] = {
		{ 0, MAX_OPTION_WORDS, "wrong number of option words" },
	};
	const char *key, *value;
	unsigned int words;
	int r;

	if (!as->argc)
		return 0;
	r = dm_read_arg_group(group, as, &words, &ti->error);
	if (r)
		return r;
	if (words % 2 || words != as->argc) {
		ti->error = "options are pairs of words, and their number comes first";
		return -EINVAL;
	}
	while (as->argc && !r) {
		key = dm_shift_arg(as);
		value = dm_shift_arg(as);
		r = parse_option(ti, t, key, value);
	}
	return r;
}

static bool is_number(const char *word)
{
	while (isdigit(*word))
		word++;
	return !*word;
}

static int open_main(struct dm_target *ti, struct dmr_table *t, const char *path)
{
	int r;

	r = dm_get_device(ti, path, dm_table_get_mode(ti->table), &t->main);
	if (r) {
		ti->error = "the main device can't be opened";
		return r;
	}
	if (bdev_nr_sectors(t->main->bdev) < ti->len) {
		ti->error = "the main device is smaller than the target";
		return -EINVAL;
	}
	return 0;
}

static int open_spare(struct dm_target *ti, struct dmr_table *t, const char *path)
{
	struct dm_dev *dev;
	unsigned int i;
	int r;

	/* A read-only device may still have to save what it could read. */
	r = dm_get_device(ti, path, BLK_OPEN_READ | BLK_OPEN_WRITE, &dev);
	if (r) {
		ti->error = "a spare device can't be opened";
		return r;
	}
	t->spare[t->nr_spares++] = dev;
	if (same_storage(dev, t->main)) {
		ti->error = "main and spare are the same device";
		return -EINVAL;
	}
	for (i = 0; i < t->nr_spares - 1; i++) {
		if (same_storage(dev, t->spare[i])) {
			ti->error = "a spare device is given twice";
			return -EINVAL;
		}
	}
	if (bdev_nr_sectors(dev->bdev) < DMR_MIN_SPARE_SECTORS) {
		ti->error = "a spare device is too small: at least 12288 sectors (6 MiB)";
		return -EINVAL;
	}
	return 0;
}

static void table_free(struct dm_target *ti, struct dmr_table *t)
{
	while (t->nr_spares)
		dm_put_device(ti, t->spare[--t->nr_spares]);
	if (t->copy)
		dm_put_device(ti, t->copy);
	if (t->main)
		dm_put_device(ti, t->main);
	kfree(t);
}

static int dmr_ctr(struct dm_target *ti, unsigned int argc, char **argv)
{
	struct dm_arg_set as = { .argc = argc, .argv = argv };
	struct dmr_table *t;
	int r;

	if (argc < 2) {
		ti->error = "too few arguments: <main> <spare>... [<#words> <option> <value>...]";
		return -EINVAL;
	}
	t = kzalloc(sizeof(*t), GFP_KERNEL);
	if (!t) {
		ti->error = "no memory";
		return -ENOMEM;
	}
	t->ti = ti;
	t->opts = (struct dmr_opts){
		.retries = 6,
		.backoff_ms = 20,
		.breaker_remaps = 4096,
		.breaker_seconds = 10,
		.autosave_seconds = DMR_AUTOSAVE_SECONDS,
		.spare_errors = 64,
		.space_percent = 10,
		.scan_share = 1,
		.relocate = DMR_RELOCATE_ASK,
	};
	r = open_main(ti, t, dm_shift_arg(&as));
	while (!r && as.argc && !is_number(as.argv[0])) {
		if (t->nr_spares == DMR_MAX_SPARES) {
			ti->error = "too many spares: at most 8";
			r = -EINVAL;
			break;
		}
		r = open_spare(ti, t, dm_shift_arg(&as));
	}
	if (!r && !t->nr_spares) {
		ti->error = "no spare device is given";
		r = -EINVAL;
	}
	if (!r)
		r = parse_options(ti, t, &as);
	if (r) {
		table_free(ti, t);
		return r;
	}
	ti->num_flush_bios = 1 + t->nr_spares;
	ti->flush_supported = true;
	ti->num_discard_bios = 1;
	ti->discards_supported = bdev_max_discard_sectors(t->main->bdev);
	ti->num_write_zeroes_bios = 1;
	ti->private = t;
	return 0;
}

static void dmr_dtr(struct dm_target *ti)
{
	struct dmr_table *t = ti->private;

	dmr_set_unbind(t);
	table_free(ti, t);
}

static int dmr_preresume(struct dm_target *ti)
{
	return dmr_set_bind(ti->private);
}

static void dmr_resume(struct dm_target *ti)
{
	struct dmr_table *t = ti->private;

	dmr_set_resume(t->set);
}

static void dmr_presuspend(struct dm_target *ti)
{
	struct dmr_table *t = ti->private;

	if (t->set)
		dmr_set_suspend(t->set);
}

static void dmr_postsuspend(struct dm_target *ti)
{
	struct dmr_table *t = ti->private;

	if (!t->set)
		return;
	dmr_visits_close(t->set);
	dmr_pool_stop(t->set);
}

static void dmr_presuspend_undo(struct dm_target *ti)
{
	struct dmr_table *t = ti->private;

	if (t->set)
		dmr_set_resume(t->set);
}

/* The table as it can be loaded again: with the set that it is bound to. */
static void table_line(struct dmr_table *t, char *result, unsigned int maxlen)
{
	const struct dmr_opts *o = t->set ? &t->set->opts : &t->opts;
	const u8 *uuid = t->set ? t->set->uuid : t->have_uuid ? t->uuid : NULL;
	unsigned int sz = 0, i;

	DMEMIT("%s", t->main->name);
	for (i = 0; i < t->nr_spares; i++)
		DMEMIT(" %s", t->spare[i]->name);
	DMEMIT(" %u", 20 + 2 * !!uuid + 2 * t->degraded + 6 * !!t->copy);
	if (uuid)
		DMEMIT(" set %pUb", uuid);
	if (t->degraded)
		DMEMIT(" degraded yes");
	DMEMIT(" retries %u backoff_ms %u breaker_remaps %u breaker_seconds %u autosave_seconds %u spare_errors %u space_percent %u",
	       o->retries, o->backoff_ms, o->breaker_remaps, o->breaker_seconds,
	       o->autosave_seconds, o->spare_errors, o->space_percent);
	DMEMIT(" scan_rate %u scan_share %u relocate %s", o->scan_rate,
	       o->scan_share, dmr_relocation_name(o->relocate));
	if (t->copy)
		DMEMIT(" copy_to %s copy_id %u copy_rate %u", t->copy->name,
		       t->copy_id, o->copy_rate);
}

static void ima_line(struct dmr_table *t, char *result, unsigned int maxlen)
{
	unsigned int sz = 0, i;

	DMEMIT_TARGET_NAME_VERSION(t->ti->type);
	DMEMIT(",main_device=%s", t->main->name);
	for (i = 0; i < t->nr_spares; i++)
		DMEMIT(",spare_device_%u=%s", i, t->spare[i]->name);
	if (t->copy)
		DMEMIT(",copy_device=%s", t->copy->name);
	if (t->set)
		DMEMIT(",set=%pUb", t->set->uuid);
	DMEMIT(";");
}

static void dmr_status(struct dm_target *ti, status_type_t type,
		       unsigned int flags, char *result, unsigned int maxlen)
{
	struct dmr_table *t = ti->private;

	*result = '\0';
	switch (type) {
	case STATUSTYPE_INFO:
		if (t->set)
			dmr_status_line(t->set, result, maxlen);
		break;
	case STATUSTYPE_TABLE:
		table_line(t, result, maxlen);
		break;
	case STATUSTYPE_IMA:
		ima_line(t, result, maxlen);
		break;
	}
}

static int dmr_iterate_devices(struct dm_target *ti,
			       iterate_devices_callout_fn fn, void *data)
{
	struct dmr_table *t = ti->private;
	unsigned int i;
	int r;

	r = fn(ti, t->main, 0, ti->len, data);
	for (i = 0; i < t->nr_spares && !r; i++)
		r = fn(ti, t->spare[i], 0, bdev_nr_sectors(t->spare[i]->bdev), data);
	if (!r && t->copy)
		r = fn(ti, t->copy, 0, ti->len, data);
	return r;
}

static void dmr_io_hints(struct dm_target *ti, struct queue_limits *limits)
{
	struct dmr_table *t = ti->private;
	unsigned int unit;

	if (!t->set)
		return;
	/* A write of part of a unit must not exist. */
	unit = dmr_unit_bytes(t->set);
	limits->logical_block_size = max(limits->logical_block_size, unit);
	limits->physical_block_size = max(limits->physical_block_size, unit);
	limits->io_min = max(limits->io_min, unit);
}

static struct target_type dmr_targets[] = {
	{ .name = "remap" },
	{ .name = "remap-v4" },
};

static void fill_target(struct target_type *tt)
{
	tt->version[0] = 4;
	tt->features = DM_TARGET_NOWAIT | DM_TARGET_SINGLETON;
	tt->module = THIS_MODULE;
	tt->ctr = dmr_ctr;
	tt->dtr = dmr_dtr;
	tt->map = dmr_map;
	tt->end_io = dmr_end_io;
	tt->presuspend = dmr_presuspend;
	tt->presuspend_undo = dmr_presuspend_undo;
	tt->postsuspend = dmr_postsuspend;
	tt->preresume = dmr_preresume;
	tt->resume = dmr_resume;
	tt->status = dmr_status;
	tt->message = dmr_message;
	tt->iterate_devices = dmr_iterate_devices;
	tt->io_hints = dmr_io_hints;
}

static int __init dmr_init(void)
{
	unsigned int i;
	int r;

	r = dmr_mem_init();
	if (r)
		return r;
	r = dmr_netlink_init();
	if (r)
		goto err_mem;
	r = dmr_sysfs_init();
	if (r)
		goto err_netlink;
	dmr_debugfs_init();
	for (i = 0; i < ARRAY_SIZE(dmr_targets); i++) {
		fill_target(&dmr_targets[i]);
		r = dm_register_target(&dmr_targets[i]);
		if (r)
			goto err;
	}
	dmr_params_start();
	return 0;
err:
	while (i--)
		dm_unregister_target(&dmr_targets[i]);
	dmr_debugfs_exit();
	dmr_sysfs_exit();
err_netlink:
	dmr_netlink_exit();
err_mem:
	dmr_mem_exit();
	return r;
}

static void __exit dmr_exit(void)
{
	unsigned int i;

	dmr_params_stop();
	dmr_debugfs_exit();
	dmr_sysfs_exit();
	for (i = 0; i < ARRAY_SIZE(dmr_targets); i++)
		dm_unregister_target(&dmr_targets[i]);
	dmr_netlink_exit();
	/* The last regions that were replaced are freed by RCU. */
	rcu_barrier();
	dmr_mem_exit();
}

module_init(dmr_init);
module_exit(dmr_exit);

MODULE_DESCRIPTION("device-mapper target that remaps bad sectors to spare devices");
MODULE_AUTHOR("The dm-remap developers");
MODULE_VERSION(DMR_VERSION);
MODULE_LICENSE("GPL");
