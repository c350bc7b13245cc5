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
/* Whatever only rises stays below: nobody counts so far, and it never wraps. */
#define DMR_MAX_NUMBER		(1ULL << 62)
#define DMR_MAX_TIER		15

/* Incompat: there are, or may be, entries of kind MIRROR. */
#define DMR_FEATURE_MIRRORS		0x1ULL

/* Feature bits that this code knows. An unknown incompat bit is a refusal. */
#define DMR_FEATURE_INCOMPAT_KNOWN	DMR_FEATURE_MIRRORS
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
	DMR_FMT_POLICY,
	DMR_FMT_MOVE,
	DMR_FMT_REDUNDANCY,
	DMR_FMT_NR_ERRORS,
};

/**
 * enum dmr_spare_state - what the set knows of one of its spares
 * @DMR_SPARE_NONE: no such spare
 * @DMR_SPARE_IN_SYNC: holds the whole current table
 * @DMR_SPARE_FAILED: metadata could not be written; its copy is stale
 * @DMR_SPARE_MISSING: was not there when the set was last written, or has not
 *                     been brought up to date yet
 * @DMR_SPARE_LEFT: was taken out of the set; nothing is on it, its row is free
 */
enum dmr_spare_state {
	DMR_SPARE_NONE = 0,
	DMR_SPARE_IN_SYNC,
	DMR_SPARE_FAILED,
	DMR_SPARE_MISSING,
	DMR_SPARE_LEFT,
	DMR_SPARE_NR_STATES,
};

/* No new data goes to this spare: it is being emptied. */
#define DMR_ROW_DRAINING	0x1
#define DMR_ROW_FLAGS_KNOWN	0x1

/**
 * enum dmr_policy - which spare the next remap goes to
 * @DMR_POLICY_LEAST_USED: the one with the most free units
 * @DMR_POLICY_FIRST_FIT: the first that has a free unit
 * @DMR_POLICY_ROUND_ROBIN: all in turns
 * @DMR_POLICY_HEALTHIEST: the one with the best health
 * @DMR_POLICY_TIERED: the lowest tier that has a free unit, there the least used
 */
enum dmr_policy {
	DMR_POLICY_LEAST_USED = 0,
	DMR_POLICY_FIRST_FIT,
	DMR_POLICY_ROUND_ROBIN,
	DMR_POLICY_HEALTHIEST,
	DMR_POLICY_TIERED,
	DMR_NR_POLICIES,
};

/**
 * enum dmr_move - is main being copied to its replacement?
 * @DMR_MOVE_NONE: no; what the replacement holds may be old
 * @DMR_MOVE_RUNNING: yes, and what is there may differ after a crash
 * @DMR_MOVE_STOPPED: yes, and the set was stopped in order: as far as the copy
 *                    had come, both have the same
 */
enum dmr_move {
	DMR_MOVE_NONE = 0,
	DMR_MOVE_RUNNING,
	DMR_MOVE_STOPPED,
	DMR_NR_MOVES,
};

/**
 * struct dmr_spare_desc - one row of the spare table in a superblock
 * @uuid: identity of the spare
 * @sectors: its usable length
 * @events: value of the set's events when it was last in sync
 * @state: enum dmr_spare_state
 * @tier: 0 to DMR_MAX_TIER, the lowest is filled first
 * @flags: DMR_ROW_*
 */
struct dmr_spare_desc {
	u8 uuid[DMR_UUID_LEN];
	u64 sectors;
	u64 events;
	u32 state;
	u8 tier;
	u8 flags;
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
 * @policy: enum dmr_policy
 * @redundancy: spares that every remap is to be on: 0 and 1 mean one, 2 two
 * @move_state: enum dmr_move
 * @move_id: who the replacement of main is, as whoever loaded the table says
 * @move_units: so many units, from the first on, were copied once
 * @move_sectors: length of the replacement
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
	u8 policy;
	u8 redundancy;
	u8 move_state;
	u32 move_id;
	u64 move_units;
	u64 move_sectors;
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
 * @DMR_KIND_MIRROR: the spare unit has a second copy of a remapped unit's data
 */
enum dmr_kind {
	DMR_KIND_FREE = 0,
	DMR_KIND_REMAP,
	DMR_KIND_LOST,
	DMR_KIND_BAD,
	DMR_KIND_MIRROR,
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

#endif /* DM_REMAP_FORMAT_H */
