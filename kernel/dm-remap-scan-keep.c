// SPDX-License-Identifier: GPL-2.0-only
/*
 * The health scan: what is known after a restart.
 *
 * Where the pass is lies in the state block (dm-remap-records.h), with the regions that
 * have most to tell: so it goes on at the beginning of the region where it was.
 */
#include <linux/slab.h>
#include <linux/timekeeping.h>

#include "dm-remap.h"
#include "dm-remap-news.h"

/* A pass that is overdue does not begin before the system has settled. */
#define SETTLE_JIFFIES		(20 * HZ)

/* What was noted of single regions before the restart. */
static void load_marks(struct dmr_scan *sc, const struct dmr_scanned *from)
{
	struct dmr_mark *mem;
	struct dmr_look look;
	u32 i;

	mem = kvmalloc_array(2 * DMR_NR_NOTED, sizeof(*mem), GFP_KERNEL);
	if (!mem)
		return;
	kvfree(sc->marks.mark);
	dmr_marks_init(&sc->marks, mem, 2 * DMR_NR_NOTED);
	for (i = 0; i < from->nr_noted; i++) {
		look = (struct dmr_look){
			.errors = from->noted[i].errors,
			.retries = from->noted[i].retries,
			.slow = from->noted[i].slow,
			.judged = ~0U,
			.pass = from->pass,
		};
		dmr_marks_look(&sc->marks, from->noted[i].key, &look);
		sc->warned += from->noted[i].slow != 0;
	}
}

/**
 * dmr_scan_load() - go on where the last life of the set has ended
 * @s: the set
 * @from: what its state block says
 *
 * Context: may sleep, engine_lock held; the set is being loaded.
 */
void dmr_scan_load(struct dmr_set *s, const struct dmr_scanned *from)
{
	struct dmr_scan *sc = &s->scan;

	mutex_lock(&sc->lock);
	sc->earliest = jiffies + SETTLE_JIFFIES;
	sc->st = *from;
	if (sc->st.device > s->nr_spares)
		sc->st.device = s->nr_spares;
	/* Nobody can be late before he was asked. */
	if (!sc->st.since)
		sc->st.since = ktime_get_real_seconds();
	load_marks(sc, from);
	sc->changed = dmr_change();
	dmr_scan_open(s);
	sc->step = dmr_order_resume(&sc->order, from->place);
	dmr_scan_measure(s);
	if (!sc->st.flags && sc->st.ended)
		sc->done = sc->total;
	else if (!sc->st.flags)
		sc->done = 0;
	mutex_unlock(&sc->lock);
}

/* Marks that have at least so much to tell. */
static u32 count_heavy(const struct dmr_marks *m, u64 weight)
{
	u32 n = 0, i;

	for (i = 0; i < m->n; i++)
		n += dmr_mark_weight(m->mark + i) >= weight;
	return n;
}

/* The least weight that no more marks have than there is room for: by halves. */
static u64 least_weight(const struct dmr_marks *m)
{
	u64 low = 1, high = 1ULL << 32, middle;

	while (low < high) {
		middle = low + (high - low) / 2;
		if (count_heavy(m, middle) > DMR_NR_NOTED)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* Of all marks those with most to tell, by rising key. */
static void save_marks(const struct dmr_marks *m, struct dmr_scanned *to)
{
	u64 least = least_weight(m), weight;
	u32 room = DMR_NR_NOTED - count_heavy(m, least), i;

	to->nr_noted = 0;
	for (i = 0; i < m->n; i++) {
		weight = dmr_mark_weight(m->mark + i);
		if (weight < least && (weight + 1 < least || !room))
			continue;
		room -= weight < least;
		to->noted[to->nr_noted++] = (struct dmr_noted){
			.key = m->mark[i].key,
			.slow = m->mark[i].slow,
			.errors = m->mark[i].errors,
			.retries = m->mark[i].retries,
		};
	}
}

/**
 * dmr_scan_save() - what is to be known after a restart
 * @s: the set
 * @to: where that goes
 *
 * Context: may sleep, engine_lock held.
 */
void dmr_scan_save(struct dmr_set *s, struct dmr_scanned *to)
{
	struct dmr_scan *sc = &s->scan;

	mutex_lock(&sc->lock);
	*to = sc->st;
	to->place = dmr_order_place(&sc->order, sc->step);
	save_marks(&sc->marks, to);
	mutex_unlock(&sc->lock);
}
