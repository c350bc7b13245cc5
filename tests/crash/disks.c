// SPDX-License-Identifier: GPL-2.0-only
/*
 * In the guest: attach block devices that the host serves over virtio-serial ports.
 *
 *   crash-disks <nbd device>:<port>:<block size>:<blocks>...
 *
 * The kernel's NBD client wants a socket, so that a pair of threads carries the bytes between one
 * and the port. There is no handshake: both sides know the disks. The devices take flushes and FUA
 * (no disk that QEMU emulates passes a FUA on as what it is: nvme drops it, scsi-hd flushes the
 * whole disk). The program goes to the background when all devices are there.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/nbd.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define BUFFER_BYTES (256 << 10)

/* One direction of a relay. */
struct pipe {
	int from;
	int to;
};

static void die(const char *what)
{
	fprintf(stderr, "crash-disks: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void *carry(void *argument)
{
	struct pipe *p = argument;
	char *buffer = malloc(BUFFER_BYTES);
	ssize_t got, done, n;

	if (!buffer)
		die("malloc");
	while ((got = read(p->from, buffer, BUFFER_BYTES)) > 0)
		for (done = 0; done < got; done += n) {
			n = write(p->to, buffer + done, got - done);
			if (n < 0)
				die("write");
		}
	die("a disk is gone");
	return NULL;
}

static void start_pipe(int from, int to)
{
	struct pipe *p = malloc(sizeof(*p));
	pthread_t thread;

	if (!p)
		die("malloc");
	p->from = from;
	p->to = to;
	if (pthread_create(&thread, NULL, carry, p))
		die("pthread_create");
}

static void *serve(void *argument)
{
	ioctl(*(int *)argument, NBD_DO_IT);
	die("NBD_DO_IT");
	return NULL;
}

static void attach(char *word)
{
	char *device = strtok(word, ":"), *port = strtok(NULL, ":");
	unsigned long block_size, blocks;
	int *nbd = malloc(sizeof(*nbd)), fd, pair[2];
	pthread_t thread;

	if (!device || !port || !nbd)
		die(word);
	block_size = strtoul(strtok(NULL, ":") ?: "", NULL, 10);
	blocks = strtoul(strtok(NULL, ":") ?: "", NULL, 10);
	*nbd = open(device, O_RDWR);
	fd = open(port, O_RDWR);
	if (*nbd < 0 || fd < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair))
		die(device);
	if (ioctl(*nbd, NBD_SET_BLKSIZE, block_size) || ioctl(*nbd, NBD_SET_SIZE_BLOCKS, blocks) ||
	    ioctl(*nbd, NBD_SET_FLAGS, NBD_FLAG_HAS_FLAGS | NBD_FLAG_SEND_FLUSH | NBD_FLAG_SEND_FUA) ||
	    ioctl(*nbd, NBD_SET_SOCK, pair[0]))
		die(device);
	start_pipe(pair[1], fd);
	start_pipe(fd, pair[1]);
	if (pthread_create(&thread, NULL, serve, nbd))
		die("pthread_create");
}

/*
 * A read that works says that the kernel has started to serve the device. At its end, where no
 * sector is ever bad.
 */
static void wait_for(const char *device)
{
	static char block[4096] __attribute__((aligned(4096)));
	int fd, tries;

	for (tries = 0; tries < 1000; tries++) {
		fd = open(device, O_RDONLY | O_DIRECT);
		if (fd >= 0 && lseek(fd, -4096, SEEK_END) > 0 &&
		    read(fd, block, sizeof(block)) == sizeof(block)) {
			close(fd);
			return;
		}
		if (fd >= 0)
			close(fd);
		usleep(5000);
	}
	die(device);
}

int main(int argc, char **argv)
{
	char *names[argc];
	int ready[2], i;
	char byte;

	if (argc < 2 || pipe(ready)) {
		fprintf(stderr, "usage: at the top of disks.c\n");
		return 2;
	}
	if (fork()) {
		close(ready[1]);
		return read(ready[0], &byte, 1) == 1 ? 0 : 1;
	}
	setsid();
	for (i = 1; i < argc; i++) {
		names[i] = strndup(argv[i], strcspn(argv[i], ":"));
		attach(argv[i]);
	}
	for (i = 1; i < argc; i++)
		wait_for(names[i]);
	if (write(ready[1], "", 1) != 1)
		die("pipe");
	close(ready[1]);
	/* Whoever has started us reads our output to its end. */
	if (!freopen("/dev/null", "w", stdout) || !freopen("/dev/kmsg", "w", stderr))
		return 1;
	for (;;)
		pause();
}
