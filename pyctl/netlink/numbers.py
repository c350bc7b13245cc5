"""The numbers of the family: as in kernel/dm-remap-uapi.h, which a test compares.

Types of attributes are named as pyroute2 names them; `row` is nested.
"""

import enum

__all__ = [
    "ATTRIBUTES",
    "FAMILY",
    "GROUP",
    "ROW_ATTRIBUTES",
    "VERSION",
    "Cmd",
    "CopyPhase",
    "EntryState",
    "Finding",
    "News",
    "Reason",
    "RemapOrder",
    "ScanEvent",
    "ScanOrder",
    "SetMode",
    "Space",
    "SpareOrder",
]

FAMILY = "dm_remap"
VERSION = 1
GROUP = "events"

ATTRIBUTES = (
    ("DMR_A_UNSPEC", "none"),
    ("DMR_A_PAD", "none"),
    ("DMR_A_SET", "cdata"),
    ("DMR_A_NAME", "asciiz"),
    ("DMR_A_MAJOR", "uint32"),
    ("DMR_A_MINOR", "uint32"),
    ("DMR_A_INSTANCE", "uint64"),
    ("DMR_A_SEQ", "uint64"),
    ("DMR_A_TIME", "uint64"),
    ("DMR_A_EVENT", "uint32"),
    ("DMR_A_COUNT", "uint64"),
    ("DMR_A_SECTOR", "uint64"),
    ("DMR_A_SECTORS", "uint64"),
    ("DMR_A_SPARE", "uint32"),
    ("DMR_A_SPARE_SECTOR", "uint64"),
    ("DMR_A_SECOND_SPARE", "uint32"),
    ("DMR_A_SECOND_SECTOR", "uint64"),
    ("DMR_A_ENTRY", "uint32"),
    ("DMR_A_MANUAL", "uint32"),
    ("DMR_A_REASON", "uint32"),
    ("DMR_A_SPACE", "uint32"),
    ("DMR_A_BREAKER", "uint32"),
    ("DMR_A_SCAN_EVENT", "uint32"),
    ("DMR_A_FINDING", "uint32"),
    ("DMR_A_COPY", "uint32"),
    ("DMR_A_UNIT", "uint32"),
    ("DMR_A_STATE", "uint32"),
    ("DMR_A_SUSPENDED", "uint32"),
    ("DMR_A_HEALTH", "uint32"),
    ("DMR_A_REMAPS", "uint64"),
    ("DMR_A_MANUAL_REMAPS", "uint64"),
    ("DMR_A_UNKNOWN", "uint64"),
    ("DMR_A_LOST", "uint64"),
    ("DMR_A_BAD", "uint64"),
    ("DMR_A_CAPACITY", "uint64"),
    ("DMR_A_FREE", "uint64"),
    ("DMR_A_REDUNDANCY", "uint32"),
    ("DMR_A_BELOW", "uint64"),
    ("DMR_A_READ_ERRORS", "uint64"),
    ("DMR_A_WRITE_ERRORS", "uint64"),
    ("DMR_A_SCAN_STATE", "asciiz"),
    ("DMR_A_SCAN_PASS", "uint32"),
    ("DMR_A_SCAN_PERCENT", "uint32"),
    ("DMR_A_ROW", "*row"),
    ("DMR_A_LAST_ERROR", "asciiz"),
    ("DMR_A_ERRORS", "uint32"),
    ("DMR_A_RETRIES", "uint32"),
    ("DMR_A_SLOW", "uint32"),
    ("DMR_A_MARGINAL", "uint32"),
    ("DMR_A_BLANKS", "uint32"),
    ("DMR_A_USUAL_US", "uint32"),
    ("DMR_A_PASS", "uint32"),
    ("DMR_A_KEY", "asciiz"),
    ("DMR_A_VALUE", "asciiz"),
    ("DMR_A_SCAN_ORDER", "uint32"),
    ("DMR_A_PATTERN", "asciiz"),
    ("DMR_A_REMAP_ORDER", "uint32"),
    ("DMR_A_SPARE_ORDER", "uint32"),
    ("DMR_A_ANSWER", "asciiz"),
)
ROW_ATTRIBUTES = (
    ("DMR_ROW_A_UNSPEC", "none"),
    ("DMR_ROW_A_PAD", "none"),
    ("DMR_ROW_A_SPARE", "uint32"),
    ("DMR_ROW_A_UUID", "cdata"),
    ("DMR_ROW_A_MAJOR", "uint32"),
    ("DMR_ROW_A_MINOR", "uint32"),
    ("DMR_ROW_A_STATE", "asciiz"),
    ("DMR_ROW_A_SECTORS", "uint64"),
    ("DMR_ROW_A_USABLE", "uint64"),
    ("DMR_ROW_A_FREE", "uint64"),
    ("DMR_ROW_A_USED", "uint64"),
    ("DMR_ROW_A_BAD", "uint64"),
    ("DMR_ROW_A_TIER", "uint32"),
    ("DMR_ROW_A_HEALTH", "uint32"),
    ("DMR_ROW_A_DRAINING", "uint32"),
)


class Cmd(enum.IntEnum):
    """Commands, and what the kernel sends."""

    UNSPEC = 0
    GET = 1
    REMAPS = 2
    REGIONS = 3
    CONFIGURE = 4
    SCAN = 5
    REMAP = 6
    SPARE = 7
    EVENT = 8


class News(enum.IntEnum):
    """What an event tells."""

    DROPPED = 0
    SET_STARTED = 1
    SET_STOPPED = 2
    SET_FAILED = 3
    REMAP = 4
    MOVED = 5
    UNREMAP = 6
    LOST = 7
    RECOVERED = 8
    READ_ERROR = 9
    WRITE_ERROR = 10
    SPARE_ERROR = 11
    MEMBERS = 12
    SPACE = 13
    BREAKER = 14
    SCAN = 15
    FINDING = 16
    COPY = 17


class EntryState(enum.IntEnum):
    """What became of a block."""

    REMAP = 0
    UNKNOWN = 1
    LOST = 2


class SetMode(enum.IntEnum):
    """How a set is."""

    OK = 0
    DEGRADED = 1
    FAILED = 2


class Space(enum.IntEnum):
    """Is there room for more remaps?"""

    OK = 0
    LOW = 1
    FULL = 2


class Reason(enum.IntEnum):
    """Why the members of a set have changed."""

    NONE = 0
    CREATED = 1
    SPARE_FAILED = 2
    SPARE_MISSING = 3
    RESTORED = 4
    ROLLED_BACK = 5
    IDENTITY = 6
    SPARE_ADDED = 7
    SPARE_REMOVED = 8
    SPARE_RESYNCED = 9
    MAIN_REPLACED = 10


class ScanEvent(enum.IntEnum):
    """What has become of a pass of the scan."""

    BEGINS = 0
    GOES_ON = 1
    PAUSES = 2
    RESUMES = 3
    STOPS = 4
    ENDS = 5


class Finding(enum.IntEnum):
    """What the scan has found."""

    ERROR = 0
    RESCUED = 1
    SLOW = 2
    BLANK = 3
    SPARE = 4


class CopyPhase(enum.IntEnum):
    """What the copy of main is doing."""

    OFF = 0
    PAUSED = 1
    RUNNING = 2
    COPIED = 3
    READY = 4
    FAILED = 5


class ScanOrder(enum.IntEnum):
    """Orders to the scan."""

    START = 0
    STOP = 1
    PAUSE = 2
    RESUME = 3


class RemapOrder(enum.IntEnum):
    """What is done with a range."""

    REMAP = 0
    RELOCATE = 1
    UNREMAP = 2
    VERIFY = 3


class SpareOrder(enum.IntEnum):
    """Orders to the pool of spares."""

    JOIN = 0
    JOIN_FORCE = 1
    JOIN_TRUST = 2
    DRAIN = 3
    UNDRAIN = 4
    TIER = 5
    HEALTH = 6
    MIGRATE = 7
    DROP = 8
    DROP_LOSE = 9
