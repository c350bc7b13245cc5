// SPDX-License-Identifier: GPL-2.0-only
/*
 * Holds and drains: how a unit is moved while I/O runs.
 *
 * DOC: moving a unit
 *
 * RCU protects the index, not the I/O that was mapped by it. To move a unit:
 * dmr_hold_get() (writes that come from now on are parked), dmr_drain() (those
 * that were mapped before have ended), copy, commit, publish, dmr_hold_put()
 * (what was parked goes to the redirect engine, which looks every unit up
 * again). A write that failed and waits for the engine is not counted: the
 * engine respects holds itself, and a drain waits for the batch it is in.
 */
#include <linux/delay.h>
#include <linux/rcupdate.h>

#include "dm-remap.h"
#include "dm-remap-data.h"

static struct dmr_hold *find_hold(struct dmr_set *s, u64 first, u64 last)
{
	struct dmr_hold *h;

	lockdep_assert_held(&s->hold_lock);
	list_for_each_entry(h, &s->holds, list)
		if (h->first <= last && h->last >= first)
			return h;
	return NULL;
}

static bool try_hold(struct dmr_set *s, struct dmr_hold *h)
{
	bool ok;

	spin_lock_irq(&s->hold_lock);
	ok = !find_hold(s, h->first, h->last);
	if (ok) {
		list_add(&h->list, &s->holds);
		WRITE_ONCE(s->nr_holds, s->nr_holds + 1);
	}
	spin_unlock_irq(&s->hold_lock);
	return ok;
}

/**
 * dmr_hold_get() - keep new writes out of a range
 * @s: the set
 * @h: the hold, not in use
 * @first: first unit
 * @n: number of units
 *
 * Waits for holds that overlap. Who holds several takes them in rising order, or
 * two could wait for each other. Context: may sleep; engine_lock not held, nor any
 * hold that does not lie before this one.
 */
void dmr_hold_get(struct dmr_set *s, struct dmr_hold *h, u64 first, u64 n)
{
	h->first = first;
	h->last = first + n - 1;
	bio_list_init(&h->parked);
	wait_event(s->hold_wait, try_hold(s, h));
}

/**
 * dmr_hold_try() - keep new writes out of a range, unless it is held
 * @s: the set
 * @h: the hold, not in use
 * @first: first unit
 * @n: number of units
 *
 * Context: any; other holds may be held. Return: false when it is held already.
 */
bool dmr_hold_try(struct dmr_set *s, struct dmr_hold *h, u64 first, u64 n)
{
	h->first = first;
	h->last = first + n - 1;
	bio_list_init(&h->parked);
	return try_hold(s, h);
}

/**
 * dmr_hold_put() - let writes in again
 * @s: the set
 * @h: the hold
 *
 * Context: may sleep; engine_lock not held.
 */
void dmr_hold_put(struct dmr_set *s, struct dmr_hold *h)
{
	struct bio *bio;

	spin_lock_irq(&s->hold_lock);
	list_del(&h->list);
	WRITE_ONCE(s->nr_holds, s->nr_holds - 1);
	spin_unlock_irq(&s->hold_lock);
	while ((bio = bio_list_pop(&h->parked)))
		dmr_queue_write(s, bio);
	wake_up_all(&s->hold_wait);
}

/**
 * dmr_hold_before() - is a unit held, and for how many units is that so?
 * @s: the set
 * @unit: main unit
 * @n: how far to look, at least 1
 * @held: the answer for @unit
 *
 * Context: any. Return: units, 1 to @n.
 */
u64 dmr_hold_before(struct dmr_set *s, u64 unit, u64 n, bool *held)
{
	struct dmr_hold *h;
	unsigned long flags;

	*held = false;
	spin_lock_irqsave(&s->hold_lock, flags);
	list_for_each_entry(h, &s->holds, list) {
		if (h->last < unit || h->first > unit + n - 1)
			continue;
		if (h->first > unit) {
			n = h->first - unit;
		} else {
			*held = true;
			n = min(n, h->last - unit + 1);
			break;
		}
	}
	spin_unlock_irqrestore(&s->hold_lock, flags);
	return n;
}

/**
 * dmr_hold_park() - leave a write with the hold that its range overlaps
 * @s: the set
 * @bio: a bio that we keep
 * @unit: its first unit
 * @n: its number of units
 *
 * Context: any. Return: false when no hold overlaps (any more).
 */
bool dmr_hold_park(struct dmr_set *s, struct bio *bio, u64 unit, u64 n)
{
	struct dmr_hold *h;
	unsigned long flags;

	spin_lock_irqsave(&s->hold_lock, flags);
	h = find_hold(s, unit, unit + n - 1);
	if (h)
		bio_list_add(&h->parked, bio);
	spin_unlock_irqrestore(&s->hold_lock, flags);
	return h;
}

static unsigned long inflight(struct dmr_set *s, u8 epoch)
{
	unsigned long sum = 0;
	int cpu;

	for_each_possible_cpu(cpu)
		sum += READ_ONCE(per_cpu_ptr(s->pcpu, cpu)->inflight[epoch]);
	return sum;
}

/**
 * dmr_inflight() - bios below us, but for reads of main
 * @s: the set
 *
 * Context: any; a snapshot. Return: their number.
 */
unsigned long dmr_inflight(struct dmr_set *s)
{
	return inflight(s, 0) + inflight(s, 1);
}

/**
 * dmr_drain() - wait for all bios that were mapped before this call
 * @s: the set
 *
 * But for reads of main, which may return what was there when they began.
 *
 * Context: may sleep for as long as the devices below take; engine_lock not
 * held.
 */
void dmr_drain(struct dmr_set *s)
{
	unsigned int pause = 50;
	u8 old;

	/* The batch that the redirect engine is in: its bios aren't counted. */
	mutex_lock(&s->engine_lock);
	mutex_unlock(&s->engine_lock);

	mutex_lock(&s->drain_lock);
	old = s->epoch;
	/* Who gets the new one finds the holds, and what was published before. */
	smp_store_release(&s->epoch, !old);
	/* Now all mappers of the old epoch have been counted in it ... */
	synchronize_rcu();
	/* ... and none is added, so that the sum can only fall. */
	while (inflight(s, old)) {
		usleep_range(pause, 2 * pause);
		pause = min(2 * pause, 2000u);
	}
	/* Pairs with the release that a completed bio's end_io implies. */
	smp_mb();
	mutex_unlock(&s->drain_lock);
	atomic64_inc(&s->stats.drains);
}
