/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the fuzzer gives, read piece by piece, and how a property is checked.
 *
 * DOC: an input
 *
 *   byte 0      which target: 0 superblock, 1 leaf, 2 generation, 3 state,
 *               4 region, 5 bitmap, 6 health, 7 order of a scan, 8 marks
 *               (modulo 9); 128 is added to have magic and checksum put right,
 *               without which nobody gets past them by chance
 *   byte 1-31   parameters of the target, see each
 *   byte 32-    the block, filled up with zeros to 4096 bytes; or operations
 */
#ifndef FUZZ_INPUT_H
#define FUZZ_INPUT_H

#include <stdio.h>
#include <stdlib.h>

#include "dm-remap-format.h"
#include "dm-remap-records.h"

#define INPUT_HEADER	32
#define INPUT_FIX	128

struct input {
	const u8 *p;
	size_t left;
};

/* A property that doesn't hold ends the program, and libFuzzer keeps the input. */
#define MUST(condition) do {						\
	if (!(condition)) {						\
		fprintf(stderr, "%s:%d: %s: not true: %s\n", __FILE__,	\
			__LINE__, __func__, #condition);		\
		abort();						\
	}								\
} while (0)

/* The next bytes as a little-endian number; what is missing counts as 0. */
static inline u64 take(struct input *in, unsigned int bytes)
{
	u64 value = 0;
	unsigned int i;

	for (i = 0; i < bytes && in->left; i++, in->p++, in->left--)
		value |= (u64)*in->p << (8 * i);
	return value;
}

/* All that is left, as a metadata block. */
static inline void take_block(struct input *in, u8 *block)
{
	size_t n = in->left < DMR_BLOCK_SIZE ? in->left : DMR_BLOCK_SIZE;

	memset(block, 0, DMR_BLOCK_SIZE);
	memcpy(block, in->p, n);
	in->p += n;
	in->left -= n;
}

/* Targets: @in holds the parameters, @body what follows them. */
void fuzz_superblock(struct input in, struct input body, bool fix);
void fuzz_leaf(struct input in, struct input body, bool fix);
void fuzz_generation(struct input in, struct input body, bool fix);
void fuzz_state(struct input in, struct input body, bool fix);
void fuzz_region(struct input in, struct input body);
void fuzz_alloc(struct input in, struct input body);
void fuzz_health(struct input in);
void fuzz_order(struct input in, struct input body);
void fuzz_marks(struct input in, struct input body);

#endif /* FUZZ_INPUT_H */
