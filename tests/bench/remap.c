// SPDX-License-Identifier: GPL-2.0-only
/*
 * Make many remaps of 1 sector: a process for each `dmsetup message` would take minutes.
 *
 *   bench-remap <dm name> <count> <first sector> <distance in sectors>
 *
 * Prints the number that were made.
 */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#define CONTROL "/dev/mapper/control"

union request {
	struct dm_ioctl header;
	char bytes[4096];
};

/* Send a message to target 0 and leave its answer in the request. */
static int send_message(int control, union request *r, const char *name, const char *message)
{
	struct dm_target_msg *m;

	memset(r, 0, sizeof(*r));
	r->header.version[0] = DM_VERSION_MAJOR;
	r->header.data_size = sizeof(*r);
	r->header.data_start = sizeof(r->header);
	snprintf(r->header.name, sizeof(r->header.name), "%s", name);
	m = (void *)(r->bytes + r->header.data_start);
	strcpy(m->message, message);
	return ioctl(control, DM_TARGET_MSG, r);
}

int main(int argc, char **argv)
{
	uint64_t count, first, distance, made = 0, i;
	int control = open(CONTROL, O_RDWR);
	union request r;
	char message[64];

	if (argc != 5 || control < 0) {
		fprintf(stderr, "bench-remap: %s\n",
			argc != 5 ? "usage: at the top of remap.c" : strerror(errno));
		return 2;
	}
	count = strtoull(argv[2], NULL, 10);
	first = strtoull(argv[3], NULL, 10);
	distance = strtoull(argv[4], NULL, 10);
	for (i = 0; i < count; i++) {
		snprintf(message, sizeof(message), "remap %" PRIu64, first + i * distance);
		if (send_message(control, &r, argv[1], message)) {
			fprintf(stderr, "bench-remap: %s: %s\n", message, strerror(errno));
			return 1;
		}
		made += !strncmp(r.bytes + r.header.data_start, "remapped=1 ", 11);
	}
	printf("%" PRIu64 "\n", made);
	return 0;
}
