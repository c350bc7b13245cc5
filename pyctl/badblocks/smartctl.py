"""What a drive itself calls bad, in the JSON of `smartctl -j` (smartmontools 7.0 or later).

Taken are the addresses of failed self-tests (ATA: `-l selftest` and `-l xselftest`, SCSI: `-l
selftest`, NVMe: the same, since smartmontools 7.4) and the pending defects of ATA drives
(`-l defects`); `smartctl -j -x` has all of them. Addresses are in logical blocks of the whole disk
or NVMe namespace; the JSON says how large those are. The names are those of smartmontools'
ataprint.cpp, scsiprint.cpp and nvmeprint.cpp. Errors of commands (`-l error`) are not taken: their
registers tell of transfers, not of sectors.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pyctl.badblocks.extents import Extent, ListError

__all__ = ["Drive", "extents", "load"]

_SCSI_TEST = re.compile(r"scsi_self_test_\d+")
# Results of SCSI self-tests that failed (SPC, self-test results log page); NVMe: of segments.
_SCSI_FAILED = range(3, 8)
_NVME_FAILED = range(5, 8)
_ALL_NAMESPACES = (-1, 0xFFFFFFFF)


@dataclass(frozen=True)
class Drive:
    """What the JSON says of a drive; None and "" where it says nothing.

    `addresses` are logical blocks, in rising order; `block_size` and `size` are in bytes.
    """

    addresses: tuple[int, ...]
    block_size: int | None
    size: int | None
    serial: str


def load(text: str) -> Drive:
    """Read the JSON of smartctl.

    Raises ListError for what is no JSON of smartctl, or has none of the logs.
    """
    try:
        document = json.loads(text)
    except json.JSONDecodeError as error:
        raise ListError(f"this is not JSON: {error.msg}.", error.lineno) from error
    except RecursionError as error:
        raise ListError("this is no JSON of smartctl.") from error
    if not isinstance(document, dict) or "smartctl" not in document:
        raise ListError("this is no JSON of smartctl.")
    logs = (_ata(document), _pending(document), _scsi(document), _nvme(document))
    if all(log is None for log in logs):
        raise ListError(
            "it has neither a self-test log nor pending defects.",
            hint="`smartctl -j -x DISK` writes both, where the drive and smartctl know them.",
        )
    return Drive(
        addresses=tuple(sorted({address for log in logs for address in log or ()})),
        block_size=_positive(document.get("logical_block_size")),
        size=_positive(_dig(document, "user_capacity", "bytes")),
        serial=_text(document.get("serial_number")),
    )


def extents(drive: Drive, block_size: int) -> Iterator[Extent]:
    """An extent for each address. `block_size` is in bytes. Raises ListError."""
    return (Extent.of_blocks(address, 1, block_size, 0) for address in drive.addresses)


# Each of these gives the addresses of a log, or None where there is no such log.
def _ata(document: dict[str, Any]) -> list[int] | None:
    log = document.get("ata_smart_self_test_log")
    if not isinstance(log, dict):
        return None
    rows = [*_rows(_dig(log, "standard", "table")), *_rows(_dig(log, "extended", "table"))]
    # `passed` is missing for tests that were aborted: their address says nothing
    failed = (row for row in rows if _dig(row, "status", "passed") is False)
    return _addresses(row.get("lba") for row in failed)


def _pending(document: dict[str, Any]) -> list[int] | None:
    log = document.get("ata_pending_defects_log")
    if not isinstance(log, dict):
        return None
    return _addresses(row.get("lba") for row in _rows(log.get("table")))


def _scsi(document: dict[str, Any]) -> list[int] | None:
    tests = [value for key, value in document.items() if _SCSI_TEST.fullmatch(key)]
    if not tests:
        return None
    failed = (row for row in _rows(tests) if _dig(row, "result", "value") in _SCSI_FAILED)
    return _addresses(_dig(row, "lba_first_failure", "value") for row in failed)


def _nvme(document: dict[str, Any]) -> list[int] | None:
    log = document.get("nvme_self_test_log")
    if not isinstance(log, dict):
        return None
    ours = [row.get("id") for row in _rows(document.get("nvme_namespaces"))]
    failed = (
        row
        for row in _rows(log.get("table"))
        if _dig(row, "self_test_result", "value") in _NVME_FAILED
        and (not ours or row.get("nsid") is None or row["nsid"] in (*ours, *_ALL_NAMESPACES))
    )
    return _addresses(row.get("lba") for row in failed)


def _addresses(values: Iterable[object]) -> list[int]:
    found = []
    for value in values:
        if value is None:
            continue
        if not isinstance(value, int) or isinstance(value, bool) or value < 0:
            raise ListError(f"{json.dumps(value)[:40]} is not the address of a block.")
        found.append(value)
    return found


def _dig(value: object, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _rows(value: object) -> list[dict[str, Any]]:
    return [row for row in value if isinstance(row, dict)] if isinstance(value, list) else []


def _positive(value: object) -> int | None:
    return value if type(value) is int and value > 0 else None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
