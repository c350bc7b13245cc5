"""What a drive says of itself, from the JSON of `smartctl -j -x` (smartmontools 7.0 or later).

ATA, SCSI and NVMe drives tell different things in different words; a Reading has what they have in
common, with the names and units of smartmontools' ataprint.cpp, scsiprint.cpp and nvmeprint.cpp.
What is missing, or is no number, is None: no value is ever guessed.
"""

import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyctl.errors import PyctlError, UsageError, from_os_error
from pyctl.run import run

__all__ = ["AtaAttribute", "NvmeLog", "Reading", "ScsiErrors", "parse", "read"]

_LARGEST = 1 << 63
# smartctl's exit status: bits 0 to 2 say that it could not ask, the others what it found
_NOT_ASKED = 0b111
# of vendors' attributes with these numbers, those with such a name count endurance down from 100
_OF_WEAR_LEFT = (177, 202, 231, 233)
_WEAR = re.compile(r"wear|life|endurance", re.IGNORECASE)


@dataclass(frozen=True)
class AtaAttribute:
    """`raw` is the vendor's number; `value` and `worst` count down to `threshold`."""

    number: int
    name: str
    raw: int
    value: int | None
    worst: int | None
    threshold: int | None
    failing_now: bool


@dataclass(frozen=True)
class NvmeLog:
    """The SMART / Health Information log of NVMe.

    Percentages; minutes for the two times; one data unit is 512,000 bytes.
    """

    critical_warning: int | None
    available_spare: int | None
    available_spare_threshold: int | None
    percentage_used: int | None
    data_units_read: int | None
    data_units_written: int | None
    media_errors: int | None
    error_log_entries: int | None
    unsafe_shutdowns: int | None
    warning_temperature_minutes: int | None
    critical_temperature_minutes: int | None


@dataclass(frozen=True)
class ScsiErrors:
    """Grown defects, and the errors that could not be corrected, by kind of command."""

    grown_defects: int | None
    uncorrected: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class Reading:
    """One drive at one time. `time` is in seconds since 1970, `temperature` in degrees Celsius.

    `wear` is the used share of the endurance in percent, which may exceed 100; None for disks that
    turn and for drives that don't tell.
    """

    protocol: str
    model: str
    serial: str
    firmware: str
    size: int | None
    time: int | None
    passed: bool | None
    hours: int | None
    power_cycles: int | None
    temperature: int | None
    wear: int | None
    rotates: bool | None
    attributes: Mapping[int, AtaAttribute] = field(default_factory=dict)
    nvme: NvmeLog | None = None
    scsi: ScsiErrors | None = None


def read(source: Path) -> Reading:
    """Ask a drive, or read a file that `smartctl -j` wrote.

    A block or character device is asked with `smartctl -j -x`, which must be installed.
    """
    try:
        if source.is_block_device() or source.is_char_device():
            # the exit status has what smartctl thinks of the drive, and the JSON says it better
            return parse(run(["smartctl", "-j", "-x", source], ok=range(256)), str(source))
        text = source.read_text(errors="replace")
    except OSError as error:
        raise from_os_error(error, f"Cannot read {source}") from error
    return parse(text, str(source))


def parse(text: str, name: str = "it") -> Reading:
    """Read the JSON of smartctl. Raises UsageError for what is none, or tells of no drive."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UsageError(
            f"{name} is no JSON of smartctl.", hint="`smartctl -j -x DISK` writes it."
        ) from error
    ours = isinstance(document, dict) and any(
        isinstance(document.get(key), dict) for key in ("smartctl", "device")
    )
    if not ours:
        raise UsageError(f"{name} is no JSON of smartctl.", hint="`smartctl -j -x DISK` writes it.")
    protocol = _text(_dig(document, "device", "protocol"))
    if protocol not in ("ATA", "SCSI", "NVMe"):
        status = _count(_dig(document, "smartctl", "exit_status")) or 0
        if status & _NOT_ASKED:
            raise PyctlError(f"smartctl could not ask {name}: {_messages(document)}")
        raise UsageError(f"{name} tells of no ATA, SCSI or NVMe drive.")
    attributes = _attributes(document)
    nvme = _nvme(document)
    rotation = _count(document.get("rotation_rate"))
    passed = _dig(document, "smart_status", "passed")
    return Reading(
        protocol=protocol,
        model=_model(document),
        serial=_text(document.get("serial_number")),
        firmware=_text(document.get("firmware_version")) or _text(document.get("scsi_revision")),
        size=_count(_dig(document, "user_capacity", "bytes"))
        or _count(document.get("nvme_total_capacity")),
        time=_count(_dig(document, "local_time", "time_t")),
        passed=passed if isinstance(passed, bool) else None,
        hours=_count(_dig(document, "power_on_time", "hours")),
        power_cycles=_count(document.get("power_cycle_count")),
        temperature=_degrees(_dig(document, "temperature", "current")),
        wear=_wear(document, attributes, nvme),
        rotates=None if rotation is None else rotation > 0,
        attributes=attributes,
        nvme=nvme,
        scsi=_scsi(document) if protocol == "SCSI" else None,
    )


def _model(document: dict[str, Any]) -> str:
    named = _text(document.get("model_name")) or _text(document.get("scsi_model_name"))
    if named:
        return named
    return f"{_text(document.get('vendor'))} {_text(document.get('product'))}".strip()


def _attributes(document: dict[str, Any]) -> dict[int, AtaAttribute]:
    table = _dig(document, "ata_smart_attributes", "table")
    found = {}
    for row in table if isinstance(table, list) else []:
        number, raw = _count(_dig(row, "id")), _raw(row)
        if number is None or not 0 < number < 256 or raw is None:
            continue
        found[number] = AtaAttribute(
            number=number,
            name=_text(row.get("name")),
            raw=raw,
            value=_count(row.get("value")),
            worst=_count(row.get("worst")),
            threshold=_count(row.get("thresh")),
            failing_now=row.get("when_failed") == "now",
        )
    return found


# `Min/Max` and the like stand in the string behind the number, which is also in the raw value's
# upper bytes: the number in front is what smartctl itself shows.
def _raw(row: object) -> int | None:
    value = _count(_dig(row, "raw", "value"))
    if value is None or value < 1 << 32:
        return value
    shown = re.match(r"(\d{1,18})(?: |$)", _text(_dig(row, "raw", "string")))
    return int(shown[1]) if shown else value


def _nvme(document: dict[str, Any]) -> NvmeLog | None:
    log = document.get("nvme_smart_health_information_log")
    if not isinstance(log, dict):
        return None
    return NvmeLog(
        critical_warning=_count(log.get("critical_warning")),
        available_spare=_count(log.get("available_spare")),
        available_spare_threshold=_count(log.get("available_spare_threshold")),
        percentage_used=_count(log.get("percentage_used")),
        data_units_read=_count(log.get("data_units_read")),
        data_units_written=_count(log.get("data_units_written")),
        media_errors=_count(log.get("media_errors")),
        error_log_entries=_count(log.get("num_err_log_entries")),
        unsafe_shutdowns=_count(log.get("unsafe_shutdowns")),
        warning_temperature_minutes=_count(log.get("warning_temp_time")),
        critical_temperature_minutes=_count(log.get("critical_comp_time")),
    )


def _scsi(document: dict[str, Any]) -> ScsiErrors:
    counters = document.get("scsi_error_counter_log")
    uncorrected = {}
    for kind in ("read", "write", "verify"):
        count = _count(_dig(counters, kind, "total_uncorrected_errors"))
        if count is not None:
            uncorrected[kind] = count
    return ScsiErrors(_count(document.get("scsi_grown_defect_list")), uncorrected)


# The drive's own percentage where it has one; else what an SSD's attribute has counted down from
# 100.
def _wear(
    document: dict[str, Any], attributes: dict[int, AtaAttribute], nvme: NvmeLog | None
) -> int | None:
    told = (
        nvme.percentage_used if nvme else None,
        _count(document.get("scsi_percentage_used_endurance_indicator")),
        _count(_dig(document, "endurance_used", "current_percent")),
    )
    for percent in told:
        if percent is not None:
            return percent
    if document.get("rotation_rate") == 0:
        for number in _OF_WEAR_LEFT:
            found = attributes.get(number)
            if not found or not _WEAR.search(found.name):
                continue
            if found.value is not None and found.value <= 100:
                return 100 - found.value
    return None


def _messages(document: dict[str, Any]) -> str:
    messages = _dig(document, "smartctl", "messages")
    texts = [_text(_dig(one, "string")) for one in messages] if isinstance(messages, list) else []
    return " ".join(text for text in texts if text) or "it does not say why."


def _dig(value: object, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


# A count; large ones of NVMe may be strings, or numbers in floating point.
def _count(value: object) -> int | None:
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,19}", value):
        value = int(value)
    if isinstance(value, float) and math.isfinite(value) and value.is_integer():
        value = int(value)
    return value if type(value) is int and 0 <= value < _LARGEST else None


# No disk works outside of these, so other numbers are no temperatures.
def _degrees(value: object) -> int | None:
    return value if type(value) is int and -60 < value < 200 else None


def _text(value: object) -> str:
    return value.strip() if isinstance(value, str) else ""
