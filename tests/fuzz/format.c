// SPDX-License-Identifier: GPL-2.0-only
/*
 * The decoders of dm-remap-format.c: what they accept is in bounds, and is
 * the same after it was encoded and decoded again.
 */
#include "dm-remap-region.h"
#include "dm-remap-order.h"
#include "input.h"

#define SLOT_END(copy)	(dmr_slot_sector(copy) + DMR_SLOT_SECTORS)

static const u8 set_uuid[DMR_UUID_LEN] = "dm-remap fuzzer";

static void put_crc(u8 *p, u32 crc)
{
	unsigned int i;

	for (i = 0; i < 4; i++)
		p[i] = crc >> (8 * i);
}

/* A superblock has its checksum behind 8 bytes of magic, all others behind 4. */
static void fix_superblock(u8 *block)
{
	memcpy(block, "DMREMAP4", 8);
	put_crc(block + 8, dmr_crc32c(~0U, block + 12, DMR_BLOCK_SIZE - 12));
}

static void fix_block(u8 *block, const char *magic)
{
	u32 crc = dmr_crc32c(~0U, set_uuid, DMR_UUID_LEN);

	memcpy(block, magic, 4);
	put_crc(block + 4, dmr_crc32c(crc, block + 8, DMR_BLOCK_SIZE - 8));
}

static bool overlap(u64 a, u64 a_len, u64 b, u64 b_len)
{
	return a < b + b_len && b < a + a_len;
}

static u64 extent_sectors(const struct dmr_sb *sb)
{
	return sb->nr_leaves <= DMR_INLINE_LEAVES ? 0 :
		(u64)(sb->nr_leaves - DMR_INLINE_LEAVES) * DMR_BLOCK_SECTORS;
}

static void check_rows(const struct dmr_spare_desc *spare, unsigned int n)
{
	unsigned int i, j;

	MUST(n >= 1 && n <= DMR_MAX_SPARES);
	for (i = 0; i < DMR_MAX_SPARES; i++) {
		MUST((spare[i].state == DMR_SPARE_NONE) == (i >= n));
		MUST(spare[i].state < DMR_SPARE_NR_STATES);
		MUST(spare[i].tier <= DMR_MAX_TIER);
		MUST(!(spare[i].flags & ~DMR_ROW_FLAGS_KNOWN));
		if (i >= n)
			continue;
		MUST(spare[i].sectors >= DMR_MIN_SPARE_SECTORS);
		MUST(spare[i].sectors < 1ULL << 40);
		for (j = 0; j < i; j++)
			MUST(memcmp(spare[i].uuid, spare[j].uuid, DMR_UUID_LEN));
	}
}

/* A leaf lies in the slot or in the extent of its replica, and on the device. */
static void check_leaf_place(const struct dmr_sb *sb, u32 no, u64 device)
{
	unsigned int k;
	u64 at;

	for (k = 0; k < DMR_REPLICAS; k++) {
		at = dmr_leaf_sector(sb, no, k);
		MUST(at + DMR_BLOCK_SECTORS <= device);
		MUST(at + DMR_BLOCK_SECTORS <= sb->spare[sb->spare_idx].sectors);
		MUST(at % DMR_BLOCK_SECTORS == 0);
		if (no < DMR_INLINE_LEAVES) {
			MUST(at >= dmr_slot_sector(k) + DMR_BLOCK_SECTORS);
			MUST(at + DMR_BLOCK_SECTORS <= SLOT_END(k));
		} else {
			MUST(at >= DMR_DATA_START);
			MUST(at >= sb->overflow[k]);
			MUST(at < sb->overflow[k] + extent_sectors(sb));
		}
	}
}

static void check_extents(const struct dmr_sb *sb)
{
	u64 each = extent_sectors(sb);
	unsigned int i, k;

	for (k = 0; k < DMR_REPLICAS; k++) {
		if (!each)
			MUST(!sb->overflow[k]);
		for (i = 0; i < k && each; i++)
			MUST(!overlap(sb->overflow[i], each, sb->overflow[k], each));
	}
}

static void check_usable(const struct dmr_sb *sb, u64 unit)
{
	u64 sectors = sb->spare[sb->spare_idx].sectors;
	u64 size = 1ULL << sb->unit_shift, from = unit << sb->unit_shift;
	bool expect = unit < 1ULL << 40 && from >= DMR_DATA_START &&
		      from + size <= sectors;
	unsigned int k;

	for (k = 0; k < DMR_REPLICAS; k++)
		if (overlap(from, size, sb->overflow[k], extent_sectors(sb)))
			expect = false;
	MUST(dmr_spare_unit_usable(sb, unit) == expect);
}

/* The units at all the borders, and some that the fuzzer likes. */
static void check_units(const struct dmr_sb *sb, struct input *in)
{
	u64 sectors = sb->spare[sb->spare_idx].sectors;
	u64 border[3 + 2 * DMR_REPLICAS] = { 0, DMR_DATA_START, sectors };
	unsigned int i, k;
	int d;

	for (k = 0; k < DMR_REPLICAS; k++) {
		border[3 + 2 * k] = sb->overflow[k];
		border[4 + 2 * k] = sb->overflow[k] + extent_sectors(sb);
	}
	for (i = 0; i < sizeof(border) / sizeof(border[0]); i++)
		for (d = -1; d <= 1; d++)
			check_usable(sb, (border[i] >> sb->unit_shift) + d);
	check_usable(sb, take(in, 8));
	check_usable(sb, take(in, 5));
	check_usable(sb, 1ULL << 40);
}

static void check_superblock(const struct dmr_sb *sb, unsigned int copy, u64 device,
			     struct input *in)
{
	u64 units = dmr_main_units(sb);
	unsigned int i;

	MUST(sb->copy_idx == copy);
	MUST(sb->unit_shift == 0 || sb->unit_shift == 3);
	MUST(units && units << sb->unit_shift == sb->main_sectors);
	MUST(sb->main_sectors < 1ULL << 48);
	MUST(sb->spare_idx < sb->nr_spares);
	check_rows(sb->spare, sb->nr_spares);
	MUST(!memcmp(sb->spare_uuid, sb->spare[sb->spare_idx].uuid, DMR_UUID_LEN));
	MUST(sb->spare[sb->spare_idx].sectors <= device);
	MUST(sb->nr_leaves >= DMR_INLINE_LEAVES && sb->nr_leaves <= DMR_MAX_LEAVES);
	MUST(sb->max_remaps && sb->max_remaps <= (u64)sb->nr_leaves * DMR_LEAF_ENTRIES);
	MUST(memchr(sb->identity, 0, DMR_IDENTITY_LEN));
	MUST(!(sb->feature_incompat & ~DMR_FEATURE_MIRRORS));
	MUST(sb->redundancy <= (sb->feature_incompat ? 2 : 1));
	check_extents(sb);
	check_leaf_place(sb, 0, device);
	check_leaf_place(sb, DMR_INLINE_LEAVES - 1, device);
	check_leaf_place(sb, sb->nr_leaves - 1, device);
	check_leaf_place(sb, take(in, 4) % sb->nr_leaves, device);
	check_units(sb, in);
	for (i = 0; i < DMR_NR_SAMPLES; i++)
		MUST(dmr_sample_unit(sb, i) < units);
}

/* What is laid out anew must be what a reader accepts. */
static void check_layout(struct dmr_sb sb, u64 device)
{
	struct dmr_sb again;
	u8 block[DMR_BLOCK_SIZE];

	if (dmr_sb_layout(&sb))
		return;
	dmr_sb_encode(&sb, block);
	MUST(dmr_sb_decode(block, sb.copy_idx, device, &again) == DMR_FMT_OK);
	MUST(!memcmp(&sb, &again, sizeof(sb)));
}

/* Parameters: copy:1, length of the device:8, then numbers of units and a leaf. */
void fuzz_superblock(struct input in, struct input body, bool fix)
{
	unsigned int copy = take(&in, 1) % DMR_REPLICAS;
	u64 device = take(&in, 8);
	struct dmr_sb sb, again;
	u8 block[DMR_BLOCK_SIZE];
	int r;

	take_block(&body, block);
	if (fix)
		fix_superblock(block);
	r = dmr_sb_decode(block, copy, device, &sb);
	MUST(r >= 0 && r < DMR_FMT_NR_ERRORS && dmr_fmt_strerror(r));
	if (r)
		return;
	check_superblock(&sb, copy, device, &in);
	MUST(sb.events <= DMR_MAX_NUMBER && sb.generation <= DMR_MAX_NUMBER);
	dmr_sb_encode(&sb, block);
	MUST(dmr_sb_decode(block, copy, device, &again) == DMR_FMT_OK);
	MUST(!memcmp(&sb, &again, sizeof(sb)));
	check_layout(sb, device);
}

/* A set to hold a leaf against: any geometry that can be formatted. */
static bool make_superblock(struct input *in, struct dmr_sb *sb)
{
	u8 shape = take(in, 1);
	u8 block[DMR_BLOCK_SIZE];
	unsigned int i;

	memset(sb, 0, sizeof(*sb));
	memcpy(sb->set_uuid, set_uuid, DMR_UUID_LEN);
	sb->unit_shift = shape & 1 ? 3 : 0;
	sb->nr_spares = (shape >> 1 & 7) + 1;
	sb->spare_idx = (shape >> 4 & 7) % sb->nr_spares;
	sb->feature_incompat = shape >> 7 ? DMR_FEATURE_MIRRORS : 0;
	sb->main_lbs = 512;
	sb->main_sectors = take(in, 6) & ~7ULL;
	sb->max_remaps = take(in, 4);
	for (i = 0; i < sb->nr_spares; i++) {
		sb->spare[i].uuid[0] = i;
		sb->spare[i].sectors = take(in, i < 2 ? 5 : 2) + DMR_MIN_SPARE_SECTORS;
		sb->spare[i].state = DMR_SPARE_IN_SYNC;
	}
	memcpy(sb->spare_uuid, sb->spare[sb->spare_idx].uuid, DMR_UUID_LEN);
	if (dmr_sb_layout(sb))
		return false;
	dmr_sb_encode(sb, block);
	return !dmr_sb_decode(block, 0, ~0ULL, sb);
}

static void check_entry(const struct dmr_sb *sb, const struct dmr_entry *e)
{
	u64 unit = 1ULL << sb->unit_shift;
	struct dmr_entry again;

	MUST(e->kind < DMR_KIND_NR);
	MUST(!(e->flags & ~DMR_ENTRY_FLAGS_KNOWN));
	if (e->kind == DMR_KIND_FREE) {
		MUST(!e->main_unit && !e->spare_unit && !e->spare_idx && !e->flags);
		return;
	}
	if (e->kind == DMR_KIND_MIRROR)
		MUST(sb->feature_incompat && !e->flags);
	if (e->kind == DMR_KIND_BAD)
		MUST(!e->main_unit && !e->flags);
	else
		MUST((e->main_unit + 1) * unit <= sb->main_sectors);
	if (e->kind == DMR_KIND_LOST) {
		MUST(!e->spare_unit && !e->spare_idx);
	} else {
		MUST(e->spare_idx < sb->nr_spares);
		MUST(e->spare_unit * unit >= DMR_DATA_START);
		MUST((e->spare_unit + 1) * unit <= sb->spare[e->spare_idx].sectors);
	}
	/* What the index makes of it. */
	MUST(dmr_val(e));
	memset(&again, 0, sizeof(again));
	dmr_val_entry(dmr_val(e), e->main_unit, &again);
	MUST(!memcmp(e, &again, sizeof(again)));
}

/* All entries of a leaf; returns how many are in use, or -1 when one is wrong. */
static int read_entries(const struct dmr_sb *sb, const u8 *block,
			struct dmr_entry *entries)
{
	int used = 0;
	unsigned int i;
	int r;

	memset(entries, 0, DMR_LEAF_ENTRIES * sizeof(*entries));
	for (i = 0; i < DMR_LEAF_ENTRIES; i++) {
		r = dmr_leaf_get(block, i, &entries[i]);
		MUST(r == DMR_FMT_OK || r == DMR_FMT_KIND || r == DMR_FMT_RUN);
		if (!r)
			r = dmr_entry_check(sb, &entries[i]);
		if (r)
			return -1;
		check_entry(sb, &entries[i]);
		used += entries[i].kind != DMR_KIND_FREE;
	}
	return used;
}

static void check_same(const u8 *block, const struct dmr_entry *entries)
{
	struct dmr_entry e;
	unsigned int i;
	u32 used = 0;

	for (i = 0; i < DMR_LEAF_ENTRIES; i++) {
		memset(&e, 0, sizeof(e));
		MUST(dmr_leaf_get(block, i, &e) == DMR_FMT_OK);
		MUST(!memcmp(&e, &entries[i], sizeof(e)));
		used += e.kind != DMR_KIND_FREE;
	}
	MUST(dmr_leaf_used(block) == used);
}

/* Parameters: number of the leaf:4, then make_superblock()'s. */
void fuzz_leaf(struct input in, struct input body, bool fix)
{
	struct dmr_entry entries[DMR_LEAF_ENTRIES];
	u8 block[DMR_BLOCK_SIZE], again[DMR_BLOCK_SIZE];
	u32 no = take(&in, 4);
	struct dmr_sb sb;
	unsigned int i;

	if (!make_superblock(&in, &sb))
		return;
	take_block(&body, block);
	if (fix)
		fix_block(block, "DMRL");
	if (dmr_leaf_check(block, set_uuid, no))
		return;
	MUST(dmr_leaf_used(block) <= DMR_LEAF_ENTRIES);
	MUST(dmr_leaf_seq(block) && dmr_leaf_seq(block) <= DMR_MAX_NUMBER);
	if (read_entries(&sb, block, entries) != (int)dmr_leaf_used(block))
		return;
	dmr_leaf_init(again, no);
	for (i = 0; i < DMR_LEAF_ENTRIES; i++)
		dmr_leaf_set(again, i, &entries[i]);
	dmr_leaf_seal(again, set_uuid, dmr_leaf_seq(block), 7);
	MUST(dmr_leaf_check(again, set_uuid, no) == DMR_FMT_OK);
	MUST(dmr_leaf_seq(again) == dmr_leaf_seq(block));
	check_same(again, entries);
	/* A leaf that was accepted stays one that is, whatever is changed in it. */
	for (i = 0; i < 16; i++) {
		unsigned int to = block[64 + i] % DMR_LEAF_ENTRIES;

		entries[to] = entries[block[80 + i] % DMR_LEAF_ENTRIES];
		dmr_leaf_set(block, to, &entries[to]);
	}
	check_same(block, entries);
}

/* Parameters: place in the ring:1. */
void fuzz_generation(struct input in, struct input body, bool fix)
{
	unsigned int place = take(&in, 1) % DMR_GEN_RECORDS, copy;
	struct dmr_gen gen, again;
	u8 block[DMR_BLOCK_SIZE];
	u64 at;

	take_block(&body, block);
	if (fix)
		fix_block(block, "DMRG");
	if (dmr_gen_decode(block, set_uuid, place, &gen))
		return;
	MUST(gen.number && gen.reason && gen.reason < DMR_REASON_NR);
	MUST(gen.number <= DMR_MAX_NUMBER && gen.events <= DMR_MAX_NUMBER);
	MUST(dmr_reason_name(gen.reason));
	MUST(gen.spare_idx < gen.nr_spares);
	check_rows(gen.spare, gen.nr_spares);
	MUST(gen.main_sectors && gen.main_sectors < 1ULL << 48);
	MUST(memchr(gen.identity, 0, DMR_IDENTITY_LEN));
	for (copy = 0; copy < DMR_GEN_COPIES; copy++) {
		at = dmr_gen_sector(gen.number, copy);
		MUST(at >= DMR_GEN_SECTOR);
		MUST(at + DMR_BLOCK_SECTORS <= DMR_STATE_SECTOR);
		MUST((at - DMR_GEN_SECTOR) / DMR_BLOCK_SECTORS ==
		     place + copy * DMR_GEN_RECORDS);
	}
	dmr_gen_encode(&gen, set_uuid, block);
	MUST(dmr_gen_decode(block, set_uuid, place, &again) == DMR_FMT_OK);
	MUST(!memcmp(&gen, &again, sizeof(gen)));
}

/* Parameters: which of the blocks:1. */
void fuzz_state(struct input in, struct input body, bool fix)
{
	unsigned int place = take(&in, 1) % DMR_STATE_BLOCKS, i;
	struct dmr_state state, again;
	u8 block[DMR_BLOCK_SIZE];
	u64 at;

	take_block(&body, block);
	if (fix)
		fix_block(block, "DMRS");
	if (dmr_state_decode(block, set_uuid, place, &state))
		return;
	at = dmr_state_sector(state.seq);
	MUST(state.seq <= DMR_MAX_NUMBER);
	MUST(state.seq && at == DMR_STATE_SECTOR + place * DMR_BLOCK_SECTORS);
	MUST(at + DMR_BLOCK_SECTORS <= DMR_DATA_START);
	MUST(!(state.flags & ~DMR_STATE_FLAGS_KNOWN));
	for (i = 0; i < DMR_NR_SAMPLES; i++)
		MUST(state.sample[i].unit < 1ULL << 48);
	MUST(state.nr_usage <= DMR_NR_USAGE);
	MUST(state.scan.nr_noted <= DMR_NR_NOTED);
	MUST(state.scan.pattern < DMR_NR_PATTERNS);
	MUST(state.scan.device <= DMR_MAX_SPARES);
	for (i = 1; i < state.scan.nr_noted; i++)
		MUST(state.scan.noted[i - 1].key < state.scan.noted[i].key);
	dmr_state_encode(&state, set_uuid, block);
	MUST(dmr_state_decode(block, set_uuid, place, &again) == DMR_FMT_OK);
	MUST(!memcmp(&state, &again, sizeof(state)));
}
