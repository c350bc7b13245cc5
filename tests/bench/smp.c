// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count what an I/O costs when several processors do I/O at once: direct I/O of 4 KiB at random
 * places, by one thread on each processor, to several block devices in turns.
 *
 *   bench-smp <processors> <psync|uring> <depth> <read|write> <rounds> <count> <device>...
 *
 *   bench-smp pause			for ever: gives each turn away
 *
 * In every round each device gets <count> I/Os from processor 0 alone, then as many from each
 * processor at once; a round starts with another device than the one before. Round 0 warms up and is
 * not reported. All threads begin together, and a run ends when the last of them has ended.
 * Output: a line "<round> <device, from 0> <processors that took part> <ticks per I/O>" for each run.
 *
 * Under QEMU's -icount shift=0 all processors run in turns on one clock, which ticks once for each
 * instruction that any of them executes: "ticks per I/O" is what all of them did, by all I/Os. A
 * processor has its turn until it halts or pauses, so each thread pauses before each of its system
 * calls: then I/Os of all processors come one after the other, not a thousand of each.
 */
#include "bench.h"

#include <fcntl.h>
#include <liburing.h>
#include <linux/fs.h>
#include <pthread.h>
#include <sched.h>
#include <stdbool.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <unistd.h>

#define MAX_DEVICES 4
#define MAX_THREADS 16
#define SIZE 4096

static bool uring, is_write;
static unsigned int depth, nr_threads;
static unsigned long nr_rounds, nr_ios;
static int devices[MAX_DEVICES];
static unsigned int nr_devices;
static uint64_t nr_blocks;
static pthread_barrier_t barrier;

static struct thread {
	pthread_t id;
	unsigned int cpu;
	uint64_t random;
	uint64_t start, end;	/* of its part of a round */
	char *buffer;		/* depth times SIZE bytes */
	struct io_uring ring;
} threads[MAX_THREADS];

/* Under emulation this is the next processor's turn. */
static void let_others_run(void)
{
	__asm__ volatile("pause" : : : "memory");
}

static off_t next_offset(struct thread *t)
{
	return next_random(&t->random) % nr_blocks * SIZE;
}

static void run_psync(struct thread *t, int fd)
{
	unsigned long i;
	off_t offset;
	ssize_t done;

	for (i = 0; i < nr_ios; i++) {
		offset = next_offset(t);
		let_others_run();
		done = is_write ? pwrite(fd, t->buffer, SIZE, offset) :
				  pread(fd, t->buffer, SIZE, offset);
		if (done != SIZE)
			die(is_write ? "pwrite" : "pread", done < 0 ? errno : EIO);
	}
}

static void queue_one(struct thread *t, int fd, unsigned long number)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&t->ring);
	char *buffer = t->buffer + number % depth * SIZE;
	off_t offset = next_offset(t);

	if (!sqe)
		die("submission queue", ENOSPC);
	if (is_write)
		io_uring_prep_write(sqe, fd, buffer, SIZE, offset);
	else
		io_uring_prep_read(sqe, fd, buffer, SIZE, offset);
}

static unsigned int reap(struct thread *t)
{
	struct io_uring_cqe *cqe;
	unsigned int head, n = 0;

	io_uring_for_each_cqe(&t->ring, head, cqe) {
		if (cqe->res != SIZE)
			die("io_uring", cqe->res < 0 ? -cqe->res : EIO);
		n++;
	}
	io_uring_cq_advance(&t->ring, n);
	return n;
}

static void run_uring(struct thread *t, int fd)
{
	unsigned long queued = 0, done = 0;
	int error;

	while (done < nr_ios) {
		while (queued < nr_ios && queued - done < depth)
			queue_one(t, fd, queued++);
		let_others_run();
		error = io_uring_submit_and_wait(&t->ring, 1);
		if (error < 0)
			die("io_uring_enter", -error);
		done += reap(t);
	}
}

static void prepare(struct thread *t)
{
	cpu_set_t set;
	int error;

	CPU_ZERO(&set);
	CPU_SET(t->cpu, &set);
	if (sched_setaffinity(0, sizeof(set), &set))
		die("sched_setaffinity", errno);
	/* Ordinary pages, all there: what most programs have. */
	t->buffer = mmap(NULL, depth * SIZE, PROT_READ | PROT_WRITE,
			 MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	if (t->buffer == MAP_FAILED)
		die("mmap", errno);
	madvise(t->buffer, depth * SIZE, MADV_NOHUGEPAGE);
	memset(t->buffer, 0x5a, depth * SIZE);
	if (uring) {
		error = io_uring_queue_init(depth, &t->ring, 0);
		if (error)
			die("io_uring_queue_init", -error);
	}
}

/* From the first that began to the last that ended, by the I/Os of all. */
static double ticks_per_io(unsigned int active)
{
	uint64_t start = threads[0].start, end = threads[0].end;
	unsigned int i;

	for (i = 1; i < active; i++) {
		if (threads[i].start < start)
			start = threads[i].start;
		if (threads[i].end > end)
			end = threads[i].end;
	}
	return (double)(end - start) / nr_ios / active;
}

/* One thread's part of a run of the first <active> threads; the others sleep. */
static void run(struct thread *t, unsigned long round, unsigned int device, unsigned int active)
{
	t->random = round * MAX_THREADS + t->cpu + 1;
	pthread_barrier_wait(&barrier);
	t->start = ticks();
	if (t->cpu < active) {
		if (uring)
			run_uring(t, devices[device]);
		else
			run_psync(t, devices[device]);
	}
	t->end = ticks();
	pthread_barrier_wait(&barrier);
	if (!t->cpu && round)
		printf("%lu %u %u %.3f\n", round, device, active, ticks_per_io(active));
}

static void *run_rounds(void *data)
{
	struct thread *t = data;
	unsigned long round;
	unsigned int i, at;

	prepare(t);
	for (round = 0; round <= nr_rounds; round++) {
		for (i = 0; i < nr_devices; i++) {
			at = (round + i) % nr_devices;
			run(t, round, at, 1);
			run(t, round, at, nr_threads);
		}
	}
	return NULL;
}

static int open_device(const char *path)
{
	int fd = open(path, (is_write ? O_RDWR : O_RDONLY) | O_DIRECT);
	uint64_t bytes;

	if (fd < 0 || ioctl(fd, BLKGETSIZE64, &bytes))
		die(path, errno);
	if (bytes < SIZE)
		die(path, ENOSPC);
	if (!nr_blocks || bytes / SIZE < nr_blocks)
		nr_blocks = bytes / SIZE;
	return fd;
}

int main(int argc, char **argv)
{
	unsigned int i;
	int error;

	while (argc == 2 && !strcmp(argv[1], "pause"))
		let_others_run();
	if (argc < 8 || argc - 7 > MAX_DEVICES || atoi(argv[1]) < 1 ||
	    atoi(argv[1]) > MAX_THREADS) {
		fprintf(stderr, "usage: at the top of smp.c\n");
		return 2;
	}
	nr_threads = atoi(argv[1]);
	uring = !strcmp(argv[2], "uring");
	depth = atoi(argv[3]);
	is_write = !strcmp(argv[4], "write");
	nr_rounds = strtoul(argv[5], NULL, 10);
	nr_ios = strtoul(argv[6], NULL, 10);
	nr_devices = argc - 7;
	for (i = 0; i < nr_devices; i++)
		devices[i] = open_device(argv[7 + i]);
	pthread_barrier_init(&barrier, NULL, nr_threads);
	for (i = 0; i < nr_threads; i++) {
		threads[i].cpu = i;
		error = pthread_create(&threads[i].id, NULL, run_rounds, &threads[i]);
		if (error)
			die("pthread_create", error);
	}
	for (i = 0; i < nr_threads; i++)
		pthread_join(threads[i].id, NULL);
	return 0;
}
