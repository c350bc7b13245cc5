// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens to bios, by device and region; for Debian's bcc.
 *
 * Set before it: DEVICES, REGIONS, FLIGHTS, FAULTS (sizes of the maps), PLACES (cases of a
 * switch over device numbers), the offsets BIO_BDEV, BIO_OPF, BIO_STATUS, BIO_ITER, BIO_NEXT,
 * ITER_SECTOR, ITER_SIZE, BDEV_DEV and REQUEST_BIO; when the module is loaded, DM_REMAP; and when
 * there are drivers that take requests, BY_REQUESTS. The kernel's headers, which would
 * tell the offsets, take twenty times as long to compile as all of this. Sectors have 512 bytes.
 * layout.py has the same numbers and structures.
 *
 * A bio is known by its address from block_bio_queue to block_bio_complete. Pieces of a split bio
 * complete with an address that never began; they are counted as unknown, while their whole is
 * counted when it ends. What a bio is about is noted when it begins: its iterator is used up later.
 */

#define OP_MASK 0xff

#define LATENCY_SLOTS 32
#define DEPTH_SLOTS 16
#define FIRST_SLOT_BITS 10
#define ENDS 64
#define LOSSES 8

enum { READ_IO, WRITE_IO, OTHER_IO, KINDS };
enum { ERROR, RETRY, INNER_ERROR, REMAP };
enum { NO_ROOM, NO_ROOM_FOR_FAULTS, REPLACED, UNKNOWN };

struct place {
	u32 device;
	u32 base;
	u32 regions;
	u32 shift;
	u64 sectors;
};

struct flight {
	u64 began;
	u64 sector;
	u32 sectors;
	u32 region;
	u8 kind;
	u8 device;
	u8 op;
	u8 depth;
	u8 gap;
	u8 sequential;
	u8 pad[2];
};

struct counters {
	u64 ios[KINDS];
	u64 sectors[KINDS];
	u64 ns[KINDS];
	u64 sequential[KINDS];
	u64 latency[2 * LATENCY_SLOTS];
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

BPF_HASH(flights, u64, struct flight, FLIGHTS);
BPF_PERCPU_ARRAY(regions, struct counters, REGIONS);
BPF_ARRAY(lasts, struct last, REGIONS);
BPF_HASH(faults, struct fault, u64, FAULTS);
BPF_ARRAY(ends, u64, DEVICES * 2 * ENDS);
BPF_ARRAY(begun, u64, DEVICES);
BPF_ARRAY(ended, u64, DEVICES);
/* Written by the worker alone: bios that it has given up. */
BPF_ARRAY(forgotten, u64, DEVICES);
BPF_PERCPU_ARRAY(losses, u64, DEVICES * LOSSES);

static inline void lose(u32 device, u32 what)
{
	u32 key = device * LOSSES + what;
	u64 *count = losses.lookup(&key);

	if (count)
		(*count)++;
}

static inline int place_of(u32 dev, struct place *p)
{
	switch (dev) {
	PLACES
	}
	return 0;
}

/* The last region of a device is for what has no place: flushes, and I/O beyond the end. */
static inline u32 region_of(struct place *p, u64 sector)
{
	return p->base + (sector < p->sectors ? sector >> p->shift : p->regions - 1);
}

static inline u32 log2_of(u64 value)
{
	u32 bits = 0;

	if (value >> 32) {
		value >>= 32;
		bits = 32;
	}
	if (value >> 16) {
		value >>= 16;
		bits += 16;
	}
	if (value >> 8) {
		value >>= 8;
		bits += 8;
	}
	if (value >> 4) {
		value >>= 4;
		bits += 4;
	}
	if (value >> 2) {
		value >>= 2;
		bits += 2;
	}
	return bits + (value >> 1 ? 1 : 0);
}

/* Slot 0 is below 1024 ns, each further one twice as long as the one before. */
static inline u32 slot_of(u64 ns)
{
	u32 slot = log2_of(ns >> (FIRST_SLOT_BITS - 1));

	return slot < LATENCY_SLOTS ? slot : LATENCY_SLOTS - 1;
}

static inline u8 kind_of(u32 op)
{
	return op == 0 ? READ_IO : op == 1 ? WRITE_IO : OTHER_IO;
}

static inline void note_fault(u32 device, u32 region, u8 what, u8 kind, u8 code)
{
	struct fault key = {.region = region, .what = what, .kind = kind, .code = code};
	u64 none = 0, *count = faults.lookup_or_try_init(&key, &none);

	if (count)
		__sync_fetch_and_add(count, 1);
	else
		lose(device, NO_ROOM_FOR_FAULTS);
}

/* Does it touch what failed last in its region, in the same direction? */
static inline bool is_retry(struct last *l, u8 kind, u64 sector, u32 sectors)
{
	return l->status && l->kind == kind && sector < l->sector + l->sectors &&
	       l->sector < sector + sectors;
}

/*
 * Does it go on where another one ended lately? Ends are kept by a hash of the sector, so that
 * several streams side by side are each seen.
 */
static inline bool is_sequential(u32 device, u8 kind, u64 sector, u32 sectors)
{
	u32 row = (device * 2 + kind) * ENDS;
	u32 now = row + ((sector * 0x9e3779b97f4a7c15ULL) >> 58);
	u32 next = row + (((sector + sectors) * 0x9e3779b97f4a7c15ULL) >> 58);
	/* One more, so that 0 is none. */
	u64 *end = ends.lookup(&now), *mine = ends.lookup(&next);
	bool sequential = end && *end == sector + 1;

	if (mine)
		*mine = sector + sectors + 1;
	return sequential;
}

static inline void arrive(struct flight *f, u64 now)
{
	struct last *l = lasts.lookup(&f->region);
	u64 before;

	if (!l)
		return;
	before = l->arrival;
	l->arrival = now;
	/* 255: it is the first one. */
	f->gap = before ? slot_of(now > before ? now - before : 0) : 255;
	if (is_retry(l, f->kind, f->sector, f->sectors))
		note_fault(f->device, f->region, RETRY, f->kind, l->status);
}

static inline u8 depth_of(u32 device)
{
	u64 *in = begun.lookup(&device), *out = ended.lookup(&device);
	u64 *never = forgotten.lookup(&device);
	u32 slot;

	if (!in || !out || !never)
		return 0;
	__sync_fetch_and_add(in, 1);
	slot = log2_of(*in > *out + *never ? *in - *out - *never : 1);
	return slot < DEPTH_SLOTS ? slot : DEPTH_SLOTS - 1;
}

static inline void leave(u32 device)
{
	u64 *out = ended.lookup(&device);

	if (out)
		__sync_fetch_and_add(out, 1);
}

#define PEEK(to, address) bpf_probe_read_kernel(&(to), sizeof(to), (void *)(address))

static inline u32 device_of(u64 bio)
{
	u64 bdev = 0;
	u32 dev = 0;

	PEEK(bdev, bio + BIO_BDEV);
	if (bdev)
		PEEK(dev, bdev + BDEV_DEV);
	return dev;
}

RAW_TRACEPOINT_PROBE(block_bio_queue)
{
	struct flight f = {}, *old;
	struct place p = {};
	u64 id = ctx->args[0];
	u32 opf = 0, bytes = 0;

	if (!place_of(device_of(id), &p))
		return 0;
	PEEK(opf, id + BIO_OPF);
	PEEK(f.sector, id + BIO_ITER + ITER_SECTOR);
	PEEK(bytes, id + BIO_ITER + ITER_SIZE);
	f.op = opf & OP_MASK;
	f.device = p.device;
	f.sectors = bytes >> 9;
	/* An empty flush is a write of nothing, nowhere. */
	f.kind = f.sectors ? kind_of(f.op) : OTHER_IO;
	f.region = f.sectors ? region_of(&p, f.sector) : p.base + p.regions - 1;
	if (f.kind != OTHER_IO)
		f.sequential = is_sequential(f.device, f.kind, f.sector, f.sectors);
	f.began = bpf_ktime_get_ns();
	arrive(&f, f.began);

	old = flights.lookup(&id);
	if (old) {
		lose(old->device, REPLACED);
		leave(old->device);
	}
	f.depth = depth_of(f.device);
	if (flights.update(&id, &f)) {
		lose(f.device, NO_ROOM);
		leave(f.device);
	}
	return 0;
}

static inline void settle(struct flight *f, u8 status)
{
	struct last *l = lasts.lookup(&f->region);

	if (status) {
		note_fault(f->device, f->region, ERROR, f->kind, status);
		if (l) {
			l->sector = f->sector;
			l->sectors = f->sectors;
			l->kind = f->kind;
			l->status = status;
		}
	} else if (l && is_retry(l, f->kind, f->sector, f->sectors)) {
		l->status = 0;
	}
}

static inline void finish(u64 id, u8 status, u64 now)
{
	struct flight *found = flights.lookup(&id), f;
	struct counters *c;
	struct place p = {};
	u64 ns;
	u32 slot;

	if (!found) {
		if (place_of(device_of(id), &p))
			lose(p.device, UNKNOWN);
		return;
	}
	f = *found;
	flights.delete(&id);
	leave(f.device);
	ns = now > f.began ? now - f.began : 0;
	settle(&f, status);

	c = regions.lookup(&f.region);
	if (!c || f.kind >= KINDS)
		return;
	c->ios[f.kind]++;
	c->sectors[f.kind] += f.sectors;
	c->ns[f.kind] += ns;
	c->sequential[f.kind] += f.sequential;
	slot = slot_of(ns);
	if (f.kind < OTHER_IO && slot < LATENCY_SLOTS)
		c->latency[f.kind * LATENCY_SLOTS + slot]++;
	if (f.gap < LATENCY_SLOTS)
		c->gaps[f.gap]++;
	if (f.depth < DEPTH_SLOTS)
		c->depth[f.depth]++;
}

RAW_TRACEPOINT_PROBE(block_bio_complete)
{
	u64 id = ctx->args[1];
	u8 status = 0;

	PEEK(status, id + BIO_STATUS);
	finish(id, status, bpf_ktime_get_ns());
	return 0;
}

#ifdef BY_REQUESTS
/*
 * The end of a request is the end of its bios, of which block_bio_complete says nothing then. Those
 * beyond MERGED stay under way until they are swept.
 */
#define MERGED 16

RAW_TRACEPOINT_PROBE(block_rq_complete)
{
	u64 request = ctx->args[0], now = bpf_ktime_get_ns(), bio = 0;
	u32 bytes = ctx->args[2], length;
	u8 status = ctx->args[1];
	int i;

	PEEK(bio, request + REQUEST_BIO);
	for (i = 0; i < MERGED && bio; i++) {
		length = 0;
		PEEK(length, bio + BIO_ITER + ITER_SIZE);
		if (length > bytes)
			break;
		bytes -= length;
		finish(bio, status, now);
		PEEK(bio, bio + BIO_NEXT);
	}
	return 0;
}
#endif

#ifdef DM_REMAP
/* What the device hid from those who use it, and what it moved. */
TRACEPOINT_PROBE(dm_remap, dm_remap_error)
{
	struct place p = {};

	if (place_of(args->dev, &p))
		note_fault(p.device, region_of(&p, args->sector), INNER_ERROR, kind_of(args->op),
			   (u8)-args->error);
	return 0;
}

TRACEPOINT_PROBE(dm_remap, dm_remap_remap)
{
	struct place p = {};
	u32 region;

	if (!place_of(args->dev, &p))
		return 0;
	/* The sector of a bad unit of a spare means nothing. */
	region = args->kind == 3 ? p.base + p.regions - 1 : region_of(&p, args->sector);
	note_fault(p.device, region, REMAP, OTHER_IO, (u8)args->kind);
	return 0;
}
#endif
