/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * Tracepoints of dm-remap; docs/tracing.md tells what their fields mean.
 *
 * Sectors have 512 bytes. "dev" is the dm-remap device. Fields keep their names
 * and their meaning; new ones go to the end.
 */
#undef TRACE_SYSTEM
#define TRACE_SYSTEM dm_remap

#if !defined(DM_REMAP_TRACE_H) || defined(TRACE_HEADER_MULTI_READ)
#define DM_REMAP_TRACE_H

#include <linux/tracepoint.h>

#include "dm-remap.h"

/* A bio was mapped. "to" is 0 when it went nowhere: it is kept, or has ended. */
TRACE_EVENT(dm_remap_map,
	TP_PROTO(struct dmr_set *s, sector_t sector, unsigned int nr_sectors,
		 blk_opf_t opf, struct bio *bio),
	TP_ARGS(s, sector, nr_sectors, opf, bio),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(dev_t, to)
		__field(u64, sector)
		__field(u64, to_sector)
		__field(u32, nr_sectors)
		__field(u32, op)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(s->md));
		__entry->to = bio ? bio_dev(bio) : 0;
		__entry->sector = sector;
		__entry->to_sector = bio ? bio->bi_iter.bi_sector : 0;
		__entry->nr_sectors = nr_sectors;
		__entry->op = opf & REQ_OP_MASK;
	),
	TP_printk("%d,%d op=%u sector=%llu nr_sectors=%u to=%d,%d to_sector=%llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->op,
		  __entry->sector, __entry->nr_sectors, MAJOR(__entry->to),
		  MINOR(__entry->to), __entry->to_sector)
);

/* A bio came back with an error. "spare" is -1 when it was on main. */
TRACE_EVENT(dm_remap_error,
	TP_PROTO(struct dmr_set *s, struct bio *bio, const struct dmr_trip *trip,
		 blk_status_t status),
	TP_ARGS(s, bio, trip, status),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, sector)
		__field(u32, nr_sectors)
		__field(u32, op)
		__field(s32, spare)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(s->md));
		__entry->sector = trip->iter.bi_sector;
		__entry->nr_sectors = trip->iter.bi_size >> SECTOR_SHIFT;
		__entry->op = bio_op(bio);
		__entry->spare = trip->at < DMR_AT_SPARE ? -1 :
				 trip->at - DMR_AT_SPARE;
		__entry->error = blk_status_to_errno(status);
	),
	TP_printk("%d,%d op=%u sector=%llu nr_sectors=%u spare=%d error=%d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->op,
		  __entry->sector, __entry->nr_sectors, __entry->spare,
		  __entry->error)
);

/*
 * A change of the table is durable and visible. "kind" is that of the entry now:
 * 0 when there is none any more, 3 for a spare unit that is bad ("sector" means
 * nothing then), 4 for a second copy, 5 when there is no second copy any more.
 */
TRACE_EVENT(dm_remap_remap,
	TP_PROTO(struct dmr_set *s, const struct dmr_staged *st),
	TP_ARGS(s, st),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, sector)
		__field(u64, spare_sector)
		__field(u32, nr_sectors)
		__field(u32, spare)
		__field(u32, kind)
		__field(u32, flags)
	),
	TP_fast_assign(
		struct dmr_entry e;

		dmr_val_entry(st->val, st->unit, &e);
		__entry->dev = disk_devt(dm_disk(s->md));
		__entry->sector = dmr_unit_to_sector(s, st->unit < s->mirror_base ?
						     st->unit :
						     st->unit - s->mirror_base);
		__entry->spare_sector = dmr_unit_to_sector(s, e.spare_unit);
		__entry->nr_sectors = 1U << s->unit_shift;
		__entry->spare = e.spare_idx;
		__entry->kind = e.kind || st->unit < s->mirror_base ?
				e.kind : DMR_KIND_NR;
		__entry->flags = e.flags;
	),
	TP_printk("%d,%d sector=%llu nr_sectors=%u kind=%u flags=%#x spare=%u spare_sector=%llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->sector,
		  __entry->nr_sectors, __entry->kind, __entry->flags,
		  __entry->spare, __entry->spare_sector)
);

/* A commit has ended. "writes" is how many metadata blocks it wrote. */
TRACE_EVENT(dm_remap_commit,
	TP_PROTO(struct dmr_set *s, u32 changes, u64 writes, int error),
	TP_ARGS(s, changes, writes, error),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, changes)
		__field(u32, writes)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(s->md));
		__entry->changes = changes;
		__entry->writes = writes;
		__entry->error = error;
	),
	TP_printk("%d,%d changes=%u writes=%u error=%d", MAJOR(__entry->dev),
		  MINOR(__entry->dev), __entry->changes, __entry->writes,
		  __entry->error)
);

/* A range was moved on request: to a spare, or ("back") to main again. */
TRACE_EVENT(dm_remap_relocate,
	TP_PROTO(struct dmr_set *s, u64 unit, u64 n, bool back, int error),
	TP_ARGS(s, unit, n, back, error),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u64, sector)
		__field(u64, nr_sectors)
		__field(u32, back)
		__field(s32, error)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(s->md));
		__entry->sector = dmr_unit_to_sector(s, unit);
		__entry->nr_sectors = dmr_unit_to_sector(s, n);
		__entry->back = back;
		__entry->error = error;
	),
	TP_printk("%d,%d sector=%llu nr_sectors=%llu back=%u error=%d",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->sector,
		  __entry->nr_sectors, __entry->back, __entry->error)
);

/* A pass of the health scan: enum dmr_scan_event, enum dmr_pattern. */
TRACE_EVENT(dm_remap_scan,
	TP_PROTO(struct dmr_set *s, u32 event, u32 pattern, u32 pass, u64 done,
		 u64 total),
	TP_ARGS(s, event, pattern, pass, done, total),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(u32, event)
		__field(u32, pattern)
		__field(u32, pass)
		__field(u64, done)
		__field(u64, total)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(s->md));
		__entry->event = event;
		__entry->pattern = pattern;
		__entry->pass = pass;
		__entry->done = done;
		__entry->total = total;
	),
	TP_printk("%d,%d event=%u pattern=%u pass=%u done=%llu total=%llu",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->event,
		  __entry->pattern, __entry->pass, __entry->done, __entry->total)
);

/* The scan has found something: enum dmr_finding. "spare" is -1 for main. */
TRACE_EVENT(dm_remap_finding,
	TP_PROTO(struct dmr_set *s, int spare, u64 sector, u64 nr_sectors, u32 kind,
		 u32 count),
	TP_ARGS(s, spare, sector, nr_sectors, kind, count),
	TP_STRUCT__entry(
		__field(dev_t, dev)
		__field(s32, spare)
		__field(u64, sector)
		__field(u64, nr_sectors)
		__field(u32, kind)
		__field(u32, count)
	),
	TP_fast_assign(
		__entry->dev = disk_devt(dm_disk(s->md));
		__entry->spare = spare;
		__entry->sector = sector;
		__entry->nr_sectors = nr_sectors;
		__entry->kind = kind;
		__entry->count = count;
	),
	TP_printk("%d,%d spare=%d sector=%llu nr_sectors=%llu kind=%u count=%u",
		  MAJOR(__entry->dev), MINOR(__entry->dev), __entry->spare,
		  __entry->sector, __entry->nr_sectors, __entry->kind,
		  __entry->count)
);

#endif /* DM_REMAP_TRACE_H */

#undef TRACE_INCLUDE_PATH
#define TRACE_INCLUDE_PATH .
#undef TRACE_INCLUDE_FILE
#define TRACE_INCLUDE_FILE dm-remap-trace
#include <trace/define_trace.h>
