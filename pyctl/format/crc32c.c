// SPDX-License-Identifier: GPL-2.0-only
/*
 * dmr_crc32c() for user space; the kernel has its own. Eight tables, so that
 * the metadata of a million remaps is checked in a fraction of a second.
 */
#include "dm-remap-pure.h"

/* The polynomial 0x1EDC6F41, reflected. */
#define POLYNOMIAL	0x82f63b78U

static u32 table[8][256];

/* Runs when the extension is loaded, before anybody can call it. */
__attribute__((constructor)) static void make_tables(void)
{
	unsigned int i, k;

	for (i = 0; i < 256; i++) {
		u32 crc = i;

		for (k = 0; k < 8; k++)
			crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
		table[0][i] = crc;
	}
	for (i = 0; i < 256; i++)
		for (k = 1; k < 8; k++)
			table[k][i] = table[k - 1][i] >> 8 ^
				      table[0][table[k - 1][i] & 0xff];
}

u32 dmr_crc32c(u32 crc, const void *data, size_t len)
{
	const u8 *p = data;

	for (; len >= 8; len -= 8, p += 8) {
		crc ^= p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
		crc = table[7][crc & 0xff] ^ table[6][crc >> 8 & 0xff] ^
		      table[5][crc >> 16 & 0xff] ^ table[4][crc >> 24] ^
		      table[3][p[4]] ^ table[2][p[5]] ^
		      table[1][p[6]] ^ table[0][p[7]];
	}
	while (len--)
		crc = crc >> 8 ^ table[0][(crc ^ *p++) & 0xff];
	return crc;
}
