/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Ground under the pure parts of dm-remap: fixed-width types and little
 * helpers, the same in the kernel and in the user-space build that pyctl makes
 * through cffi. A pure file includes this header and nothing of the kernel.
 */
#ifndef DM_REMAP_PURE_H
#define DM_REMAP_PURE_H

#ifdef __KERNEL__
#include <linux/errno.h>
#include <linux/string.h>
#include <linux/types.h>
#else
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
typedef uint8_t u8;
typedef uint16_t u16;
typedef uint32_t u32;
typedef uint64_t u64;
#endif

/**
 * dmr_crc32c() - CRC-32C (Castagnoli), reflected, without final inversion.
 * @crc: value to go on from; ~0 at the start of a message
 * @data: bytes to add
 * @len: their number
 *
 * Supplied by the environment: the kernel's library there, a table in the
 * user-space build. Context: any. Return: the new value.
 */
u32 dmr_crc32c(u32 crc, const void *data, size_t len);

#endif /* DM_REMAP_PURE_H */
