// SPDX-License-Identifier: GPL-2.0-only
/*
 * The path of every bio: where it goes, and what happens when it comes back.
 *
 * DOC: the healthy path
 *
 * With no entry in the index and no held range a bio costs one per-CPU
 * increment, two loads and a copy of its iterator. The counters are per CPU and
 * in two epochs, so that dmr_drain() can wait for the bios that were mapped
 * before a moment without a cache line that all CPUs write.
 *
 * Mapping happens with preemption disabled, which counts as an RCU reader:
 * after synchronize_rcu() every bio that was mapped by the old state has been
 * counted in its epoch.
 */
#include "dm-remap.h"

/* What dmr_choose() decided. */
enum dmr_way {
	DMR_WAY_DEVICE,		/* submit to bio's new device */
	DMR_WAY_DONE,		/* nothing to do: success */
	DMR_WAY_ERROR,		/* nothing can be done: I/O error */
	DMR_WAY_AGAIN,		/* would block, and must not */
	DMR_WAY_ENGINE,		/* the redirect engine does the work */
	DMR_WAY_PARKED,		/* waits on a held range */
};

static bool is_data_write(struct bio *bio)
{
	return bio_op(bio) == REQ_OP_WRITE || bio_op(bio) == REQ_OP_WRITE_ZEROES;
}

/* Make the bio one that we keep: restore what the layers below may change. */
static void dmr_keep(struct bio *bio, struct dmr_bio *db)
{
	bio->bi_iter = db->iter;
	bio->bi_flags = db->flags;
	bio->bi_status = BLK_STS_OK;
	/* A lower device that split the bio has counted this down to 0. */
	atomic_set(&bio->__bi_remaining, 1);
	db->at = DMR_AT_US;
}

/* Where a bio that starts on an entry of the index goes. */
static enum dmr_way dmr_choose(struct dmr_set *s, struct bio *bio,
			       struct dmr_bio *db, u64 unit, u64 val)
{
	struct dmr_entry e;
	struct dmr_spare *sp;

	dmr_val_entry(val, unit, &e);
	if (e.kind == DMR_KIND_LOST && !(e.flags & DMR_ENTRY_UNKNOWN)) {
		/* Main may answer after all; a write must drop the entry. */
		if (is_data_write(bio))
			return DMR_WAY_ENGINE;
		bio_set_dev(bio, s->main);
		return DMR_WAY_DEVICE;
	}
	sp = &s->spare[e.spare_idx];
	if (!dmr_spare_usable(s, e.spare_idx) || e.flags & DMR_ENTRY_UNKNOWN) {
		if (is_data_write(bio))
			return DMR_WAY_ENGINE;
		return bio_op(bio) == REQ_OP_READ ? DMR_WAY_ERROR : DMR_WAY_DONE;
	}
	if (bio_op(bio) == REQ_OP_DISCARD && !bdev_max_discard_sectors(sp->bdev))
		return DMR_WAY_DONE;
	bio_set_dev(bio, sp->bdev);
	bio->bi_iter.bi_sector = dmr_unit_to_sector(s, e.spare_unit);
	db->at = DMR_AT_SPARE + e.spare_idx;
	return DMR_WAY_DEVICE;
}

/*
 * The way of a bio when the index is not empty or a range is held. Cuts the bio
 * where the answer changes. Preemption is disabled and the bio is counted.
 */
static enum dmr_way dmr_route(struct dmr_set *s, struct bio *bio,
			      struct dmr_bio *db)
{
	u64 unit = dmr_sector_to_unit(s, bio->bi_iter.bi_sector);
	u64 n = dmr_sector_to_unit(s, bio_sectors(bio));
	u64 len = n, val = 0;
	bool held = false;

	if (op_is_write(bio_op(bio)) && READ_ONCE(s->nr_holds)) {
		if (READ_ONCE(s->failed))
			return DMR_WAY_ERROR;
		len = dmr_hold_before(s, unit, len, &held);
	}
	if (!held)
		len = dmr_index_run(s, unit, len, &val);
	if (len < n) {
		/*
		 * All of it or nothing: the rest might block when this part is
		 * under way, and nobody could take that error for "try again".
		 */
		if (bio->bi_opf & REQ_NOWAIT)
			return DMR_WAY_AGAIN;
		dm_accept_partial_bio(bio, dmr_unit_to_sector(s, len));
	}
	db->iter = bio->bi_iter;
	if (held) {
		if (bio->bi_opf & REQ_NOWAIT)
			return DMR_WAY_AGAIN;
		dmr_keep(bio, db);
		/* The hold may have gone meanwhile: the engine looks again. */
		return dmr_hold_park(s, bio, unit, len) ? DMR_WAY_PARKED :
							  DMR_WAY_ENGINE;
	}
	if (!val) {
		bio_set_dev(bio, s->main);
		return DMR_WAY_DEVICE;
	}
	return dmr_choose(s, bio, db, unit, val);
}

static int dmr_map_slow(struct dmr_set *s, struct bio *bio, struct dmr_bio *db)
{
	u8 epoch = db->epoch;
	enum dmr_way way = dmr_route(s, bio, db);

	if (way == DMR_WAY_DEVICE) {
		preempt_enable();
		return DM_MAPIO_REMAPPED;
	}
	/*
	 * No end_io will count it down: either core does not call it (KILL), or
	 * the bio is ours from here. A parked one may be gone already: don't
	 * touch it or its data.
	 */
	this_cpu_dec(s->pcpu->inflight[epoch]);
	preempt_enable();
	switch (way) {
	case DMR_WAY_PARKED:
		break;
	case DMR_WAY_ENGINE:
		if (bio->bi_opf & REQ_NOWAIT) {
			db->at = DMR_AT_US;
			bio_wouldblock_error(bio);
			break;
		}
		dmr_keep(bio, db);
		dmr_queue_write(s, bio);
		break;
	case DMR_WAY_AGAIN:
		db->at = DMR_AT_US;
		bio_wouldblock_error(bio);
		break;
	case DMR_WAY_DONE:
		db->at = DMR_AT_US;
		bio_endio(bio);
		break;
	default:
		return DM_MAPIO_KILL;
	}
	return DM_MAPIO_SUBMITTED;
}

/* A spare that is out of use gets no flush: did it lose what needs one? */
static int dmr_flush_gone(struct dmr_set *s, struct bio *bio, struct dmr_bio *db,
			  struct dmr_spare *sp)
{
	if (READ_ONCE(sp->unflushed)) {
		dmr_set_fail(s, "a spare went with writes that it had not flushed");
		return DM_MAPIO_KILL;
	}
	db->at = DMR_AT_US;
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

/* An empty flush: core sends one per device, numbered. */
static int dmr_map_flush(struct dmr_table *t, struct bio *bio,
			 struct dmr_bio *db)
{
	unsigned int nr = dm_bio_get_target_bio_nr(bio);
	struct dmr_set *s = t->set;
	struct dmr_spare *sp = nr ? &s->spare[t->set_idx[nr - 1]] : NULL;

	db->flags = bio->bi_flags;
	if (READ_ONCE(s->failed))
		return DM_MAPIO_KILL;
	if (sp && !READ_ONCE(sp->present))
		return dmr_flush_gone(s, bio, db, sp);
	/* If it fails, the set does; writes that end from now on need another. */
	if (sp)
		WRITE_ONCE(sp->unflushed, false);
	preempt_disable();
	db->epoch = READ_ONCE(s->epoch);
	this_cpu_inc(s->pcpu->inflight[db->epoch]);
	preempt_enable();
	db->at = nr ? DMR_AT_SPARE + t->set_idx[nr - 1] : DMR_AT_MAIN;
	bio_set_dev(bio, nr ? t->spare[nr - 1]->bdev : s->main);
	return DM_MAPIO_REMAPPED;
}

/**
 * dmr_map() - map method of the target
 * @ti: the target
 * @bio: clone made by the dm core
 *
 * Context: process context, may be called with REQ_NOWAIT set; never sleeps and
 * never waits for I/O. Return: DM_MAPIO_*.
 */
int dmr_map(struct dm_target *ti, struct bio *bio)
{
	struct dmr_bio *db = dm_per_bio_data(bio, sizeof(struct dmr_bio));
	struct dmr_table *t = ti->private;
	struct dmr_set *s = t->set;

	if (unlikely(bio->bi_opf & REQ_PREFLUSH))
		return dmr_map_flush(t, bio, db);
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	db->at = DMR_AT_MAIN;
	db->flags = bio->bi_flags;
	preempt_disable();
	db->epoch = READ_ONCE(s->epoch);
	this_cpu_inc(s->pcpu->inflight[db->epoch]);
	if (unlikely(READ_ONCE(s->nr_entries) || READ_ONCE(s->nr_holds)))
		return dmr_map_slow(s, bio, db);
	preempt_enable();
	db->iter = bio->bi_iter;
	bio_set_dev(bio, s->main);
	return DM_MAPIO_REMAPPED;
}

/* A bio that a spare has done ended well: is it in a volatile cache there? */
static void dmr_note_unflushed(struct dmr_set *s, struct bio *bio,
			       struct dmr_bio *db)
{
	struct dmr_spare *sp = &s->spare[db->at - DMR_AT_SPARE];

	if (op_is_write(bio_op(bio)) &&
	    !(bio->bi_opf & (REQ_PREFLUSH | REQ_FUA)) && !READ_ONCE(sp->unflushed))
		WRITE_ONCE(sp->unflushed, true);
}

/* A bio came back with an error. Keep it if there is something we can do. */
static int dmr_failed(struct dmr_set *s, struct bio *bio, struct dmr_bio *db,
		      blk_status_t status)
{
	if (bio->bi_opf & REQ_PREFLUSH) {
		/*
		 * Core drops the error of the flush that goes before a write
		 * with REQ_PREFLUSH, so remember it: nothing may be
		 * acknowledged any more that this spare may have lost.
		 */
		if (db->at != DMR_AT_MAIN && status != BLK_STS_NOTSUPP)
			dmr_set_fail(s, "a spare failed to flush its cache");
		return DM_ENDIO_DONE;
	}
	if (!dmr_is_medium(status) || READ_ONCE(s->failed))
		return DM_ENDIO_DONE;
	/* Read-ahead fails fast and for its own reasons. */
	if (bio->bi_opf & REQ_RAHEAD)
		return DM_ENDIO_DONE;
	if (bio_op(bio) == REQ_OP_READ) {
		dmr_keep(bio, db);
		dmr_queue_read(s, bio);
		return DM_ENDIO_INCOMPLETE;
	}
	if (is_data_write(bio)) {
		dmr_keep(bio, db);
		dmr_queue_write(s, bio);
		return DM_ENDIO_INCOMPLETE;
	}
	return DM_ENDIO_DONE;
}

/**
 * dmr_end_io() - end_io method of the target
 * @ti: the target
 * @bio: clone made by the dm core
 * @error: its status
 *
 * Runs a second time when we end a bio that we kept.
 * Context: any, hard interrupts included. Return: DM_ENDIO_*.
 */
int dmr_end_io(struct dm_target *ti, struct bio *bio, blk_status_t *error)
{
	struct dmr_bio *db = dm_per_bio_data(bio, sizeof(struct dmr_bio));
	struct dmr_table *t = ti->private;
	struct dmr_set *s = t->set;

	if (unlikely(db->at == DMR_AT_US))
		return DM_ENDIO_DONE;
	this_cpu_dec(s->pcpu->inflight[db->epoch]);
	if (unlikely(*error))
		return dmr_failed(s, bio, db, *error);
	if (unlikely(db->at != DMR_AT_MAIN))
		dmr_note_unflushed(s, bio, db);
	this_cpu_inc(s->pcpu->done[op_is_write(bio_op(bio))]);
	return DM_ENDIO_DONE;
}
