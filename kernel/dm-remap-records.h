/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What lies beside the remap table on a dm-remap spare: generation records and
 * state blocks. Where they lie: see dm-remap-format.h.
 *
 * This file is pure: the kernel module and the user-space tools compile the
 * very same code. No function sleeps, allocates or takes a lock.
 */
#ifndef DM_REMAP_RECORDS_H
#define DM_REMAP_RECORDS_H

#include "dm-remap-format.h"

#define DMR_GEN_SECTOR		9216
#define DMR_GEN_RECORDS		32
#define DMR_GEN_COPIES		2
#define DMR_STATE_SECTOR	9728
#define DMR_STATE_BLOCKS	2
#define DMR_NR_SAMPLES		24
#define DMR_NR_USAGE		64
#define DMR_NR_NOTED		32
/* Seconds that two notes of usage are apart, at the least. */
#define DMR_USAGE_SECONDS	3600

/**
 * enum dmr_reason - why there is a new generation
 * @DMR_REASON_NONE: there is none
 * @DMR_REASON_CREATED: the spares were formatted
 * @DMR_REASON_SPARE_FAILED: a spare took no metadata and was taken out of use
 * @DMR_REASON_SPARE_MISSING: the set was started without a spare
 * @DMR_REASON_RESTORED: metadata came back from a backup file
 * @DMR_REASON_ROLLED_BACK: the members of an older generation were put back
 * @DMR_REASON_IDENTITY: another identity of the main device was accepted
 * @DMR_REASON_SPARE_ADDED: a spare joined the set
 * @DMR_REASON_SPARE_REMOVED: a spare left the set
 * @DMR_REASON_SPARE_RESYNCED: a spare that was stale is up to date again
 * @DMR_REASON_MAIN_REPLACED: another device is main, to which all was copied
 */
enum dmr_reason {
	DMR_REASON_NONE = 0,
	DMR_REASON_CREATED,
	DMR_REASON_SPARE_FAILED,
	DMR_REASON_SPARE_MISSING,
	DMR_REASON_RESTORED,
	DMR_REASON_ROLLED_BACK,
	DMR_REASON_IDENTITY,
	DMR_REASON_SPARE_ADDED,
	DMR_REASON_SPARE_REMOVED,
	DMR_REASON_SPARE_RESYNCED,
	DMR_REASON_MAIN_REPLACED,
	DMR_REASON_NR,
};

/**
 * struct dmr_gen - a generation: the members of a set as a change left them
 * @number: its number, from 1; it lies in place @number modulo DMR_GEN_RECORDS
 * @events: the set's events when it was written
 * @time: seconds since 1970
 * @remaps: entries of kind REMAP at that time
 * @lost: of kind LOST
 * @bad: of kind BAD
 * @main_sectors: as in the superblock
 * @reason: enum dmr_reason
 * @spare_idx: the spare that the reason is about, 0 when it is about none
 * @nr_spares: rows in use
 * @spare: all spares of the set
 * @identity: as in the superblock
 */
struct dmr_gen {
	u64 number;
	u64 events;
	u64 time;
	u64 remaps;
	u64 lost;
	u64 bad;
	u64 main_sectors;
	u32 reason;
	u8 spare_idx;
	u8 nr_spares;
	struct dmr_spare_desc spare[DMR_MAX_SPARES];
	char identity[DMR_IDENTITY_LEN];
};

/**
 * enum dmr_counter - counters that survive a restart, by their place on disk
 *
 * A new one goes to the end; dmr_counter_name() has the names. A reader takes
 * those that it knows and finds 0 in those that the writer didn't know.
 */
enum dmr_counter {
	DMR_CNT_FAST_READS = 0,
	DMR_CNT_FAST_WRITES,
	DMR_CNT_WRITE_ERRORS,
	DMR_CNT_READ_ERRORS,
	DMR_CNT_RETRIES,
	DMR_CNT_TRANSIENT,
	DMR_CNT_RESCUED,
	DMR_CNT_AUTO_REMAPS,
	DMR_CNT_MANUAL_REMAPS,
	DMR_CNT_UNREMAPS,
	DMR_CNT_SPARE_ERRORS,
	DMR_CNT_SLOW_WRITES,
	DMR_CNT_SLOW_READS,
	DMR_CNT_COMMITS,
	DMR_CNT_COMMITTED,
	DMR_CNT_COMMIT_WRITES,
	DMR_CNT_META_ERRORS,
	DMR_CNT_REFUSED,
	DMR_CNT_DRAINS,
	DMR_CNT_SCAN_PASSES,
	DMR_CNT_SCAN_READS,
	DMR_CNT_SCAN_SECTORS,
	DMR_CNT_SCAN_ERRORS,
	DMR_CNT_SCAN_RESCUED,
	DMR_CNT_SCAN_SLOW,
	DMR_CNT_SCAN_BLANKS,
	DMR_CNT_SCAN_RELOCATED,
	DMR_NR_COUNTERS,
};

/* The set was stopped in order: main is as the samples say. */
#define DMR_STATE_CLEAN		0x1
#define DMR_STATE_FLAGS_KNOWN	0x1

/**
 * struct dmr_sample - what a unit of main contained
 * @unit: which one
 * @crc: dmr_crc32c() of its bytes, from ~0
 * @valid: it was not remapped and could be read
 */
struct dmr_sample {
	u64 unit;
	u32 crc;
	bool valid;
};

/**
 * struct dmr_usage - how much of the spares was in use at some time
 * @time: seconds since 1970
 * @used: entries of the table
 */
struct dmr_usage {
	u64 time;
	u64 used;
};

/* A pass of the scan is under way; it waits for an order to go on. */
#define DMR_SCAN_RUNNING	0x1
#define DMR_SCAN_PAUSED		0x2
#define DMR_SCAN_FLAGS_KNOWN	0x3

/**
 * struct dmr_noted - a region of which the scan has something to tell
 * @key: device and region, see dm-remap-marks.h
 * @slow: pieces of it that were slow
 * @errors: blocks of it that could not be read
 * @retries: blocks of it that could be read again
 */
struct dmr_noted {
	u64 key;
	u32 slow;
	u16 errors;
	u16 retries;
};

/**
 * struct dmr_scanned - where the health scan is, and what it has found
 * @flags: DMR_SCAN_*
 * @pattern: enum dmr_pattern
 * @device: 0 main, n + 1 for spare n
 * @pass: number of the pass
 * @place: from dmr_order_place(), on that device
 * @seed: of the pass
 * @began: when the pass began, seconds since 1970
 * @since: from when on the time without a pass is counted, likewise; 0: not known
 * @ended: when the last whole pass ended, likewise; 0: never
 * @errors: blocks that this pass could not read; when none is under way, the last
 * @rescued: blocks that it could read again
 * @slow: pieces that were slow
 * @blanks: regions that were blank, and had held data
 * @relocated: blocks that were moved because they were slow
 * @found: bad blocks that the last whole pass found
 * @found_before: those that the one before it found
 * @nr_noted: regions in @noted
 * @noted: by rising key
 */
struct dmr_scanned {
	u32 flags;
	u32 pattern;
	u32 device;
	u32 pass;
	u64 place;
	u64 seed;
	u64 began;
	u64 since;
	u64 ended;
	u64 errors;
	u64 rescued;
	u64 slow;
	u64 blanks;
	u64 relocated;
	u64 found;
	u64 found_before;
	u32 nr_noted;
	struct dmr_noted noted[DMR_NR_NOTED];
};

/**
 * struct dmr_state - what may be lost without harm: counters, samples of main
 * @seq: number of the write; it lies in block @seq modulo DMR_STATE_BLOCKS
 * @time: seconds since 1970
 * @flags: DMR_STATE_*
 * @counter: by enum dmr_counter
 * @sample: by the number of the sample
 * @nr_usage: notes in @usage
 * @usage: the history of usage, by rising time
 * @scan: of the health scan
 */
struct dmr_state {
	u64 seq;
	u64 time;
	u32 flags;
	u64 counter[DMR_NR_COUNTERS];
	struct dmr_sample sample[DMR_NR_SAMPLES];
	u32 nr_usage;
	struct dmr_usage usage[DMR_NR_USAGE];
	struct dmr_scanned scan;
};

/**
 * dmr_reason_name() - a word for the reason of a generation
 * @reason: enum dmr_reason
 *
 * Context: any. Return: a constant string, never NULL.
 */
const char *dmr_reason_name(unsigned int reason);

/**
 * dmr_gen_sector() - where a generation record lies on every spare
 * @number: its number
 * @copy: 0 to DMR_GEN_COPIES - 1
 *
 * Context: any. Return: first sector of its block.
 */
u64 dmr_gen_sector(u64 number, unsigned int copy);

/**
 * dmr_gen_encode() - write a generation record into @block
 * @gen: what to write
 * @set_uuid: the set it belongs to
 * @block: 4096 bytes, all of them overwritten
 *
 * Context: any.
 */
void dmr_gen_encode(const struct dmr_gen *gen, const u8 *set_uuid, void *block);

/**
 * dmr_gen_decode() - read and validate a generation record
 * @block: 4096 bytes
 * @set_uuid: the set that it must belong to
 * @place: where it was found in the ring, 0 to DMR_GEN_RECORDS - 1
 * @gen: filled in on success; undefined otherwise
 *
 * Context: any. Return: DMR_FMT_OK or the reason for the refusal.
 */
int dmr_gen_decode(const void *block, const u8 *set_uuid, unsigned int place,
		   struct dmr_gen *gen);

/**
 * dmr_counter_name() - the name of a counter
 * @counter: enum dmr_counter
 *
 * Context: any. Return: a constant string, never NULL.
 */
const char *dmr_counter_name(unsigned int counter);

/**
 * dmr_state_sector() - where a state block lies on every spare
 * @seq: number of the write
 *
 * Context: any. Return: first sector of its block.
 */
u64 dmr_state_sector(u64 seq);

/**
 * dmr_state_encode() - write a state into @block
 * @state: what to write
 * @set_uuid: the set it belongs to
 * @block: 4096 bytes, all of them overwritten
 *
 * Context: any.
 */
void dmr_state_encode(const struct dmr_state *state, const u8 *set_uuid,
		      void *block);

/**
 * dmr_state_decode() - read and validate a state
 * @block: 4096 bytes
 * @set_uuid: the set that it must belong to
 * @place: which of the blocks it is, 0 to DMR_STATE_BLOCKS - 1
 * @state: filled in on success; undefined otherwise
 *
 * Context: any. Return: DMR_FMT_OK or the reason for the refusal.
 */
int dmr_state_decode(const void *block, const u8 *set_uuid, unsigned int place,
		     struct dmr_state *state);

/**
 * dmr_usage_add() - note how much is in use
 * @state: the state
 * @time: now, seconds since 1970
 * @used: entries of the table
 *
 * Changes within an hour share a note. When there is no room, every other note of
 * the older half goes: the further back, the coarser the history.
 * Context: any.
 */
void dmr_usage_add(struct dmr_state *state, u64 time, u64 used);

/**
 * dmr_sample_unit() - which unit of main a sample is taken from
 * @sb: a superblock of the set
 * @i: 0 to DMR_NR_SAMPLES - 1
 *
 * The first eight are where partition tables and file systems have their
 * descriptions, the others are spread over the device. On a small device some
 * coincide.
 * Context: any. Return: a unit of main.
 */
u64 dmr_sample_unit(const struct dmr_sb *sb, unsigned int i);

#endif /* DM_REMAP_RECORDS_H */
