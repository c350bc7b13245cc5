// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generic netlink: the remaps of a set, and what is known of its regions, as dumps that
 * go on where they were. What they keep in between is a number, never a pointer; what
 * has changed meanwhile sets NLM_F_DUMP_INTR.
 */
#include "dm-remap-data.h"
#include "dm-remap-faces.h"
#include "dm-remap-health.h"
#include "dm-remap-netlink.h"
#include "dm-remap-table.h"

/**
 * struct dumping - where a dump is
 * @next: the unit, or the key of the mark, with which it goes on
 * @begun: @next means something
 */
struct dumping {
	u64 next;
	bool begun;
};

static struct nlattr **attrs_of(struct netlink_callback *cb)
{
#ifdef DMR_HAVE_GENL_INFO_DUMP
	return genl_info_dump(cb)->attrs;
#else
	return genl_dumpit_info(cb)->attrs;
#endif
}

/**
 * dmr_nl_start() - may this be dumped?
 * @cb: the dump
 *
 * Context: process. Return: 0 or -EPERM.
 */
int dmr_nl_start(struct netlink_callback *cb)
{
	BUILD_BUG_ON(sizeof(struct dumping) > sizeof(cb->ctx));
	return dmr_allowed(cb->skb, cb->extack);
}

static struct dmr_table *visit(struct netlink_callback *cb)
{
	struct dmr_wanted who;
	struct dmr_table *t;
	int r;

	r = dmr_wanted(attrs_of(cb), cb->extack, &who);
	if (r)
		return ERR_PTR(r);
	t = dmr_visit(dmr_match_set, &who);
	if (IS_ERR(t))
		dmr_no_set(cb->extack, PTR_ERR(t));
	return t;
}

static void *put_head(struct sk_buff *skb, struct netlink_callback *cb, u8 cmd)
{
	return genlmsg_put(skb, NETLINK_CB(cb->skb).portid, cb->nlh->nlmsg_seq,
			   &dmr_family, NLM_F_MULTI, cmd);
}

/* What is behind @head is whole, or is taken back. */
static int put_tail(struct sk_buff *skb, struct netlink_callback *cb, void *head, int r)
{
	if (r) {
		genlmsg_cancel(skb, head);
		return -EMSGSIZE;
	}
	genl_dump_check_consistent(cb, head);
	genlmsg_end(skb, head);
	return 0;
}

static int put_place(struct sk_buff *skb, struct dmr_set *s, const struct dmr_entry *e,
		     int spare, int sector)
{
	return nla_put_u32(skb, spare, e->spare_idx) ?:
	       dmr_put_u64(skb, sector, dmr_unit_to_sector(s, e->spare_unit));
}

static u32 state_of(const struct dmr_entry *e)
{
	if (e->kind == DMR_KIND_LOST)
		return DMR_ENTRY_IS_LOST;
	return e->flags & DMR_ENTRY_UNKNOWN ? DMR_ENTRY_IS_UNKNOWN : DMR_ENTRY_IS_REMAP;
}

static int put_entry(struct sk_buff *skb, struct dmr_set *s, u64 unit, u64 val)
{
	struct dmr_entry e;
	struct dmr_pair p;
	int r;

	dmr_val_entry(val, unit, &e);
	r = dmr_put_u64(skb, DMR_A_SECTOR, dmr_unit_to_sector(s, unit)) ?:
	    dmr_put_u64(skb, DMR_A_SECTORS, 1U << s->unit_shift) ?:
	    nla_put_u32(skb, DMR_A_ENTRY, state_of(&e)) ?:
	    nla_put_u32(skb, DMR_A_MANUAL, !!(e.flags & DMR_ENTRY_MANUAL));
	if (r || e.kind == DMR_KIND_LOST)
		return r;
	r = put_place(skb, s, &e, DMR_A_SPARE, DMR_A_SPARE_SECTOR);
	if (r || !dmr_val_mirrored(val))
		return r;
	dmr_pair_get(s, unit, &p);
	return p.same ? 0 : put_place(skb, s, &p.second, DMR_A_SECOND_SPARE,
				      DMR_A_SECOND_SECTOR);
}

/* Under engine_lock. Return: 0 at the end, -EMSGSIZE when the message is full. */
static int put_entries(struct sk_buff *skb, struct netlink_callback *cb,
		       struct dmr_set *s, struct dumping *d)
{
	u64 unit, val;
	void *head;

	while (d->next < s->nr_units) {
		unit = d->next;
		if (!dmr_index_next(s, &unit, &val))
			break;
		head = put_head(skb, cb, DMR_CMD_REMAPS);
		if (!head || put_tail(skb, cb, head, put_entry(skb, s, unit, val)))
			return -EMSGSIZE;
		d->next = unit + 1;
	}
	d->next = s->nr_units;
	return 0;
}

static u64 first_unit(struct netlink_callback *cb, struct dmr_set *s)
{
	struct nlattr *from = attrs_of(cb)[DMR_A_SECTOR];
	u64 sectors = dmr_unit_to_sector(s, s->nr_units);
	u64 sector = from ? nla_get_u64(from) : 0;

	return dmr_sector_to_unit(s, min(sector, sectors) + (1U << s->unit_shift) - 1);
}

/**
 * dmr_nl_remaps() - the remaps of a set, by rising sector
 * @skb: filled
 * @cb: the dump; it may begin at a sector
 *
 * Context: may sleep; gives up the table between two messages. Return: length of what
 * was filled in, 0 at the end, or a negative errno.
 */
int dmr_nl_remaps(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dumping *d = (struct dumping *)cb->ctx;
	struct dmr_table *t = visit(cb);
	struct dmr_set *s;
	int r;

	if (IS_ERR(t))
		return PTR_ERR(t);
	s = t->set;
	if (!d->begun)
		d->next = first_unit(cb, s);
	d->begun = true;
	/* A disk that answers nothing must not keep a program from being ended. */
	r = mutex_lock_interruptible(&s->engine_lock);
	if (!r) {
		cb->seq = s->changed;
		r = put_entries(skb, cb, s, d);
		mutex_unlock(&s->engine_lock);
	}
	dmr_visit_end(t);
	return r && !skb->len ? r : skb->len;
}

static int put_mark(struct sk_buff *skb, struct dmr_set *s, const struct dmr_mark *m)
{
	unsigned int device = m->key >> DMR_KEY_SHIFT;
	u64 sector = (m->key & DMR_KEY_MASK) * DMR_REGION_SECTORS;

	if (device) {
		sector += DMR_DATA_START;
		if (nla_put_u32(skb, DMR_A_SPARE, device - 1))
			return -EMSGSIZE;
	}
	return dmr_put_u64(skb, DMR_A_SECTOR, sector) ?:
	       dmr_put_u64(skb, DMR_A_SECTORS, DMR_REGION_SECTORS) ?:
	       nla_put_u32(skb, DMR_A_HEALTH, dmr_mark_score(s, m)) ?:
	       nla_put_u32(skb, DMR_A_ERRORS, m->errors) ?:
	       nla_put_u32(skb, DMR_A_RETRIES, m->retries) ?:
	       nla_put_u32(skb, DMR_A_SLOW, m->slow) ?:
	       nla_put_u32(skb, DMR_A_MARGINAL, m->marginal) ?:
	       nla_put_u32(skb, DMR_A_BLANKS, m->blanks) ?:
	       nla_put_u32(skb, DMR_A_USUAL_US, m->usual) ?:
	       nla_put_u32(skb, DMR_A_PASS, m->pass);
}

static int put_marks(struct sk_buff *skb, struct netlink_callback *cb,
		     struct dmr_set *s, struct dumping *d)
{
	const struct dmr_marks *marks = &s->scan.marks;
	void *head;
	u32 i;

	for (i = dmr_marks_from(marks, d->next); i < marks->n; i++) {
		head = put_head(skb, cb, DMR_CMD_REGIONS);
		if (!head || put_tail(skb, cb, head, put_mark(skb, s, marks->mark + i)))
			return -EMSGSIZE;
		d->next = marks->mark[i].key + 1;
	}
	return 0;
}

/**
 * dmr_nl_regions() - regions of which something is known, those of main first
 * @skb: filled
 * @cb: the dump
 *
 * Context: may sleep. Return: length of what was filled in, 0 at the end, or a negative
 * errno.
 */
int dmr_nl_regions(struct sk_buff *skb, struct netlink_callback *cb)
{
	struct dumping *d = (struct dumping *)cb->ctx;
	struct dmr_table *t = visit(cb);
	struct dmr_set *s;
	int r;

	if (IS_ERR(t))
		return PTR_ERR(t);
	s = t->set;
	mutex_lock(&s->scan.lock);
	cb->seq = s->scan.changed;
	r = put_marks(skb, cb, s, d);
	mutex_unlock(&s->scan.lock);
	dmr_visit_end(t);
	return r && !skb->len ? r : skb->len;
}
