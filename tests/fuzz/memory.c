// SPDX-License-Identifier: GPL-2.0-only
/*
 * What is kept in memory, held against plain arrays: a region of the index,
 * the bitmap of a spare, the health score. All memory has its exact size, so
 * that the sanitizer sees a byte too many.
 */
#include "dm-remap-alloc.h"
#include "dm-remap-health.h"
#include "dm-remap-region.h"
#include "input.h"

#define BATCHES		8
#define BATCH_CHANGES	64
#define QUERIES		32
#define ALLOC_OPS	512
#define WINDOW		1024

/* The model of a region: value and place of each unit in the window that starts
 * at @base, which is the only part of the region that has entries.
 */
struct model {
	u32 base;
	u64 val[WINDOW];
	u32 place[WINDOW];
};

/* malloc(0) may be NULL, and a region may be empty. */
static void *get_memory(size_t bytes)
{
	void *mem = malloc(bytes ? bytes : 1);

	MUST(mem);
	return mem;
}

static u64 take_value(struct input *in)
{
	u8 what = take(in, 1);
	struct dmr_entry e = { .spare_idx = what >> 4 & 7 };

	if ((what & 3) == 0)
		return 0;
	e.kind = (what & 3) == 1 ? DMR_KIND_LOST : DMR_KIND_REMAP;
	e.flags = what >> 2 & DMR_ENTRY_FLAGS_KNOWN;
	if (e.kind == DMR_KIND_REMAP)
		e.spare_unit = DMR_DATA_START + take(in, 1);
	return dmr_val(&e);
}

static u32 take_changes(struct input *in, struct dmr_change *c, struct model *m)
{
	u32 off = take(in, 2) % WINDOW, n = 0;

	while (in->left && n < BATCH_CHANGES && off < WINDOW) {
		c[n].off = m->base + off;
		c[n].place = take(in, 1);
		c[n].val = take_value(in);
		m->val[off] = c[n].val;
		m->place[off] = c[n].place;
		n++;
		/* Neighbours are what is interesting. */
		off += 1 + (take(in, 1) >> 5);
	}
	return n;
}

static u64 follower(u64 val)
{
	struct dmr_entry e;

	dmr_val_entry(val, 0, &e);
	return e.kind == DMR_KIND_REMAP ? val + 1 : val;
}

static struct dmr_rview new_view(u32 n)
{
	return dmr_region_view(get_memory(dmr_region_bytes(n)), n, dmr_region_shift(n));
}

static void check_run(const struct dmr_rview *v, const struct model *m, u32 off,
		      u32 max)
{
	u64 val, expect = m->val[off];
	u32 n = dmr_region_run(v, m->base + off, max, &val), i;

	MUST(n >= 1 && n <= max);
	MUST(val == expect);
	for (i = 1; i < n; i++) {
		expect = expect ? follower(expect) : 0;
		MUST(m->val[off + i] == expect);
	}
	/* It ends where it must, not earlier. */
	expect = expect ? follower(expect) : 0;
	MUST(n == max || m->val[off + n] != expect);
}

static void check_region(const struct dmr_rview *v, const struct model *m)
{
	u32 off, i = 0;

	for (off = 0; off < WINDOW; off++) {
		if (!m->val[off])
			continue;
		MUST(i < v->n && v->key[i] == m->base + off);
		MUST(v->val[i] == m->val[off] && v->place[i] == m->place[off]);
		MUST(dmr_region_lower(v, m->base + off) == i);
		MUST(!dmr_region_far(v->bits, v->shift, m->base + off, m->base + off));
		i++;
	}
	MUST(i == v->n);
}

/* Parameters: base of the window:2. Operations: batches of changes. */
void fuzz_region(struct input in, struct input body)
{
	struct model *m = calloc(1, sizeof(*m));
	struct dmr_rview v = new_view(0), next;
	struct dmr_change c[BATCH_CHANGES];
	u32 batch, n, off, max;

	MUST(m);
	m->base = take(&in, 2) % (DMR_REGION_UNITS - WINDOW + 1);
	for (batch = 0; batch < BATCHES && body.left; batch++) {
		n = take_changes(&body, c, m);
		max = dmr_region_merged(&v, c, n);
		next = new_view(max);
		dmr_region_merge(&next, &v, c, n);
		dmr_region_map(&next);
		free(v.bits);
		v = next;
		check_region(&v, m);
		off = n ? c[0].off - m->base : 0;
		for (n = 0; n < QUERIES && off < WINDOW; n++, off += n & 3) {
			max = 1 + (n * n * n + 7) % (WINDOW - off);
			check_run(&v, m, off, max);
		}
	}
	free(v.bits);
	free(m);
}

/* Parameters: units:2. Operations: three bytes each. */
void fuzz_alloc(struct input in, struct input body)
{
	u64 size = take(&in, 2) + 1, nr_free = size, unit, lowest = 0;
	u8 *used = calloc(1, size);
	void *mem = get_memory(dmr_alloc_bytes(size));
	struct dmr_alloc a;
	unsigned int i;
	u8 op;

	MUST(used);
	dmr_alloc_init(&a, mem, size);
	for (i = 0; i < ALLOC_OPS && body.left; i++) {
		op = take(&body, 1);
		unit = take(&body, 2);
		if (op % 4 == 0) {
			MUST(dmr_alloc_set(&a, unit) == (unit < size && !used[unit]));
			nr_free -= unit < size && !used[unit];
			if (unit < size)
				used[unit] = 1;
		} else if (op % 4 == 1) {
			MUST(dmr_alloc_clear(&a, unit) == (unit < size && used[unit]));
			nr_free += unit < size && used[unit];
			if (unit < size) {
				used[unit] = 0;
				lowest = unit < lowest ? unit : lowest;
			}
		} else if (op % 4 == 2) {
			while (lowest < size && used[lowest])
				lowest++;
			MUST(dmr_alloc_get(&a, &unit) == (nr_free > 0));
			if (nr_free) {
				MUST(unit == lowest);
				used[unit] = 1;
				nr_free--;
			}
		} else if (unit < size) {
			MUST(dmr_alloc_test(&a, unit) == used[unit]);
		}
		MUST(a.nr_free == nr_free);
	}
	free(mem);
	free(used);
}

/* Parameters: the terms. */
void fuzz_health(struct input in)
{
	struct dmr_health h = {
		.capacity = take(&in, 5),
		.used = take(&in, 5),
		.lost = take(&in, 5),
		.ios = take(&in, 8),
		.errors = take(&in, 8),
		.spares_total = take(&in, 1) % (DMR_MAX_SPARES + 1),
	};
	u8 bits = take(&in, 1);
	u32 minus[DMR_NR_TERMS], sum = 0, i;

	h.warnings = take(&in, 2);
	h.found = take(&in, 2);
	h.found_before = take(&in, 2);
	h.interval = take(&in, 3);
	h.age = take(&in, 5);
	h.spares_present = h.spares_total ? bits % (h.spares_total + 1) : 0;
	h.breaker_open = bits & 64;
	h.failed = bits & 128;
	MUST(dmr_health_score(&h) <= 100);
	if (h.breaker_open || h.failed)
		MUST(!dmr_health_score(&h));
	dmr_health_terms(&h, minus);
	for (i = 0; i < DMR_NR_TERMS; i++)
		sum += minus[i];
	if (!h.breaker_open && !h.failed)
		MUST(dmr_health_score(&h) == (sum > 100 ? 0 : 100 - sum));
}
