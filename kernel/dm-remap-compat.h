/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What differs between the supported kernels, in one place. DMR_HAVE_* come
 * from kernel/Kbuild, which greps the headers it builds against.
 */
#ifndef DM_REMAP_COMPAT_H
#define DM_REMAP_COMPAT_H

#include <linux/bio.h>
#include <linux/blkdev.h>
#include <linux/crc32.h>
#include <linux/device-mapper.h>

#ifndef BLK_OPEN_WRITE
/* 6.1: modes are fmode_t */
#define BLK_OPEN_READ	FMODE_READ
#define BLK_OPEN_WRITE	FMODE_WRITE
#endif

#ifndef REQ_ATOMIC
/* 6.1: no atomic writes */
#define REQ_ATOMIC	((__force blk_opf_t)0)
#endif

/*
 * CRC-32C from the part of the kernel that is always built in: crc32c() of 6.1
 * and 6.12 is a module of its own, which insmod would not load for us.
 */
static inline u32 dmr_kernel_crc32c(u32 crc, const void *data, size_t len)
{
#ifdef DMR_HAVE_CRC32C_LE
	return __crc32c_le(crc, data, len);
#else
	return crc32c(crc, data, len);
#endif
}

#endif /* DM_REMAP_COMPAT_H */
