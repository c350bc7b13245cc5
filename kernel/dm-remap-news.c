// SPDX-License-Identifier: GPL-2.0-only
/*
 * The news: what happens to sets, numbered, for those who listen.
 *
 * DOC: numbers without gaps, and gaps that tell
 *
 * Every event gets the next number, over all sets and the whole life of the module;
 * it waits in a ring of fixed size until a worker sends it. Who reports an event never
 * waits and allocates nothing. When the ring is full, the event keeps its number and is
 * forgotten: whoever listens sees that a number is missing, and asks for a dump. When
 * the storm is over, one more event says how many those were, so that the last ones are
 * missed, too. Events that follow each other on the device become one while they wait.
 *
 * When nobody listens nothing waits; the numbers are counted all the same.
 */
#include <linux/atomic.h>
#include <linux/random.h>
#include <linux/spinlock.h>
#include <linux/string.h>
#include <linux/ktime.h>
#include <linux/workqueue.h>

#include "dm-remap.h"
#include "dm-remap-news.h"

/* Events that wait, at the most. */
#define ROOM	512

static void send_all(struct work_struct *work);

/* news_lock guards seq, ring, first, waiting and dropped. */
static DEFINE_SPINLOCK(news_lock);
static u64 news_seq;
static struct dmr_item ring[ROOM];
static unsigned int first, waiting;
static u64 dropped;

static u64 instance;
static DECLARE_WORK(news_work, send_all);
static atomic_t changes = ATOMIC_INIT(DMR_UNCHANGED);

/**
 * dmr_change() - a number for a state of something that dumps show
 *
 * Two states of the same thing have different numbers, also when it was removed and
 * made again in between.
 * Context: any. Return: never 0, which stands for "not known" in a dump.
 */
u32 dmr_change(void)
{
	return (u32)atomic_inc_return(&changes) ?: (u32)atomic_inc_return(&changes);
}

/* Under news_lock. The event that came last, if it waits and this one goes on where it ends. */
static struct dmr_item *goes_on(const struct dmr_item *item)
{
	struct dmr_item *last = &ring[(first + waiting - 1) % ROOM];

	if (!waiting || !item->sectors || last->type != item->type ||
	    last->what != item->what || last->spare != item->spare ||
	    last->sector + last->sectors != item->sector ||
	    item->type == DMR_NEWS_SPARE_ERROR || item->type == DMR_NEWS_FINDING ||
	    memcmp(last->set, item->set, DMR_UUID_LEN))
		return NULL;
	return last;
}

/* Under news_lock. */
static void put(struct dmr_item *item)
{
	struct dmr_item *last;

	last = goes_on(item);
	if (last) {
		last->sectors += item->sectors;
		last->count += item->count;
		return;
	}
	item->seq = ++news_seq;
	if (waiting == ROOM) {
		dropped++;
		return;
	}
	ring[(first + waiting++) % ROOM] = *item;
}

static void report(struct dmr_item *item)
{
	unsigned long flags;
	bool heard = dmr_netlink_heard();

	item->time = ktime_get_real_ns();
	spin_lock_irqsave(&news_lock, flags);
	if (heard)
		put(item);
	else
		news_seq++;
	spin_unlock_irqrestore(&news_lock, flags);
	if (heard)
		queue_work(system_unbound_wq, &news_work);
}

/* The next event to be sent: one that waits, or that some were dropped. */
static bool take(struct dmr_item *item)
{
	bool found = true;

	spin_lock_irq(&news_lock);
	if (waiting) {
		*item = ring[first];
		first = (first + 1) % ROOM;
		waiting--;
	} else if (dropped) {
		*item = (struct dmr_item){
			.seq = ++news_seq,
			.time = ktime_get_real_ns(),
			.type = DMR_NEWS_DROPPED,
			.spare = DMR_NO_SPARE,
			.count = dropped,
		};
		dropped = 0;
	} else {
		found = false;
	}
	spin_unlock_irq(&news_lock);
	return found;
}

static void send_all(struct work_struct *work)
{
	struct dmr_item item;

	while (take(&item))
		dmr_netlink_send(&item);
}

/**
 * dmr_news_at() - something has happened in a range
 * @s: the set
 * @type: what
 * @what: which of several, see struct dmr_item
 * @spare: the row that it is about, or DMR_NO_SPARE
 * @sector: where it begins: on the device, or on the spare when it is about one
 * @sectors: how far it goes, 0 when it is about no range
 * @count: how often it happened
 *
 * Context: any; does not wait or allocate.
 */
void dmr_news_at(struct dmr_set *s, enum dmr_news type, u32 what, int spare,
		 sector_t sector, u64 sectors, u64 count)
{
	struct dmr_item item = {
		.dev = disk_devt(dm_disk(s->md)),
		.type = type,
		.what = what,
		.spare = spare,
		.count = count,
		.sector = sector,
		.sectors = sectors,
	};

	memcpy(item.set, s->uuid, DMR_UUID_LEN);
	report(&item);
}

/**
 * dmr_news() - something has happened to a set
 * @s: the set
 * @type: what
 * @what: which of several, see struct dmr_item
 * @spare: the row that it is about, or DMR_NO_SPARE
 *
 * Context: any; does not wait or allocate.
 */
void dmr_news(struct dmr_set *s, enum dmr_news type, u32 what, int spare)
{
	dmr_news_at(s, type, what, spare, 0, 0, 1);
}

/**
 * dmr_news_unit() - something has happened to a unit of main
 * @s: the set
 * @type: what
 * @unit: the unit
 *
 * Context: any; does not wait or allocate.
 */
void dmr_news_unit(struct dmr_set *s, enum dmr_news type, u64 unit)
{
	dmr_news_at(s, type, 0, DMR_NO_SPARE, dmr_unit_to_sector(s, unit),
		    1U << s->unit_shift, 1);
}

static bool is_lost(const struct dmr_entry *e)
{
	return e->kind == DMR_KIND_LOST || e->flags & DMR_ENTRY_UNKNOWN;
}

/* What a change of an entry means for whoever uses the unit; DMR_NR_NEWS: nothing. */
static enum dmr_news meaning(const struct dmr_entry *was, const struct dmr_entry *is)
{
	if (is_lost(is))
		return is_lost(was) ? DMR_NR_NEWS : DMR_NEWS_LOST;
	if (is_lost(was))
		return DMR_NEWS_RECOVERED;
	if (is->kind == DMR_KIND_FREE)
		return DMR_NEWS_UNREMAP;
	if (was->kind == DMR_KIND_FREE)
		return DMR_NEWS_REMAP;
	if (was->spare_idx == is->spare_idx && was->spare_unit == is->spare_unit)
		return DMR_NR_NEWS;
	return DMR_NEWS_MOVED;
}

/**
 * dmr_news_entry() - a change of the table is durable and visible
 * @s: the set
 * @st: the change
 *
 * Of second copies nothing is told, but the counts of a dump tell of them.
 * Context: engine_lock held.
 */
void dmr_news_entry(struct dmr_set *s, const struct dmr_staged *st)
{
	struct dmr_entry was, is;
	enum dmr_news type;

	if (!st->indexed) {
		if (!st->freed)
			dmr_news(s, DMR_NEWS_SPARE_ERROR, 0, st->bad_idx);
		return;
	}
	if (st->unit >= s->mirror_base)
		return;
	dmr_val_entry(st->old, st->unit, &was);
	dmr_val_entry(st->val, st->unit, &is);
	type = meaning(&was, &is);
	if (type != DMR_NR_NEWS)
		dmr_news_at(s, type, !!(is.flags & DMR_ENTRY_MANUAL),
			    is.kind == DMR_KIND_REMAP ? is.spare_idx : DMR_NO_SPARE,
			    dmr_unit_to_sector(s, st->unit), 1U << s->unit_shift, 1);
}

/**
 * dmr_news_seq() - the number of the last event
 *
 * Context: any. Return: 0 when there was none.
 */
u64 dmr_news_seq(void)
{
	unsigned long flags;
	u64 seq;

	spin_lock_irqsave(&news_lock, flags);
	seq = news_seq;
	spin_unlock_irqrestore(&news_lock, flags);
	return seq;
}

/**
 * dmr_news_instance() - a number by which the module that was loaded again is told
 *
 * Context: any. Return: a random number, the same as long as the module stays.
 */
u64 dmr_news_instance(void)
{
	return instance;
}

/**
 * dmr_news_init() - numbers begin
 *
 * Context: called when the module is loaded.
 */
void __init dmr_news_init(void)
{
	instance = get_random_u64() ?: 1;
}

/**
 * dmr_news_exit() - the last events are sent
 *
 * Context: may sleep, called when the module goes: there are no sets any more, and the
 * family is still there.
 */
void dmr_news_exit(void)
{
	flush_work(&news_work);
}
