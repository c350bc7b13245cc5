/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The numbers of the generic netlink family "dm_remap". kernel/uapi/dm_remap.yaml
 * describes them, docs/netlink.md tells what they mean; a test compares all of it.
 *
 * Numbers are never given another meaning: new ones go to the end.
 */
#ifndef DM_REMAP_UAPI_H
#define DM_REMAP_UAPI_H

#define DMR_GENL_NAME		"dm_remap"
#define DMR_GENL_VERSION	1
#define DMR_GENL_EVENTS		"events"

/* Commands, and what the kernel sends. */
enum dmr_cmd {
	DMR_CMD_UNSPEC,
	DMR_CMD_GET,		/* a set; dump: all sets */
	DMR_CMD_REMAPS,		/* dump: remapped and lost blocks of a set */
	DMR_CMD_REGIONS,	/* dump: regions that have something to tell */
	DMR_CMD_CONFIGURE,	/* change an option */
	DMR_CMD_SCAN,		/* give an order to the health scan */
	DMR_CMD_REMAP,		/* move a range to a spare, or back */
	DMR_CMD_SPARE,		/* change the pool of spares */
	DMR_CMD_EVENT,		/* to the group "events" */
};

enum dmr_attr {
	DMR_A_UNSPEC,
	DMR_A_PAD,
	DMR_A_SET,
	DMR_A_NAME,
	DMR_A_MAJOR,
	DMR_A_MINOR,
	DMR_A_INSTANCE,
	DMR_A_SEQ,
	DMR_A_TIME,
	DMR_A_EVENT,
	DMR_A_COUNT,
	DMR_A_SECTOR,
	DMR_A_SECTORS,
	DMR_A_SPARE,
	DMR_A_SPARE_SECTOR,
	DMR_A_SECOND_SPARE,
	DMR_A_SECOND_SECTOR,
	DMR_A_ENTRY,
	DMR_A_MANUAL,
	DMR_A_REASON,
	DMR_A_SPACE,
	DMR_A_BREAKER,
	DMR_A_SCAN_EVENT,
	DMR_A_FINDING,
	DMR_A_COPY,
	DMR_A_UNIT,
	DMR_A_STATE,
	DMR_A_SUSPENDED,
	DMR_A_HEALTH,
	DMR_A_REMAPS,
	DMR_A_MANUAL_REMAPS,
	DMR_A_UNKNOWN,
	DMR_A_LOST,
	DMR_A_BAD,
	DMR_A_CAPACITY,
	DMR_A_FREE,
	DMR_A_REDUNDANCY,
	DMR_A_BELOW,
	DMR_A_READ_ERRORS,
	DMR_A_WRITE_ERRORS,
	DMR_A_SCAN_STATE,
	DMR_A_SCAN_PASS,
	DMR_A_SCAN_PERCENT,
	DMR_A_ROW,
	DMR_A_LAST_ERROR,
	DMR_A_ERRORS,
	DMR_A_RETRIES,
	DMR_A_SLOW,
	DMR_A_MARGINAL,
	DMR_A_BLANKS,
	DMR_A_USUAL_US,
	DMR_A_PASS,
	DMR_A_KEY,
	DMR_A_VALUE,
	DMR_A_SCAN_ORDER,
	DMR_A_PATTERN,
	DMR_A_REMAP_ORDER,
	DMR_A_SPARE_ORDER,
	DMR_A_ANSWER,
	__DMR_A_END,
	DMR_A_MAX = __DMR_A_END - 1,
};

/* Attributes within DMR_A_ROW, of which there is one for each spare. */
enum dmr_row_attr {
	DMR_ROW_A_UNSPEC,
	DMR_ROW_A_PAD,
	DMR_ROW_A_SPARE,
	DMR_ROW_A_UUID,
	DMR_ROW_A_MAJOR,
	DMR_ROW_A_MINOR,
	DMR_ROW_A_STATE,
	DMR_ROW_A_SECTORS,
	DMR_ROW_A_USABLE,
	DMR_ROW_A_FREE,
	DMR_ROW_A_USED,
	DMR_ROW_A_BAD,
	DMR_ROW_A_TIER,
	DMR_ROW_A_HEALTH,
	DMR_ROW_A_DRAINING,
	__DMR_ROW_A_END,
	DMR_ROW_A_MAX = __DMR_ROW_A_END - 1,
};

/* What an event tells. */
enum dmr_news {
	DMR_NEWS_DROPPED,	/* so many events found no room */
	DMR_NEWS_SET_STARTED,
	DMR_NEWS_SET_STOPPED,
	DMR_NEWS_SET_FAILED,	/* nothing can be committed any more */
	DMR_NEWS_REMAP,		/* blocks are on a spare now */
	DMR_NEWS_MOVED,		/* they are on another place of a spare now */
	DMR_NEWS_UNREMAP,	/* they are back on main */
	DMR_NEWS_LOST,		/* their data is lost */
	DMR_NEWS_RECOVERED,	/* lost ones were written again */
	DMR_NEWS_READ_ERROR,	/* blocks that can't be read alone */
	DMR_NEWS_WRITE_ERROR,	/* blocks that can't be written alone */
	DMR_NEWS_SPARE_ERROR,	/* a block of a spare was set aside */
	DMR_NEWS_MEMBERS,	/* a spare came, went or failed */
	DMR_NEWS_SPACE,		/* there is little room, or enough again */
	DMR_NEWS_BREAKER,	/* the breaker has opened, or was closed */
	DMR_NEWS_SCAN,		/* a pass begins, ends, pauses */
	DMR_NEWS_FINDING,	/* the scan has found something */
	DMR_NEWS_COPY,		/* the copy of main is in another phase */
	DMR_NR_NEWS,
};

/* What became of a block, in a dump of remaps. */
enum dmr_entry_state {
	DMR_ENTRY_IS_REMAP,	/* its data is on a spare */
	DMR_ENTRY_IS_UNKNOWN,	/* its place is on a spare, its data is lost */
	DMR_ENTRY_IS_LOST,	/* its data is lost, and it has no place */
};

/* How a set is. */
enum dmr_set_mode {
	DMR_SET_OK,
	DMR_SET_DEGRADED,	/* some spare is not in use */
	DMR_SET_FAILED,		/* no mapping can be made durable any more */
};

/* Is there room for more remaps? */
enum dmr_space {
	DMR_SPACE_OK,
	DMR_SPACE_LOW,
	DMR_SPACE_FULL,
};

/* What has become of a pass of the scan. */
enum dmr_scan_event {
	DMR_SCAN_BEGINS,
	DMR_SCAN_GOES_ON,	/* another percent is done; no event tells it */
	DMR_SCAN_PAUSES,
	DMR_SCAN_RESUMES,
	DMR_SCAN_STOPS,
	DMR_SCAN_ENDS,
};

/* What a look at a region can find. */
enum dmr_finding {
	DMR_FOUND_ERROR,	/* units that can't be read */
	DMR_FOUND_RESCUED,	/* units that could be read again */
	DMR_FOUND_SLOW,		/* a piece that is slow */
	DMR_FOUND_BLANK,	/* a region that is blank, and wasn't */
	DMR_FOUND_SPARE,	/* a unit of a spare that nobody uses, and can't be read */
};

/* What the copy of main is doing. */
enum dmr_copy_phase {
	DMR_COPY_OFF,		/* nothing; there may be a replacement */
	DMR_COPY_PAUSED,	/* writes go to both, the watermark stands still */
	DMR_COPY_RUNNING,
	DMR_COPY_COPIED,	/* all is there, writes go to both */
	DMR_COPY_READY,		/* and the next table may have it as main */
	DMR_COPY_FAILED,	/* the replacement is not what main is */
};

/* Orders of DMR_CMD_SCAN. */
enum dmr_scan_order {
	DMR_SCAN_ORDER_START,
	DMR_SCAN_ORDER_STOP,
	DMR_SCAN_ORDER_PAUSE,
	DMR_SCAN_ORDER_RESUME,
	DMR_NR_SCAN_ORDERS,
};

/* Orders of DMR_CMD_REMAP. */
enum dmr_remap_order {
	DMR_REMAP_ORDER_REMAP,		/* also what can't be read */
	DMR_REMAP_ORDER_RELOCATE,	/* only what can be read */
	DMR_REMAP_ORDER_UNREMAP,
	DMR_REMAP_ORDER_VERIFY,
	DMR_NR_REMAP_ORDERS,
};

/* Orders of DMR_CMD_SPARE. */
enum dmr_spare_order {
	DMR_SPARE_ORDER_JOIN,
	DMR_SPARE_ORDER_JOIN_FORCE,
	DMR_SPARE_ORDER_JOIN_TRUST,
	DMR_SPARE_ORDER_DRAIN,
	DMR_SPARE_ORDER_UNDRAIN,
	DMR_SPARE_ORDER_TIER,
	DMR_SPARE_ORDER_HEALTH,
	DMR_SPARE_ORDER_MIGRATE,
	DMR_SPARE_ORDER_DROP,
	DMR_SPARE_ORDER_DROP_LOSE,
	DMR_NR_SPARE_ORDERS,
};

#endif /* DM_REMAP_UAPI_H */
