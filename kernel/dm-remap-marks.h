/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What is known of single regions of a device. Pure integer code: nothing here
 * sleeps, allocates or locks.
 *
 * DOC: memory only for what has something to tell
 *
 * A region is 1 MiB, and consists of 32 pieces. Of most regions there is nothing to
 * say, so they cost nothing. A region in which the scan has found something gets a
 * mark, which stays until all is forgotten: before each look what was counted is
 * halved. Marks stand in an array by rising key.
 * When it is full, a new one takes the place of the lightest, or gets none.
 *
 * DOC: slow and marginal
 *
 * A piece is slow when the scan says so (it reads it several times, and another
 * place for comparison). It is marginal when it was slow at two looks that followed
 * each other: then it may be moved.
 */
#ifndef DM_REMAP_MARKS_H
#define DM_REMAP_MARKS_H

#include "dm-remap-pure.h"

#define DMR_REGION_SECTORS	2048
#define DMR_PIECE_SECTORS	64
#define DMR_REGION_PIECES	32
/* Marks of a set, at the most. */
#define DMR_MAX_MARKS		4096

/* In a key: the device, 0 for main, n + 1 for spare n; and the region of it. */
#define DMR_KEY_SHIFT		56
#define DMR_KEY_MASK		0xffffffffffffffULL

/* A read that takes longer is a warning, in microseconds. */
#define DMR_SLOW_US		50000
/* One that takes so many times what is usual is one too, if it takes that long. */
#define DMR_SLOW_TIMES		4
#define DMR_SLOW_LEAST_US	20000

/**
 * struct dmr_mark - what is known of a region
 * @key: device and region
 * @slow: pieces that were slow at the last look
 * @marginal: those of them that were slow at the look before, too
 * @usual: what a read of a piece takes here usually, in microseconds; 0: not known
 * @errors: blocks that could not be read
 * @retries: blocks that could be read again
 * @slows: looks that found slow pieces
 * @blanks: looks that found it blank although it had data before
 * @pass: number of the pass of the last look
 */
struct dmr_mark {
	u64 key;
	u32 slow;
	u32 marginal;
	u32 usual;
	u16 errors;
	u16 retries;
	u16 slows;
	u16 blanks;
	u32 pass;
};

/**
 * struct dmr_marks - the marks of a set
 * @mark: by rising key
 * @n: their number
 * @room: for so many
 * @dropped: marks for which there was no room
 */
struct dmr_marks {
	struct dmr_mark *mark;
	u32 n;
	u32 room;
	u64 dropped;
};

/**
 * struct dmr_look - what a look at a region has found
 * @errors: blocks that can't be read
 * @retries: blocks that could be read again
 * @judged: pieces of which it is known whether they are slow; nothing can be said of
 *          a disk that others use
 * @slow: those of them that are
 * @usual: what a read that was not slow took, in microseconds; 0: not known
 * @blank: it holds nothing but zeros or ones, and held data before
 * @pass: number of the pass
 */
struct dmr_look {
	u32 errors;
	u32 retries;
	u32 judged;
	u32 slow;
	u32 usual;
	bool blank;
	u32 pass;
};

/**
 * dmr_marks_init() - no marks
 * @m: filled in
 * @mem: memory for @room marks; may be NULL when that is 0
 * @room: their number
 *
 * Context: any.
 */
void dmr_marks_init(struct dmr_marks *m, struct dmr_mark *mem, u32 room);

/**
 * dmr_marks_move() - go on in other memory
 * @m: the marks
 * @mem: memory for @room marks
 * @room: at least @m->n
 *
 * Context: any; caller holds the lock of @m. Return: the memory before.
 */
struct dmr_mark *dmr_marks_move(struct dmr_marks *m, struct dmr_mark *mem, u32 room);

/**
 * dmr_marks_from() - the first mark at or behind a key
 * @m: the marks
 * @key: the key
 *
 * Context: any; caller holds the lock of @m. Return: its place, @m->n when there is
 * none.
 */
u32 dmr_marks_from(const struct dmr_marks *m, u64 key);

/**
 * dmr_marks_find() - the mark of a region
 * @m: the marks
 * @key: device and region
 *
 * Context: any; caller holds the lock of @m. Return: NULL when it has none.
 */
struct dmr_mark *dmr_marks_find(const struct dmr_marks *m, u64 key);

/**
 * dmr_marks_look() - note what a look at a region has found
 * @m: the marks
 * @key: device and region
 * @look: what was found
 *
 * A region gets a mark when there is something to tell, and loses it when there is
 * nothing any more.
 * Context: any; caller holds the lock of @m. Return: its mark, until the next change;
 * NULL when it has none.
 */
struct dmr_mark *dmr_marks_look(struct dmr_marks *m, u64 key,
				const struct dmr_look *look);

/**
 * dmr_marks_clear() - pieces of a region have been moved: they are somebody else's
 * @m: the marks
 * @key: device and region
 * @pieces: which, as a mask
 *
 * Context: any; caller holds the lock of @m.
 */
void dmr_marks_clear(struct dmr_marks *m, u64 key, u32 pieces);

/**
 * dmr_mark_weight() - how much there is to tell
 * @mark: a mark
 *
 * Context: any. Return: 0 when there is nothing.
 */
u64 dmr_mark_weight(const struct dmr_mark *mark);

/**
 * dmr_read_is_slow() - does this call for a second look?
 * @us: what a read took, in microseconds
 * @usual: what one takes there usually, 0: not known
 * @near: what others take, 0: not known
 *
 * Context: any. Return: true over DMR_SLOW_US, and over DMR_SLOW_TIMES of the greater
 * of the two others, if that isn't less than DMR_SLOW_LEAST_US.
 */
bool dmr_read_is_slow(u32 us, u32 usual, u32 near);

/**
 * dmr_usual() - what is usual, after one more read
 * @usual: before, 0: not known
 * @us: what the read took, in microseconds
 *
 * A moving average: an eighth of what is new counts, and not more than four times
 * what was usual, so that a single slow one changes little.
 * Context: any. Return: microseconds, at least 1.
 */
u32 dmr_usual(u32 usual, u32 us);

/**
 * dmr_pieces_count() - pieces of a mask
 * @pieces: the mask
 *
 * Context: any. Return: 0 to 32.
 */
unsigned int dmr_pieces_count(u32 pieces);

#endif /* DM_REMAP_MARKS_H */
