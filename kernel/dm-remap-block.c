// SPDX-License-Identifier: GPL-2.0-only
/*
 * What metadata blocks have in common. Pure code: see dm-remap-block.h.
 */
#include "dm-remap-block.h"

/* A row of the spare table: offsets within its 64 bytes. */
enum {
	ROW_UUID = 0,
	ROW_SECTORS = 16,
	ROW_EVENTS = 24,
	ROW_STATE = 32,
	ROW_TIER = 36,
	ROW_FLAGS = 37,
	ROW_SIZE = 64,
};

u32 dmr_block_crc(const u8 *p, const u8 *set_uuid)
{
	u32 crc = dmr_crc32c(~0U, set_uuid, DMR_UUID_LEN);

	return dmr_crc32c(crc, p + BLOCK_BODY, DMR_BLOCK_SIZE - BLOCK_BODY);
}

int dmr_block_check(const u8 *p, const u8 *magic, const u8 *set_uuid)
{
	if (memcmp(p + BLOCK_MAGIC, magic, BLOCK_CRC - BLOCK_MAGIC))
		return all_zero(p, DMR_BLOCK_SIZE) ? DMR_FMT_BLANK : DMR_FMT_MAGIC;
	if (get32(p + BLOCK_CRC) != dmr_block_crc(p, set_uuid))
		return DMR_FMT_CRC;
	return DMR_FMT_OK;
}

void dmr_rows_encode(u8 *p, const struct dmr_spare_desc *spare)
{
	unsigned int i;

	for (i = 0; i < DMR_MAX_SPARES; i++, p += ROW_SIZE) {
		memcpy(p + ROW_UUID, spare[i].uuid, DMR_UUID_LEN);
		put64(p + ROW_SECTORS, spare[i].sectors);
		put64(p + ROW_EVENTS, spare[i].events);
		put32(p + ROW_STATE, spare[i].state);
		p[ROW_TIER] = spare[i].tier;
		p[ROW_FLAGS] = spare[i].flags;
	}
}

void dmr_rows_decode(const u8 *p, struct dmr_spare_desc *spare)
{
	unsigned int i;

	for (i = 0; i < DMR_MAX_SPARES; i++, p += ROW_SIZE) {
		memcpy(spare[i].uuid, p + ROW_UUID, DMR_UUID_LEN);
		spare[i].sectors = get64(p + ROW_SECTORS);
		spare[i].events = get64(p + ROW_EVENTS);
		spare[i].state = get32(p + ROW_STATE);
		spare[i].tier = p[ROW_TIER];
		spare[i].flags = p[ROW_FLAGS];
	}
}

int dmr_rows_check(const struct dmr_spare_desc *spare, unsigned int n)
{
	unsigned int i, j;
	bool used, none;

	if (n < 1 || n > DMR_MAX_SPARES)
		return DMR_FMT_SPARES;
	for (i = 0; i < DMR_MAX_SPARES; i++) {
		if (spare[i].state >= DMR_SPARE_NR_STATES)
			return DMR_FMT_SPARES;
		used = i < n;
		none = spare[i].state == DMR_SPARE_NONE;
		if (used == none)
			return DMR_FMT_SPARES;
		if (spare[i].tier > DMR_MAX_TIER ||
		    spare[i].flags & ~DMR_ROW_FLAGS_KNOWN)
			return DMR_FMT_SPARES;
		if (used && spare[i].sectors < DMR_MIN_SPARE_SECTORS)
			return DMR_FMT_SPARES;
		/* so that every unit of it fits in an entry's 40 bits */
		if (spare[i].sectors > DMR_SPARE_MASK)
			return DMR_FMT_SPARES;
		for (j = 0; j < i && used; j++)
			if (!memcmp(spare[i].uuid, spare[j].uuid, DMR_UUID_LEN))
				return DMR_FMT_SPARES;
	}
	return DMR_FMT_OK;
}
