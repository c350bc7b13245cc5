// SPDX-License-Identifier: GPL-2.0-only
/*
 * /sys/kernel/debug/dm-remap: remap_control, and a folder for each set with what
 * is going on inside. The files are described in docs/abi.md. Without
 * CONFIG_DEBUG_FS there are none, and nothing else changes.
 *
 * DOC: lifetimes
 *
 * Who has one of the files open keeps the module. A set's folder goes before the
 * set, and debugfs_remove() waits for whoever is inside a read; it is called under
 * the lock of the list of sets, so what is read here takes no lock but spinlocks
 * and that of the marks, under which nobody sleeps for I/O, and looks at no device.
 * remap_control does both, and is removed without that lock.
 */
#include <linux/debugfs.h>
#include <linux/module.h>
#include <linux/seq_file.h>
#include <linux/slab.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-faces.h"
#include "dm-remap-spares.h"

/* Of what can be written to remap_control, at the most. */
#define COMMAND_LEN	1024
/* Length of a line about a set, at the most; names are escaped. */
#define LINE_LEN	1024
#define ANSWER_LEN	(COMMAND_LEN + DMR_ERROR_LEN)

static struct dentry *root;

/* answer_lock guards answer: what became of the last command. */
static DEFINE_MUTEX(answer_lock);
static char answer[ANSWER_LEN];

/* --- remap_control -------------------------------------------------------- */

__printf(1, 2)
static void set_answer(const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	mutex_lock(&answer_lock);
	vscnprintf(answer, sizeof(answer), fmt, args);
	mutex_unlock(&answer_lock);
	va_end(args);
}

/**
 * struct command - what was written
 * @main: the words of "add"
 * @spare: likewise
 * @main_dev: the devices that they name
 * @spare_dev: likewise
 */
struct command {
	const char *main;
	const char *spare;
	dev_t main_dev;
	dev_t spare_dev;
};

static bool is_number(const char *word)
{
	return !word[strspn(word, "0123456789")];
}

/* A device as <major>:<minor> or as a path in the writer's name space. */
static int find_device(const char *word, dev_t *dev)
{
	unsigned int major, minor;
	char rest;
	int r;

	if (is_number(word)) {
		set_answer("error: %s is no device; a sector is moved to a spare by: dmsetup message DEVICE 0 remap SECTOR",
			   word);
		return -EINVAL;
	}
	if (sscanf(word, "%u:%u%c", &major, &minor, &rest) == 2) {
		*dev = MKDEV(major, minor);
		if (MAJOR(*dev) == major && MINOR(*dev) == minor)
			return 0;
	}
	r = lookup_bdev(word, dev);
	if (r)
		set_answer("error: %s is no block device", word);
	return r;
}

/* The set over a main device, or of a device-mapper device. */
static bool is_over(struct dmr_set *s, void *data)
{
	struct command *c = data;

	return s->main->bd_dev == c->main_dev ||
	       disk_devt(dm_disk(s->md)) == c->main_dev;
}

static int no_set(const struct command *c, int r)
{
	switch (r) {
	case -ENODEV:
		set_answer("error: no set is live over %s; make one: dmsetup create NAME --table \"0 $(blockdev --getsz %s) remap %s %s\"",
			   c->main, c->main, c->main, c->spare);
		break;
	case -ENOTUNIQ:
		set_answer("error: several sets are live over %s; name the device of one of them instead",
			   c->main);
		break;
	default:
		set_answer("error: the device over %s is suspended; resume it and try again",
			   c->main);
	}
	return r;
}

static bool in_table(struct dmr_table *t, dev_t dev)
{
	unsigned int i;

	for (i = 0; i < t->nr_spares; i++)
		if (t->spare[i]->bdev->bd_dev == dev)
			return true;
	return false;
}

/*
 * The kernel can't open a device for a table that is live: only a table that is
 * loaded does. What can be done is the rest: to make what is in the table a member.
 */
static int add_spare(struct dmr_table *t, const struct command *c)
{
	char why[DMR_ERROR_LEN];
	unsigned int row;
	int r;

	if (!in_table(t, c->spare_dev)) {
		set_answer("error: %s is not in the table of %s; load a table that lists it and try again, or leave all to: pyctl spare add NAME %s",
			   c->spare, dm_device_name(t->set->md), c->spare);
		return -ENODEV;
	}
	r = dmr_join(t, c->spare_dev, false, false, &row);
	if (!r) {
		set_answer("ok: %s is spare %u of set %pUb", c->spare, row,
			   t->set->uuid);
		return 0;
	}
	dmr_get_error(t->set, why, sizeof(why));
	set_answer("error: %s", why);
	return r;
}

static int run_add(struct command *c)
{
	struct dmr_table *t;
	int r;

	r = find_device(c->main, &c->main_dev) ?:
	    find_device(c->spare, &c->spare_dev);
	if (r)
		return r;
	t = dmr_visit(is_over, c);
	if (IS_ERR(t))
		return no_set(c, PTR_ERR(t));
	r = add_spare(t, c);
	dmr_visit_end(t);
	return r;
}

static int run_command(char *text)
{
	char *word[4] = { };
	struct command c;
	unsigned int n = 0;

	while (n < ARRAY_SIZE(word) && (word[n] = strsep(&text, " \t\n")))
		if (*word[n])
			n++;
	if (n == 1 && !strcmp(word[0], "list")) {
		set_answer("ok: list");
		return 0;
	}
	if (n == 3 && !strcmp(word[0], "add")) {
		c = (struct command){ .main = word[1], .spare = word[2] };
		return run_add(&c);
	}
	set_answer("error: the commands are: list; add <main> <spare>");
	return -EINVAL;
}

static ssize_t control_write(struct file *file, const char __user *from,
			     size_t count, loff_t *pos)
{
	char *text;
	int r;

	if (count > COMMAND_LEN)
		return -EINVAL;
	text = memdup_user_nul(from, count);
	if (IS_ERR(text))
		return PTR_ERR(text);
	r = run_command(text);
	kfree(text);
	return r ?: count;
}

static void list_set(struct dmr_set *s, void *data)
{
	struct seq_file *m = data;
	char name[DM_NAME_LEN];
	char devices[200];
	dev_t dev = disk_devt(dm_disk(s->md));

	dmr_set_name(s, name);
	dmr_set_devices(s, devices, sizeof(devices));
	seq_printf(m, "uuid=%pUb dev=%u:%u %s remaps=%llu manual=%llu lost=%llu unknown=%llu free=%llu state=%s name=%*pEs\n",
		   s->uuid, MAJOR(dev), MINOR(dev), devices,
		   READ_ONCE(s->nr_remaps), READ_ONCE(s->nr_manual),
		   READ_ONCE(s->nr_lost), READ_ONCE(s->nr_unknown),
		   dmr_free_units(s), dmr_set_state(s), (int)strlen(name), name);
}

static int control_show(struct seq_file *m, void *unused)
{
	dmr_sets_walk(list_set, m);
	mutex_lock(&answer_lock);
	seq_printf(m, "answer=%s\n", answer);
	mutex_unlock(&answer_lock);
	return 0;
}

static int control_open(struct inode *inode, struct file *file)
{
	return single_open(file, control_show, NULL);
}

static const struct file_operations control_fops = {
	.owner = THIS_MODULE,
	.open = control_open,
	.read = seq_read,
	.write = control_write,
	.llseek = seq_lseek,
	.release = single_release,
};

/* --- The folder of a set -------------------------------------------------- */

static long inflight(struct dmr_set *s, unsigned int epoch)
{
	long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(s->pcpu, cpu)->inflight[epoch]);
	return sum;
}

static void show_queues(struct seq_file *m, struct dmr_set *s)
{
	unsigned int writes, reads;

	spin_lock_irq(&s->fail_lock);
	writes = bio_list_size(&s->slow_writes);
	reads = bio_list_size(&s->slow_reads);
	spin_unlock_irq(&s->fail_lock);
	seq_printf(m, "slow_writes=%u\nslow_reads=%u\n", writes, reads);
}

static void show_holds(struct seq_file *m, struct dmr_set *s)
{
	unsigned int holds = 0, parked = 0;
	struct dmr_hold *h;
	u64 units = 0;

	spin_lock_irq(&s->hold_lock);
	list_for_each_entry(h, &s->holds, list) {
		holds++;
		units += h->last - h->first + 1;
		parked += bio_list_size(&h->parked);
	}
	spin_unlock_irq(&s->hold_lock);
	seq_printf(m, "holds=%u\nheld_units=%llu\nparked=%u\n", holds, units,
		   parked);
}

static int in_flight_show(struct seq_file *m, void *unused)
{
	struct dmr_set *s = m->private;

	seq_printf(m, "epoch=%u\ninflight_0=%ld\ninflight_1=%ld\n",
		   READ_ONCE(s->epoch), inflight(s, 0), inflight(s, 1));
	show_queues(m, s);
	show_holds(m, s);
	seq_printf(m, "staged=%u\nmetadata_writes=%d\nengine=%s\ndrain=%s\n",
		   READ_ONCE(s->nr_staged), atomic_read(&s->pending),
		   mutex_is_locked(&s->engine_lock) ? "busy" : "idle",
		   mutex_is_locked(&s->drain_lock) ? "busy" : "idle");
	seq_printf(m, "suspending=%u\nfailed=%u\nbreaker_open=%u\ncopy=%s\n",
		   READ_ONCE(s->suspending), READ_ONCE(s->failed),
		   READ_ONCE(s->breaker_open), dmr_copy_phase(s));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(in_flight);

/* Marks come and go between two reads, so a line may be missing, or there twice. */
static void *regions_at(struct dmr_set *s, loff_t pos)
{
	return pos < s->scan.marks.n ? &s->scan.marks.mark[pos] : NULL;
}

static void *regions_start(struct seq_file *m, loff_t *pos)
{
	struct dmr_set *s = m->private;

	mutex_lock(&s->scan.lock);
	return regions_at(s, *pos);
}

static void *regions_next(struct seq_file *m, void *mark, loff_t *pos)
{
	++*pos;
	return regions_at(m->private, *pos);
}

static void regions_stop(struct seq_file *m, void *mark)
{
	struct dmr_set *s = m->private;

	mutex_unlock(&s->scan.lock);
}

static int regions_show(struct seq_file *m, void *mark)
{
	char line[200];

	dmr_mark_line(m->private, mark, line, sizeof(line));
	seq_puts(m, line);
	return 0;
}

static const struct seq_operations regions_sops = {
	.start = regions_start,
	.next = regions_next,
	.stop = regions_stop,
	.show = regions_show,
};
DEFINE_SEQ_ATTRIBUTE(regions);

/**
 * dmr_debugfs_add() - make the folder of a set
 * @s: the set, live
 *
 * Context: may sleep. Nobody depends on it: what can't be made is not there.
 */
void dmr_debugfs_add(struct dmr_set *s)
{
	char name[40];

	snprintf(name, sizeof(name), "%pUb", s->uuid);
	s->debugfs = debugfs_create_dir(name, root);
	debugfs_create_file("in_flight", 0400, s->debugfs, s, &in_flight_fops);
	debugfs_create_file("regions", 0400, s->debugfs, s, &regions_fops);
}

/**
 * dmr_debugfs_remove() - remove the folder of a set
 * @s: the set, which goes
 *
 * Context: may sleep; who reads in there is waited for.
 */
void dmr_debugfs_remove(struct dmr_set *s)
{
	debugfs_remove(s->debugfs);
	s->debugfs = NULL;
}

/**
 * dmr_debugfs_init() - make the files that need no set
 *
 * Context: may sleep, called when the module is loaded.
 */
void __init dmr_debugfs_init(void)
{
	root = debugfs_create_dir("dm-remap", NULL);
	debugfs_create_file("remap_control", 0600, root, NULL, &control_fops);
}

/**
 * dmr_debugfs_exit() - remove them
 *
 * Context: may sleep, called when the module goes.
 */
void dmr_debugfs_exit(void)
{
	debugfs_remove(root);
}
