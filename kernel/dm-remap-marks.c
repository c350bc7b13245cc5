// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is known of single regions of a device. Pure code: see dm-remap-marks.h.
 */
#include "dm-remap-marks.h"

#define COUNTER_MAX	0xffffU

void dmr_marks_init(struct dmr_marks *m, struct dmr_mark *mem, u32 room)
{
	m->mark = mem;
	m->n = 0;
	m->room = room;
	m->dropped = 0;
}

struct dmr_mark *dmr_marks_move(struct dmr_marks *m, struct dmr_mark *mem, u32 room)
{
	struct dmr_mark *old = m->mark;

	if (m->n)
		memcpy(mem, old, m->n * sizeof(*mem));
	m->mark = mem;
	m->room = room;
	return old;
}

u32 dmr_marks_from(const struct dmr_marks *m, u64 key)
{
	u32 low = 0, high = m->n, mid;

	while (low < high) {
		mid = low + (high - low) / 2;
		if (m->mark[mid].key < key)
			low = mid + 1;
		else
			high = mid;
	}
	return low;
}

struct dmr_mark *dmr_marks_find(const struct dmr_marks *m, u64 key)
{
	u32 i = dmr_marks_from(m, key);

	return i < m->n && m->mark[i].key == key ? m->mark + i : NULL;
}

unsigned int dmr_pieces_count(u32 pieces)
{
	unsigned int n = 0;

	for (; pieces; pieces &= pieces - 1)
		n++;
	return n;
}

u64 dmr_mark_weight(const struct dmr_mark *mark)
{
	return 64ULL * mark->errors + 16ULL * mark->retries +
	       8ULL * dmr_pieces_count(mark->marginal) +
	       4ULL * dmr_pieces_count(mark->slow) + 2ULL * mark->slows +
	       mark->blanks;
}

static void drop(struct dmr_marks *m, u32 i)
{
	m->n--;
	memmove(m->mark + i, m->mark + i + 1, (m->n - i) * sizeof(*m->mark));
}

/* Of those that have as little to tell, the one that wasn't seen for longest. */
static u32 lightest(const struct dmr_marks *m)
{
	u64 weight, least = ~0ULL;
	u32 i, best = 0;

	for (i = 0; i < m->n; i++) {
		weight = dmr_mark_weight(m->mark + i);
		if (weight < least || (weight == least &&
				       m->mark[i].pass < m->mark[best].pass)) {
			least = weight;
			best = i;
		}
	}
	return best;
}

/* There is something to tell of a region without a mark. */
static struct dmr_mark *insert(struct dmr_marks *m, const struct dmr_mark *mark)
{
	u32 i;

	if (m->n == m->room) {
		m->dropped++;
		i = lightest(m);
		if (!m->n || dmr_mark_weight(m->mark + i) >= dmr_mark_weight(mark))
			return NULL;
		drop(m, i);
	}
	i = dmr_marks_from(m, mark->key);
	memmove(m->mark + i + 1, m->mark + i, (m->n - i) * sizeof(*m->mark));
	m->n++;
	m->mark[i] = *mark;
	return m->mark + i;
}

/* What was counted before is half forgotten. */
static void count(u16 *counter, u32 found)
{
	u32 before = *counter / 2;

	*counter = found < COUNTER_MAX - before ? before + found : COUNTER_MAX;
}

static void apply(struct dmr_mark *mark, const struct dmr_look *look)
{
	u32 slow = look->slow & look->judged, kept = ~look->judged;

	count(&mark->errors, look->errors);
	count(&mark->retries, look->retries);
	count(&mark->blanks, look->blank);
	mark->pass = look->pass;
	mark->marginal = (mark->slow & slow) | (mark->marginal & kept);
	mark->slow = slow | (mark->slow & kept);
	if (slow || !kept)
		count(&mark->slows, slow != 0);
	/* What is usual is what it was while all was well. */
	if (look->usual && !slow)
		mark->usual = dmr_usual(mark->usual, look->usual);
}

struct dmr_mark *dmr_marks_look(struct dmr_marks *m, u64 key,
				const struct dmr_look *look)
{
	struct dmr_mark *mark = dmr_marks_find(m, key), new = { .key = key };

	if (mark) {
		apply(mark, look);
		if (dmr_mark_weight(mark))
			return mark;
		drop(m, mark - m->mark);
		return NULL;
	}
	apply(&new, look);
	return dmr_mark_weight(&new) ? insert(m, &new) : NULL;
}

void dmr_marks_clear(struct dmr_marks *m, u64 key, u32 pieces)
{
	struct dmr_mark *mark = dmr_marks_find(m, key);

	if (!mark)
		return;
	mark->slow &= ~pieces;
	mark->marginal &= ~pieces;
	if (!mark->slow)
		mark->slows = 0;
	if (!dmr_mark_weight(mark))
		drop(m, mark - m->mark);
}

bool dmr_read_is_slow(u32 us, u32 usual, u32 near)
{
	u64 limit = usual > near ? usual : near;

	if (us > DMR_SLOW_US)
		return true;
	limit *= DMR_SLOW_TIMES;
	if (!limit)
		return false;
	return us > (limit > DMR_SLOW_LEAST_US ? limit : DMR_SLOW_LEAST_US);
}

u32 dmr_usual(u32 usual, u32 us)
{
	u64 most = 4ULL * usual + 8;

	if (!us)
		us = 1;
	if (!usual)
		return us;
	if (us < most)
		most = us;
	/* Rounded to where it moves, or it would never get there. */
	return (7ULL * usual + most + (most > usual ? 7 : 0)) / 8;
}
