// SPDX-License-Identifier: GPL-2.0-only
/*
 * On-disk format of a dm-remap spare. Pure code: see dm-remap-format.h.
 */
#include "dm-remap-block.h"

/* Superblock: byte offsets. docs/format.md tells the same story in prose. */
enum {
	SB_MAGIC = 0,
	SB_CRC = 8,
	SB_VERSION = 12,
	SB_COMPAT = 16,
	SB_RO_COMPAT = 24,
	SB_INCOMPAT = 32,
	SB_SET_UUID = 40,
	SB_SPARE_UUID = 56,
	SB_EVENTS = 72,
	SB_COPY_IDX = 80,
	SB_SPARE_IDX = 81,
	SB_NR_SPARES = 82,
	SB_UNIT_SHIFT = 83,
	SB_NR_LEAVES = 84,
	SB_MAIN_SECTORS = 88,
	SB_MAIN_LBS = 96,
	SB_MAX_REMAPS = 100,
	SB_CREATED = 104,
	SB_UPDATED = 112,
	SB_OVERFLOW = 120,
	SB_GENERATION = 160,
	SB_POLICY = 168,
	SB_REDUNDANCY = 169,
	SB_MOVE_STATE = 176,
	SB_MOVE_ID = 180,
	SB_MOVE_UNITS = 184,
	SB_MOVE_SECTORS = 192,
	SB_IDENTITY = 256,
	SB_SPARES = 512,
};

/* Leaf header: 64 bytes, then 252 entries of 16. */
enum {
	LEAF_MAGIC = 0,
	LEAF_CRC = 4,
	LEAF_SEQ = 8,
	LEAF_EVENTS = 16,
	LEAF_NO = 24,
	LEAF_NR_USED = 28,
	LEAF_ENTRIES = 64,
	ENTRY_SIZE = 16,
};

/* First word of an entry: main_unit:48, kind:8, flags:8. Second word:
 * spare_unit:40, spare_idx:4, run-1:12 (always 0 so far), reserved:8.
 */
#define KIND_SHIFT	48
#define FLAGS_SHIFT	56
#define IDX_SHIFT	40
#define REST_SHIFT	44

static const u8 sb_magic[8] = { 'D', 'M', 'R', 'E', 'M', 'A', 'P', '4' };
static const u8 leaf_magic[4] = { 'D', 'M', 'R', 'L' };
static const u16 slot_sector[DMR_REPLICAS] = { 0, 1024, 2048, 4096, 8192 };

const char *dmr_fmt_strerror(int err)
{
	static const char *const words[DMR_FMT_NR_ERRORS] = {
		[DMR_FMT_OK] = "no error",
		[DMR_FMT_BLANK] = "blank: nothing was ever written there",
		[DMR_FMT_MAGIC] = "wrong magic: not dm-remap metadata",
		[DMR_FMT_CRC] = "checksum mismatch",
		[DMR_FMT_VERSION] = "format version is not known",
		[DMR_FMT_FEATURE] = "needs a feature that is not known",
		[DMR_FMT_COPY] = "copy number does not match its place",
		[DMR_FMT_SPARES] = "spare table is not valid",
		[DMR_FMT_UNIT] = "unit size is not valid",
		[DMR_FMT_MAIN] = "size of the main device is not valid",
		[DMR_FMT_LEAVES] = "number of leaves is not valid",
		[DMR_FMT_EXTENT] = "overflow extent is out of bounds",
		[DMR_FMT_SPARE_SIZE] = "spare is smaller than the metadata says",
		[DMR_FMT_LEAF_NO] = "leaf number does not match its place",
		[DMR_FMT_NR_USED] = "number of used entries is not valid",
		[DMR_FMT_KIND] = "kind or flags of an entry are not known",
		[DMR_FMT_MAIN_RANGE] = "entry lies beyond the main device",
		[DMR_FMT_SPARE_IDX] = "entry names a spare that is not in the set",
		[DMR_FMT_SPARE_RANGE] = "entry lies outside the data area of its spare",
		[DMR_FMT_RUN] = "run length or reserved bits of an entry are not zero",
		[DMR_FMT_UNREADABLE] = "can't be read",
		[DMR_FMT_GENERATION] = "generation record is not valid",
		[DMR_FMT_STATE] = "state block is not valid",
		[DMR_FMT_NUMBER] = "sequence, event or generation number is not valid",
		[DMR_FMT_POLICY] = "allocation policy is not known",
		[DMR_FMT_MOVE] = "state of the copy of main is not valid",
		[DMR_FMT_REDUNDANCY] = "redundancy is not valid",
	};

	if (err < 0 || err >= DMR_FMT_NR_ERRORS)
		return "unknown format error";
	return words[err];
}

u64 dmr_slot_sector(unsigned int copy)
{
	return slot_sector[copy];
}

u64 dmr_main_units(const struct dmr_sb *sb)
{
	return sb->main_sectors >> sb->unit_shift;
}

static u64 overflow_sectors(const struct dmr_sb *sb)
{
	if (sb->nr_leaves <= DMR_INLINE_LEAVES)
		return 0;
	return (u64)(sb->nr_leaves - DMR_INLINE_LEAVES) * DMR_BLOCK_SECTORS;
}

/* The extents are spread evenly: the first at the start of the data area, the
 * last at its end, so that one bad stretch of the medium hits one of them.
 */
static int layout_overflow(struct dmr_sb *sb)
{
	u64 sectors = sb->spare[sb->spare_idx].sectors;
	u64 each = overflow_sectors(sb);
	unsigned int i;
	u64 room;

	memset(sb->overflow, 0, sizeof(sb->overflow));
	if (!each)
		return DMR_FMT_OK;
	/* At least half of the data area must be left for data. */
	if (sectors < DMR_MIN_SPARE_SECTORS + 2 * DMR_REPLICAS * each)
		return DMR_FMT_SPARE_SIZE;
	room = (sectors - DMR_DATA_START - each) / (DMR_REPLICAS - 1);
	for (i = 0; i < DMR_REPLICAS; i++)
		sb->overflow[i] = (DMR_DATA_START + i * room) &
				  ~(u64)(DMR_BLOCK_SECTORS - 1);
	return DMR_FMT_OK;
}

int dmr_sb_layout(struct dmr_sb *sb)
{
	if (!sb->max_remaps || sb->max_remaps > DMR_MAX_MAX_REMAPS)
		return DMR_FMT_LEAVES;
	sb->nr_leaves = (sb->max_remaps + DMR_LEAF_ENTRIES - 1) /
			DMR_LEAF_ENTRIES;
	if (sb->nr_leaves < DMR_INLINE_LEAVES)
		sb->nr_leaves = DMR_INLINE_LEAVES;
	if (sb->spare[sb->spare_idx].sectors < DMR_MIN_SPARE_SECTORS)
		return DMR_FMT_SPARE_SIZE;
	return layout_overflow(sb);
}

void dmr_sb_encode(const struct dmr_sb *sb, void *block)
{
	u8 *p = block;
	unsigned int i;

	memset(p, 0, DMR_BLOCK_SIZE);
	memcpy(p + SB_MAGIC, sb_magic, sizeof(sb_magic));
	put32(p + SB_VERSION, DMR_FORMAT_VERSION);
	put64(p + SB_COMPAT, sb->feature_compat);
	put64(p + SB_RO_COMPAT, sb->feature_ro_compat);
	put64(p + SB_INCOMPAT, sb->feature_incompat);
	memcpy(p + SB_SET_UUID, sb->set_uuid, DMR_UUID_LEN);
	memcpy(p + SB_SPARE_UUID, sb->spare_uuid, DMR_UUID_LEN);
	put64(p + SB_EVENTS, sb->events);
	p[SB_COPY_IDX] = sb->copy_idx;
	p[SB_SPARE_IDX] = sb->spare_idx;
	p[SB_NR_SPARES] = sb->nr_spares;
	p[SB_UNIT_SHIFT] = sb->unit_shift;
	put32(p + SB_NR_LEAVES, sb->nr_leaves);
	put64(p + SB_MAIN_SECTORS, sb->main_sectors);
	put32(p + SB_MAIN_LBS, sb->main_lbs);
	put32(p + SB_MAX_REMAPS, sb->max_remaps);
	put64(p + SB_CREATED, sb->created);
	put64(p + SB_UPDATED, sb->updated);
	put64(p + SB_GENERATION, sb->generation);
	p[SB_POLICY] = sb->policy;
	p[SB_REDUNDANCY] = sb->redundancy;
	p[SB_MOVE_STATE] = sb->move_state;
	put32(p + SB_MOVE_ID, sb->move_id);
	put64(p + SB_MOVE_UNITS, sb->move_units);
	put64(p + SB_MOVE_SECTORS, sb->move_sectors);
	for (i = 0; i < DMR_REPLICAS; i++)
		put64(p + SB_OVERFLOW + i * 8, sb->overflow[i]);
	memcpy(p + SB_IDENTITY, sb->identity, DMR_IDENTITY_LEN);
	dmr_rows_encode(p + SB_SPARES, sb->spare);
	put32(p + SB_CRC, dmr_crc32c(~0U, p + SB_VERSION,
				     DMR_BLOCK_SIZE - SB_VERSION));
}

static int check_spares(const struct dmr_sb *sb)
{
	int r = dmr_rows_check(sb->spare, sb->nr_spares);

	if (r)
		return r;
	if (sb->spare_idx >= sb->nr_spares ||
	    memcmp(sb->spare[sb->spare_idx].uuid, sb->spare_uuid, DMR_UUID_LEN))
		return DMR_FMT_SPARES;
	return DMR_FMT_OK;
}

static int check_extents(const struct dmr_sb *sb)
{
	u64 sectors = sb->spare[sb->spare_idx].sectors;
	u64 each = overflow_sectors(sb);
	unsigned int i;
	u64 from = DMR_DATA_START;

	for (i = 0; i < DMR_REPLICAS; i++) {
		if (!each) {
			if (sb->overflow[i])
				return DMR_FMT_EXTENT;
			continue;
		}
		if (sb->overflow[i] < from || sb->overflow[i] > sectors ||
		    sb->overflow[i] % DMR_BLOCK_SECTORS ||
		    sectors - sb->overflow[i] < each)
			return DMR_FMT_EXTENT;
		from = sb->overflow[i] + each;
	}
	return DMR_FMT_OK;
}

int dmr_sb_decode(const void *block, unsigned int copy, u64 spare_sectors,
		  struct dmr_sb *sb)
{
	const u8 *p = block;
	unsigned int i;
	int r;

	if (memcmp(p + SB_MAGIC, sb_magic, sizeof(sb_magic)))
		return all_zero(p, DMR_BLOCK_SIZE) ? DMR_FMT_BLANK : DMR_FMT_MAGIC;
	if (get32(p + SB_CRC) != dmr_crc32c(~0U, p + SB_VERSION,
					    DMR_BLOCK_SIZE - SB_VERSION))
		return DMR_FMT_CRC;
	if (get32(p + SB_VERSION) != DMR_FORMAT_VERSION)
		return DMR_FMT_VERSION;
	memset(sb, 0, sizeof(*sb));
	sb->feature_compat = get64(p + SB_COMPAT);
	sb->feature_ro_compat = get64(p + SB_RO_COMPAT);
	sb->feature_incompat = get64(p + SB_INCOMPAT);
	/* We always write, so an unknown ro_compat bit stops us as well. */
	if (sb->feature_incompat & ~DMR_FEATURE_INCOMPAT_KNOWN ||
	    sb->feature_ro_compat & ~DMR_FEATURE_RO_COMPAT_KNOWN)
		return DMR_FMT_FEATURE;
	memcpy(sb->set_uuid, p + SB_SET_UUID, DMR_UUID_LEN);
	memcpy(sb->spare_uuid, p + SB_SPARE_UUID, DMR_UUID_LEN);
	sb->events = get64(p + SB_EVENTS);
	sb->copy_idx = p[SB_COPY_IDX];
	sb->spare_idx = p[SB_SPARE_IDX];
	sb->nr_spares = p[SB_NR_SPARES];
	sb->unit_shift = p[SB_UNIT_SHIFT];
	sb->nr_leaves = get32(p + SB_NR_LEAVES);
	sb->main_sectors = get64(p + SB_MAIN_SECTORS);
	sb->main_lbs = get32(p + SB_MAIN_LBS);
	sb->max_remaps = get32(p + SB_MAX_REMAPS);
	sb->created = get64(p + SB_CREATED);
	sb->updated = get64(p + SB_UPDATED);
	sb->generation = get64(p + SB_GENERATION);
	sb->policy = p[SB_POLICY];
	sb->redundancy = p[SB_REDUNDANCY];
	sb->move_state = p[SB_MOVE_STATE];
	sb->move_id = get32(p + SB_MOVE_ID);
	sb->move_units = get64(p + SB_MOVE_UNITS);
	sb->move_sectors = get64(p + SB_MOVE_SECTORS);
	for (i = 0; i < DMR_REPLICAS; i++)
		sb->overflow[i] = get64(p + SB_OVERFLOW + i * 8);
	memcpy(sb->identity, p + SB_IDENTITY, DMR_IDENTITY_LEN);
	sb->identity[DMR_IDENTITY_LEN - 1] = 0;
	dmr_rows_decode(p + SB_SPARES, sb->spare);

	if (sb->copy_idx != copy)
		return DMR_FMT_COPY;
	if (sb->events > DMR_MAX_NUMBER || sb->generation > DMR_MAX_NUMBER)
		return DMR_FMT_NUMBER;
	if (sb->policy >= DMR_NR_POLICIES)
		return DMR_FMT_POLICY;
	if (sb->redundancy > 2 || (sb->redundancy == 2 &&
				   !(sb->feature_incompat & DMR_FEATURE_MIRRORS)))
		return DMR_FMT_REDUNDANCY;
	if (sb->unit_shift != 0 && sb->unit_shift != 3)
		return DMR_FMT_UNIT;
	if (sb->main_lbs != 512 && sb->main_lbs != 1024 &&
	    sb->main_lbs != 2048 && sb->main_lbs != 4096)
		return DMR_FMT_UNIT;
	if (!sb->main_sectors || sb->main_sectors > DMR_MAIN_MASK ||
	    sb->main_sectors & ((1U << sb->unit_shift) - 1))
		return DMR_FMT_MAIN;
	if (sb->move_state >= DMR_NR_MOVES ||
	    sb->move_units > dmr_main_units(sb) ||
	    (sb->move_state && sb->move_sectors < sb->main_sectors))
		return DMR_FMT_MOVE;
	r = check_spares(sb);
	if (r)
		return r;
	if (sb->spare[sb->spare_idx].sectors > spare_sectors)
		return DMR_FMT_SPARE_SIZE;
	if (sb->nr_leaves < DMR_INLINE_LEAVES || sb->nr_leaves > DMR_MAX_LEAVES ||
	    !sb->max_remaps ||
	    sb->max_remaps > (u64)sb->nr_leaves * DMR_LEAF_ENTRIES)
		return DMR_FMT_LEAVES;
	return check_extents(sb);
}

u64 dmr_leaf_sector(const struct dmr_sb *sb, u32 leaf_no, unsigned int replica)
{
	if (leaf_no < DMR_INLINE_LEAVES)
		return slot_sector[replica] +
		       (u64)(1 + leaf_no) * DMR_BLOCK_SECTORS;
	return sb->overflow[replica] +
	       (u64)(leaf_no - DMR_INLINE_LEAVES) * DMR_BLOCK_SECTORS;
}

bool dmr_spare_unit_usable(const struct dmr_sb *sb, u64 unit)
{
	u64 sectors = sb->spare[sb->spare_idx].sectors;
	u64 each = overflow_sectors(sb);
	u64 from, to;
	unsigned int i;

	if (unit > DMR_SPARE_MASK)
		return false;
	from = unit << sb->unit_shift;
	to = from + (1U << sb->unit_shift);
	if (from < DMR_DATA_START || to > sectors)
		return false;
	for (i = 0; each && i < DMR_REPLICAS; i++)
		if (from < sb->overflow[i] + each && to > sb->overflow[i])
			return false;
	return true;
}

void dmr_leaf_init(void *block, u32 leaf_no)
{
	u8 *p = block;

	memset(p, 0, DMR_BLOCK_SIZE);
	memcpy(p + LEAF_MAGIC, leaf_magic, sizeof(leaf_magic));
	put32(p + LEAF_NO, leaf_no);
}

int dmr_leaf_check(const void *block, const u8 *set_uuid, u32 leaf_no)
{
	const u8 *p = block;
	int r = dmr_block_check(p, leaf_magic, set_uuid);

	if (r)
		return r;
	if (get32(p + LEAF_NO) != leaf_no)
		return DMR_FMT_LEAF_NO;
	if (get32(p + LEAF_NR_USED) > DMR_LEAF_ENTRIES)
		return DMR_FMT_NR_USED;
	if (!get64(p + LEAF_SEQ) || get64(p + LEAF_SEQ) > DMR_MAX_NUMBER)
		return DMR_FMT_NUMBER;
	return DMR_FMT_OK;
}

void dmr_leaf_seal(void *block, const u8 *set_uuid, u64 seq, u64 events)
{
	u8 *p = block;

	put64(p + LEAF_SEQ, seq);
	put64(p + LEAF_EVENTS, events);
	put32(p + LEAF_CRC, dmr_block_crc(p, set_uuid));
}

u64 dmr_leaf_seq(const void *block)
{
	return get64((const u8 *)block + LEAF_SEQ);
}

u32 dmr_leaf_used(const void *block)
{
	return get32((const u8 *)block + LEAF_NR_USED);
}

int dmr_leaf_get(const void *block, unsigned int slot, struct dmr_entry *e)
{
	const u8 *p = (const u8 *)block + LEAF_ENTRIES + slot * ENTRY_SIZE;
	u64 a = get64(p), b = get64(p + 8);

	e->main_unit = a & DMR_MAIN_MASK;
	e->kind = a >> KIND_SHIFT;
	e->flags = a >> FLAGS_SHIFT;
	e->spare_unit = b & DMR_SPARE_MASK;
	e->spare_idx = (b >> IDX_SHIFT) & 0xf;
	if (e->kind >= DMR_KIND_NR || e->flags & ~DMR_ENTRY_FLAGS_KNOWN)
		return DMR_FMT_KIND;
	if (b >> REST_SHIFT)
		return DMR_FMT_RUN;
	return DMR_FMT_OK;
}

void dmr_leaf_set(void *block, unsigned int slot, const struct dmr_entry *e)
{
	u8 *base = block;
	u8 *p = base + LEAF_ENTRIES + slot * ENTRY_SIZE;
	bool was = !all_zero(p, ENTRY_SIZE);
	bool is = e->kind != DMR_KIND_FREE;

	if (is) {
		put64(p, (e->main_unit & DMR_MAIN_MASK) |
			 (u64)e->kind << KIND_SHIFT |
			 (u64)e->flags << FLAGS_SHIFT);
		put64(p + 8, (e->spare_unit & DMR_SPARE_MASK) |
			     (u64)(e->spare_idx & 0xf) << IDX_SHIFT);
	} else {
		memset(p, 0, ENTRY_SIZE);
	}
	put32(base + LEAF_NR_USED, dmr_leaf_used(block) - was + is);
}

int dmr_entry_check(const struct dmr_sb *sb, const struct dmr_entry *e)
{
	u64 end;

	if (e->kind >= DMR_KIND_NR || e->flags & ~DMR_ENTRY_FLAGS_KNOWN)
		return DMR_FMT_KIND;
	if (e->kind == DMR_KIND_FREE)
		return e->main_unit || e->spare_unit || e->spare_idx || e->flags ?
			DMR_FMT_KIND : DMR_FMT_OK;
	if (e->kind == DMR_KIND_BAD) {
		if (e->main_unit || e->flags)
			return DMR_FMT_KIND;
	} else if (e->kind == DMR_KIND_MIRROR &&
		   (e->flags || !(sb->feature_incompat & DMR_FEATURE_MIRRORS))) {
		return DMR_FMT_KIND;
	} else if (e->main_unit >= dmr_main_units(sb)) {
		return DMR_FMT_MAIN_RANGE;
	}
	if (e->kind == DMR_KIND_LOST)
		return e->spare_unit || e->spare_idx ?
			DMR_FMT_SPARE_RANGE : DMR_FMT_OK;
	if (e->spare_idx >= sb->nr_spares)
		return DMR_FMT_SPARE_IDX;
	end = sb->spare[e->spare_idx].sectors >> sb->unit_shift;
	if (e->spare_unit < (u64)DMR_DATA_START >> sb->unit_shift ||
	    e->spare_unit >= end)
		return DMR_FMT_SPARE_RANGE;
	return DMR_FMT_OK;
}
