// SPDX-License-Identifier: GPL-2.0-only
/*
 * The health scan's look at a region.
 *
 * DOC: what is read
 *
 * Of main, every unit that has its data there; of a unit that is remapped, its copies
 * on the spares. So what is looked at is what a reader would get. Of a spare, the units
 * that nobody uses yet: the others are looked at as part of main, and what lies before
 * the data area is looked at by "repair". Units that are known to be lost are left
 * alone: nobody but a writer can do anything about them.
 *
 * DOC: what comes of it
 *
 * What can't be read goes the way of a read that failed (dm-remap-rescue.c): it is read
 * again by halves and with pauses, under a hold; what is read at last goes to a spare,
 * and what isn't is recorded as lost, so that it stays an error until it is written.
 * Nothing is ever written in its place.
 *
 * A read that is slow is repeated, piece by piece, three times. A piece that is slow
 * each time, while another place of the device is not, is noted. Nothing follows from
 * that until the next look finds the same: then the piece is marginal, and the option
 * "relocate" says what becomes of it. A read that is slow while others use the disk
 * says nothing about the disk: the chunk is read once more when they have gone.
 */
#include <linux/bio.h>
#include <linux/bitmap.h>
#include <linux/completion.h>
#include <linux/ioprio.h>
#include <linux/ktime.h>
#include <linux/mm.h>
#include <linux/random.h>
#include <linux/slab.h>

#include "dm-remap.h"
#include "dm-remap-data.h"
#include "dm-remap-news.h"
#include "dm-remap-spares.h"
#include "dm-remap-table.h"
#include "dm-remap-trace.h"

/* How often a slow piece must be slow. */
#define SLOW_READS	3
/* How often a chunk is read again because others were there. */
#define MAX_DOUBTS	5
/* Time for the pieces of a chunk, in microseconds; the others are for the next look. */
#define SLOW_BUDGET	2000000U

static void read_done(struct bio *bio)
{
	complete(bio->bi_private);
}

static struct bio *scan_bio(struct dmr_set *s, struct block_device *bdev,
			    sector_t sector, unsigned int sectors)
{
	unsigned int bytes = sectors << SECTOR_SHIFT, done;
	struct bio *bio = bio_alloc(bdev, DMR_CHUNK_PAGES, REQ_OP_READ, GFP_NOIO);

	bio->bi_iter.bi_sector = sector;
	bio->bi_ioprio = IOPRIO_PRIO_VALUE(IOPRIO_CLASS_IDLE, 0);
	bio->bi_end_io = read_done;
	for (done = 0; done < bytes; done += PAGE_SIZE)
		__bio_add_page(bio, s->scan.page[done / PAGE_SIZE],
			       min_t(unsigned int, bytes - done, PAGE_SIZE), 0);
	return bio;
}

/* Read into the scan's pages; @us says how long that took. */
static blk_status_t scan_read(struct dmr_set *s, struct block_device *bdev,
			      sector_t sector, unsigned int sectors, u32 *us)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct bio *bio = scan_bio(s, bdev, sector, sectors);
	struct dmr_scan *sc = &s->scan;
	u64 start = ktime_get_ns(), took;
	blk_status_t status;

	bio->bi_private = &done;
	submit_bio(bio);
	wait_for_completion_io(&done);
	took = ktime_get_ns() - start;
	sc->window += sectors;
	status = bio->bi_status;
	bio_put(bio);
	dmr_idle_own(s, bdev, sectors);
	atomic64_inc(&s->stats.scan_reads);
	atomic64_add(sectors, &s->stats.scan_sectors);
	*us = min_t(u64, div_u64(took, NSEC_PER_USEC), U32_MAX);
	return status;
}

/* As a read of the device that failed: the rescue engine does what it does then. */
static blk_status_t scan_rescue(struct dmr_set *s, u64 unit, u64 n)
{
	DECLARE_COMPLETION_ONSTACK(done);
	struct bio *bio = scan_bio(s, s->main, dmr_unit_to_sector(s, unit),
				   dmr_unit_to_sector(s, n));
	u64 start = ktime_get_ns();
	blk_status_t status;

	bio->bi_private = &done;
	dmr_queue_read(s, bio);
	wait_for_completion_io(&done);
	s->scan.waited += ktime_get_ns() - start;
	status = bio->bi_status;
	bio_put(bio);
	return status;
}

/* What a run's value is @i units further on. */
static u64 val_at(u64 val, u64 i)
{
	return val && dmr_val_plain(val) ? val + i : val;
}

/* What has become of units that were in the index as @val says. */
static void count_changes(struct dmr_set *s, u64 unit, u64 n, u64 val, u32 *lost,
			  u32 *moved)
{
	struct dmr_entry e;
	u32 place;
	u64 now, i;

	*lost = 0;
	*moved = 0;
	mutex_lock(&s->engine_lock);
	for (i = 0; i < n; i++) {
		dmr_index_find(s, unit + i, &now, &place);
		if (now == val_at(val, i))
			continue;
		dmr_val_entry(now, unit + i, &e);
		if (e.kind == DMR_KIND_LOST || e.flags & DMR_ENTRY_UNKNOWN)
			++*lost;
		else if (e.kind == DMR_KIND_REMAP)
			++*moved;
	}
	mutex_unlock(&s->engine_lock);
}

static bool main_is_dead(struct dmr_set *s)
{
	bool dead;

	mutex_lock(&s->engine_lock);
	dead = s->failed || s->breaker_open || dmr_main_dead(s);
	mutex_unlock(&s->engine_lock);
	return dead;
}

/* Something was found. A restart in the middle of a region must not forget it. */
static void found(struct dmr_set *s, const struct dmr_spot *at, sector_t sector,
		  u32 sectors, enum dmr_finding kind, u32 n)
{
	struct dmr_scan *sc = &s->scan;
	struct {
		u64 *pass;
		atomic64_t *life;
		u32 by;
	} counts[] = {
		[DMR_FOUND_ERROR] = { &sc->st.errors, &s->stats.scan_errors, n },
		[DMR_FOUND_RESCUED] = { &sc->st.rescued, &s->stats.scan_rescued, n },
		[DMR_FOUND_SLOW] = { &sc->st.slow, &s->stats.scan_slow, 1 },
		[DMR_FOUND_BLANK] = { &sc->st.blanks, &s->stats.scan_blanks, 1 },
		[DMR_FOUND_SPARE] = { &sc->st.errors, &s->stats.scan_errors, 1 },
	};

	mutex_lock(&sc->lock);
	*counts[kind].pass += counts[kind].by;
	mutex_unlock(&sc->lock);
	atomic64_add(counts[kind].by, counts[kind].life);
	trace_dm_remap_finding(s, (int)at->device - 1, sector, sectors, kind, n);
	dmr_news_at(s, DMR_NEWS_FINDING, kind, (int)at->device - 1, sector, sectors, n);
}

/*
 * A run of units could not be read. Return: 0; -EAGAIN when a suspend came in between,
 * -EIO when main is dead.
 */
static int look_closer(struct dmr_set *s, const struct dmr_spot *at, u64 unit, u64 n,
		       u64 val)
{
	struct dmr_look *look = &s->scan.look;
	blk_status_t status;
	u32 lost, moved;

	if (READ_ONCE(s->suspending))
		return -EAGAIN;
	status = scan_rescue(s, unit, n);
	count_changes(s, unit, n, val, &lost, &moved);
	look->errors += lost;
	look->retries += moved;
	if (lost)
		found(s, at, dmr_unit_to_sector(s, unit), dmr_unit_to_sector(s, n),
		      DMR_FOUND_ERROR, lost);
	if (moved)
		found(s, at, dmr_unit_to_sector(s, unit), dmr_unit_to_sector(s, n),
		      DMR_FOUND_RESCUED, moved);
	if (status == BLK_STS_DM_REQUEUE)
		return -EAGAIN;
	if (status && !lost) {
		if (main_is_dead(s))
			return -EIO;
		/* It could not be recorded, because the table is full. */
		look->errors++;
		found(s, at, dmr_unit_to_sector(s, unit),
		      dmr_unit_to_sector(s, n), DMR_FOUND_ERROR, 1);
	}
	return 0;
}

static bool blank(struct dmr_set *s, unsigned int sectors)
{
	unsigned int left = sectors << SECTOR_SHIFT, i, n;
	u8 first = *(u8 *)page_address(s->scan.page[0]);

	if (first != 0 && first != 0xff)
		return false;
	for (i = 0; left; i++, left -= n) {
		n = min_t(unsigned int, left, PAGE_SIZE);
		if (memchr_inv(page_address(s->scan.page[i]), first, n))
			return false;
	}
	return true;
}

/* The pieces of a region in which a range lies. */
static u32 pieces_of(const struct dmr_spot *at, sector_t sector, unsigned int sectors)
{
	unsigned int first = (sector - at->sector) / DMR_PIECE_SECTORS;
	unsigned int last = (sector + sectors - 1 - at->sector) / DMR_PIECE_SECTORS;

	return GENMASK(last, first);
}

static struct block_device *device_of(struct dmr_set *s, const struct dmr_spot *at)
{
	return at->device ? s->spare[at->device - 1].bdev : s->main;
}

/* Is a read slow, as far as can be told? -EBUSY when somebody else was there. */
static int is_slow(struct dmr_set *s, const struct dmr_spot *at, sector_t sector,
		   unsigned int sectors, u32 *us)
{
	bool others, slow;

	if (scan_read(s, device_of(s, at), sector, sectors, us))
		return -EIO;
	others = dmr_idle_look(s);
	slow = dmr_read_is_slow(*us, at->usual, s->scan.near);
	return slow && others ? -EBUSY : slow;
}

/*
 * Far from here it must not be slow time and again, or it is not the place. As
 * is_slow().
 */
static int others_are_slow(struct dmr_set *s, const struct dmr_spot *at)
{
	u64 regions = dmr_scan_regions(s, at->device);
	sector_t sector = at->device ? DMR_DATA_START : 0;
	int slow = 1;
	u32 us, i;

	sector += (at->region + regions / 2) % regions * DMR_REGION_SECTORS;
	/* The last region may be that short; then there is nothing to compare with. */
	if (sector + DMR_PIECE_SECTORS > dmr_scan_sectors(s, at->device))
		return 0;
	for (i = 0; i < SLOW_READS && slow > 0; i++)
		slow = is_slow(s, at, sector, DMR_PIECE_SECTORS, &us);
	return slow;
}

/*
 * A read was slow: which pieces of it are? Return: 0; -EBUSY when others were there, so
 * that nothing can be said.
 */
static int judge(struct dmr_set *s, const struct dmr_spot *at, sector_t sector,
		 unsigned int sectors)
{
	struct dmr_look *look = &s->scan.look;
	unsigned int n, i, spent = 0;
	sector_t end = sector + sectors;
	bool compared = false;
	int slow = 1, others;
	u32 us;

	for (; sector < end && spent < SLOW_BUDGET; sector += n) {
		n = DMR_PIECE_SECTORS - (sector - at->sector) % DMR_PIECE_SECTORS;
		n = min_t(u64, n, end - sector);
		for (i = 0; i < SLOW_READS && READ_ONCE(s->scan.on); i++) {
			slow = is_slow(s, at, sector, n, &us);
			if (slow <= 0)
				break;
			spent += min(us, SLOW_BUDGET);
		}
		if (!READ_ONCE(s->scan.on))
			return -EBUSY;
		if (slow < 0)
			return slow == -EBUSY ? slow : 0;
		if (slow && !compared) {
			others = others_are_slow(s, at);
			if (others > 0 || others == -EBUSY)
				return others > 0 ? 0 : others;
			compared = true;
		}
		look->judged |= pieces_of(at, sector, n);
		if (!slow || look->slow & pieces_of(at, sector, n))
			continue;
		look->slow |= pieces_of(at, sector, n);
		found(s, at, sector, n, DMR_FOUND_SLOW, us);
	}
	return 0;
}

/* Read a range of a device, and see how fast that is. */
static blk_status_t read_timed(struct dmr_set *s, const struct dmr_spot *at,
			       sector_t sector, unsigned int sectors)
{
	struct dmr_scan *sc = &s->scan;
	blk_status_t status;
	bool others;
	u32 us;

	/* What was before doesn't matter, and may have been ourselves. */
	dmr_idle_look(s);
	status = scan_read(s, device_of(s, at), sector, sectors, &us);
	if (status)
		return status;
	sc->blank = sc->blank && blank(s, sectors);
	others = dmr_idle_look(s);
	if (dmr_read_is_slow(us, at->usual, sc->near)) {
		if (others || judge(s, at, sector, sectors))
			sc->doubt = true;
		return BLK_STS_OK;
	}
	sc->look.judged |= pieces_of(at, sector, sectors);
	if (others)
		return BLK_STS_OK;
	sc->look.usual = dmr_usual(sc->look.usual, us);
	sc->near = dmr_usual(sc->near, us);
	return BLK_STS_OK;
}

/* Units that have their data on main. */
static int look_at_run(struct dmr_set *s, const struct dmr_spot *at, u64 unit, u64 n)
{
	blk_status_t status;

	status = read_timed(s, at, dmr_unit_to_sector(s, unit),
			    dmr_unit_to_sector(s, n));
	if (!status)
		return 0;
	s->scan.blank = false;
	if (dmr_is_medium(status))
		return look_closer(s, at, unit, n, 0);
	return main_is_dead(s) ? -EIO : -ENODEV;
}

/* The second copy of a unit. A copy that can't be read is made anew. */
static void look_at_second(struct dmr_set *s, const struct dmr_spot *at, u64 unit)
{
	struct dmr_where w = { .failed = DMR_SECOND };
	unsigned int try = 0;
	struct dmr_pair p;
	bool bad;

	mutex_lock(&s->engine_lock);
	/* What is staged would not be seen. */
	if (s->failed || dmr_commit(s))
		goto out;
	dmr_pair_get(s, unit, &p);
	if (!(p.usable & DMR_SECOND))
		goto out;
	do {
		bad = dmr_pair_read(s, &p.second, s->check_page);
	} while (bad && try++ < READ_ONCE(s->opts.retries));
	if (!bad || !(p.usable & DMR_FIRST) ||
	    dmr_pair_read(s, &p.first, s->unit_page))
		goto out;
	dmr_place_copies(s, s->unit_page, unit, 0, w);
	dmr_commit(s);
	s->scan.look.retries++;
	found(s, at, dmr_unit_to_sector(s, unit), 1U << s->unit_shift,
	      DMR_FOUND_RESCUED, 1);
out:
	mutex_unlock(&s->engine_lock);
}

/* Units that are on a spare, as a run of the index. */
static int look_at_remapped(struct dmr_set *s, const struct dmr_spot *at, u64 unit,
			    u64 n, u64 val)
{
	struct block_device *bdev;
	blk_status_t status;
	struct dmr_entry e;
	u32 us;

	dmr_val_entry(val, unit, &e);
	/* A piece that is elsewhere is not slow here. */
	s->scan.look.judged |= pieces_of(at, dmr_unit_to_sector(s, unit),
					 dmr_unit_to_sector(s, n));
	s->scan.blank = false;
	if (e.kind == DMR_KIND_LOST || e.flags & DMR_ENTRY_UNKNOWN) {
		s->scan.known += n;
		return 0;
	}
	bdev = READ_ONCE(s->spare[e.spare_idx].bdev);
	if (!dmr_spare_usable(s, e.spare_idx) || !bdev)
		return 0;
	status = scan_read(s, bdev, dmr_unit_to_sector(s, e.spare_unit),
			   dmr_unit_to_sector(s, n), &us);
	if (status)
		return look_closer(s, at, unit, n, val);
	if (dmr_val_mirrored(val))
		look_at_second(s, at, unit);
	return 0;
}

static int look_at_main(struct dmr_set *s, const struct dmr_spot *at, sector_t sector,
			unsigned int sectors)
{
	u64 unit = dmr_sector_to_unit(s, sector), n, run, val;
	int r = 0;

	for (n = dmr_sector_to_unit(s, sectors); n && !r; unit += run, n -= run) {
		preempt_disable();
		run = dmr_index_run(s, unit, n, &val);
		preempt_enable();
		if (dmr_val_mirrored(val))
			run = 1;
		r = val ? look_at_remapped(s, at, unit, run, val) :
			  look_at_run(s, at, unit, run);
	}
	return r;
}

/* The next units of a spare that nobody uses: how many, from *unit on. */
static u64 free_run(struct dmr_set *s, unsigned int idx, u64 *unit, u64 end)
{
	struct dmr_alloc *a = &s->spare[idx].alloc;
	u64 n = 0;

	mutex_lock(&s->engine_lock);
	end = min(end, a->size);
	if (s->spare[idx].present) {
		while (*unit < end && dmr_alloc_test(a, *unit))
			++*unit;
		while (*unit + n < end && !dmr_alloc_test(a, *unit + n))
			n++;
	}
	mutex_unlock(&s->engine_lock);
	return n;
}

/* A unit that nobody uses can't be read: set it aside, if that is still so. */
static void set_aside(struct dmr_set *s, const struct dmr_spot *at, u64 unit)
{
	unsigned int idx = at->device - 1;
	struct dmr_spare *sp = &s->spare[idx];

	mutex_lock(&s->engine_lock);
	if (sp->present && !s->failed && dmr_spare_answers(s, idx) &&
	    dmr_alloc_set(&sp->alloc, unit)) {
		dmr_stage_bad(s, idx, unit);
		dmr_commit(s);
		s->scan.look.errors++;
		found(s, at, dmr_unit_to_sector(s, unit), 1U << s->unit_shift,
		      DMR_FOUND_SPARE, 1);
	}
	mutex_unlock(&s->engine_lock);
}

/* Which units of a run that can't be read as a whole can't be read alone? */
static int narrow_spare(struct dmr_set *s, const struct dmr_spot *at, u64 unit, u64 n)
{
	unsigned int try;
	u32 us;

	for (; n; unit++, n--) {
		for (try = 0; try <= READ_ONCE(s->opts.retries); try++) {
			if (!READ_ONCE(s->scan.on))
				return -EAGAIN;
			if (!scan_read(s, device_of(s, at),
				       dmr_unit_to_sector(s, unit),
				       1U << s->unit_shift, &us))
				break;
		}
		if (try > READ_ONCE(s->opts.retries))
			set_aside(s, at, unit);
		if (!READ_ONCE(s->spare[at->device - 1].present))
			return 0;
	}
	return 0;
}

static int look_at_spare(struct dmr_set *s, const struct dmr_spot *at, sector_t sector,
			 unsigned int sectors)
{
	u64 unit = dmr_sector_to_unit(s, sector), n;
	u64 end = dmr_sector_to_unit(s, sector + sectors);
	int r = 0;

	for (; !r && (n = free_run(s, at->device - 1, &unit, end)); unit += n) {
		if (read_timed(s, at, dmr_unit_to_sector(s, unit),
			       dmr_unit_to_sector(s, n)))
			r = narrow_spare(s, at, unit, n);
	}
	return r;
}

/**
 * dmr_scan_look_begin() - begin a look at another region
 * @s: the set
 *
 * Context: the scan's worker.
 */
void dmr_scan_look_begin(struct dmr_set *s)
{
	struct dmr_scan *sc = &s->scan;

	sc->chunk = 0;
	sc->look = (struct dmr_look){ };
	sc->known = 0;
	sc->doubts = 0;
	sc->blank = true;
}

/**
 * dmr_scan_look() - read the next chunk of a region
 * @s: the set
 * @at: the region
 *
 * Context: the scan's worker, under memalloc_noio. Return: 0; 1 when that was the last
 * one; -EAGAIN when a suspend came in between, -EBUSY when it was slow and others were
 * there, -ENODEV when the device does not answer, -EIO when main is dead: then the chunk
 * is still to be read.
 */
int dmr_scan_look(struct dmr_set *s, const struct dmr_spot *at)
{
	struct dmr_scan *sc = &s->scan;
	unsigned int from = sc->chunk * DMR_CHUNK_SECTORS, n;
	u32 known = sc->known;
	int r;

	sc->doubt = false;
	n = min_t(unsigned int, DMR_CHUNK_SECTORS, at->sectors - from);
	r = at->device ? look_at_spare(s, at, at->sector + from, n) :
			 look_at_main(s, at, at->sector + from, n);
	if (!r && sc->doubt && sc->doubts++ < MAX_DOUBTS)
		r = -EBUSY;
	if (r) {
		sc->known = known;
		return r;
	}
	sc->doubts = 0;
	sc->chunk++;
	return from + n == at->sectors;
}

/* Did it hold data before, and holds nothing now? It is said once. */
static bool lost_its_data(struct dmr_set *s, const struct dmr_spot *at)
{
	struct dmr_scan *sc = &s->scan;

	if (at->device || !sc->held)
		return false;
	if (!sc->blank) {
		__set_bit(at->region, sc->held);
		return false;
	}
	return __test_and_clear_bit(at->region, sc->held);
}

static u32 count_warned(const struct dmr_marks *m)
{
	u32 n = 0, i;

	for (i = 0; i < m->n; i++)
		n += m->mark[i].slow || m->mark[i].blanks;
	return n;
}

/* Room for one more mark, if there may be one. */
static void make_room(struct dmr_scan *sc)
{
	u32 room = max_t(u32, 2 * sc->marks.room, 64);
	struct dmr_mark *new, *old;

	if (sc->marks.n < sc->marks.room || sc->marks.room == DMR_MAX_MARKS)
		return;
	room = min_t(u32, room, DMR_MAX_MARKS);
	new = kvmalloc_array(room, sizeof(*new), GFP_KERNEL | __GFP_NOWARN);
	if (!new)
		return;
	mutex_lock(&sc->lock);
	old = dmr_marks_move(&sc->marks, new, room);
	mutex_unlock(&sc->lock);
	kvfree(old);
}

/* May a spare unit be spent on something that can still be read? */
static bool may_relocate(struct dmr_set *s, bool *chance)
{
	unsigned int policy = READ_ONCE(s->opts.relocate);

	*chance = policy == DMR_RELOCATE_HALF;
	return policy >= DMR_RELOCATE_HALF && !READ_ONCE(s->breaker_open) &&
	       !READ_ONCE(s->failed) && dmr_space(s) == DMR_SPACE_OK;
}

/* Move marginal pieces of a region of main to a spare. */
static void relocate(struct dmr_set *s, const struct dmr_spot *at, u32 marginal)
{
	struct dmr_scan *sc = &s->scan;
	struct dmr_moved m = { };
	unsigned int i, n;
	sector_t from;
	bool chance;

	for (i = 0; i < DMR_REGION_PIECES && may_relocate(s, &chance); i++) {
		from = i * DMR_PIECE_SECTORS;
		if (!(marginal & 1U << i) || from >= at->sectors ||
		    (chance && get_random_u32() & 1))
			continue;
		n = min_t(u64, DMR_PIECE_SECTORS, at->sectors - from);
		if (dmr_relocate_marginal(s, dmr_sector_to_unit(s, at->sector + from),
					  dmr_sector_to_unit(s, n), &m))
			break;
		mutex_lock(&sc->lock);
		dmr_marks_clear(&sc->marks, at->key, 1U << i);
		sc->changed = dmr_change();
		sc->warned = count_warned(&sc->marks);
		mutex_unlock(&sc->lock);
	}
	if (!m.done)
		return;
	atomic64_add(m.done, &s->stats.scan_relocated);
	mutex_lock(&sc->lock);
	sc->st.relocated += m.done;
	mutex_unlock(&sc->lock);
	DMINFO("%s: %llu slow sectors from %llu on were moved to a spare",
	       dm_device_name(s->md), dmr_unit_to_sector(s, m.done), (u64)at->sector);
}

/**
 * dmr_scan_look_end() - all of a region was read: what follows from it?
 * @s: the set
 * @at: the region
 *
 * Context: the scan's worker, under memalloc_noio.
 */
void dmr_scan_look_end(struct dmr_set *s, const struct dmr_spot *at)
{
	struct dmr_scan *sc = &s->scan;
	unsigned int pieces = DIV_ROUND_UP(at->sectors, DMR_PIECE_SECTORS);
	struct dmr_look *look = &sc->look;
	struct dmr_mark *mark;
	u32 marginal;
	bool had;

	/* What is behind the end of the device is as good as seen. */
	if (pieces < DMR_REGION_PIECES)
		look->judged |= ~0U << pieces;
	look->blank = lost_its_data(s, at);
	look->pass = sc->st.pass;
	/* What was lost before is, as long as nobody has written it. */
	look->errors += sc->known;
	make_room(sc);
	mutex_lock(&sc->lock);
	had = dmr_marks_find(&sc->marks, at->key);
	mark = dmr_marks_look(&sc->marks, at->key, look);
	marginal = mark && !at->device ? mark->marginal : 0;
	if (mark || had) {
		sc->warned = count_warned(&sc->marks);
		sc->changed = dmr_change();
	}
	mutex_unlock(&sc->lock);
	if (look->blank)
		found(s, at, at->sector, at->sectors, DMR_FOUND_BLANK, 1);
	if (marginal)
		relocate(s, at, marginal & look->slow);
}
