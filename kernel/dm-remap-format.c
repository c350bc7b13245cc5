// SPDX-License-Identifier: GPL-2.0-only
/*
 * On-disk format of a dm-remap spare. Pure code: see dm-remap-format.h.
 */
#include "dm-remap-format.h"

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
	SB_IDENTITY = 256,
	SB_SPARES = 512,
	SB_SPARE_ROW = 64,
};

/* A row of the spare table: offsets within its 64 bytes. */
enum {
	ROW_UUID = 0,
	ROW_SECTORS = 16,
	ROW_EVENTS = 24,
	ROW_STATE = 32,
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

/* Generation record. The spare table is where a superblock has it. */
enum {
	GEN_MAGIC = 0,
	GEN_CRC = 4,
	GEN_NUMBER = 8,
	GEN_EVENTS = 16,
	GEN_TIME = 24,
	GEN_REMAPS = 32,
	GEN_LOST = 40,
	GEN_BAD = 48,
	GEN_MAIN_SECTORS = 56,
	GEN_REASON = 64,
	GEN_SPARE_IDX = 68,
	GEN_NR_SPARES = 69,
	GEN_IDENTITY = 256,
	GEN_SPARES = 512,
};

/* State block: counters of 8 bytes, samples of 16. */
enum {
	STATE_MAGIC = 0,
	STATE_CRC = 4,
	STATE_SEQ = 8,
	STATE_TIME = 16,
	STATE_FLAGS = 24,
	STATE_NR_COUNTERS = 28,
	STATE_COUNTERS = 64,
	STATE_SAMPLES = 2048,
	SAMPLE_SIZE = 16,
	SAMPLE_UNIT = 0,
	SAMPLE_CRC = 8,
	SAMPLE_VALID = 12,
};

/* Samples in sectors that everybody knows; one more is the end of main. */
#define WELL_KNOWN		7

/* Room for counters between STATE_COUNTERS and STATE_SAMPLES. */
#define STATE_MAX_COUNTERS	((STATE_SAMPLES - STATE_COUNTERS) / 8)

/* First word of an entry: main_unit:48, kind:8, flags:8. Second word:
 * spare_unit:40, spare_idx:4, run-1:12 (always 0 so far), reserved:8.
 */
#define MAIN_MASK	((1ULL << 48) - 1)
#define SPARE_MASK	((1ULL << 40) - 1)
#define KIND_SHIFT	48
#define FLAGS_SHIFT	56
#define IDX_SHIFT	40
#define REST_SHIFT	44

static const u8 sb_magic[8] = { 'D', 'M', 'R', 'E', 'M', 'A', 'P', '4' };
static const u8 leaf_magic[4] = { 'D', 'M', 'R', 'L' };
static const u8 gen_magic[4] = { 'D', 'M', 'R', 'G' };
static const u8 state_magic[4] = { 'D', 'M', 'R', 'S' };
static const u16 slot_sector[DMR_REPLICAS] = { 0, 1024, 2048, 4096, 8192 };

static u32 get32(const u8 *p)
{
	return p[0] | p[1] << 8 | p[2] << 16 | (u32)p[3] << 24;
}

static u64 get64(const u8 *p)
{
	return get32(p) | (u64)get32(p + 4) << 32;
}

static void put32(u8 *p, u32 v)
{
	p[0] = v;
	p[1] = v >> 8;
	p[2] = v >> 16;
	p[3] = v >> 24;
}

static void put64(u8 *p, u64 v)
{
	put32(p, v);
	put32(p + 4, v >> 32);
}

static bool all_zero(const u8 *p, size_t len)
{
	while (len--)
		if (*p++)
			return false;
	return true;
}

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

static void put_spares(u8 *p, const struct dmr_spare_desc *spare)
{
	unsigned int i;

	for (i = 0; i < DMR_MAX_SPARES; i++, p += SB_SPARE_ROW) {
		memcpy(p + ROW_UUID, spare[i].uuid, DMR_UUID_LEN);
		put64(p + ROW_SECTORS, spare[i].sectors);
		put64(p + ROW_EVENTS, spare[i].events);
		put32(p + ROW_STATE, spare[i].state);
	}
}

static void get_spares(const u8 *p, struct dmr_spare_desc *spare)
{
	unsigned int i;

	for (i = 0; i < DMR_MAX_SPARES; i++, p += SB_SPARE_ROW) {
		memcpy(spare[i].uuid, p + ROW_UUID, DMR_UUID_LEN);
		spare[i].sectors = get64(p + ROW_SECTORS);
		spare[i].events = get64(p + ROW_EVENTS);
		spare[i].state = get32(p + ROW_STATE);
	}
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
	for (i = 0; i < DMR_REPLICAS; i++)
		put64(p + SB_OVERFLOW + i * 8, sb->overflow[i]);
	memcpy(p + SB_IDENTITY, sb->identity, DMR_IDENTITY_LEN);
	put_spares(p + SB_SPARES, sb->spare);
	put32(p + SB_CRC, dmr_crc32c(~0U, p + SB_VERSION,
				     DMR_BLOCK_SIZE - SB_VERSION));
}

static int check_rows(const struct dmr_spare_desc *spare, unsigned int n)
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
		if (used && spare[i].sectors < DMR_MIN_SPARE_SECTORS)
			return DMR_FMT_SPARES;
		/* so that every unit of it fits in an entry's 40 bits */
		if (spare[i].sectors > SPARE_MASK)
			return DMR_FMT_SPARES;
		for (j = 0; j < i && used; j++)
			if (!memcmp(spare[i].uuid, spare[j].uuid, DMR_UUID_LEN))
				return DMR_FMT_SPARES;
	}
	return DMR_FMT_OK;
}

static int check_spares(const struct dmr_sb *sb)
{
	int r = check_rows(sb->spare, sb->nr_spares);

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
	for (i = 0; i < DMR_REPLICAS; i++)
		sb->overflow[i] = get64(p + SB_OVERFLOW + i * 8);
	memcpy(sb->identity, p + SB_IDENTITY, DMR_IDENTITY_LEN);
	sb->identity[DMR_IDENTITY_LEN - 1] = 0;
	get_spares(p + SB_SPARES, sb->spare);

	if (sb->copy_idx != copy)
		return DMR_FMT_COPY;
	if (sb->events > DMR_MAX_NUMBER || sb->generation > DMR_MAX_NUMBER)
		return DMR_FMT_NUMBER;
	if (sb->unit_shift != 0 && sb->unit_shift != 3)
		return DMR_FMT_UNIT;
	if (sb->main_lbs != 512 && sb->main_lbs != 1024 &&
	    sb->main_lbs != 2048 && sb->main_lbs != 4096)
		return DMR_FMT_UNIT;
	if (!sb->main_sectors || sb->main_sectors > MAIN_MASK ||
	    sb->main_sectors & ((1U << sb->unit_shift) - 1))
		return DMR_FMT_MAIN;
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

	if (unit > SPARE_MASK)
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

/* Of a leaf, a generation record, a state block: all behind magic and CRC. */
static u32 block_crc(const u8 *p, const u8 *set_uuid)
{
	u32 crc = dmr_crc32c(~0U, set_uuid, DMR_UUID_LEN);

	return dmr_crc32c(crc, p + LEAF_SEQ, DMR_BLOCK_SIZE - LEAF_SEQ);
}

static int check_block(const u8 *p, const u8 *magic, const u8 *set_uuid)
{
	if (memcmp(p + LEAF_MAGIC, magic, sizeof(leaf_magic)))
		return all_zero(p, DMR_BLOCK_SIZE) ? DMR_FMT_BLANK : DMR_FMT_MAGIC;
	if (get32(p + LEAF_CRC) != block_crc(p, set_uuid))
		return DMR_FMT_CRC;
	return DMR_FMT_OK;
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
	int r = check_block(p, leaf_magic, set_uuid);

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
	put32(p + LEAF_CRC, block_crc(p, set_uuid));
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

	e->main_unit = a & MAIN_MASK;
	e->kind = a >> KIND_SHIFT;
	e->flags = a >> FLAGS_SHIFT;
	e->spare_unit = b & SPARE_MASK;
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
		put64(p, (e->main_unit & MAIN_MASK) |
			 (u64)e->kind << KIND_SHIFT |
			 (u64)e->flags << FLAGS_SHIFT);
		put64(p + 8, (e->spare_unit & SPARE_MASK) |
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

const char *dmr_reason_name(unsigned int reason)
{
	static const char *const words[DMR_REASON_NR] = {
		[DMR_REASON_NONE] = "none",
		[DMR_REASON_CREATED] = "created",
		[DMR_REASON_SPARE_FAILED] = "spare-failed",
		[DMR_REASON_SPARE_MISSING] = "spare-missing",
		[DMR_REASON_RESTORED] = "restored",
		[DMR_REASON_ROLLED_BACK] = "rolled-back",
		[DMR_REASON_IDENTITY] = "identity",
		[DMR_REASON_SPARE_ADDED] = "spare-added",
		[DMR_REASON_SPARE_REMOVED] = "spare-removed",
	};

	return reason < DMR_REASON_NR ? words[reason] : "unknown";
}

u64 dmr_gen_sector(u64 number, unsigned int copy)
{
	return DMR_GEN_SECTOR + ((u64)copy * DMR_GEN_RECORDS +
				 (number & (DMR_GEN_RECORDS - 1))) *
		DMR_BLOCK_SECTORS;
}

void dmr_gen_encode(const struct dmr_gen *gen, const u8 *set_uuid, void *block)
{
	u8 *p = block;

	memset(p, 0, DMR_BLOCK_SIZE);
	memcpy(p + GEN_MAGIC, gen_magic, sizeof(gen_magic));
	put64(p + GEN_NUMBER, gen->number);
	put64(p + GEN_EVENTS, gen->events);
	put64(p + GEN_TIME, gen->time);
	put64(p + GEN_REMAPS, gen->remaps);
	put64(p + GEN_LOST, gen->lost);
	put64(p + GEN_BAD, gen->bad);
	put64(p + GEN_MAIN_SECTORS, gen->main_sectors);
	put32(p + GEN_REASON, gen->reason);
	p[GEN_SPARE_IDX] = gen->spare_idx;
	p[GEN_NR_SPARES] = gen->nr_spares;
	memcpy(p + GEN_IDENTITY, gen->identity, DMR_IDENTITY_LEN);
	put_spares(p + GEN_SPARES, gen->spare);
	put32(p + GEN_CRC, block_crc(p, set_uuid));
}

int dmr_gen_decode(const void *block, const u8 *set_uuid, unsigned int place,
		   struct dmr_gen *gen)
{
	const u8 *p = block;
	int r = check_block(p, gen_magic, set_uuid);

	if (r)
		return r;
	memset(gen, 0, sizeof(*gen));
	gen->number = get64(p + GEN_NUMBER);
	gen->events = get64(p + GEN_EVENTS);
	gen->time = get64(p + GEN_TIME);
	gen->remaps = get64(p + GEN_REMAPS);
	gen->lost = get64(p + GEN_LOST);
	gen->bad = get64(p + GEN_BAD);
	gen->main_sectors = get64(p + GEN_MAIN_SECTORS);
	gen->reason = get32(p + GEN_REASON);
	gen->spare_idx = p[GEN_SPARE_IDX];
	gen->nr_spares = p[GEN_NR_SPARES];
	memcpy(gen->identity, p + GEN_IDENTITY, DMR_IDENTITY_LEN);
	gen->identity[DMR_IDENTITY_LEN - 1] = 0;
	get_spares(p + GEN_SPARES, gen->spare);

	if (!gen->number || (gen->number & (DMR_GEN_RECORDS - 1)) != place)
		return DMR_FMT_COPY;
	if (gen->number > DMR_MAX_NUMBER || gen->events > DMR_MAX_NUMBER)
		return DMR_FMT_NUMBER;
	if (gen->reason == DMR_REASON_NONE || gen->reason >= DMR_REASON_NR)
		return DMR_FMT_GENERATION;
	if (!gen->main_sectors || gen->main_sectors > MAIN_MASK)
		return DMR_FMT_MAIN;
	r = check_rows(gen->spare, gen->nr_spares);
	if (r)
		return r;
	return gen->spare_idx < gen->nr_spares ? DMR_FMT_OK : DMR_FMT_SPARES;
}

const char *dmr_counter_name(unsigned int counter)
{
	static const char *const names[DMR_NR_COUNTERS] = {
		[DMR_CNT_FAST_READS] = "fast_reads",
		[DMR_CNT_FAST_WRITES] = "fast_writes",
		[DMR_CNT_WRITE_ERRORS] = "write_errors",
		[DMR_CNT_READ_ERRORS] = "read_errors",
		[DMR_CNT_RETRIES] = "retries",
		[DMR_CNT_TRANSIENT] = "transient",
		[DMR_CNT_RESCUED] = "rescued",
		[DMR_CNT_AUTO_REMAPS] = "auto_remaps",
		[DMR_CNT_MANUAL_REMAPS] = "manual_remaps",
		[DMR_CNT_UNREMAPS] = "unremaps",
		[DMR_CNT_SPARE_ERRORS] = "spare_errors",
		[DMR_CNT_SLOW_WRITES] = "slow_writes",
		[DMR_CNT_SLOW_READS] = "slow_reads",
		[DMR_CNT_COMMITS] = "commits",
		[DMR_CNT_COMMITTED] = "committed",
		[DMR_CNT_COMMIT_WRITES] = "commit_writes",
		[DMR_CNT_META_ERRORS] = "meta_errors",
		[DMR_CNT_REFUSED] = "refused",
		[DMR_CNT_DRAINS] = "drains",
	};

	return counter < DMR_NR_COUNTERS ? names[counter] : "unknown";
}

u64 dmr_state_sector(u64 seq)
{
	return DMR_STATE_SECTOR + (seq & (DMR_STATE_BLOCKS - 1)) *
		DMR_BLOCK_SECTORS;
}

void dmr_state_encode(const struct dmr_state *state, const u8 *set_uuid,
		      void *block)
{
	u8 *p = block, *q;
	unsigned int i;

	memset(p, 0, DMR_BLOCK_SIZE);
	memcpy(p + STATE_MAGIC, state_magic, sizeof(state_magic));
	put64(p + STATE_SEQ, state->seq);
	put64(p + STATE_TIME, state->time);
	put32(p + STATE_FLAGS, state->flags);
	put32(p + STATE_NR_COUNTERS, DMR_NR_COUNTERS);
	for (i = 0; i < DMR_NR_COUNTERS; i++)
		put64(p + STATE_COUNTERS + i * 8, state->counter[i]);
	for (i = 0; i < DMR_NR_SAMPLES; i++) {
		q = p + STATE_SAMPLES + i * SAMPLE_SIZE;
		put64(q + SAMPLE_UNIT, state->sample[i].unit);
		put32(q + SAMPLE_CRC, state->sample[i].crc);
		put32(q + SAMPLE_VALID, state->sample[i].valid);
	}
	put32(p + STATE_CRC, block_crc(p, set_uuid));
}

int dmr_state_decode(const void *block, const u8 *set_uuid, unsigned int place,
		     struct dmr_state *state)
{
	const u8 *p = block, *q;
	unsigned int i;
	int r = check_block(p, state_magic, set_uuid);
	u32 n;

	if (r)
		return r;
	memset(state, 0, sizeof(*state));
	state->seq = get64(p + STATE_SEQ);
	state->time = get64(p + STATE_TIME);
	state->flags = get32(p + STATE_FLAGS);
	n = get32(p + STATE_NR_COUNTERS);
	if (!state->seq || (state->seq & (DMR_STATE_BLOCKS - 1)) != place)
		return DMR_FMT_COPY;
	if (state->seq > DMR_MAX_NUMBER)
		return DMR_FMT_NUMBER;
	if (state->flags & ~DMR_STATE_FLAGS_KNOWN || n > STATE_MAX_COUNTERS)
		return DMR_FMT_STATE;
	for (i = 0; i < n && i < DMR_NR_COUNTERS; i++)
		state->counter[i] = get64(p + STATE_COUNTERS + i * 8);
	for (i = 0; i < DMR_NR_SAMPLES; i++) {
		q = p + STATE_SAMPLES + i * SAMPLE_SIZE;
		state->sample[i].unit = get64(q + SAMPLE_UNIT);
		state->sample[i].crc = get32(q + SAMPLE_CRC);
		if (get32(q + SAMPLE_VALID) > 1 ||
		    state->sample[i].unit > MAIN_MASK)
			return DMR_FMT_STATE;
		state->sample[i].valid = get32(q + SAMPLE_VALID);
	}
	return DMR_FMT_OK;
}

u64 dmr_sample_unit(const struct dmr_sb *sb, unsigned int i)
{
	/* MBR; ext; GPT; LVM and XFS; btrfs; the first partition, ext there */
	static const u16 well_known[WELL_KNOWN] = { 0, 2, 1, 8, 128, 2048, 2050 };
	u64 units = dmr_main_units(sb), unit;

	if (i < WELL_KNOWN)
		unit = well_known[i] >> sb->unit_shift;
	else if (i == WELL_KNOWN)
		unit = units - 1;
	else
		unit = (units >> 4) * (i & 15) + (units >> 5);
	return unit < units ? unit : units - 1;
}
