/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The on-disk format of a dm-remap spare: encode, decode, validate.
 *
 * DOC: layout of a spare
 *
 * Everything is little-endian; a sector is 512 bytes; a metadata block is 4096
 * bytes; a unit is the logical block size of the dm-remap device (512 or 4096
 * bytes) and the granularity of remapping.
 *
 *   slot i at sector S_i in {0, 1024, 2048, 4096, 8192}, 1024 sectors long
 *     block 0        superblock, copy i
 *     blocks 1-127   leaves 0..126, replica i
 *   sectors 9216-9727    generation records: a ring of 32, two copies
 *   sectors 9728-9743    state blocks: two, written in turns
 *   sectors 9744-10239   reserved
 *   sectors 10240-       data area, with five overflow extents in it (one per
 *                        replica, spread over the spare) when max_remaps asks
 *                        for more leaves than fit in the slots
 *
 * Every spare of a set holds the whole table. A table entry keeps its place
 * (leaf and slot within it) for life, so one unit can never have two entries.
 *
 * This file is pure: the kernel module and the user-space tools compile the
 * very same code. No function sleeps, allocates or takes a lock.
 */
#ifndef DM_REMAP_FORMAT_H
#define DM_REMAP_FORMAT_H

#include "dm-remap-pure.h"

#define DMR_SECTOR_SIZE		512
#define DMR_BLOCK_SIZE		4096
#define DMR_BLOCK_SECTORS	8
#define DMR_REPLICAS		5
#define DMR_MAX_SPARES		8
#define DMR_SLOT_SECTORS	1024
#define DMR_INLINE_LEAVES	127
#define DMR_LEAF_ENTRIES	252
#define DMR_DATA_START		10240
#define DMR_FORMAT_VERSION	1
#define DMR_UUID_LEN		16
#define DMR_IDENTITY_LEN	256
/* The smallest spare that is accepted: metadata and 1 MiB of data. */
#define DMR_MIN_SPARE_SECTORS	(DMR_DATA_START + 2048)
/* 16.5 million entries: what a superblock can make its reader allocate ends. */
#define DMR_MAX_LEAVES		(1U << 16)
#define DMR_DEFAULT_MAX_REMAPS	(DMR_INLINE_LEAVES * DMR_LEAF_ENTRIES)
#define DMR_MAX_MAX_REMAPS	(DMR_MAX_LEAVES * DMR_LEAF_ENTRIES)
#define DMR_GEN_SECTOR		9216
#define DMR_GEN_RECORDS		32
#define DMR_GEN_COPIES		2
#define DMR_STATE_SECTOR	9728
#define DMR_STATE_BLOCKS	2
#define DMR_NR_SAMPLES		24
/* Whatever only rises stays below: nobody counts so far, and it never wraps. */
#define DMR_MAX_NUMBER		(1ULL << 62)

/* Feature bits that this code knows. An unknown incompat bit is a refusal. */
#define DMR_FEATURE_INCOMPAT_KNOWN	0ULL
#define DMR_FEATURE_RO_COMPAT_KNOWN	0ULL

/**
 * enum dmr_fmt_error - why a block or an entry was refused
 *
 * Every decode and check function returns one of these; dmr_fmt_strerror()
 * turns it into words. DMR_FMT_BLANK means all bytes zero: nothing was ever
 * written there. DMR_FMT_UNREADABLE is for callers, which do the I/O.
 */
enum dmr_fmt_error {
	DMR_FMT_OK = 0,
	DMR_FMT_BLANK,
	DMR_FMT_MAGIC,
	DMR_FMT_CRC,
	DMR_FMT_VERSION,
	DMR_FMT_FEATURE,
	DMR_FMT_COPY,
	DMR_FMT_SPARES,
	DMR_FMT_UNIT,
	DMR_FMT_MAIN,
	DMR_FMT_LEAVES,
	DMR_FMT_EXTENT,
	DMR_FMT_SPARE_SIZE,
	DMR_FMT_LEAF_NO,
	DMR_FMT_NR_USED,
	DMR_FMT_KIND,
	DMR_FMT_MAIN_RANGE,
	DMR_FMT_SPARE_IDX,
	DMR_FMT_SPARE_RANGE,
	DMR_FMT_RUN,
	DMR_FMT_UNREADABLE,
	DMR_FMT_GENERATION,
	DMR_FMT_STATE,
	DMR_FMT_NUMBER,
	DMR_FMT_NR_ERRORS,
};

/**
 * enum dmr_spare_state - what the set knows of one of its spares
 * @DMR_SPARE_NONE: no such spare
 * @DMR_SPARE_IN_SYNC: holds the whole current table
 * @DMR_SPARE_FAILED: metadata could not be written; its copy is stale
 * @DMR_SPARE_MISSING: was not there when the set was last written
 */
enum dmr_spare_state {
	DMR_SPARE_NONE = 0,
	DMR_SPARE_IN_SYNC,
	DMR_SPARE_FAILED,
	DMR_SPARE_MISSING,
	DMR_SPARE_NR_STATES,
};

/**
 * struct dmr_spare_desc - one row of the spare table in a superblock
 * @uuid: identity of the spare
 * @sectors: its usable length
 * @events: value of the set's events when it was last in sync
 * @state: enum dmr_spare_state
 */
struct dmr_spare_desc {
	u8 uuid[DMR_UUID_LEN];
	u64 sectors;
	u64 events;
	u32 state;
};

/**
 * struct dmr_sb - a decoded superblock
 * @feature_compat: features that any reader may ignore
 * @feature_ro_compat: features that a reader that only reads may ignore
 * @feature_incompat: features that nobody may ignore
 * @set_uuid: identity of main plus spares; seed of every leaf's CRC
 * @spare_uuid: identity of the spare that carries this superblock
 * @events: rises whenever membership changes; the highest is current
 * @created: time of formatting, seconds since 1970
 * @updated: time of this write, seconds since 1970
 * @generation: number of the newest generation record, 0 when there is none
 * @main_sectors: length of the protected device
 * @main_lbs: its logical block size in bytes when it was formatted
 * @max_remaps: entries asked for at format time
 * @nr_leaves: leaves per replica (inline and overflow)
 * @copy_idx: which of the five copies this is, 0-4
 * @spare_idx: row of this spare in @spare
 * @nr_spares: rows in use
 * @unit_shift: log2 of sectors per unit: 0 (512 B) or 3 (4096 B)
 * @overflow: first sector of each replica's overflow extent on this spare, 0
 *            when there is none
 * @spare: all spares of the set
 * @identity: what tools know of the main device (text, may be empty); opaque
 *            to the kernel
 */
struct dmr_sb {
	u64 feature_compat;
	u64 feature_ro_compat;
	u64 feature_incompat;
	u8 set_uuid[DMR_UUID_LEN];
	u8 spare_uuid[DMR_UUID_LEN];
	u64 events;
	u64 created;
	u64 updated;
	u64 generation;
	u64 main_sectors;
	u32 main_lbs;
	u32 max_remaps;
	u32 nr_leaves;
	u8 copy_idx;
	u8 spare_idx;
	u8 nr_spares;
	u8 unit_shift;
	u64 overflow[DMR_REPLICAS];
	struct dmr_spare_desc spare[DMR_MAX_SPARES];
	char identity[DMR_IDENTITY_LEN];
};

/**
 * enum dmr_kind - what a table entry says
 * @DMR_KIND_FREE: nothing: the slot may be used
 * @DMR_KIND_REMAP: the main unit's data is on the spare
 * @DMR_KIND_LOST: the main unit could not be read and has no spare unit; reads
 *                 still try main, a write heals it or remaps it
 * @DMR_KIND_BAD: the spare unit failed and must never be allocated again
 */
enum dmr_kind {
	DMR_KIND_FREE = 0,
	DMR_KIND_REMAP,
	DMR_KIND_LOST,
	DMR_KIND_BAD,
	DMR_KIND_NR,
};

/*
 * The data of a unit is unknown: reads fail until it is written. On an entry of
 * kind LOST: main is not asked, because what it holds may be older.
 */
#define DMR_ENTRY_UNKNOWN	0x1
/* Remapped on request, not because an I/O failed. */
#define DMR_ENTRY_MANUAL	0x2
#define DMR_ENTRY_FLAGS_KNOWN	0x3

/**
 * struct dmr_entry - one decoded table entry
 * @main_unit: unit on the main device (48 bits); 0 for DMR_KIND_BAD
 * @spare_unit: unit on the spare counted from its sector 0 (40 bits)
 * @spare_idx: which spare
 * @kind: enum dmr_kind
 * @flags: DMR_ENTRY_*
 */
struct dmr_entry {
	u64 main_unit;
	u64 spare_unit;
	u8 spare_idx;
	u8 kind;
	u8 flags;
};

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
 * struct dmr_state - what may be lost without harm: counters, samples of main
 * @seq: number of the write; it lies in block @seq modulo DMR_STATE_BLOCKS
 * @time: seconds since 1970
 * @flags: DMR_STATE_*
 * @counter: by enum dmr_counter
 * @sample: by the number of the sample
 */
struct dmr_state {
	u64 seq;
	u64 time;
	u32 flags;
	u64 counter[DMR_NR_COUNTERS];
	struct dmr_sample sample[DMR_NR_SAMPLES];
};

/**
 * dmr_fmt_strerror() - words for a refusal
 * @err: enum dmr_fmt_error
 *
 * Context: any. Return: a constant string, never NULL.
 */
const char *dmr_fmt_strerror(int err);

/**
 * dmr_slot_sector() - where replica @copy begins
 * @copy: 0-4
 *
 * Context: any. Return: first sector of the slot.
 */
u64 dmr_slot_sector(unsigned int copy);

/**
 * dmr_sb_layout() - compute leaves and overflow extents of one spare
 * @sb: @max_remaps, @unit_shift and @spare[@spare_idx].sectors are read;
 *      @nr_leaves and @overflow are set
 *
 * Context: any. Return: DMR_FMT_OK, or the reason why it does not fit.
 */
int dmr_sb_layout(struct dmr_sb *sb);

/**
 * dmr_sb_encode() - write a superblock into @block
 * @sb: what to write; @sb->copy_idx says which copy it is
 * @block: 4096 bytes, all of them overwritten
 *
 * Context: any.
 */
void dmr_sb_encode(const struct dmr_sb *sb, void *block);

/**
 * dmr_sb_decode() - read and validate a superblock
 * @block: 4096 bytes
 * @copy: the copy that is expected there, 0-4
 * @spare_sectors: length of the device it was read from
 * @sb: filled in on success; undefined otherwise
 *
 * Every field is bounded: a superblock that passes can be followed blindly.
 * Context: any. Return: DMR_FMT_OK or the reason for the refusal.
 */
int dmr_sb_decode(const void *block, unsigned int copy, u64 spare_sectors,
		  struct dmr_sb *sb);

/**
 * dmr_main_units() - units of the main device
 * @sb: a valid superblock
 *
 * Context: any. Return: number of units.
 */
u64 dmr_main_units(const struct dmr_sb *sb);

/**
 * dmr_leaf_sector() - where a leaf lies on the spare that @sb came from
 * @sb: a valid superblock
 * @leaf_no: 0 to @sb->nr_leaves - 1
 * @replica: 0-4
 *
 * Context: any. Return: first sector of the leaf's block.
 */
u64 dmr_leaf_sector(const struct dmr_sb *sb, u32 leaf_no, unsigned int replica);

/**
 * dmr_spare_unit_usable() - may this unit of the spare hold data?
 * @sb: a valid superblock of that very spare
 * @unit: unit counted from the spare's sector 0
 *
 * Context: any. Return: false for metadata, reserved areas and beyond the end.
 */
bool dmr_spare_unit_usable(const struct dmr_sb *sb, u64 unit);

/**
 * dmr_leaf_init() - an empty leaf
 * @block: 4096 bytes, all of them overwritten; not yet sealed
 * @leaf_no: its number
 *
 * Context: any.
 */
void dmr_leaf_init(void *block, u32 leaf_no);

/**
 * dmr_leaf_check() - validate a leaf's header and CRC, not its entries
 * @block: 4096 bytes
 * @set_uuid: the set that it must belong to
 * @leaf_no: the number it must have
 *
 * Context: any. Return: DMR_FMT_OK or the reason for the refusal.
 */
int dmr_leaf_check(const void *block, const u8 *set_uuid, u32 leaf_no);

/**
 * dmr_leaf_seal() - give a leaf its sequence number and CRC before a write
 * @block: the leaf
 * @set_uuid: the set it belongs to
 * @seq: its new sequence number
 * @events: the set's events
 *
 * Context: any.
 */
void dmr_leaf_seal(void *block, const u8 *set_uuid, u64 seq, u64 events);

/**
 * dmr_leaf_seq() - the sequence number of a leaf that passed dmr_leaf_check()
 * @block: the leaf
 *
 * Context: any. Return: the sequence number.
 */
u64 dmr_leaf_seq(const void *block);

/**
 * dmr_leaf_used() - entries in use in a leaf that passed dmr_leaf_check()
 * @block: the leaf
 *
 * Context: any. Return: 0 to DMR_LEAF_ENTRIES.
 */
u32 dmr_leaf_used(const void *block);

/**
 * dmr_leaf_get() - decode one entry
 * @block: the leaf
 * @slot: 0 to DMR_LEAF_ENTRIES - 1
 * @e: filled in on success
 *
 * Context: any. Return: DMR_FMT_OK (also for a free slot), DMR_FMT_KIND or
 * DMR_FMT_RUN.
 */
int dmr_leaf_get(const void *block, unsigned int slot, struct dmr_entry *e);

/**
 * dmr_leaf_set() - encode one entry and keep the count of used ones
 * @block: the leaf; must be sealed again afterwards
 * @slot: 0 to DMR_LEAF_ENTRIES - 1
 * @e: the entry; DMR_KIND_FREE empties the slot
 *
 * Context: any.
 */
void dmr_leaf_set(void *block, unsigned int slot, const struct dmr_entry *e);

/**
 * dmr_entry_check() - bound every field of an entry
 * @sb: a superblock of the set
 * @e: the entry
 *
 * The reserved areas of a spare other than the one @sb came from are not known
 * here: use dmr_spare_unit_usable() with that spare's superblock as well.
 * Context: any. Return: DMR_FMT_OK or the reason for the refusal.
 */
int dmr_entry_check(const struct dmr_sb *sb, const struct dmr_entry *e);

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

#endif /* DM_REMAP_FORMAT_H */
