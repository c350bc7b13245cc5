// SPDX-License-Identifier: GPL-2.0-only
/*
 * Do by hand what dm-remap does: a table of dm-linear segments around bad blocks.
 *
 *   bench-table <dm name> <main> <spare> <sectors of main> <sectors of a block> <file>
 *
 * <file> has two numbers of 64 bits for each bad block, in the order of the first: its number on main,
 * and that of its place on the spare. The device must have been created without a table. Prints the
 * ticks of the ioctls that load the table and resume the device, and the number of segments.
 */
#include "bench.h"

#include <fcntl.h>
#include <inttypes.h>
#include <linux/dm-ioctl.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define CONTROL "/dev/mapper/control"
#define MAX_PARAMS 64

struct pair {
	uint64_t block;
	uint64_t place;
};

struct table {
	struct dm_ioctl *header;
	char *end;
	uint64_t sector;	/* where the next segment starts */
};

static size_t read_pairs(const char *path, struct pair **pairs)
{
	FILE *file = fopen(path, "r");
	struct stat st;
	size_t n;

	if (!file || fstat(fileno(file), &st))
		die(path, errno);
	n = st.st_size / sizeof(**pairs);
	*pairs = malloc(st.st_size);
	if (!*pairs || fread(*pairs, sizeof(**pairs), n, file) != n)
		die(path, EIO);
	fclose(file);
	return n;
}

static void add(struct table *t, uint64_t sectors, const char *device, uint64_t from)
{
	struct dm_target_spec *spec = (void *)t->end;
	char *params = t->end + sizeof(*spec);

	if (!sectors)
		return;
	spec->sector_start = t->sector;
	spec->length = sectors;
	strcpy(spec->target_type, "linear");
	spec->next = sizeof(*spec) + MAX_PARAMS;
	if (snprintf(params, MAX_PARAMS, "%s %" PRIu64, device, from) >= MAX_PARAMS)
		die(device, ENAMETOOLONG);
	t->end += spec->next;
	t->sector += sectors;
	t->header->target_count++;
}

static uint64_t send_ioctl(int control, unsigned long command, struct dm_ioctl *header)
{
	uint64_t start = ticks();

	if (ioctl(control, command, header))
		die(header->name, errno);
	return ticks() - start;
}

static void set_header(struct dm_ioctl *header, const char *name, size_t bytes)
{
	header->version[0] = DM_VERSION_MAJOR;
	header->data_size = bytes;
	header->data_start = sizeof(*header);
	snprintf(header->name, sizeof(header->name), "%s", name);
}

int main(int argc, char **argv)
{
	uint64_t main_sectors, block_sectors, loading, resuming;
	int control = open(CONTROL, O_RDWR);
	struct dm_ioctl resume = { 0 };
	struct table t = { 0 };
	struct pair *pairs;
	unsigned int segments;
	size_t n, i, bytes;

	if (argc != 7 || control < 0) {
		fprintf(stderr, "bench-table: %s\n",
			argc != 7 ? "usage: at the top of table.c" : strerror(errno));
		return 2;
	}
	main_sectors = strtoull(argv[4], NULL, 10);
	block_sectors = strtoull(argv[5], NULL, 10);
	n = read_pairs(argv[6], &pairs);
	bytes = sizeof(*t.header) + (2 * n + 1) * (sizeof(struct dm_target_spec) + MAX_PARAMS);
	t.header = calloc(1, bytes);
	if (!t.header)
		die("memory", ENOMEM);
	set_header(t.header, argv[1], bytes);
	t.end = (char *)(t.header + 1);
	for (i = 0; i < n; i++) {
		add(&t, pairs[i].block * block_sectors - t.sector, argv[2], t.sector);
		add(&t, block_sectors, argv[3], pairs[i].place * block_sectors);
	}
	add(&t, main_sectors - t.sector, argv[2], t.sector);
	/* The ioctl leaves its answer there. */
	segments = t.header->target_count;
	loading = send_ioctl(control, DM_TABLE_LOAD, t.header);
	set_header(&resume, argv[1], sizeof(resume));
	/* Without DM_SUSPEND_FLAG it resumes. */
	resuming = send_ioctl(control, DM_DEV_SUSPEND, &resume);
	printf("%" PRIu64 " %" PRIu64 " %u\n", loading, resuming, segments);
	return 0;
}
