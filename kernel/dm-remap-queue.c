// SPDX-License-Identifier: GPL-2.0-only
/*
 * Bios that we keep: they wait for an engine, and end.
 */
#include "dm-remap.h"

/**
 * dmr_queue_write() - give a bio that we keep to the redirect engine
 * @s: the set
 * @bio: a write or write-zeroes
 *
 * Context: any.
 */
void dmr_queue_write(struct dmr_set *s, struct bio *bio)
{
	unsigned long flags;

	spin_lock_irqsave(&s->fail_lock, flags);
	bio_list_add(&s->slow_writes, bio);
	spin_unlock_irqrestore(&s->fail_lock, flags);
	queue_work(s->write_wq, &s->write_work);
}

/**
 * dmr_queue_read() - give a bio that we keep to the rescue engine
 * @s: the set
 * @bio: a read
 *
 * Context: any.
 */
void dmr_queue_read(struct dmr_set *s, struct bio *bio)
{
	unsigned long flags;

	spin_lock_irqsave(&s->fail_lock, flags);
	bio_list_add(&s->slow_reads, bio);
	spin_unlock_irqrestore(&s->fail_lock, flags);
	queue_work(s->read_wq, &s->read_work);
}

/**
 * dmr_bio_finish() - end a bio that we kept
 * @bio: clone made by the dm core, in state DMR_AT_US
 * @status: its result
 *
 * Context: any; end_io of the bio runs inside.
 */
void dmr_bio_finish(struct bio *bio, blk_status_t status)
{
	bio->bi_status = status;
	bio_endio(bio);
}
