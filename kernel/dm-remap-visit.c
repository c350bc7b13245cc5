// SPDX-License-Identifier: GPL-2.0-only
/*
 * Work on a set for somebody who doesn't come by a message.
 *
 * DOC: visits
 *
 * The device-mapper core keeps the table while a message runs. For who comes
 * another way nobody does, so we do it ourselves: a visitor finds the set under the
 * lock of the list of sets, which he does not keep, and is counted. postsuspend
 * waits for all visitors and lets none in; resume opens the door again. Tables
 * change and go only behind a postsuspend, so the active one stays while somebody
 * is inside. What takes long must look at dmr_interrupted(), as messages do.
 */
#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-faces.h"

struct visit {
	bool (*match)(struct dmr_set *s, void *data);
	void *data;
	struct dmr_set *s;
	int err;
};

static void look_at(struct dmr_set *s, void *data)
{
	struct visit *v = data;

	if (!v->match(s, v->data))
		return;
	if (v->s || v->err) {
		v->err = -ENOTUNIQ;
		return;
	}
	if (READ_ONCE(s->suspending) || !refcount_inc_not_zero(&s->visitors))
		v->err = -EAGAIN;
	else
		v->s = s;
}

static void leave(struct dmr_set *s)
{
	/* The set may be gone as soon as this is known. */
	if (refcount_dec_and_test(&s->visitors))
		complete(&s->visitors_gone);
}

/**
 * dmr_visit() - find a set, and keep its active table
 * @match: is it this one? Must not sleep for I/O
 * @data: for @match
 *
 * Context: may sleep, also while a set is being loaded or stopped. Return: the
 * table, to be given to dmr_visit_end(); -ENODEV, -ENOTUNIQ when there is not just
 * one such set, -EAGAIN when it is suspended.
 */
struct dmr_table *dmr_visit(bool (*match)(struct dmr_set *s, void *data),
			    void *data)
{
	struct visit v = { .match = match, .data = data };
	struct dmr_table *t;

	dmr_sets_walk(look_at, &v);
	if (v.err && v.s)
		leave(v.s);
	if (v.err)
		return ERR_PTR(v.err);
	if (!v.s)
		return ERR_PTR(-ENODEV);
	mutex_lock(&v.s->ti_lock);
	t = v.s->ti->private;
	mutex_unlock(&v.s->ti_lock);
	return t;
}

struct tour {
	u8 last[DMR_UUID_LEN];
	struct dmr_set *s;
};

/* The set that comes next, by UUID; its place in the list may change. */
static void look_further(struct dmr_set *s, void *data)
{
	struct tour *t = data;

	if (memcmp(s->uuid, t->last, DMR_UUID_LEN) <= 0 ||
	    (t->s && memcmp(s->uuid, t->s->uuid, DMR_UUID_LEN) > 0) ||
	    READ_ONCE(s->suspending) || !refcount_inc_not_zero(&s->visitors))
		return;
	if (t->s)
		leave(t->s);
	t->s = s;
}

/**
 * dmr_visit_all() - do something with each set that is not suspended
 * @fn: called with the set, and without the lock of the list of sets: it may wait
 *      for what dmr_sets_walk() must not
 * @data: for @fn
 *
 * Context: may sleep, also while a set is being loaded or stopped.
 */
void dmr_visit_all(void (*fn)(struct dmr_set *s, void *data), void *data)
{
	struct tour t = { };

	for (;;) {
		t.s = NULL;
		dmr_sets_walk(look_further, &t);
		if (!t.s)
			return;
		fn(t.s, data);
		memcpy(t.last, t.s->uuid, DMR_UUID_LEN);
		leave(t.s);
	}
}

/**
 * dmr_visit_end() - let the table go
 * @t: from dmr_visit()
 *
 * Context: may sleep.
 */
void dmr_visit_end(struct dmr_table *t)
{
	leave(t->set);
}

/**
 * dmr_visits_open() - let visitors in
 * @s: the set; nothing happens when they are already
 *
 * Context: resume and presuspend_undo, which the core does one at a time.
 */
void dmr_visits_open(struct dmr_set *s)
{
	if (s->visitable)
		return;
	s->visitable = true;
	init_completion(&s->visitors_gone);
	/* Pairs with the control dependency in refcount_inc_not_zero(). */
	smp_wmb();
	refcount_set(&s->visitors, 1);
}

/**
 * dmr_visits_close() - wait for visitors, and let none in
 * @s: the set, whose flag "suspending" sends them away
 *
 * Context: may sleep, called from postsuspend.
 */
void dmr_visits_close(struct dmr_set *s)
{
	if (!s->visitable)
		return;
	s->visitable = false;
	leave(s);
	wait_for_completion(&s->visitors_gone);
}
