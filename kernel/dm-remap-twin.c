// SPDX-License-Identifier: GPL-2.0-only
/*
 * Twins: a write that goes to two devices.
 *
 * DOC: how two become one
 *
 * The bio goes its way to the first device as ever. A clone of it, its twin, goes
 * to the second, and the bio ends when both have ended: the twin is counted in
 * the bio's __bi_remaining, as a part that a driver splits off is. So whoever
 * waits for the bio (its epoch, a suspend) waits for both, and the bio's own
 * status is that of the first device. What became of the twin, the caller's
 * function is told before the bio can end; it may set the bio's status.
 *
 * Twins come from a pool of their own. A map method must not wait for a bio that
 * it has submitted and that still stands in the list of its caller; the pool's
 * rescuer submits those when memory is short. A twin that is below us needs
 * nothing more to end, so that one is always coming back.
 */
#include "dm-remap.h"
#include "dm-remap-data.h"

/**
 * dmr_twins_init() - reserve twins
 * @s: the set
 *
 * Context: may sleep. Return: 0 or -ENOMEM.
 */
int dmr_twins_init(struct dmr_set *s)
{
	return bioset_init(&s->twins, BIO_POOL_SIZE,
			   offsetof(struct dmr_twin, bio), BIOSET_NEED_RESCUER);
}

/**
 * dmr_twins_exit() - free what dmr_twins_init() made
 * @s: the set; no twin is in use
 *
 * Context: may sleep.
 */
void dmr_twins_exit(struct dmr_set *s)
{
	bioset_exit(&s->twins);
}

/**
 * dmr_twin_get() - a twin for a write, to be sent or put
 * @s: the set
 * @bio: the write, as the core has made it; without REQ_NOWAIT
 * @bdev: where the twin will go
 *
 * Context: may sleep for memory, never for I/O above us. Return: the twin.
 */
struct dmr_twin *dmr_twin_get(struct dmr_set *s, struct bio *bio,
			      struct block_device *bdev)
{
	struct bio *clone = bio_alloc_clone(bdev, bio, GFP_NOIO, &s->twins);
	struct dmr_twin *twin = container_of(clone, struct dmr_twin, bio);

	twin->s = s;
	return twin;
}

/**
 * dmr_twin_put() - a twin that is not needed
 * @twin: from dmr_twin_get(), or NULL
 *
 * Context: any.
 */
void dmr_twin_put(struct dmr_twin *twin)
{
	if (twin)
		bio_put(&twin->bio);
}

static void twin_end_io(struct bio *bio)
{
	struct dmr_twin *twin = container_of(bio, struct dmr_twin, bio);
	struct bio *first = twin->first;

	twin->done(twin, bio->bi_status);
	bio_put(bio);
	/* The last of both ends it. */
	bio_endio(first);
}

/**
 * dmr_twin_send() - send a twin; its bio is to be submitted by the caller
 * @twin: from dmr_twin_get()
 * @bio: the same bio, whose range is final by now and which is not submitted yet
 * @sector: where to on the twin's device
 * @drop: flags that the twin needs not have, such as REQ_FUA
 * @done: told the twin's status, in any context, before @bio can end
 *
 * Polling works for one device only, so that neither is polled.
 * Context: process context, preemption enabled.
 */
void dmr_twin_send(struct dmr_twin *twin, struct bio *bio, sector_t sector,
		   blk_opf_t drop, dmr_twin_fn done)
{
	bio_clear_polled(bio);
	twin->first = bio;
	twin->done = done;
	twin->bio.bi_iter = bio->bi_iter;
	twin->bio.bi_iter.bi_sector = sector;
	twin->bio.bi_opf &= ~(drop | REQ_POLLED);
	twin->bio.bi_end_io = twin_end_io;
	bio_inc_remaining(bio);
	submit_bio_noacct(&twin->bio);
}
