// SPDX-License-Identifier: GPL-2.0-only
/*
 * What the health scan is made of: the order of a pass, and the marks of regions.
 */
#include "dm-remap-marks.h"
#include "dm-remap-order.h"
#include "input.h"

#define MAX_REGIONS	1024
#define MAX_ROOM	16
#define LOOKS		256

/* Every region is visited once; of a sample, none twice. */
static void check_visits(const struct dmr_order *o, u8 *seen)
{
	u64 total = dmr_order_total(o), step, region, visited = 0;

	for (step = 0; step < total; step++) {
		region = dmr_order_at(o, step);
		MUST(region < o->nr && !seen[region]);
		seen[region] = 1;
		visited++;
	}
	MUST(visited == total);
	if (o->pattern != DMR_PATTERN_RANDOM)
		MUST(total == o->nr);
}

/* Parameters: pattern:1, regions:2, seed:8, place:8. Operations: bad regions, 2 each. */
void fuzz_order(struct input in, struct input body)
{
	u8 pattern = take(&in, 1) % DMR_NR_PATTERNS, *seen;
	u64 nr = take(&in, 2) % MAX_REGIONS, step, place;
	struct dmr_order o;
	u32 i;

	seen = calloc(1, nr + 1);
	MUST(seen);
	dmr_order_init(&o, pattern, nr, take(&in, 8));
	while (body.left)
		dmr_order_focus(&o, take(&body, 2));
	for (i = 1; i < o.nr_hot; i++)
		MUST(o.hot[i - 1].first + o.hot[i - 1].n < o.hot[i].first);
	MUST(o.nr_hot <= DMR_ORDER_HOT);
	check_visits(&o, seen);
	place = take(&in, 8);
	step = dmr_order_resume(&o, place);
	MUST(step <= dmr_order_total(&o));
	for (; step < dmr_order_total(&o); step++)
		MUST(dmr_order_at(&o, step) < nr);
	free(seen);
}

/* Parameters: room:1. Operations: what a look has found, 8 bytes each. */
void fuzz_marks(struct input in, struct input body)
{
	u32 room = take(&in, 1) % (MAX_ROOM + 1), i, n;
	struct dmr_mark *mem = malloc(room ? room * sizeof(*mem) : 1), *mark;
	struct dmr_marks m;
	struct dmr_look look;
	u64 key;

	MUST(mem);
	dmr_marks_init(&m, mem, room);
	for (n = 0; n < LOOKS && body.left; n++) {
		key = take(&body, 1);
		look.errors = take(&body, 1) >> 5;
		look.retries = take(&body, 1) >> 5;
		look.slow = take(&body, 2);
		look.judged = n & 1 ? ~0U : look.slow << 1;
		look.usual = take(&body, 2);
		look.blank = take(&body, 1) & 1;
		look.pass = n;
		if (look.usual == 7) {
			dmr_marks_clear(&m, key, look.slow);
			mark = dmr_marks_find(&m, key);
			MUST(!mark || !(mark->slow & look.slow));
		} else if ((mark = dmr_marks_look(&m, key, &look))) {
			MUST(mark->key == key && mark->pass == n);
		}
		MUST(m.n <= room);
		for (i = 0; i < m.n; i++) {
			MUST(!i || m.mark[i - 1].key < m.mark[i].key);
			MUST(!(m.mark[i].marginal & ~m.mark[i].slow));
			MUST(dmr_mark_weight(m.mark + i));
			MUST(dmr_marks_find(&m, m.mark[i].key) == m.mark + i);
		}
	}
	free(mem);
}
