// SPDX-License-Identifier: GPL-2.0-only
/*
 * The path of every bio: where it goes, and what happens when it comes back.
 *
 * DOC: the healthy path
 *
 * With no entry in the index and no held range a read costs a tag (see
 * dm-remap-tag.h), and a write a per-CPU increment besides. Somebody waits for
 * writes, and for all that goes to a spare: they are counted per CPU and in two
 * epochs, so that dmr_drain() can wait for the bios that were mapped before a
 * moment without a cache line that all CPUs write. Nobody waits for a read of
 * main: it may return what was there when it began.
 *
 * With entries, the region's bitmap tells most bios that they meet none.
 *
 * Mapping happens with preemption disabled, which counts as an RCU reader:
 * after synchronize_rcu() every bio that was mapped by the old state has been
 * counted in its epoch.
 */
#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-table.h"
#include "dm-remap-trace.h"

/* What dmr_choose() decided. */
enum dmr_way {
	DMR_WAY_DEVICE,		/* submit to bio's new device */
	DMR_WAY_BOTH,		/* to main, and to what will replace it */
	DMR_WAY_DONE,		/* nothing to do: success */
	DMR_WAY_ERROR,		/* nothing can be done: I/O error */
	DMR_WAY_AGAIN,		/* would block, and must not */
	DMR_WAY_ENGINE,		/* the redirect engine does the work */
	DMR_WAY_RESCUE,		/* the rescue engine does */
	DMR_WAY_PARKED,		/* waits on a held range */
};

static bool is_data_write(struct bio *bio)
{
	return bio_op(bio) == REQ_OP_WRITE || bio_op(bio) == REQ_OP_WRITE_ZEROES;
}

static void dmr_tag_us(struct bio *bio)
{
	bio->bi_private = (void *)DMR_AT_US;
}

/* Make the bio one that we keep: restore what the layers below may change. */
static void dmr_keep(struct bio *bio, const struct bvec_iter *iter)
{
	bio->bi_iter = *iter;
	/* As the core has made it: the other flags tell what others did with it. */
	bio->bi_flags &= 1U << BIO_CLONED;
	bio->bi_status = BLK_STS_OK;
	/* A lower device that split the bio has counted this down to 0. */
	atomic_set(&bio->__bi_remaining, 1);
	dmr_tag_us(bio);
}

/*
 * Room for what a tag can't hold, if the bio needs it. The pool is as good as
 * the one that the core took this clone from, in the same context: a bio that
 * has a record ends without any of those that wait here.
 */
static bool dmr_record_get(struct dmr_set *s, struct bio *bio,
			   struct dmr_record **rec)
{
	gfp_t gfp = bio->bi_opf & REQ_NOWAIT ? GFP_NOWAIT | __GFP_NOWARN : GFP_NOIO;

	*rec = NULL;
	if (dmr_tag_fits(&bio->bi_iter))
		return true;
	*rec = mempool_alloc(&s->records, gfp);
	return *rec;
}

static void dmr_record_put(struct dmr_set *s, struct dmr_record *rec)
{
	if (rec)
		mempool_free(rec, &s->records);
}

/* What is known of a bio that comes back. */
static void dmr_trip_end(struct dmr_set *s, struct bio *bio,
			 struct dmr_trip *trip)
{
	unsigned long tag = dmr_tag_get(bio);
	struct dmr_record *rec;

	if (dmr_tag_at(tag) != DMR_AT_RECORD) {
		dmr_tag_trip(tag, trip);
		return;
	}
	rec = (void *)(tag & ~DMR_TAG_AT_MASK);
	*trip = rec->trip;
	dmr_record_put(s, rec);
}

/*
 * Which epoch a bio belongs to. To be asked before the holds and the index are:
 * who gets the new epoch then finds what was there when it began. Preemption is
 * disabled until the bio has been counted.
 */
static __always_inline unsigned int dmr_epoch(const struct dmr_set *s)
{
	/* pairs with the release in dmr_drain() */
	return smp_load_acquire(&s->epoch);
}

/* Where a bio that starts on an entry of the index goes. */
static enum dmr_way dmr_choose(struct dmr_set *s, struct bio *bio,
			       struct dmr_trip *trip, u64 unit, u64 val)
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
	/* A discard may be left out; one copy without the other would differ. */
	if (dmr_val_mirrored(val) && bio_op(bio) != REQ_OP_READ)
		return is_data_write(bio) ? DMR_WAY_ENGINE : DMR_WAY_DONE;
	sp = &s->spare[e.spare_idx];
	if (!dmr_spare_usable(s, e.spare_idx) || e.flags & DMR_ENTRY_UNKNOWN) {
		if (is_data_write(bio))
			return DMR_WAY_ENGINE;
		if (bio_op(bio) != REQ_OP_READ)
			return DMR_WAY_DONE;
		return dmr_val_mirrored(val) ? DMR_WAY_RESCUE : DMR_WAY_ERROR;
	}
	if (bio_op(bio) == REQ_OP_DISCARD && !bdev_max_discard_sectors(sp->bdev))
		return DMR_WAY_DONE;
	bio_set_dev(bio, sp->bdev);
	bio->bi_iter.bi_sector = dmr_unit_to_sector(s, e.spare_unit);
	trip->at = DMR_AT_SPARE + e.spare_idx;
	return DMR_WAY_DEVICE;
}

/*
 * The way of a bio when the index is not empty or a range is held. Cuts the bio
 * where the answer changes. Preemption is disabled.
 */
static enum dmr_way dmr_route(struct dmr_set *s, struct bio *bio,
			      struct dmr_trip *trip)
{
	u64 unit = dmr_sector_to_unit(s, bio->bi_iter.bi_sector);
	u64 n = dmr_sector_to_unit(s, bio_sectors(bio));
	u64 len = n, val = 0;
	bool held = false, both = false;

	if (op_is_write(bio_op(bio)) && READ_ONCE(s->nr_holds)) {
		if (READ_ONCE(s->failed))
			return DMR_WAY_ERROR;
		len = dmr_hold_before(s, unit, len, &held);
	}
	if (!held)
		len = dmr_index_run(s, unit, len, &val);
	if (!held && !val && op_is_write(bio_op(bio)))
		len = dmr_copy_run(s, unit, len, &both);
	if (len < n) {
		/*
		 * All of it or nothing: the rest might block when this part is
		 * under way, and nobody could take that error for "try again".
		 */
		if (bio->bi_opf & REQ_NOWAIT)
			return DMR_WAY_AGAIN;
		dm_accept_partial_bio(bio, dmr_unit_to_sector(s, len));
	}
	trip->iter = bio->bi_iter;
	if (held) {
		if (bio->bi_opf & REQ_NOWAIT)
			return DMR_WAY_AGAIN;
		dmr_keep(bio, &trip->iter);
		/* The hold may have gone meanwhile: the engine looks again. */
		return dmr_hold_park(s, bio, unit, len) ? DMR_WAY_PARKED :
							  DMR_WAY_ENGINE;
	}
	if (!val) {
		bio_set_dev(bio, s->main);
		return both ? DMR_WAY_BOTH : DMR_WAY_DEVICE;
	}
	return dmr_choose(s, bio, trip, unit, val);
}

/*
 * A twin for a write that probably needs one: map may sleep here, but not when it
 * knows. One that needs it then and has none goes to the redirect engine.
 */
static struct dmr_twin *dmr_twin_prepare(struct dmr_set *s, struct bio *bio)
{
	struct block_device *bdev = s->copy.bdev;
	bool both;

	if (!op_is_write(bio_op(bio)) || bio->bi_opf & REQ_NOWAIT)
		return NULL;
	dmr_copy_run(s, dmr_sector_to_unit(s, bio->bi_iter.bi_sector), 1, &both);
	if (!both)
		return NULL;
	if (bio_op(bio) == REQ_OP_WRITE ||
	    (bio_op(bio) == REQ_OP_DISCARD && bdev_max_discard_sectors(bdev)))
		return dmr_twin_get(s, bio, bdev);
	return NULL;
}

/* A write that has to go to both. Zeros are something else on each device. */
static enum dmr_way dmr_way_of_both(struct bio *bio, struct dmr_twin *twin)
{
	if (twin)
		return DMR_WAY_BOTH;
	/* What was discarded may be different on both. */
	return bio_op(bio) == REQ_OP_DISCARD ? DMR_WAY_DEVICE : DMR_WAY_ENGINE;
}

/*
 * What becomes of a bio that goes nowhere. It isn't counted: no end_io would
 * count it down, for core doesn't call it (KILL), or the bio is ours from here.
 */
static int dmr_end_here(struct dmr_set *s, struct bio *bio,
			const struct dmr_trip *trip, enum dmr_way way)
{
	switch (way) {
	case DMR_WAY_PARKED:
		/* It may be gone already. */
		break;
	case DMR_WAY_ENGINE:
	case DMR_WAY_RESCUE:
		if (!(bio->bi_opf & REQ_NOWAIT)) {
			dmr_keep(bio, &trip->iter);
			if (way == DMR_WAY_ENGINE)
				dmr_queue_write(s, bio);
			else
				dmr_queue_read(s, bio);
			break;
		}
		fallthrough;
	case DMR_WAY_AGAIN:
		dmr_tag_us(bio);
		bio_wouldblock_error(bio);
		break;
	case DMR_WAY_DONE:
		dmr_tag_us(bio);
		bio_endio(bio);
		break;
	default:
		/* Core ends it, and doesn't call end_io. */
		return DM_MAPIO_KILL;
	}
	return DM_MAPIO_SUBMITTED;
}

/* Everything that isn't simple: the bio itself, or where it goes. */
static noinline int dmr_map_slow(struct dmr_set *s, struct bio *bio)
{
	struct dmr_trip trip = {
		.at = op_is_write(bio_op(bio)) ? DMR_AT_MAIN : DMR_AT_READ,
	};
	struct dmr_record *rec;
	struct dmr_twin *twin;
	enum dmr_way way;

	if (!dmr_record_get(s, bio, &rec))
		return dmr_end_here(s, bio, &trip, DMR_WAY_AGAIN);
	twin = dmr_twin_prepare(s, bio);
	preempt_disable();
	trip.epoch = dmr_epoch(s);
	way = dmr_route(s, bio, &trip);
	if (way == DMR_WAY_BOTH)
		way = dmr_way_of_both(bio, twin);
	if (way <= DMR_WAY_BOTH && trip.at != DMR_AT_READ)
		this_cpu_inc(s->pcpu->inflight[trip.epoch]);
	preempt_enable();
	if (way != DMR_WAY_BOTH)
		dmr_twin_put(twin);
	if (way > DMR_WAY_BOTH) {
		dmr_record_put(s, rec);
		return dmr_end_here(s, bio, &trip, way);
	}
	if (rec) {
		rec->trip = trip;
		bio->bi_private = (void *)((unsigned long)rec | DMR_AT_RECORD);
	} else {
		dmr_tag_set(bio, &trip.iter, trip.at, trip.epoch);
	}
	if (way == DMR_WAY_BOTH)
		dmr_twin_send(twin, bio, trip.iter.bi_sector, REQ_FUA,
			      dmr_copy_twin_done);
	return DM_MAPIO_REMAPPED;
}

/* What is on a spare that no flush has covered: DMR_SOLE, and rows. */
static unsigned int unflushed(struct dmr_spare *sp)
{
	return (READ_ONCE(sp->unflushed) ? DMR_SOLE : 0) | READ_ONCE(sp->twins);
}

/* A flush of a spare begins; what depends on it? If it fails, the set may. */
static unsigned int dmr_flush_begin(struct dmr_set *s, struct dmr_spare *sp)
{
	unsigned int mask = 0;
	unsigned long flags;

	if (!READ_ONCE(s->wide) && !READ_ONCE(sp->unflushed))
		return DMR_SOLE;
	spin_lock_irqsave(&s->fail_lock, flags);
	mask = unflushed(sp) | sp->flushing;
	/* Writes that end from now on need another one. */
	WRITE_ONCE(sp->unflushed, false);
	WRITE_ONCE(sp->twins, 0);
	sp->flushing = mask;
	sp->nr_flushing++;
	spin_unlock_irqrestore(&s->fail_lock, flags);
	return mask | DMR_COUNTED;
}

/* Is all of that on another spare, which is there and gets its own flush? */
static bool dmr_is_elsewhere(struct dmr_set *s, unsigned int mask)
{
	unsigned int i;

	for (i = 0; i < DMR_MAX_SPARES; i++)
		if (mask & 1U << i && !READ_ONCE(s->spare[i].present))
			return false;
	return !(mask & DMR_SOLE);
}

/* Let a flush end well when all know that this spare doesn't count any more. */
static void dmr_flush_later(struct dmr_set *s, struct bio *bio)
{
	struct bvec_iter empty = { };

	dmr_keep(bio, &empty);
	dmr_queue_write(s, bio);
}

/* A spare that is out of use, and has nothing alone that needs a flush. */
static int dmr_flush_gone(struct dmr_set *s, struct bio *bio,
			  struct dmr_spare *sp)
{
	if (READ_ONCE(s->wide) && !READ_ONCE(sp->recorded)) {
		dmr_flush_later(s, bio);
		return DM_MAPIO_SUBMITTED;
	}
	dmr_tag_us(bio);
	bio_endio(bio);
	return DM_MAPIO_SUBMITTED;
}

/* An empty flush: core sends one per device, numbered. */
static noinline int dmr_map_flush(struct dmr_table *t, struct bio *bio)
{
	unsigned int nr = dm_bio_get_target_bio_nr(bio);
	unsigned int idx = nr ? READ_ONCE(t->set_idx[nr - 1]) : 0;
	struct dmr_set *s = t->set;
	struct dmr_spare *sp = nr ? &s->spare[idx] : NULL;
	struct dmr_trip trip = {
		.at = nr ? DMR_AT_FLUSH : DMR_AT_MAIN,
		/* It has no sectors, so its tag tells something else. */
		.iter.bi_size = SECTOR_SIZE,
	};

	if (READ_ONCE(s->failed))
		return DM_MAPIO_KILL;
	if (idx == DMR_NO_ROW) {
		/* Nothing of ours is there. */
		dmr_tag_us(bio);
		bio_endio(bio);
		return DM_MAPIO_SUBMITTED;
	}
	/* One that takes no writes any more may still flush what it took. */
	if (sp && !READ_ONCE(sp->present) &&
	    dmr_is_elsewhere(s, unflushed(sp) | READ_ONCE(sp->flushing)))
		return dmr_flush_gone(s, bio, sp);
	if (sp)
		trip.iter.bi_sector = idx << DMR_FLUSH_SHIFT |
				      dmr_flush_begin(s, sp);
	preempt_disable();
	trip.epoch = dmr_epoch(s);
	this_cpu_inc(s->pcpu->inflight[trip.epoch]);
	preempt_enable();
	dmr_tag_set(bio, &trip.iter, trip.at, trip.epoch);
	bio_set_dev(bio, nr ? t->spare[nr - 1]->bdev : s->main);
	return DM_MAPIO_REMAPPED;
}

static __always_inline int dmr_to_main(struct dmr_set *s, struct bio *bio,
				       enum dmr_at at, unsigned int epoch)
{
	dmr_tag_set(bio, &bio->bi_iter, at, epoch);
	bio_set_dev(bio, s->main);
	return DM_MAPIO_REMAPPED;
}

/*
 * A bio whose data is all on a spare: there as it is, or the slow path, as for
 * what depends on what the spare can do, and for writes that need two of them.
 * Called like dmr_map_units().
 */
static __always_inline int dmr_to_spare(struct dmr_set *s, struct bio *bio,
					u64 val, unsigned int epoch, bool write)
{
	unsigned int idx = val >> DMR_VAL_IDX_SHIFT & 0xf;
	struct dmr_spare *sp = &s->spare[idx];

	if (!(write ? dmr_val_alone(val) : dmr_val_plain(val)) ||
	    !READ_ONCE(sp->present) ||
	    bio_op(bio) != (write ? REQ_OP_WRITE : REQ_OP_READ)) {
		preempt_enable();
		return dmr_map_slow(s, bio);
	}
	this_cpu_inc(s->pcpu->inflight[epoch]);
	preempt_enable();
	dmr_tag_set(bio, &bio->bi_iter, DMR_AT_SPARE + idx, epoch);
	bio->bi_iter.bi_sector = dmr_unit_to_sector(s, val & DMR_VAL_UNIT_MASK);
	bio_set_dev(bio, sp->bdev);
	return DM_MAPIO_REMAPPED;
}

/* One that crosses regions is neither here nor there. Preemption is disabled. */
static __always_inline bool dmr_whole(struct dmr_set *s, u64 unit, u32 n, u64 *val)
{
	u32 off = unit & DMR_REGION_MASK;
	struct dmr_rview v;

	if (off + n > DMR_REGION_UNITS)
		return false;
	v = dmr_rview(rcu_dereference_check(READ_ONCE(s->tbl)[unit >> DMR_REGION_SHIFT],
					    rcu_read_lock_sched_held()));
	return dmr_region_whole(&v, off, n, val);
}

/*
 * A bio of @n units that as a whole goes to main or to a spare; or the slow path.
 * Preemption is disabled; it is not when this returns.
 */
static __always_inline int dmr_map_units(struct dmr_set *s, struct bio *bio, u32 n,
					 bool write)
{
	u64 unit = dmr_sector_to_unit(s, bio->bi_iter.bi_sector), val;
	unsigned int epoch = dmr_epoch(s);

	if ((write && READ_ONCE(s->nr_holds)) || !dmr_whole(s, unit, n, &val)) {
		preempt_enable();
		return dmr_map_slow(s, bio);
	}
	if (val)
		return dmr_to_spare(s, bio, val, epoch, write);
	if (write)
		this_cpu_inc(s->pcpu->inflight[epoch]);
	preempt_enable();
	return dmr_to_main(s, bio, write ? DMR_AT_MAIN : DMR_AT_READ, epoch);
}

static noinline int dmr_map_many(struct dmr_set *s, struct bio *bio)
{
	return dmr_map_units(s, bio, dmr_sector_to_unit(s, bio_sectors(bio)),
			     op_is_write(bio_op(bio)));
}

/* The bitmap doesn't tell. Called like dmr_map_units(). */
static noinline int dmr_read_near(struct dmr_set *s, struct bio *bio)
{
	if (bio->bi_iter.bi_size > dmr_unit_bytes(s))
		return dmr_map_many(s, bio);
	return dmr_map_units(s, bio, 1, false);
}

/* Or something is held. */
static noinline int dmr_write_near(struct dmr_set *s, struct bio *bio)
{
	if (bio->bi_iter.bi_size > dmr_unit_bytes(s))
		return dmr_map_many(s, bio);
	return dmr_map_units(s, bio, 1, true);
}

static __always_inline int dmr_map_bio(struct dm_target *ti, struct bio *bio)
{
	struct dmr_table *t = ti->private;
	struct dmr_set *s = t->set;
	unsigned int epoch;

	if (unlikely(bio->bi_opf & REQ_PREFLUSH))
		return dmr_map_flush(t, bio);
	bio->bi_iter.bi_sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	if (unlikely(!dmr_tag_fits(&bio->bi_iter)))
		return dmr_map_slow(s, bio);
	if (!op_is_write(bio_op(bio))) {
		if (READ_ONCE(s->busy)) {
			preempt_disable();
			if (!dmr_index_clear(s, &bio->bi_iter))
				return dmr_read_near(s, bio);
			preempt_enable();
		}
		return dmr_to_main(s, bio, DMR_AT_READ, 0);
	}
	preempt_disable();
	epoch = dmr_epoch(s);
	if (READ_ONCE(s->busy) && (READ_ONCE(s->nr_holds) ||
				   !dmr_index_clear(s, &bio->bi_iter)))
		return dmr_write_near(s, bio);
	this_cpu_inc(s->pcpu->inflight[epoch]);
	preempt_enable();
	return dmr_to_main(s, bio, DMR_AT_MAIN, epoch);
}

/* Apart, so that a tracepoint that is off costs one instruction that does nothing. */
static noinline int dmr_map_traced(struct dm_target *ti, struct bio *bio)
{
	sector_t sector = dm_target_offset(ti, bio->bi_iter.bi_sector);
	unsigned int nr_sectors = bio_sectors(bio);
	struct dmr_table *t = ti->private;
	blk_opf_t opf = bio->bi_opf;
	int r = dmr_map_bio(ti, bio);

	if (r == DM_MAPIO_REMAPPED)
		trace_dm_remap_map(t->set, sector, bio_sectors(bio), opf, bio);
	else
		trace_dm_remap_map(t->set, sector, nr_sectors, opf, NULL);
	return r;
}

/**
 * dmr_map() - map method of the target
 * @ti: the target
 * @bio: clone made by the dm core
 *
 * Context: process context, may be called with REQ_NOWAIT set; waits for memory
 * unless it is, never for I/O. Return: DM_MAPIO_*.
 */
int dmr_map(struct dm_target *ti, struct bio *bio)
{
	if (trace_dm_remap_map_enabled())
		return dmr_map_traced(ti, bio);
	return dmr_map_bio(ti, bio);
}

/*
 * A write to a spare ended well. Unless it went past the spare's volatile cache,
 * remember that the spare needs a flush.
 */
static __always_inline void dmr_spare_written(struct dmr_set *s, struct bio *bio,
					      unsigned int at)
{
	struct dmr_spare *sp = &s->spare[at - DMR_AT_SPARE];

	if (!(bio->bi_opf & (REQ_PREFLUSH | REQ_FUA)) && !READ_ONCE(sp->unflushed))
		WRITE_ONCE(sp->unflushed, true);
}

/*
 * A spare that is gone gives any error. A write gets another place then; whether
 * another spare has what was to be read is looked at later.
 */
static bool dmr_spare_failed(struct dmr_set *s, struct bio *bio,
			     const struct dmr_trip *trip, blk_status_t status)
{
	return trip->at >= DMR_AT_SPARE && status != BLK_STS_AGAIN &&
	       (is_data_write(bio) || READ_ONCE(s->wide));
}

/* A bio came back with an error. Keep it if there is something we can do. */
static int dmr_failed(struct dmr_set *s, struct bio *bio,
		      const struct dmr_trip *trip, blk_status_t *error)
{
	blk_status_t status = *error;

	trace_dm_remap_error(s, bio, trip, status);
	/* It is the block that can't be read: our device is there. */
	if (trip->at >= DMR_AT_SPARE && bio_op(bio) == REQ_OP_READ &&
	    !dmr_is_medium(status) && status != BLK_STS_AGAIN)
		*error = BLK_STS_IOERR;
	if (bio->bi_opf & REQ_PREFLUSH)
		return DM_ENDIO_DONE;
	if (!(dmr_is_medium(status) || dmr_spare_failed(s, bio, trip, status)) ||
	    READ_ONCE(s->failed))
		return DM_ENDIO_DONE;
	/* Read-ahead fails fast and for its own reasons. */
	if (bio->bi_opf & REQ_RAHEAD)
		return DM_ENDIO_DONE;
	if (bio_op(bio) == REQ_OP_READ) {
		dmr_keep(bio, &trip->iter);
		dmr_queue_read(s, bio);
		return DM_ENDIO_INCOMPLETE;
	}
	if (is_data_write(bio)) {
		dmr_keep(bio, &trip->iter);
		dmr_queue_write(s, bio);
		return DM_ENDIO_INCOMPLETE;
	}
	return DM_ENDIO_DONE;
}

/*
 * A flush of a spare has ended. REQ_PREFLUSH may be gone from it: the block layer
 * takes it away when a device has no cache.
 */
static int dmr_flush_end(struct dmr_set *s, struct bio *bio,
			 struct dmr_trip *trip, blk_status_t status)
{
	unsigned int idx = trip->iter.bi_sector >> DMR_FLUSH_SHIFT;
	unsigned int mask = trip->iter.bi_sector & DMR_FLUSH_MASK;
	struct dmr_spare *sp = &s->spare[idx];
	unsigned long flags;

	if (!status || status == BLK_STS_NOTSUPP) {
		spin_lock_irqsave(&s->fail_lock, flags);
		if (mask & DMR_COUNTED && sp->nr_flushing && !--sp->nr_flushing)
			sp->flushing = 0;
		spin_unlock_irqrestore(&s->fail_lock, flags);
		if (!status)
			this_cpu_inc(s->pcpu->done[1]);
		return DM_ENDIO_DONE;
	}
	/* It stays counted: what it leaves behind is. */
	trip->iter = (struct bvec_iter){ .bi_size = 0 };
	trip->at = DMR_AT_SPARE + idx;
	trace_dm_remap_error(s, bio, trip, status);
	if (dmr_is_elsewhere(s, mask)) {
		WRITE_ONCE(sp->flush_failed, true);
		dmr_flush_later(s, bio);
		return DM_ENDIO_INCOMPLETE;
	}
	/*
	 * Core drops the error of the flush that goes before a write with
	 * REQ_PREFLUSH, so remember it: nothing may be acknowledged any more that
	 * this spare may have lost.
	 */
	dmr_set_fail(s, READ_ONCE(sp->present) ?
		     "a spare failed to flush its cache" :
		     "a spare went with writes that it had not flushed");
	return DM_ENDIO_DONE;
}

/* A bio that failed, or that we keep, or that has a record. */
static noinline int dmr_end_slow(struct dmr_set *s, struct bio *bio,
				 blk_status_t *error)
{
	bool write = op_is_write(bio_op(bio));
	struct dmr_trip trip;

	if (dmr_tag_at(dmr_tag_get(bio)) == DMR_AT_US)
		return DM_ENDIO_DONE;
	dmr_trip_end(s, bio, &trip);
	if (trip.at != DMR_AT_READ)
		this_cpu_dec(s->pcpu->inflight[trip.epoch]);
	if (trip.at == DMR_AT_FLUSH)
		return dmr_flush_end(s, bio, &trip, *error);
	if (*error)
		return dmr_failed(s, bio, &trip, error);
	if (write && trip.at >= DMR_AT_SPARE)
		dmr_spare_written(s, bio, trip.at);
	this_cpu_inc(s->pcpu->done[write]);
	return DM_ENDIO_DONE;
}

/* All that isn't a read or write of main that ended well. */
static noinline int dmr_end_other(struct dmr_set *s, struct bio *bio,
				  blk_status_t *error)
{
	struct dmr_pcpu __percpu *pcpu = s->pcpu;
	bool write = op_is_write(bio_op(bio));
	unsigned long tag = dmr_tag_get(bio);

	if (*error || dmr_tag_at(tag) >= DMR_AT_US)
		return dmr_end_slow(s, bio, error);
	if (write)
		dmr_spare_written(s, bio, dmr_tag_at(tag));
	this_cpu_dec(pcpu->inflight[dmr_tag_epoch(tag)]);
	this_cpu_inc(pcpu->done[write]);
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
	struct dmr_table *t = ti->private;
	unsigned long tag = dmr_tag_get(bio);
	struct dmr_pcpu __percpu *pcpu = t->set->pcpu;

	if (unlikely(*error || dmr_tag_at(tag) > DMR_AT_MAIN))
		return dmr_end_other(t->set, bio, error);
	if (dmr_tag_at(tag) == DMR_AT_READ) {
		this_cpu_inc(pcpu->done[0]);
		return DM_ENDIO_DONE;
	}
	this_cpu_dec(pcpu->inflight[dmr_tag_epoch(tag)]);
	this_cpu_inc(pcpu->done[1]);
	return DM_ENDIO_DONE;
}
