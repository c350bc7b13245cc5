// SPDX-License-Identifier: GPL-2.0-only
/*
 * Many threads write blocks of 4 KiB, each to a few places of its own group, again and again.
 *
 *   bench-spares <device> <threads> <writes of each> <group>...
 *
 * A group is a list of byte offsets, "4096,8192,..."; threads are dealt to the groups in turns.
 * Output: "<nanoseconds from the first write to the end of the last> <idle time of processors in it,
 * nanoseconds>". Under QEMU's -icount shift=0 a nanosecond is an executed instruction, or idle.
 */
#include "bench.h"

#include <fcntl.h>
#include <pthread.h>
#include <time.h>
#include <unistd.h>

#define SIZE 4096
#define MAX_THREADS 256
#define MAX_GROUPS 16
#define MAX_OFFSETS 256
#define STACK_BYTES 65536

struct group {
	off_t offset[MAX_OFFSETS];
	unsigned int n;
};

struct writer {
	pthread_t id;
	const struct group *group;
	unsigned int first;	/* where it begins in its group */
};

static int device;
static unsigned long nr_writes;
static pthread_barrier_t barrier;
static struct group groups[MAX_GROUPS];
static struct writer writers[MAX_THREADS];
static char buffer[SIZE] __attribute__((aligned(SIZE)));

static uint64_t now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* Idle time of all processors since they started, with that in which somebody waits for I/O. */
static uint64_t idle(void)
{
	unsigned long long user, nice, system, idle, iowait;
	FILE *file = fopen("/proc/stat", "r");

	if (!file || fscanf(file, "cpu %llu %llu %llu %llu %llu", &user, &nice, &system,
			    &idle, &iowait) != 5)
		die("/proc/stat", errno);
	fclose(file);
	return (idle + iowait) * 1000000000ull / sysconf(_SC_CLK_TCK);
}

static void *write_all(void *data)
{
	const struct writer *w = data;
	unsigned long i;
	ssize_t done;

	pthread_barrier_wait(&barrier);
	for (i = 0; i < nr_writes; i++) {
		done = pwrite(device, buffer, SIZE, w->group->offset[(w->first + i) % w->group->n]);
		if (done != SIZE)
			die("pwrite", done < 0 ? errno : EIO);
	}
	return NULL;
}

static void read_group(struct group *g, char *word)
{
	char *number;

	for (number = strtok(word, ","); number; number = strtok(NULL, ",")) {
		if (g->n == MAX_OFFSETS)
			die("group", E2BIG);
		g->offset[g->n++] = strtoll(number, NULL, 10);
	}
	if (!g->n)
		die("group", EINVAL);
}

int main(int argc, char **argv)
{
	unsigned int nr_threads = argc > 4 ? atoi(argv[2]) : 0, nr_groups = argc - 4, i;
	uint64_t start, was_idle, took;
	pthread_attr_t attr;
	int error;

	if (!nr_threads || nr_threads > MAX_THREADS || nr_groups > MAX_GROUPS) {
		fprintf(stderr, "usage: at the top of spares.c\n");
		return 2;
	}
	device = open(argv[1], O_RDWR | O_DIRECT);
	if (device < 0)
		die(argv[1], errno);
	nr_writes = strtoul(argv[3], NULL, 10);
	for (i = 0; i < nr_groups; i++)
		read_group(&groups[i], argv[4 + i]);
	memset(buffer, 0x5a, SIZE);
	pthread_barrier_init(&barrier, NULL, nr_threads + 1);
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (i = 0; i < nr_threads; i++) {
		writers[i].group = &groups[i % nr_groups];
		writers[i].first = i / nr_groups;
		error = pthread_create(&writers[i].id, &attr, write_all, &writers[i]);
		if (error)
			die("pthread_create", error);
	}
	was_idle = idle();
	start = now();
	pthread_barrier_wait(&barrier);
	for (i = 0; i < nr_threads; i++)
		pthread_join(writers[i].id, NULL);
	took = now() - start;
	printf("%llu %llu\n", (unsigned long long)took, (unsigned long long)(idle() - was_idle));
	return 0;
}
