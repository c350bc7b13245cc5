// SPDX-License-Identifier: GPL-2.0-only
/*
 * Membership: superblocks, and the generations that tell of its changes.
 *
 * DOC: a change of membership
 *
 * Every write of the superblocks raises the set's events, so that a spare that
 * was not there for it is known as stale when it comes back. A change of the
 * members also leaves a record in the ring of generations on all spares, before
 * the superblocks that carry its number: a record with a higher number than the
 * superblocks is of a change that never took effect.
 *
 * Everything here but dmr_nr_present() and dmr_nr_members(): may sleep, engine_lock held.
 */
#include <linux/mm.h>
#include <linux/timekeeping.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-news.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"

/**
 * dmr_nr_present() - spares that are in sync and in use
 * @s: the set
 *
 * Context: any; a snapshot without engine_lock. Return: their number.
 */
unsigned int dmr_nr_present(struct dmr_set *s)
{
	unsigned int i, n = 0;

	for (i = 0; i < s->nr_spares; i++)
		n += s->spare[i].present;
	return n;
}

/**
 * dmr_nr_members() - spares of the set, in use or not
 * @s: the set
 *
 * Context: any; a snapshot without engine_lock. Return: their number.
 */
unsigned int dmr_nr_members(struct dmr_set *s)
{
	unsigned int i, n = 0;

	for (i = 0; i < s->nr_spares; i++)
		n += dmr_row(s, i)->state != DMR_SPARE_LEFT;
	return n;
}

/**
 * dmr_member_row() - which member is this device?
 * @s: the set
 * @found: what is on it
 *
 * Context: engine_lock held. Return: its row; DMR_NO_ROW when it is none, or left.
 */
unsigned int dmr_member_row(struct dmr_set *s, const struct dmr_found *found)
{
	unsigned int row = found->sb.spare_idx;

	if (!found->valid || row >= s->nr_spares ||
	    memcmp(found->sb.set_uuid, s->uuid, DMR_UUID_LEN) ||
	    memcmp(found->sb.spare_uuid, dmr_row(s, row)->uuid, DMR_UUID_LEN) ||
	    dmr_row(s, row)->state == DMR_SPARE_LEFT)
		return DMR_NO_ROW;
	return row;
}

/**
 * dmr_may_have_lost() - may a spare that went have lost what it took?
 * @sp: the spare
 * @bdev: the device that it is now
 *
 * Context: engine_lock held. Return: true when no flush has covered its last writes,
 * and they may have been in a volatile cache.
 */
bool dmr_may_have_lost(const struct dmr_spare *sp, struct block_device *bdev)
{
	return (sp->unflushed || sp->twins || sp->flushing) &&
	       bdev_write_cache(bdev);
}

/**
 * dmr_members_changed() - the next superblocks are of a new generation
 * @s: the set
 * @reason: why
 * @idx: the spare that it is about
 *
 * Context: engine_lock held, or the set is being loaded.
 */
void dmr_members_changed(struct dmr_set *s, enum dmr_reason reason,
			 unsigned int idx)
{
	s->members_dirty = true;
	s->reason = reason;
	s->reason_spare = idx;
	dmr_news(s, DMR_NEWS_MEMBERS, reason, idx);
}

/**
 * dmr_spare_lost() - take a spare out of use
 * @s: the set
 * @idx: which one
 * @why: the end of a sentence that begins with its name
 *
 * Its blocks return errors from now on. The others learn of it with the next
 * commit, before anything is acknowledged.
 * Context: may sleep, engine_lock held.
 */
void dmr_spare_lost(struct dmr_set *s, unsigned int idx, const char *why)
{
	struct dmr_spare *sp = &s->spare[idx];

	if (!sp->present)
		return;
	DMERR("%s: spare %u (%pg) %s: taken out of use", dm_device_name(s->md),
	      idx, sp->bdev, why);
	WRITE_ONCE(sp->present, false);
	sp->watched = true;
	dmr_row(s, idx)->state = DMR_SPARE_FAILED;
	dmr_members_changed(s, DMR_REASON_SPARE_FAILED, idx);
	dmr_mend_kick(s);
	dmr_event(s);
}

/**
 * dmr_write_meta() - write one block of metadata with FUA, and wait
 * @s: the set
 * @idx: the spare, which is present
 * @sector: sector there
 * @buf: DMR_BLOCK_SIZE bytes, page-aligned
 *
 * A failure is counted, and no reason to give the spare up.
 * Context: may sleep, under memalloc_noio. Return: true when it has worked.
 */
bool dmr_write_meta(struct dmr_set *s, unsigned int idx, sector_t sector,
		    void *buf)
{
	if (!dmr_io_buf(&s->bios, s->spare[idx].bdev, sector, buf, DMR_BLOCK_SIZE,
			REQ_OP_WRITE | REQ_FUA | REQ_SYNC))
		return true;
	atomic64_inc(&s->stats.meta_errors);
	return false;
}

/* A write that belongs to a commit. */
static bool write_block(struct dmr_set *s, unsigned int idx, sector_t sector,
			void *buf)
{
	atomic64_inc(&s->stats.commit_writes);
	return dmr_write_meta(s, idx, sector, buf);
}

/* Superblocks of all spares that take metadata; two phases too. */
static void write_superblocks_once(struct dmr_set *s)
{
	void *buf = page_address(s->check_page);
	bool ok[DMR_MAX_SPARES] = { };
	unsigned int phase, i, k;
	struct dmr_spare *sp;

	for (phase = 0; phase < 2; phase++) {
		for (k = phase; k < DMR_REPLICAS; k += 2) {
			for (i = 0; i < s->nr_spares; i++) {
				sp = &s->spare[i];
				if (!dmr_takes_metadata(sp))
					continue;
				sp->sb.copy_idx = k;
				dmr_sb_encode(&sp->sb, buf);
				ok[i] |= write_block(s, i, dmr_slot_sector(k), buf);
			}
		}
	}
	for (i = 0; i < s->nr_spares; i++) {
		if (s->spare[i].present && !ok[i])
			dmr_spare_lost(s, i, "took no superblock");
		else if (s->spare[i].joining && !ok[i])
			s->spare[i].torn = true;
	}
}

/* A spare that doesn't take its record will hardly take its superblocks. */
static void write_generation(struct dmr_set *s, u64 now)
{
	void *buf = page_address(s->check_page);
	struct dmr_gen *gen = &s->gen;
	unsigned int i, k;

	*gen = (struct dmr_gen){
		.number = ++s->generation,
		.events = s->events,
		.time = now,
		.remaps = s->nr_remaps,
		.lost = s->nr_lost,
		.bad = s->nr_bad,
		.main_sectors = dmr_unit_to_sector(s, s->nr_units),
		.reason = s->reason,
		.spare_idx = s->reason_spare,
		.nr_spares = s->nr_spares,
	};
	memcpy(gen->spare, dmr_row(s, 0), sizeof(gen->spare));
	/* Of a spare that was never there only its row is known. */
	for (i = 0; i < s->nr_spares; i++)
		if (s->spare[i].present)
			memcpy(gen->identity, s->spare[i].sb.identity,
			       sizeof(gen->identity));
	dmr_gen_encode(gen, s->uuid, buf);
	for (k = 0; k < DMR_GEN_COPIES; k++)
		for (i = 0; i < s->nr_spares; i++)
			if (s->spare[i].present)
				write_block(s, i,
					    dmr_gen_sector(gen->number, k), buf);
	s->reason = DMR_REASON_NONE;
}

/* What all superblocks say alike. */
static void share_members(struct dmr_set *s, u64 now)
{
	struct dmr_sb *sb;
	unsigned int i;

	for (i = 0; i < s->nr_spares; i++) {
		sb = &s->spare[i].sb;
		sb->events = s->events;
		sb->updated = now;
		sb->policy = s->policy;
		sb->redundancy = s->redundancy;
		/* Older modules know nothing of second copies. */
		sb->feature_incompat &= ~DMR_FEATURE_MIRRORS;
		if (s->redundancy == 2 || s->nr_mirrors)
			sb->feature_incompat |= DMR_FEATURE_MIRRORS;
		sb->nr_spares = s->nr_spares;
		dmr_copy_describe(s, sb);
		if (i)
			memcpy(sb->spare, dmr_row(s, 0), sizeof(sb->spare));
	}
}

/**
 * dmr_write_superblocks() - make membership durable, with a new events number
 * @s: the set
 *
 * Context: may sleep, engine_lock held. Return: 0; -EIO when no spare is left.
 */
int dmr_write_superblocks(struct dmr_set *s)
{
	u64 now = ktime_get_real_seconds();
	unsigned int i;

	do {
		s->members_dirty = false;
		s->events++;
		for (i = 0; i < s->nr_spares; i++)
			if (s->spare[i].present)
				dmr_row(s, i)->events = s->events;
		share_members(s, now);
		if (s->reason != DMR_REASON_NONE && dmr_nr_present(s))
			write_generation(s, now);
		for (i = 0; i < s->nr_spares; i++)
			s->spare[i].sb.generation = s->generation;
		write_superblocks_once(s);
		/* Losing one more while writing: the others must learn of it. */
	} while (s->members_dirty && dmr_nr_present(s));
	for (i = 0; i < s->nr_spares && dmr_nr_present(s); i++)
		WRITE_ONCE(s->spare[i].recorded, !s->spare[i].present);
	return dmr_nr_present(s) ? 0 : -EIO;
}
