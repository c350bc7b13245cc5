// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the guest: write to a device for ever and report what was acknowledged; or read it back.
 *
 *   crash-load write <device> <port> <unit bytes> <units> <run> <generation> <depth> <seed>
 *   crash-load read  <device> <port> <unit bytes> <units>
 *
 * All I/O is direct, by io_uring. A write covers 1 to 4 units, and no two writes to a unit are under
 * way at once, so that the versions of a unit have an order. Some writes are synchronous, now and
 * then everything is synced, and some units are read. Records (struct record) go to the port only
 * after the completion that they report. Versions count from <generation> << 32.
 *
 * Every sector says where it belongs: pattern.py tells the same story.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <liburing.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SECTOR 512
#define MAX_RUN 4
#define MAX_DEPTH 64
#define FILLER_STEP 0x9E3779B97F4A7C15ull

/* Shares, in percent of the operations. */
#define SYNC_SHARE 2
#define READ_SHARE 12
#define DSYNC_SHARE 10

enum kind { WROTE = 1, SYNCED, READ_BACK, CONTENT, END };

/* What goes to the port; CONTENT without an error is followed by a unit's data. */
struct record {
	uint32_t kind;
	int32_t error;		/* errno, positive; EILSEQ: a sector is not what was written */
	uint64_t unit;
	uint32_t units;
	uint32_t sync;		/* the write was synchronous */
	uint64_t version;
	uint64_t count;		/* writes ended: this one included, or when the sync began */
};

struct sector {
	char magic[8];
	uint64_t unit;
	uint64_t version;
	uint64_t run;
	uint32_t index;
	uint32_t crc;
	uint64_t filler[(SECTOR - 40) / 8];
};

/* An operation under way. */
struct slot {
	enum kind kind;
	uint64_t unit;
	uint32_t units;
	bool sync;
	uint64_t version;
	uint64_t count;
	char *buffer;
};

static struct io_uring ring;
static struct slot slots[MAX_DEPTH];
static unsigned int depth, sectors_per_unit;
static uint64_t nr_units, unit_bytes, run, version, ended, random_state;
static bool *busy, syncing;
static int device, port;
static struct record out[MAX_DEPTH * MAX_RUN];
static unsigned int nr_out;
static uint32_t crc_table[256];

static void die(const char *what, int error)
{
	fprintf(stderr, "crash-load: %s: %s\n", what, strerror(error));
	exit(1);
}

static uint64_t next_random(uint64_t below)
{
	random_state ^= random_state << 13;
	random_state ^= random_state >> 7;
	random_state ^= random_state << 17;
	return (random_state >> 11) % below;
}

static void make_crc_table(void)
{
	uint32_t i, k, c;

	for (i = 0; i < 256; i++) {
		for (c = i, k = 0; k < 8; k++)
			c = c & 1 ? 0xEDB88320u ^ c >> 1 : c >> 1;
		crc_table[i] = c;
	}
}

static uint32_t crc32(const void *data, size_t length)
{
	const uint8_t *p = data;
	uint32_t c = ~0u;

	while (length--)
		c = crc_table[(c ^ *p++) & 0xff] ^ c >> 8;
	return ~c;
}

static void fill_sector(struct sector *s, uint64_t unit, uint64_t v, uint32_t index)
{
	uint64_t word = run ^ v << 20 ^ unit << 4 ^ index;
	unsigned int i;

	memcpy(s->magic, "DMRCRASH", 8);
	s->unit = unit;
	s->version = v;
	s->run = run;
	s->index = index;
	s->crc = 0;
	for (i = 0; i < sizeof(s->filler) / 8; i++)
		s->filler[i] = word += FILLER_STEP;
	s->crc = crc32(s, SECTOR);
}

/* The version of a sector, or -1 when it is none of this place. */
static int64_t sector_version(struct sector *s, uint64_t unit, uint32_t index)
{
	uint32_t crc = s->crc;
	bool whole;

	s->crc = 0;
	whole = crc32(s, SECTOR) == crc && !memcmp(s->magic, "DMRCRASH", 8);
	return whole && s->unit == unit && s->run == run && s->index == index ? (int64_t)s->version : -1;
}

static void send_all(const void *data, size_t length)
{
	const char *p = data;
	ssize_t n;

	for (; length; p += n, length -= n) {
		n = write(port, p, length);
		if (n <= 0)
			die("port", errno);
	}
}

static void start_write(struct slot *s, struct io_uring_sqe *sqe)
{
	uint64_t unit, i;
	uint32_t n, k;

	do {
		unit = next_random(nr_units);
	} while (busy[unit]);
	n = next_random(3) ? 1 : 1 + next_random(MAX_RUN);
	for (i = 1; i < n && unit + i < nr_units && !busy[unit + i]; i++)
		;
	s->kind = WROTE;
	s->unit = unit;
	s->units = i;
	s->version = ++version;
	s->sync = next_random(100) < DSYNC_SHARE;
	for (i = 0; i < s->units; i++) {
		busy[unit + i] = true;
		for (k = 0; k < sectors_per_unit; k++)
			fill_sector((struct sector *)(s->buffer + i * unit_bytes + k * SECTOR), unit + i,
				    s->version, k);
	}
	io_uring_prep_write(sqe, device, s->buffer, s->units * unit_bytes, unit * unit_bytes);
	if (s->sync)
		sqe->rw_flags = RWF_DSYNC;
}

static void start_read(struct slot *s, struct io_uring_sqe *sqe)
{
	do {
		s->unit = next_random(nr_units);
	} while (busy[s->unit]);
	s->kind = READ_BACK;
	s->units = 1;
	busy[s->unit] = true;
	io_uring_prep_read(sqe, device, s->buffer, unit_bytes, s->unit * unit_bytes);
}

static void start_one(struct slot *s)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&ring);
	uint64_t dice = next_random(100);

	if (!sqe)
		die("submission queue", ENOSPC);
	if (dice < SYNC_SHARE && !syncing) {
		syncing = true;
		s->kind = SYNCED;
		s->count = ended;
		io_uring_prep_fsync(sqe, device, IORING_FSYNC_DATASYNC);
	} else if (dice < SYNC_SHARE + READ_SHARE) {
		start_read(s, sqe);
	} else {
		start_write(s, sqe);
	}
	io_uring_sqe_set_data(sqe, s);
}

static void judge_read(struct slot *s, struct record *r)
{
	int64_t v, first = -1;
	unsigned int k;

	for (k = 0; k < sectors_per_unit && !r->error; k++) {
		v = sector_version((struct sector *)(s->buffer + k * SECTOR), s->unit, k);
		if (v < 0)
			r->error = EILSEQ;
		/* Sectors of several versions: the oldest is told. */
		if (!k || v < first)
			first = v;
	}
	r->version = first;
}

static void end_one(struct slot *s, int result)
{
	struct record *r = &out[nr_out++];
	uint64_t i;
	int expected = s->kind == SYNCED ? 0 : (int)(s->units * unit_bytes);

	memset(r, 0, sizeof(*r));
	r->kind = s->kind;
	r->error = result < 0 ? -result : result != expected ? EIO : 0;
	r->unit = s->unit;
	r->units = s->units;
	if (s->kind == WROTE) {
		r->version = s->version;
		r->sync = s->sync;
		r->count = ++ended;
	} else if (s->kind == SYNCED) {
		r->count = s->count;
		syncing = false;
	} else {
		judge_read(s, r);
	}
	if (s->kind != SYNCED)
		for (i = 0; i < s->units; i++)
			busy[s->unit + i] = false;
	s->kind = 0;
}

static void write_for_ever(void)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n, i;
	int error;

	for (;;) {
		for (i = 0; i < depth; i++)
			if (!slots[i].kind)
				start_one(&slots[i]);
		error = io_uring_submit_and_wait(&ring, 1);
		if (error < 0)
			die("io_uring_enter", -error);
		n = 0;
		io_uring_for_each_cqe(&ring, head, cqe) {
			end_one(io_uring_cqe_get_data(cqe), cqe->res);
			n++;
		}
		io_uring_cq_advance(&ring, n);
		send_all(out, nr_out * sizeof(out[0]));
		nr_out = 0;
	}
}

static void read_back(void)
{
	struct record r = { .kind = CONTENT, .units = 1 };
	char *buffer = slots[0].buffer;
	ssize_t n;

	for (r.unit = 0; r.unit < nr_units; r.unit++) {
		n = pread(device, buffer, unit_bytes, r.unit * unit_bytes);
		r.error = n == (ssize_t)unit_bytes ? 0 : n < 0 ? errno : EIO;
		send_all(&r, sizeof(r));
		if (!r.error)
			send_all(buffer, unit_bytes);
	}
	r.kind = END;
	send_all(&r, sizeof(r));
}

static void open_all(char **argv)
{
	unsigned int i;

	device = open(argv[2], O_RDWR | O_DIRECT);
	if (device < 0)
		die(argv[2], errno);
	port = open(argv[3], O_RDWR);
	if (port < 0)
		die(argv[3], errno);
	unit_bytes = strtoull(argv[4], NULL, 10);
	nr_units = strtoull(argv[5], NULL, 10);
	sectors_per_unit = unit_bytes / SECTOR;
	busy = calloc(nr_units, sizeof(*busy));
	for (i = 0; i < MAX_DEPTH; i++)
		if (posix_memalign((void **)&slots[i].buffer, 4096, MAX_RUN * unit_bytes))
			die("memory", ENOMEM);
	if (!busy)
		die("memory", ENOMEM);
	make_crc_table();
}

int main(int argc, char **argv)
{
	int error;

	if (argc == 6 && !strcmp(argv[1], "read")) {
		open_all(argv);
		read_back();
		return 0;
	}
	if (argc != 10 || strcmp(argv[1], "write")) {
		fprintf(stderr, "usage: at the top of load.c\n");
		return 2;
	}
	open_all(argv);
	run = strtoull(argv[6], NULL, 10);
	version = strtoull(argv[7], NULL, 10) << 32;
	depth = strtoul(argv[8], NULL, 10);
	random_state = strtoull(argv[9], NULL, 10) | 1;
	/* Busy units are avoided by drawing again: there must be enough others. */
	if (!depth || depth > MAX_DEPTH || nr_units < 2 * MAX_RUN * depth)
		die("depth", EINVAL);
	error = io_uring_queue_init(MAX_DEPTH, &ring, 0);
	if (error)
		die("io_uring_queue_init", -error);
	write_for_ever();
}
