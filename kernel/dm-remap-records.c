// SPDX-License-Identifier: GPL-2.0-only
/*
 * Generation records and state blocks. Pure code: see dm-remap-records.h.
 */
#include "dm-remap-block.h"
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
	put32(p + STATE_CRC, dmr_block_crc(p, set_uuid));
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
