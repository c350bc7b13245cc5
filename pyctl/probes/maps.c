// SPDX-License-Identifier: GPL-2.0-only
/*
 * The structures and maps of the probes; what fills them, program.c, comes right behind it.
 *
 * Set before it: DEVICES, REGIONS, GROUP_BITS and FAULTS, the sizes of the maps. layout.py has the
 * same numbers and structures.
 */

#define LATENCY_SLOTS 32
#define DEPTH_SLOTS 16
#define ENDS_BITS 6
#define ENDS (1 << ENDS_BITS)
#define LOSSES 8
#define WAYS 4

enum { READ_IO, WRITE_IO, OTHER_IO, KINDS };
enum { ERROR, RETRY, INNER_ERROR, REMAP };
enum { NO_ROOM, NO_ROOM_FOR_FAULTS, REPLACED };

struct place {
	u32 device;
	u32 base;
	u32 regions;
	u32 shift;
	u64 sectors;
};

/* "began" is 0 until the others are set. */
struct flight {
	u64 began;
	u64 sector;
	u32 sectors;
	u32 region;
	u8 kind;
	u8 device;
	u8 depth;
	u8 gap;
	u8 sequential;
	u8 pad[3];
};

/*
 * Bios whose addresses have the same hash; an address of 0 is a free way. A way is taken by
 * cmpxchg, and given back by the one who finds his bio there.
 */
struct group {
	u64 bio[WAYS];
	struct flight flight[WAYS];
};

struct sums {
	u64 ios;
	u64 sectors;
	u64 ns;
	u64 sequential;
	u64 latency[LATENCY_SLOTS];
};

struct counters {
	struct sums of[KINDS];
	u64 gaps[LATENCY_SLOTS];
	u64 depth[DEPTH_SLOTS];
};

/* "status" is 0 when the last failure of the region was made good. */
struct last {
	u64 arrival;
	u64 sector;
	u32 sectors;
	u8 kind;
	u8 status;
	u8 pad[2];
};

struct fault {
	u32 region;
	u8 what;
	u8 kind;
	u8 code;
	u8 pad;
};

/* "failed": has any I/O of the device failed? */
struct traffic {
	u64 begun;
	u64 ended;
	u64 failed;
};

/*
 * Written by the worker alone: bios that it has given up, and when it began to look again, before
 * which it does not know what happened.
 */
struct told {
	u64 forgotten;
	u64 since;
};

/* One more than the sector at which an I/O has ended lately, so that 0 is none. */
struct ends {
	u64 end[ENDS];
};

BPF_ARRAY(flights, struct group, 1 << GROUP_BITS);
BPF_PERCPU_ARRAY(regions, struct counters, REGIONS);
BPF_ARRAY(lasts, struct last, REGIONS);
BPF_HASH(faults, struct fault, u64, FAULTS);
BPF_ARRAY(ends, struct ends, DEVICES * 2);
BPF_ARRAY(traffic, struct traffic, DEVICES);
BPF_ARRAY(told, struct told, DEVICES);
BPF_PERCPU_ARRAY(losses, u64, DEVICES * LOSSES);
