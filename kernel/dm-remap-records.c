// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generation records and state blocks. Pure code: see dm-remap-records.h.
 */
#include "dm-remap-block.h"
#include "dm-remap-marks.h"
#include "dm-remap-order.h"
#include "dm-remap-records.h"

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
	STATE_NR_USAGE = 32,
	STATE_COUNTERS = 64,
	STATE_SAMPLES = 2048,
	STATE_USAGE = 2432,
	STATE_SCAN_FLAGS = 3456,
	STATE_SCAN_PATTERN = 3460,
	STATE_SCAN_DEVICE = 3464,
	STATE_SCAN_PASS = 3468,
	STATE_SCAN_PLACE = 3472,
	STATE_SCAN_SEED = 3480,
	STATE_SCAN_BEGAN = 3488,
	STATE_SCAN_SINCE = 3496,
	STATE_SCAN_ENDED = 3504,
	STATE_SCAN_ERRORS = 3512,
	STATE_SCAN_RESCUED = 3520,
	STATE_SCAN_SLOW = 3528,
	STATE_SCAN_BLANKS = 3536,
	STATE_SCAN_RELOCATED = 3544,
	STATE_SCAN_FOUND = 3552,
	STATE_SCAN_FOUND_BEFORE = 3560,
	STATE_NR_NOTED = 3568,
	STATE_NOTED = 3584,
	NOTED_SIZE = 16,
	NOTED_KEY = 0,
	NOTED_SLOW = 8,
	NOTED_COUNTS = 12,
	SAMPLE_SIZE = 16,
	SAMPLE_UNIT = 0,
	SAMPLE_CRC = 8,
	SAMPLE_VALID = 12,
};

/* Samples in sectors that everybody knows; one more is the end of main. */
#define WELL_KNOWN		7

/* Room for counters between STATE_COUNTERS and STATE_SAMPLES. */
#define STATE_MAX_COUNTERS	((STATE_SAMPLES - STATE_COUNTERS) / 8)

static const u8 gen_magic[4] = { 'D', 'M', 'R', 'G' };
static const u8 state_magic[4] = { 'D', 'M', 'R', 'S' };

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
		[DMR_REASON_SPARE_RESYNCED] = "spare-resynced",
		[DMR_REASON_MAIN_REPLACED] = "main-replaced",
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
	dmr_rows_encode(p + GEN_SPARES, gen->spare);
	put32(p + GEN_CRC, dmr_block_crc(p, set_uuid));
}

int dmr_gen_decode(const void *block, const u8 *set_uuid, unsigned int place,
		   struct dmr_gen *gen)
{
	const u8 *p = block;
	int r = dmr_block_check(p, gen_magic, set_uuid);

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
	dmr_rows_decode(p + GEN_SPARES, gen->spare);

	if (!gen->number || (gen->number & (DMR_GEN_RECORDS - 1)) != place)
		return DMR_FMT_COPY;
	if (gen->number > DMR_MAX_NUMBER || gen->events > DMR_MAX_NUMBER)
		return DMR_FMT_NUMBER;
	if (gen->reason == DMR_REASON_NONE || gen->reason >= DMR_REASON_NR)
		return DMR_FMT_GENERATION;
	if (!gen->main_sectors || gen->main_sectors > DMR_MAIN_MASK)
		return DMR_FMT_MAIN;
	r = dmr_rows_check(gen->spare, gen->nr_spares);
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
		[DMR_CNT_SCAN_PASSES] = "scan_passes",
		[DMR_CNT_SCAN_READS] = "scan_reads",
		[DMR_CNT_SCAN_SECTORS] = "scan_sectors",
		[DMR_CNT_SCAN_ERRORS] = "scan_errors",
		[DMR_CNT_SCAN_RESCUED] = "scan_rescued",
		[DMR_CNT_SCAN_SLOW] = "scan_slow",
		[DMR_CNT_SCAN_BLANKS] = "scan_blanks",
		[DMR_CNT_SCAN_RELOCATED] = "scan_relocated",
	};

	return counter < DMR_NR_COUNTERS ? names[counter] : "unknown";
}

u64 dmr_state_sector(u64 seq)
{
	return DMR_STATE_SECTOR + (seq & (DMR_STATE_BLOCKS - 1)) *
		DMR_BLOCK_SECTORS;
}

static void encode_scan(u8 *p, const struct dmr_scanned *sc)
{
	u8 *q;
	u32 i;

	put32(p + STATE_SCAN_FLAGS, sc->flags);
	put32(p + STATE_SCAN_PATTERN, sc->pattern);
	put32(p + STATE_SCAN_DEVICE, sc->device);
	put32(p + STATE_SCAN_PASS, sc->pass);
	put64(p + STATE_SCAN_PLACE, sc->place);
	put64(p + STATE_SCAN_SEED, sc->seed);
	put64(p + STATE_SCAN_BEGAN, sc->began);
	put64(p + STATE_SCAN_SINCE, sc->since);
	put64(p + STATE_SCAN_ENDED, sc->ended);
	put64(p + STATE_SCAN_ERRORS, sc->errors);
	put64(p + STATE_SCAN_RESCUED, sc->rescued);
	put64(p + STATE_SCAN_SLOW, sc->slow);
	put64(p + STATE_SCAN_BLANKS, sc->blanks);
	put64(p + STATE_SCAN_RELOCATED, sc->relocated);
	put64(p + STATE_SCAN_FOUND, sc->found);
	put64(p + STATE_SCAN_FOUND_BEFORE, sc->found_before);
	put32(p + STATE_NR_NOTED, sc->nr_noted);
	for (i = 0; i < sc->nr_noted; i++) {
		q = p + STATE_NOTED + i * NOTED_SIZE;
		put64(q + NOTED_KEY, sc->noted[i].key);
		put32(q + NOTED_SLOW, sc->noted[i].slow);
		put32(q + NOTED_COUNTS, sc->noted[i].errors |
		      (u32)sc->noted[i].retries << 16);
	}
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
	put32(p + STATE_NR_USAGE, state->nr_usage);
	for (i = 0; i < state->nr_usage; i++) {
		put64(p + STATE_USAGE + i * 16, state->usage[i].time);
		put64(p + STATE_USAGE + i * 16 + 8, state->usage[i].used);
	}
	encode_scan(p, &state->scan);
	put32(p + STATE_CRC, dmr_block_crc(p, set_uuid));
}

static int decode_usage(const u8 *p, struct dmr_state *state)
{
	u32 n = get32(p + STATE_NR_USAGE), i;
	u64 before = 0;

	if (n > DMR_NR_USAGE)
		return DMR_FMT_STATE;
	for (i = 0; i < n; i++) {
		state->usage[i].time = get64(p + STATE_USAGE + i * 16);
		state->usage[i].used = get64(p + STATE_USAGE + i * 16 + 8);
		if (state->usage[i].time < before ||
		    state->usage[i].time > DMR_MAX_NUMBER ||
		    state->usage[i].used > DMR_MAX_NUMBER)
			return DMR_FMT_STATE;
		before = state->usage[i].time;
	}
	state->nr_usage = n;
	return DMR_FMT_OK;
}

static int decode_noted(const u8 *p, struct dmr_scanned *sc)
{
	u32 n = get32(p + STATE_NR_NOTED), i;
	struct dmr_noted *noted = sc->noted;
	const u8 *q;

	if (n > DMR_NR_NOTED)
		return DMR_FMT_STATE;
	for (i = 0; i < n; i++, noted++) {
		q = p + STATE_NOTED + i * NOTED_SIZE;
		noted->key = get64(q + NOTED_KEY);
		noted->slow = get32(q + NOTED_SLOW);
		noted->errors = get32(q + NOTED_COUNTS) & 0xffff;
		noted->retries = get32(q + NOTED_COUNTS) >> 16;
		if (noted->key >> DMR_KEY_SHIFT > DMR_MAX_SPARES ||
		    (noted->key & DMR_KEY_MASK) >= DMR_ORDER_MAX ||
		    (i && noted->key <= noted[-1].key))
			return DMR_FMT_STATE;
	}
	sc->nr_noted = n;
	return DMR_FMT_OK;
}

static int decode_scan(const u8 *p, struct dmr_scanned *sc)
{
	unsigned int at;

	/* All that is a number and only rises. */
	for (at = STATE_SCAN_BEGAN; at <= STATE_SCAN_FOUND_BEFORE; at += 8)
		if (get64(p + at) > DMR_MAX_NUMBER)
			return DMR_FMT_STATE;
	sc->flags = get32(p + STATE_SCAN_FLAGS);
	sc->pattern = get32(p + STATE_SCAN_PATTERN);
	sc->device = get32(p + STATE_SCAN_DEVICE);
	if (sc->flags & ~DMR_SCAN_FLAGS_KNOWN || sc->pattern >= DMR_NR_PATTERNS ||
	    sc->device > DMR_MAX_SPARES)
		return DMR_FMT_STATE;
	sc->pass = get32(p + STATE_SCAN_PASS);
	sc->place = get64(p + STATE_SCAN_PLACE);
	sc->seed = get64(p + STATE_SCAN_SEED);
	sc->began = get64(p + STATE_SCAN_BEGAN);
	sc->since = get64(p + STATE_SCAN_SINCE);
	sc->ended = get64(p + STATE_SCAN_ENDED);
	sc->errors = get64(p + STATE_SCAN_ERRORS);
	sc->rescued = get64(p + STATE_SCAN_RESCUED);
	sc->slow = get64(p + STATE_SCAN_SLOW);
	sc->blanks = get64(p + STATE_SCAN_BLANKS);
	sc->relocated = get64(p + STATE_SCAN_RELOCATED);
	sc->found = get64(p + STATE_SCAN_FOUND);
	sc->found_before = get64(p + STATE_SCAN_FOUND_BEFORE);
	return decode_noted(p, sc);
}

int dmr_state_decode(const void *block, const u8 *set_uuid, unsigned int place,
		     struct dmr_state *state)
{
	const u8 *p = block, *q;
	unsigned int i;
	int r = dmr_block_check(p, state_magic, set_uuid);
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
		    state->sample[i].unit > DMR_MAIN_MASK)
			return DMR_FMT_STATE;
		state->sample[i].valid = get32(q + SAMPLE_VALID);
	}
	r = decode_usage(p, state);
	return r ? r : decode_scan(p, &state->scan);
}

/* Every other note of the older half goes, but never the first. */
static void thin_usage(struct dmr_state *state)
{
	u32 i, kept = 0;

	for (i = 0; i < state->nr_usage; i++)
		if (i % 2 == 0 || i >= DMR_NR_USAGE / 2)
			state->usage[kept++] = state->usage[i];
	state->nr_usage = kept;
}

void dmr_usage_add(struct dmr_state *state, u64 time, u64 used)
{
	struct dmr_usage *last = state->usage + state->nr_usage - 1;

	if (state->nr_usage) {
		if (last->used == used)
			return;
		/* Also when the clock was set back. */
		if (state->nr_usage > 1 && time < last->time + DMR_USAGE_SECONDS) {
			last->used = used;
			return;
		}
		if (time < last->time)
			time = last->time;
	}
	if (state->nr_usage == DMR_NR_USAGE)
		thin_usage(state);
	state->usage[state->nr_usage].time = time;
	state->usage[state->nr_usage++].used = used;
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
