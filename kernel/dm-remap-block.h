/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What the pure files that encode metadata blocks share: little-endian access,
 * the checksum, the spare table. Nobody else includes it.
 */
#ifndef DM_REMAP_BLOCK_H
#define DM_REMAP_BLOCK_H

#include "dm-remap-format.h"

/* What an entry, and a sample, has room for. */
#define DMR_MAIN_MASK	((1ULL << 48) - 1)
#define DMR_SPARE_MASK	((1ULL << 40) - 1)

static inline u32 get32(const u8 *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
}

static inline u64 get64(const u8 *p)
{
	return get32(p) | (u64)get32(p + 4) << 32;
}

static inline void put32(u8 *p, u32 v)
{
	p[0] = v;
	p[1] = v >> 8;
	p[2] = v >> 16;
	p[3] = v >> 24;
}

static inline void put64(u8 *p, u64 v)
{
	put32(p, v);
	put32(p + 4, v >> 32);
}

static inline bool all_zero(const u8 *p, size_t len)
{
	while (len--)
		if (*p++)
			return false;
	return true;
}

/* How a leaf, a generation record and a state block begin. */
enum {
	BLOCK_MAGIC = 0,
	BLOCK_CRC = 4,
	BLOCK_BODY = 8,
};

/**
 * dmr_block_crc() - the checksum of a leaf, a generation record or a state block
 * @p: the block; all behind magic and checksum counts
 * @set_uuid: the set it belongs to
 *
 * Context: any. Return: the checksum.
 */
u32 dmr_block_crc(const u8 *p, const u8 *set_uuid);

/**
 * dmr_block_check() - validate magic and checksum of such a block
 * @p: the block
 * @magic: the four bytes that it must begin with
 * @set_uuid: the set that it must belong to
 *
 * Context: any. Return: DMR_FMT_OK, _BLANK, _MAGIC or _CRC.
 */
int dmr_block_check(const u8 *p, const u8 *magic, const u8 *set_uuid);

/**
 * dmr_rows_encode() - write a spare table
 * @p: where to, 512 bytes that are zero
 * @spare: DMR_MAX_SPARES rows
 *
 * Context: any.
 */
void dmr_rows_encode(u8 *p, const struct dmr_spare_desc *spare);

/**
 * dmr_rows_decode() - read a spare table; dmr_rows_check() validates it
 * @p: where from
 * @spare: DMR_MAX_SPARES rows
 *
 * Context: any.
 */
void dmr_rows_decode(const u8 *p, struct dmr_spare_desc *spare);

/**
 * dmr_rows_check() - bound every field of a spare table
 * @spare: DMR_MAX_SPARES rows
 * @n: how many of them are said to be in use
 *
 * Context: any. Return: DMR_FMT_OK or DMR_FMT_SPARES.
 */
int dmr_rows_check(const struct dmr_spare_desc *spare, unsigned int n);

#endif /* DM_REMAP_BLOCK_H */
