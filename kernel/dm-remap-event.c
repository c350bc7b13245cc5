// SPDX-License-Identifier: GPL-2.0-only
/*
 * What everybody else has to know: events, the failure of a set, the reason why
 * a message failed, and whether a suspend wants the bios back.
 */
#include "dm-remap.h"
#include "dm-remap-news.h"

/**
 * dmr_event_work() - tell the core that something has happened
 * @work: event_work of a set
 *
 * Context: may sleep.
 */
void dmr_event_work(struct work_struct *work)
{
	struct dmr_set *s = container_of(work, struct dmr_set, event_work);

	mutex_lock(&s->ti_lock);
	if (s->ti)
		dm_table_event(s->ti->table);
	mutex_unlock(&s->ti_lock);
}

/**
 * dmr_event() - wake those who wait for events of the device
 * @s: the set
 *
 * Context: any.
 */
void dmr_event(struct dmr_set *s)
{
	queue_work(s->read_wq, &s->event_work);
}

/**
 * dmr_set_error() - remember why a message failed
 * @s: the set
 * @fmt: a finished sentence
 *
 * Context: process.
 */
void dmr_set_error(struct dmr_set *s, const char *fmt, ...)
{
	va_list args;

	va_start(args, fmt);
	spin_lock(&s->error_lock);
	vscnprintf(s->last_error, DMR_ERROR_LEN, fmt, args);
	spin_unlock(&s->error_lock);
	va_end(args);
}

/**
 * dmr_get_error() - why the last message failed
 * @s: the set
 * @text: where the sentence goes
 * @room: there
 *
 * Context: process.
 */
void dmr_get_error(struct dmr_set *s, char *text, size_t room)
{
	spin_lock(&s->error_lock);
	strscpy(text, s->last_error, room);
	spin_unlock(&s->error_lock);
}

/**
 * dmr_set_fail() - the set takes no more writes
 * @s: the set
 * @why: for the kernel log
 *
 * The only door to this state, and there is none out of it but a new
 * activation.
 * Context: any.
 */
void dmr_set_fail(struct dmr_set *s, const char *why)
{
	unsigned long flags;
	bool was;

	spin_lock_irqsave(&s->hold_lock, flags);
	was = s->failed;
	if (!was) {
		WRITE_ONCE(s->failed, true);
		/* Sends every bio the slow way, where failed is looked at. */
		WRITE_ONCE(s->nr_holds, s->nr_holds + 1);
	}
	spin_unlock_irqrestore(&s->hold_lock, flags);
	if (was)
		return;
	DMERR("%s: %s: all writes fail from now on, reads go on",
	      dm_device_name(s->md), why);
	dmr_news(s, DMR_NEWS_SET_FAILED, 0, DMR_NO_SPARE);
	dmr_event(s);
}

/**
 * dmr_noflush() - are bios to be given back for a requeue?
 * @s: the set
 *
 * Context: process; a bio is kept, so the table can't go. Return: true during a
 * suspend without flush.
 */
bool dmr_noflush(struct dmr_set *s)
{
	struct dm_target *ti = READ_ONCE(s->ti);

	return READ_ONCE(s->suspending) && ti && dm_noflush_suspending(ti);
}
