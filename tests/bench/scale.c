// SPDX-License-Identifier: GPL-2.0-only
/*
 * Count what the table of dm-remap costs as it grows, in processor ticks. Under QEMU's -icount
 * shift=0 a tick is an executed instruction.
 *
 *   bench-scale activate <dm name>
 *       resume the device for the first time, which loads its table; prints the ticks
 *   bench-scale single <device> <bytes> <offset> <distance> <count>
 *       direct writes of <bytes>, one after the other, <distance> bytes apart; prints the ticks of
 *       each on a line
 *   bench-scale together <device> <bytes> <offset> <distance> <count>
 *       the same writes, all submitted at once; prints the ticks until the last has ended
 */
#include "bench.h"

#include <fcntl.h>
#include <inttypes.h>
#include <liburing.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <unistd.h>

#define CONTROL "/dev/mapper/control"
#define ALIGNMENT 4096
#define MAX_TOGETHER 1024

struct job {
	int fd;
	char *buffer;
	size_t bytes;
	uint64_t offset;
	uint64_t distance;
	unsigned int count;
};

static int activate(const char *name)
{
	struct dm_ioctl request = {
		.version = { DM_VERSION_MAJOR, 0, 0 },
		.data_size = sizeof(request),
		.data_start = sizeof(request),
	};
	int control = open(CONTROL, O_RDWR);
	uint64_t start;

	if (control < 0)
		die(CONTROL, errno);
	snprintf(request.name, sizeof(request.name), "%s", name);
	start = ticks();
	/* Without DM_SUSPEND_FLAG it resumes. */
	if (ioctl(control, DM_DEV_SUSPEND, &request))
		die(name, errno);
	printf("%" PRIu64 "\n", ticks() - start);
	return 0;
}

static int single(const struct job *j)
{
	uint64_t start, took;
	unsigned int i;
	ssize_t done;

	for (i = 0; i < j->count; i++) {
		start = ticks();
		done = pwrite(j->fd, j->buffer, j->bytes, j->offset + i * j->distance);
		took = ticks() - start;
		if (done != (ssize_t)j->bytes)
			die("pwrite", done < 0 ? errno : EIO);
		printf("%" PRIu64 "\n", took);
	}
	return 0;
}

static int together(const struct job *j)
{
	struct io_uring_cqe *cqe;
	struct io_uring ring;
	uint64_t start;
	unsigned int i;
	int error;

	error = io_uring_queue_init(j->count, &ring, 0);
	if (error)
		die("io_uring_queue_init", -error);
	for (i = 0; i < j->count; i++)
		io_uring_prep_write(io_uring_get_sqe(&ring), j->fd, j->buffer, j->bytes,
				    j->offset + i * j->distance);
	start = ticks();
	error = io_uring_submit_and_wait(&ring, j->count);
	if (error != (int)j->count)
		die("io_uring_enter", error < 0 ? -error : EIO);
	printf("%" PRIu64 "\n", ticks() - start);
	for (i = 0; i < j->count; i++) {
		if (io_uring_wait_cqe(&ring, &cqe) || cqe->res != (int)j->bytes)
			die("write", cqe->res < 0 ? -cqe->res : EIO);
		io_uring_cqe_seen(&ring, cqe);
	}
	return 0;
}

int main(int argc, char **argv)
{
	struct job j;

	if (argc == 3 && !strcmp(argv[1], "activate"))
		return activate(argv[2]);
	if (argc != 7 || (strcmp(argv[1], "single") && strcmp(argv[1], "together"))) {
		fprintf(stderr, "usage: at the top of scale.c\n");
		return 2;
	}
	j.bytes = strtoul(argv[3], NULL, 10);
	j.offset = strtoull(argv[4], NULL, 10);
	j.distance = strtoull(argv[5], NULL, 10);
	j.count = strtoul(argv[6], NULL, 10);
	j.fd = open(argv[2], O_RDWR | O_DIRECT);
	if (j.fd < 0)
		die(argv[2], errno);
	j.buffer = aligned_alloc(ALIGNMENT, (j.bytes + ALIGNMENT - 1) / ALIGNMENT * ALIGNMENT);
	if (!j.count || j.count > MAX_TOGETHER || !j.buffer)
		die("count or size", EINVAL);
	memset(j.buffer, 0x5a, j.bytes);
	return !strcmp(argv[1], "single") ? single(&j) : together(&j);
}
