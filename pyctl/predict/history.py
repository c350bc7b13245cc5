"""Readings of one drive as a log of changes, so that a model of field data can be asked."""

from collections.abc import Sequence

import numpy as np

from pyctl.errors import UsageError
from pyctl.predict.days import DriveDays
from pyctl.predict.log import ATTRIBUTES, STRIDE, Drives, Log, make_log
from pyctl.predict.smartctl import Reading

__all__ = ["by_its_own_word", "to_log"]

_DAY = 86_400
_TB = 1e12
_MAKERS = {"ST": "ST", "WDC": "WDC", "WD": "WDC"}


def to_log(readings: Sequence[Reading]) -> tuple[Log, DriveDays]:
    """The log that readings of one ATA drive make, and the drive-day of the last one.

    Raises UsageError where they are of several drives, or lack what a log needs.
    """
    named = {(one.model, one.serial) for one in readings}
    if len(named) != 1:
        raise UsageError("The readings are of several drives.", hint="Give those of one drive.")
    if any(one.protocol != "ATA" or not one.attributes for one in readings):
        raise UsageError(
            "The model knows the attributes of ATA drives only.",
            hint="`pyctl predict read` says what another drive tells of itself.",
        )
    hours = [one.hours for one in readings]
    known = [hour for hour in hours if hour is not None and hour < STRIDE]
    if len(known) != len(readings):
        raise UsageError("A reading has no power-on hours.")
    order = np.argsort(known, kind="stable")
    ordered = [readings[index] for index in order]
    hour = np.asarray(known, dtype=np.int64)[order]
    first, last = ordered[0], int(hour[-1])
    day = (ordered[-1].time or 0) // _DAY
    drives = Drives(
        ids=np.array([0], dtype=np.int64),
        model=np.array([_family(first.model)], dtype=np.object_),
        manufacturer=np.array([_maker(first.model)], dtype=np.object_),
        size_tb=np.array([(first.size or 0) / _TB]),
        first_day=np.array([day - (last - int(hour[0])) // 24], dtype=np.int64),
        last_day=np.array([day], dtype=np.int64),
        first_hour=hour[:1],
        last_hour=hour[-1:],
        failed=np.array([False]),
    )
    values = {
        one: np.array([_raw(reading, one) for reading in ordered], dtype=np.float32)
        for one in ATTRIBUTES
    }
    here = np.zeros(1, dtype=np.int64)
    log = make_log(drives, np.zeros(len(ordered), dtype=np.int64), hour, values)
    return log, DriveDays(here, np.array([day], dtype=np.int64), hour[-1:])


def by_its_own_word(reading: Reading) -> list[str]:
    """What a drive itself says is wrong with it, in plain words; for all kinds of drives."""
    told = []
    if reading.passed is False:
        told.append("the drive's own health check has failed")
    told += [
        f"attribute {one.number} ({one.name}) is below the maker's threshold"
        for one in reading.attributes.values()
        if one.failing_now
    ]
    if reading.wear is not None and reading.wear >= 90:
        told.append(f"{reading.wear} % of its endurance is used")
    if log := reading.nvme:
        if log.critical_warning:
            told.append(f"its critical warning is {log.critical_warning:#x}")
        spare, least = log.available_spare, log.available_spare_threshold
        if spare is not None and least is not None and spare <= least:
            told.append(f"{spare} % of its spare blocks are left, of a threshold of {least} %")
        if log.media_errors:
            told.append(f"{log.media_errors} media errors")
    if errors := reading.scsi:
        if errors.grown_defects:
            told.append(f"{errors.grown_defects} grown defects")
        told += [
            f"{count} {kind} errors that could not be corrected"
            for kind, count in errors.uncorrected.items()
            if count
        ]
    if reading.protocol == "ATA" and reading.rotates is not False:
        told += [
            f"{reading.attributes[number].raw} {what}"
            for number, what in ((5, "reallocated sectors"), (197, "pending sectors"))
            if number in reading.attributes and reading.attributes[number].raw
        ]
    return told


def _raw(reading: Reading, number: int) -> float:
    found = reading.attributes.get(number)
    return float("nan") if found is None else float(found.raw)


# The field data names some models without the maker and the variant behind the dash.
def _family(model: str) -> str:
    for maker in ("HGST ", "SEAGATE "):
        if model.upper().startswith(maker) and model.upper()[len(maker) :].startswith("ST"):
            model = model[len(maker) :]
    return model.split("-")[0].strip() if model.startswith("ST") else model


def _maker(model: str) -> str:
    return next((maker for start, maker in _MAKERS.items() if model.startswith(start)), "HGST")
