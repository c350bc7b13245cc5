// SPDX-License-Identifier: GPL-2.0-only
/*
 * What happens to bios, by device and region; for Debian's bcc.
 *
 * Set before it: all of maps.c, PLACES (cases of a switch over device numbers), the offsets
 * BIO_BDEV, BIO_OPF, BIO_STATUS, BIO_ITER, BIO_NEXT, ITER_SECTOR, ITER_SIZE, BDEV_DEV and
 * REQUEST_BIO; when the module is loaded, DM_REMAP; and when there are drivers that take requests,
 * BY_REQUESTS. The kernel's headers, which would tell the offsets, take twenty times as long to
 * compile as all of this. Sectors have 512 bytes.
 *
 * All of it runs for each bio of the machine, so it is written for few instructions: tracepoints
 * whose arguments have types (tracepoints.py), so that the kernel's structures are read by plain loads
 * and not by helpers, and arrays, whose elements are found without a call.
 *
 * A bio is known by its address from block_bio_queue to block_bio_complete. Pieces of a split bio
 * complete with an address that never began, and nobody looks for them; their whole is counted when
 * it ends. What a bio is about is noted when it begins: its iterator is used up later.
 */

#define OP_MASK 0xff
#define FIRST_SLOT_BITS 10
#define STALE_NS 600000000000ULL

#define HASH(number, bits) ((number) * 0x9e3779b97f4a7c15ULL >> (64 - (bits)))

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
static inline bool is_sequential(u32 device, u32 kind, u64 sector, u64 sectors)
{
	u32 key = device * 2 + kind;
	u64 next = sector + sectors;
	struct ends *e = ends.lookup(&key);
	bool sequential;

	if (!e)
		return false;
	sequential = e->end[HASH(sector, ENDS_BITS)] == sector + 1;
	e->end[HASH(next, ENDS_BITS)] = next + 1;
	return sequential;
}

static inline void arrive(struct flight *f, u64 now, u64 since)
{
	struct last *l = lasts.lookup(&f->region);
	u64 before;

	if (!l)
		return;
	before = l->arrival;
	l->arrival = now;
	/* 255: it is the first one. */
	f->gap = before > since ? slot_of(now > before ? now - before : 0) : 255;
	if (is_retry(l, f->kind, f->sector, f->sectors))
		note_fault(f->device, f->region, RETRY, f->kind, l->status);
}

static inline u8 depth_of(u32 device, u64 forgotten)
{
	struct traffic *t = traffic.lookup(&device);
	u64 depth;
	u32 slot;

	if (!t)
		return 0;
	depth = __sync_fetch_and_add(&t->begun, 1) + 1 - t->ended - forgotten;
	/* Those that end meanwhile may be more than those that it found. */
	slot = (s64)depth > 1 ? log2_of(depth) : 0;
	return slot < DEPTH_SLOTS ? slot : DEPTH_SLOTS - 1;
}

/* Has any I/O of the device failed? */
static inline bool leave(u32 device)
{
	struct traffic *t = traffic.lookup(&device);

	if (!t)
		return false;
	__sync_fetch_and_add(&t->ended, 1);
	return t->failed;
}

/* A field of a structure of the kernel, whose type the verifier knows; of none at all, 0. */
#define FIELD(type, address, offset) (*(type *)((void *)(address) + (offset)))

static inline u32 device_of(void *bio)
{
	return FIELD(u32, FIELD(void *, bio, BIO_BDEV), BDEV_DEV);
}

/*
 * An address as a number. The verifier lets nobody reckon with pointers, but turning its bytes
 * round, here twice, makes a number of one.
 */
static inline u64 number_of(void *address)
{
	u64 number = __builtin_bswap64((u64)address);

	asm volatile("" : "+r"(number));
	return __builtin_bswap64(number);
}

static inline struct group *group_of(u64 bio)
{
	u32 key = HASH(bio, GROUP_BITS);

	return flights.lookup(&key);
}

/* The way of a bio in its group; WAYS if it has none. */
static inline u32 way_of(struct group *g, u64 bio)
{
	u32 way;

#pragma unroll
	for (way = 0; way < WAYS; way++)
		if (g->bio[way] == bio)
			break;
	return way;
}

/* A way for a bio that begins; WAYS if all are taken. */
static inline u32 take_way(struct group *g, u64 bio)
{
	u32 way;

#pragma unroll
	for (way = 0; way < WAYS; way++)
		if (!g->bio[way] && !__sync_val_compare_and_swap(&g->bio[way], 0, bio))
			break;
	return way;
}

/* The way of a bio that began so long ago that it has ended unseen; WAYS if there is none. */
static inline u32 take_stale_way(struct group *g, u64 bio, u64 now)
{
	u64 old, began;
	u32 way;

	for (way = 0; way < WAYS; way++) {
		old = g->bio[way];
		began = g->flight[way].began;
		if (!began || now < began + STALE_NS)
			continue;
		if (__sync_val_compare_and_swap(&g->bio[way], old, bio) == old)
			break;
	}
	return way;
}

/* The way that a bio has from now on; WAYS if there is no room. */
static inline u32 board(struct group *g, u64 bio, u64 now)
{
	u32 way = way_of(g, bio);

	if (way < WAYS) {
		lose(g->flight[way].device, REPLACED);
		leave(g->flight[way].device);
		return way;
	}
	way = take_way(g, bio);
	if (way < WAYS)
		return way;
	way = take_stale_way(g, bio, now);
	if (way < WAYS)
		leave(g->flight[way].device);
	return way;
}

/* Whoever takes the way next must find it read. */
static inline void give_back(struct group *g, u32 way)
{
	g->flight[way].began = 0;
	__sync_lock_test_and_set(&g->bio[way], 0);
}

int bio_queue(u64 *ctx)
{
	void *bio = (void *)ctx[0];
	struct place p = {};
	struct flight *f;
	struct group *g;
	struct told *t;
	u64 id, now, sector;
	u32 way, sectors;
	u8 kind;

	if (!place_of(device_of(bio), &p))
		return 0;
	id = number_of(bio);
	g = group_of(id);
	t = told.lookup(&p.device);
	if (!g || !t)
		return 0;
	now = bpf_ktime_get_ns();
	way = board(g, id, now);
	if (way >= WAYS) {
		lose(p.device, NO_ROOM);
		return 0;
	}
	f = &g->flight[way];
	sector = FIELD(u64, bio, BIO_ITER + ITER_SECTOR);
	sectors = FIELD(u32, bio, BIO_ITER + ITER_SIZE) >> 9;
	/* An empty flush is a write of nothing, nowhere. */
	kind = sectors ? kind_of(FIELD(u32, bio, BIO_OPF) & OP_MASK) : OTHER_IO;
	f->sector = sector;
	f->sectors = sectors;
	f->region = sectors ? region_of(&p, sector) : p.base + p.regions - 1;
	f->kind = kind;
	f->device = p.device;
	f->sequential = kind != OTHER_IO && is_sequential(p.device, kind, sector, sectors);
	f->depth = depth_of(p.device, t->forgotten);
	arrive(f, now, t->since);
	f->began = now;
	return 0;
}

static inline void fail(struct flight *f, u8 status)
{
	struct last *l = lasts.lookup(&f->region);
	u32 device = f->device;
	struct traffic *t = traffic.lookup(&device);

	note_fault(f->device, f->region, ERROR, f->kind, status);
	if (!l || !t)
		return;
	t->failed = 1;
	l->sector = f->sector;
	l->sectors = f->sectors;
	l->kind = f->kind;
	l->status = status;
}

static inline void make_good(struct flight *f)
{
	struct last *l = lasts.lookup(&f->region);

	if (l && is_retry(l, f->kind, f->sector, f->sectors))
		l->status = 0;
}

static inline void finish(struct group *g, u32 way, u8 status)
{
	struct flight *f = &g->flight[way];
	u64 now = bpf_ktime_get_ns(), ns;
	struct counters *c;
	struct sums *sums;
	bool failed;

	ns = now > f->began ? now - f->began : 0;
	failed = leave(f->device);
	if (status)
		fail(f, status);
	else if (failed)
		make_good(f);
	c = regions.lookup(&f->region);
	if (c && f->kind < KINDS) {
		sums = &c->of[f->kind];
		sums->ios++;
		sums->sectors += f->sectors;
		sums->ns += ns;
		sums->sequential += f->sequential;
		sums->latency[slot_of(ns)]++;
		if (f->gap < LATENCY_SLOTS)
			c->gaps[f->gap]++;
		if (f->depth < DEPTH_SLOTS)
			c->depth[f->depth]++;
	}
	give_back(g, way);
}

int bio_complete(u64 *ctx)
{
	void *bio = (void *)ctx[1];
	u64 id = number_of(bio);
	struct group *g = group_of(id);
	u32 way;

	if (!g)
		return 0;
	way = way_of(g, id);
	if (way < WAYS)
		finish(g, way, FIELD(u8, bio, BIO_STATUS));
	return 0;
}

#ifdef BY_REQUESTS
/*
 * The end of a request is the end of its bios, of which block_bio_complete says nothing then. Those
 * beyond MERGED stay under way until they are swept.
 */
#define MERGED 16

int rq_complete(u64 *ctx)
{
	void *bio = FIELD(void *, ctx[0], REQUEST_BIO);
	u32 bytes = ctx[2], length, way;
	u64 id;
	struct group *g;
	int i;

	for (i = 0; i < MERGED && bio; i++) {
		length = FIELD(u32, bio, BIO_ITER + ITER_SIZE);
		if (length > bytes)
			break;
		bytes -= length;
		id = number_of(bio);
		g = group_of(id);
		if (!g)
			break;
		way = way_of(g, id);
		if (way < WAYS)
			finish(g, way, ctx[1]);
		bio = FIELD(void *, bio, BIO_NEXT);
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
