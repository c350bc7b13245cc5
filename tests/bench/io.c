// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count what an I/O costs: direct I/O to several block devices in turns, in processor ticks.
 *
 *   bench-io calibrate
 *   bench-io <psync|uring|nowait|polled> <depth> <read|write> <random|sequential> <size> <rounds>
 *            <count> <device>[@<bytes>|:<file>]...
 *   bench-io ... <rounds 0> ...          the same, of the first device, for ever
 *   bench-io in-flight <depth> <size> <device>[@<bytes>|:<file>] <disk>
 *
 * "nowait" is io_uring with RWF_NOWAIT, "polled" is io_uring with IORING_SETUP_IOPOLL.
 *
 * In every round each device gets <count> I/Os, at the same offsets, in its first <bytes> if that is
 * given; a round starts with any of them, so that no device is the one that the clock interrupts
 * whenever a round is as long as its period. Round 0 warms up and is not reported. Random I/O leaves
 * every other block alone: there remaps can be that it shall not meet.
 * With a <file> random I/O goes to the offsets in it (bytes, 64 bits each): to the n-th of one file
 * when it goes to the n-th of another.
 * Output: a line "<round> <device, from 0> <ticks per I/O> <refused>" for each; <refused> I/Os came
 * back with EAGAIN instead of being done, which only "nowait" ones may.
 *
 * "in-flight" submits <depth> polled reads, and prints how many of them are in flight in <disk>
 * when the submission is over: those that really wait to be polled for.
 *
 * Under QEMU's -icount shift=0 a tick is an executed instruction; "calibrate" prints the ticks of an
 * instruction, and of this program's own work for an I/O there is nothing to subtract: it is the
 * same for all devices.
 */
#include "bench.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_DEVICES 16
#define CALIBRATION_LOOPS 100000
#define CALIBRATION_ROUNDS 20

struct device {
	int fd;
	uint64_t blocks;	/* places for an I/O */
	uint64_t *offsets;	/* of all places; NULL: they are blocks of the I/O's size */
};

struct workload {
	bool uring;
	bool nowait;
	bool polled;
	unsigned int depth;
	bool write;
	bool sequential;
	size_t size;
	unsigned long rounds;
	unsigned long count;
	char *buffer;		/* depth times size bytes */
	struct io_uring ring;
};

/* Where the next I/O of a round goes. */
struct cursor {
	uint64_t random;
	uint64_t next;
	unsigned long refused;
};

static off_t next_offset(const struct workload *w, const struct device *d, struct cursor *c)
{
	uint64_t block;

	if (w->sequential) {
		block = c->next++ % d->blocks;
	} else {
		block = next_random(&c->random) % d->blocks;
		if (d->offsets)
			return d->offsets[block];
		block &= ~1ull;
	}
	return block * w->size;
}

static void run_psync(struct workload *w, const struct device *d, struct cursor *c)
{
	unsigned long i;
	off_t offset;
	ssize_t done;

	for (i = 0; i < w->count; i++) {
		offset = next_offset(w, d, c);
		done = w->write ? pwrite(d->fd, w->buffer, w->size, offset) :
				  pread(d->fd, w->buffer, w->size, offset);
		if (done != (ssize_t)w->size)
			die(w->write ? "pwrite" : "pread", done < 0 ? errno : EIO);
	}
}

static void queue_one(struct workload *w, const struct device *d, struct cursor *c,
		      unsigned long number)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&w->ring);
	char *buffer = w->buffer + number % w->depth * w->size;
	off_t offset = next_offset(w, d, c);

	if (!sqe)
		die("submission queue", ENOSPC);
	if (w->write)
		io_uring_prep_write(sqe, d->fd, buffer, w->size, offset);
	else
		io_uring_prep_read(sqe, d->fd, buffer, w->size, offset);
	if (w->nowait)
		sqe->rw_flags = RWF_NOWAIT;
}

static unsigned int reap(struct workload *w, struct cursor *c)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&w->ring, head, cqe) {
		if (w->nowait && cqe->res == -EAGAIN)
			c->refused++;
		else if (cqe->res != (int)w->size)
			die("io_uring", cqe->res < 0 ? -cqe->res : EIO);
		n++;
	}
	io_uring_cq_advance(&w->ring, n);
	return n;
}

static void run_uring(struct workload *w, const struct device *d, struct cursor *c)
{
	unsigned long queued = 0, done = 0;
	int error;

	while (done < w->count) {
		while (queued < w->count && queued - done < w->depth)
			queue_one(w, d, c, queued++);
		error = io_uring_submit_and_wait(&w->ring, 1);
		if (error < 0)
			die("io_uring_enter", -error);
		done += reap(w, c);
	}
}

static double run_round(struct workload *w, const struct device *d, unsigned long round,
			unsigned long *refused)
{
	struct cursor c = { .random = round + 1, .next = round * w->count };
	uint64_t start = ticks(), took;

	if (w->uring)
		run_uring(w, d, &c);
	else
		run_psync(w, d, &c);
	took = ticks() - start;
	*refused = c.refused;
	return (double)took / w->count;
}

static void run_rounds(struct workload *w, const struct device *devices, unsigned int n)
{
	unsigned long round, refused;
	unsigned int i, at, first;
	uint64_t random = 1;
	double result;

	for (round = 0; round <= w->rounds; round++) {
		first = next_random(&random) % n;
		for (i = 0; i < n; i++) {
			at = (first + i) % n;
			result = run_round(w, &devices[at], round, &refused);
			if (round)
				printf("%lu %u %.3f %lu\n", round, at, result, refused);
		}
	}
}

static void read_offsets(struct device *d, const char *path)
{
	FILE *file = fopen(path, "r");
	struct stat st;

	if (!file || fstat(fileno(file), &st))
		die(path, errno);
	d->blocks = st.st_size / sizeof(*d->offsets);
	d->offsets = malloc(st.st_size);
	if (!d->blocks || !d->offsets)
		die(path, ENOSPC);
	if (fread(d->offsets, sizeof(*d->offsets), d->blocks, file) != d->blocks)
		die(path, EIO);
	fclose(file);
}

static struct device open_device(char *word, const struct workload *w)
{
	char *at = strchr(word, '@'), *list = strchr(word, ':');
	struct device d = { 0 };
	uint64_t bytes;

	if (at)
		*at = '\0';
	if (list)
		*list = '\0';
	d.fd = open(word, (w->write ? O_RDWR : O_RDONLY) | O_DIRECT);
	if (d.fd < 0 || ioctl(d.fd, BLKGETSIZE64, &bytes))
		die(word, errno);
	if (at && strtoull(at + 1, NULL, 10) < bytes)
		bytes = strtoull(at + 1, NULL, 10);
	d.blocks = bytes / w->size;
	if (list)
		read_offsets(&d, list + 1);
	if (!d.blocks)
		die(word, ENOSPC);
	return d;
}

/* Ordinary pages, all there: what most programs have. */
static char *allocate(size_t bytes)
{
	char *memory = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (memory == MAP_FAILED)
		die("mmap", errno);
	madvise(memory, bytes, MADV_NOHUGEPAGE);
	memset(memory, 0x5a, bytes);
	return memory;
}

/* The ticks of an instruction, from a loop of two; the least, which no interrupt has met. */
static int calibrate(void)
{
	uint64_t least = UINT64_MAX, start, took, n;
	unsigned int i;

	for (i = 0; i < CALIBRATION_ROUNDS; i++) {
		n = CALIBRATION_LOOPS;
		start = ticks();
		__asm__ volatile("1: dec %0; jnz 1b" : "+r"(n));
		took = ticks() - start;
		if (took < least)
			least = took;
	}
	printf("%.6f\n", least / (2.0 * CALIBRATION_LOOPS));
	return 0;
}

static void set_up_ring(struct workload *w)
{
	int error = io_uring_queue_init(w->depth, &w->ring, w->polled ? IORING_SETUP_IOPOLL : 0);

	if (error)
		die("io_uring_queue_init", -error);
}

/* The requests of a disk that are under way, as the block layer counts its tags. */
static unsigned long in_flight(const char *disk)
{
	unsigned long reads, writes;
	char path[128];
	FILE *file;

	snprintf(path, sizeof(path), "/sys/block/%s/inflight", disk);
	file = fopen(path, "r");
	if (!file || fscanf(file, "%lu %lu", &reads, &writes) != 2)
		die(path, file ? EIO : errno);
	fclose(file);
	return reads + writes;
}

/* io_uring_submit() polls at once: hand the first entries of a new ring over, and nothing more. */
static void submit_only(struct io_uring *ring, unsigned int n)
{
	unsigned int i;
	int done;

	for (i = 0; i < n; i++)
		ring->sq.array[i] = i;
	__atomic_store_n(ring->sq.ktail, n, __ATOMIC_RELEASE);
	done = io_uring_enter(ring->ring_fd, n, 0, 0, NULL);
	if (done != (int)n)
		die("io_uring_enter", done < 0 ? -done : EIO);
}

static int poll_later(char **words)
{
	unsigned long depth = strtoul(words[0], NULL, 10), i;
	struct workload w = {
		.uring = true, .polled = true, .depth = depth, .size = strtoul(words[1], NULL, 10),
	};
	struct cursor c = { .random = 1 };
	struct io_uring_cqe *cqe;
	struct device d;

	w.buffer = allocate(w.depth * w.size);
	d = open_device(words[2], &w);
	set_up_ring(&w);
	for (i = 0; i < depth; i++)
		queue_one(&w, &d, &c, i);
	submit_only(&w.ring, depth);
	printf("%lu\n", in_flight(words[3]));
	/* A device that can't be polled may have refused them: it is asked about, and no error. */
	for (i = 0; i < depth && !io_uring_wait_cqe(&w.ring, &cqe); i++)
		io_uring_cqe_seen(&w.ring, cqe);
	return 0;
}

int main(int argc, char **argv)
{
	struct device devices[MAX_DEVICES];
	struct workload w = { 0 };
	int n = argc - 8, i;
	unsigned long refused;

	if (argc == 2 && !strcmp(argv[1], "calibrate"))
		return calibrate();
	if (argc == 6 && !strcmp(argv[1], "in-flight"))
		return poll_later(argv + 2);
	if (n < 1 || n > MAX_DEVICES) {
		fprintf(stderr, "usage: at the top of io.c\n");
		return 2;
	}
	w.nowait = !strcmp(argv[1], "nowait");
	w.polled = !strcmp(argv[1], "polled");
	w.uring = w.nowait || w.polled || !strcmp(argv[1], "uring");
	w.depth = atoi(argv[2]);
	w.write = !strcmp(argv[3], "write");
	w.sequential = !strcmp(argv[4], "sequential");
	w.size = strtoul(argv[5], NULL, 10);
	w.rounds = strtoul(argv[6], NULL, 10);
	w.count = strtoul(argv[7], NULL, 10);
	w.buffer = allocate(w.depth * w.size);
	for (i = 0; i < n; i++)
		devices[i] = open_device(argv[8 + i], &w);
	if (w.uring)
		set_up_ring(&w);
	while (!w.rounds)
		run_round(&w, &devices[0], 0, &refused);
	run_rounds(&w, devices, n);
	return 0;
}
