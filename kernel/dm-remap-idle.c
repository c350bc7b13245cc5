// SPDX-License-Identifier: GPL-2.0-only
/*
 * Does anybody else use the disks that are scanned?
 *
 * DOC: how that is seen
 *
 * The set counts the bios that have ended, per CPU, and those that are under way, in
 * two epochs; the core counts those that have not even been mapped. Others may use
 * the same disks without us: another partition of them, another set. So what the
 * disks have done is looked at, too, less what we have read ourselves. Nothing of
 * this costs a bio anything that it doesn't cost already.
 *
 * Whoever has been there is taken to be there for a moment longer: the next request
 * of one who waits for each answer comes after the answer.
 */
#include <linux/ktime.h>
#include <linux/part_stat.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-faces.h"

#define LINGER_NS	(100 * NSEC_PER_MSEC)

static struct block_device *whole(struct block_device *bdev)
{
	return bdev->bd_disk->part0;
}

/* The disk that is scanned, when it isn't that of main. */
static struct block_device *other_disk(struct dmr_set *s)
{
	unsigned int device = READ_ONCE(s->scan.st.device);
	struct block_device *bdev;

	if (!device)
		return NULL;
	bdev = READ_ONCE(s->spare[device - 1].bdev);
	return bdev && whole(bdev) != whole(s->main) ? whole(bdev) : NULL;
}

static u64 disk_sectors(struct dmr_set *s)
{
	struct block_device *other = other_disk(s);
	u64 n = part_stat_read_accum(whole(s->main), sectors);

	return other ? n + part_stat_read_accum(other, sectors) : n;
}

/* Bios that the core has and we have not ended. */
static bool any_inflight(struct dmr_set *s)
{
	struct block_device *part = dm_disk(s->md)->part0;
	unsigned long n = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		n += part_stat_local_read_cpu(part, in_flight[0], cpu) +
		     part_stat_local_read_cpu(part, in_flight[1], cpu);
	return n || dmr_inflight(s);
}

/**
 * dmr_idle_own() - the scan has read something
 * @s: the set
 * @bdev: from where
 * @sectors: so many
 *
 * Context: the scan's worker.
 */
void dmr_idle_own(struct dmr_set *s, struct block_device *bdev,
		  unsigned int sectors)
{
	if (whole(bdev) == whole(s->main) || whole(bdev) == other_disk(s))
		s->scan.idle.own += sectors;
}

/**
 * dmr_idle_look() - has anybody used the disks since the last look?
 * @s: the set
 *
 * Context: the scan's worker. Return: true when somebody has, or does now.
 */
bool dmr_idle_look(struct dmr_set *s)
{
	struct dmr_idle *i = &s->scan.idle;
	u64 ios = dmr_done(s, 0) + dmr_done(s, 1) +
		  atomic64_read(&s->stats.slow_writes);
	u64 sectors = disk_sectors(s);
	/* A driver that counts nothing makes this negative. */
	bool others = (s64)(sectors - i->sectors - i->own) > 0;
	bool active = ios != i->ios || others || any_inflight(s);

	i->ios = ios;
	i->sectors = sectors;
	i->own = 0;
	if (active)
		i->busy_until = ktime_get_ns() + LINGER_NS;
	return active;
}

/**
 * dmr_idle_busy() - is anybody there?
 * @s: the set
 *
 * Context: the scan's worker, after dmr_idle_look(). Return: true when somebody is,
 * or was a moment ago.
 */
bool dmr_idle_busy(struct dmr_set *s)
{
	return ktime_get_ns() < s->scan.idle.busy_until;
}
