// SPDX-License-Identifier: GPL-2.0-only
/*
 * What can be changed for all sets together: the module's parameters, and the
 * threshold in sysfs. The files are described in docs/abi.md.
 *
 * A value out of range changes nothing: when the module is loaded it isn't, and
 * later the writer gets EINVAL.
 */
#include <linux/module.h>
#include <linux/moduleparam.h>
#include <linux/mutex.h>

#include "dm-remap.h"
#include "dm-remap-faces.h"

unsigned int dm_remap_debug;
unsigned int max_remaps;
bool enable_background_scanning = true;
unsigned int scan_interval_hours = 24;
unsigned int health_threshold = 50;

static const struct dmr_knob debug_knob = {
	.name = "dm_remap_debug", .value = &dm_remap_debug, .max = 3,
};

static const struct dmr_knob remaps_knob = {
	.name = "max_remaps", .value = &max_remaps, .max = DMR_MAX_MAX_REMAPS,
};

const struct dmr_knob dmr_knob_scanning = {
	.name = "enable_background_scanning", .on = &enable_background_scanning,
	.max = 1, .scans = true,
};

const struct dmr_knob dmr_knob_interval = {
	.name = "scan_interval_hours", .value = &scan_interval_hours,
	.min = 1, .max = 168, .scans = true,
};

const struct dmr_knob dmr_knob_threshold = {
	.name = "health_threshold", .value = &health_threshold, .max = 100,
};

/*
 * knobs_lock: one change at a time, so that the scanner sees the last one; guards
 * started. Parameters are set before the module's init and after its exit, too.
 */
static DEFINE_MUTEX(knobs_lock);
static bool started;

/**
 * dmr_knob_get() - look at a value
 * @k: which one
 *
 * Context: any. Return: the value, 0 or 1 of a switch.
 */
unsigned int dmr_knob_get(const struct dmr_knob *k)
{
	return k->on ? READ_ONCE(*k->on) : READ_ONCE(*k->value);
}

/**
 * dmr_knob_set() - change a value
 * @k: which one
 * @text: a decimal number, and perhaps a newline
 *
 * Context: may sleep. Return: 0; -EINVAL when it is something else or out of
 * range, and nothing has changed.
 */
int dmr_knob_set(const struct dmr_knob *k, const char *text)
{
	unsigned int value;

	if (kstrtouint(text, 10, &value) || value < k->min || value > k->max)
		return -EINVAL;
	mutex_lock(&knobs_lock);
	if (k->on)
		WRITE_ONCE(*k->on, value);
	else
		WRITE_ONCE(*k->value, value);
	if (k->scans && started)
		dmr_scan_knobs_changed();
	mutex_unlock(&knobs_lock);
	return 0;
}

static int number_set(const char *text, const struct kernel_param *kp)
{
	const struct dmr_knob *k = kp->arg;
	int r = dmr_knob_set(k, text);

	if (r)
		DMERR_LIMIT("parameter %s takes a number from %u to %u", k->name,
			    k->min, k->max);
	return r;
}

static int number_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%u\n", dmr_knob_get(kp->arg));
}

static const struct kernel_param_ops number_ops = {
	.set = number_set,
	.get = number_get,
};

/* Without a value it is switched on. */
static int switch_set(const char *text, const struct kernel_param *kp)
{
	const struct dmr_knob *k = kp->arg;
	int r = -EINVAL;

	if (!text || sysfs_streq(text, "Y") || sysfs_streq(text, "y"))
		r = dmr_knob_set(k, "1");
	else if (sysfs_streq(text, "N") || sysfs_streq(text, "n"))
		r = dmr_knob_set(k, "0");
	else
		r = dmr_knob_set(k, text);
	if (r)
		DMERR_LIMIT("parameter %s takes Y, N, 1 or 0", k->name);
	return r;
}

static int switch_get(char *buf, const struct kernel_param *kp)
{
	return sysfs_emit(buf, "%c\n", dmr_knob_get(kp->arg) ? 'Y' : 'N');
}

static const struct kernel_param_ops switch_ops = {
	.flags = KERNEL_PARAM_OPS_FL_NOARG,
	.set = switch_set,
	.get = switch_get,
};

module_param_cb(dm_remap_debug, &number_ops, (void *)&debug_knob, 0644);
__MODULE_PARM_TYPE(dm_remap_debug, "uint");
MODULE_PARM_DESC(dm_remap_debug, "Verbosity in the kernel log: 0 (events that matter) to 3");

module_param_cb(max_remaps, &number_ops, (void *)&remaps_knob, 0644);
__MODULE_PARM_TYPE(max_remaps, "uint");
MODULE_PARM_DESC(max_remaps, "Most table entries of a set: limit for those in use, size of those formatted by the kernel (0: what the format holds)");

module_param_cb(enable_background_scanning, &switch_ops,
		(void *)&dmr_knob_scanning, 0644);
__MODULE_PARM_TYPE(enable_background_scanning, "bool");
MODULE_PARM_DESC(enable_background_scanning, "Sets are scanned at intervals (default: Y)");

module_param_cb(scan_interval_hours, &number_ops, (void *)&dmr_knob_interval,
		0644);
__MODULE_PARM_TYPE(scan_interval_hours, "uint");
MODULE_PARM_DESC(scan_interval_hours, "Hours from one scan of a set to the next: 1 to 168 (default: 24)");

/**
 * dmr_params_start() - from now on the scanner is told of changes
 *
 * Context: may sleep, called when the module is loaded.
 */
void dmr_params_start(void)
{
	mutex_lock(&knobs_lock);
	started = true;
	mutex_unlock(&knobs_lock);
}

/**
 * dmr_params_stop() - the scanner goes, the files stay for a moment
 *
 * Context: may sleep, called when the module goes.
 */
void dmr_params_stop(void)
{
	mutex_lock(&knobs_lock);
	started = false;
	mutex_unlock(&knobs_lock);
}
