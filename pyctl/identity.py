"""Who a main device is: what the metadata remembers, and the comparison with a device."""

import enum
import stat
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pyctl import probe, samples
from pyctl.blockdev import BlockDevice
from pyctl.errors import PyctlError
from pyctl.format import (
    IDENTITY_LEN,
    SECTOR_SIZE,
    State,
    Superblock,
    Survey,
    open_for_reading,
)
from pyctl.output import when
from pyctl.samples import Compared

__all__ = [
    "Evidence",
    "Field",
    "Main",
    "Verdict",
    "content_is_the_same",
    "decode",
    "describe",
    "encode",
    "evidence",
    "examine",
    "examine_survey",
    "has_length",
    "judge",
    "look_at",
    "merged",
    "of_device",
    "of_replacement",
]

# Most telling first: what does not fit is dropped from the end.
_HARD = ("wwid", "serial", "dmuuid", "partuuid")
_SOFT = ("fsuuid", "ptuuid", "fstype")
# Those of them that two devices share only if one is a copy of the other.
_TELLING = ("fsuuid", "ptuuid")
# Its length, when that is not the set's: it has replaced a shorter one.
_LENGTH = "sectors"

_NAMES = {
    "wwid": "world-wide identifier",
    "serial": "serial number",
    "dmuuid": "device-mapper UUID",
    "partuuid": "partition UUID",
    "fsuuid": "file system's UUID",
    "ptuuid": "partition table's UUID",
    "fstype": "file system's type",
}

# So many samples that are not blank have to differ, all of them, to tell another device, or to be
# the same, all of them, to tell that it is this one.
_ENOUGH_SAMPLES = 8
# Clocks of two machines may differ by this much, in seconds.
_CLOCK_SLACK = 86400


class Verdict(enum.StrEnum):
    """What comes of comparing one field."""

    SAME = "same"
    REFUSED = "differs: refused"
    WARNING = "differs: warning"
    PLAUSIBLE = "plausible"
    UNKNOWN = "not known"


class Evidence(enum.IntEnum):
    """What speaks for a device as the main device of a set, the stronger the higher."""

    AGAINST = 0
    NONE = 1
    CONTENT = 2
    FILE_SYSTEM = 3
    HARDWARE = 4


@dataclass(frozen=True)
class Field:
    """One thing that is remembered of main, beside what was found.

    `clause` says what is wrong, without a full stop. `fixed` fields are refused whatever the
    caller wants: the set could not work.
    """

    name: str
    remembered: str
    found: str
    verdict: Verdict
    clause: str = ""
    fixed: bool = False


@dataclass(frozen=True)
class Main:
    """A main device or an image of one: sectors of 512 bytes, block size in bytes, 0 if unknown."""

    path: str
    sectors: int
    lbs: int
    identity: Mapping[str, str]


def look_at(path: str) -> Main:
    """Everything that is to be compared but content. Raises as BlockDevice.find() does."""
    try:
        info = Path(path).stat()
    except OSError:
        info = None
    if info and stat.S_ISREG(info.st_mode):
        return Main(path, info.st_size // SECTOR_SIZE, 0, _of_contents(path))
    device = BlockDevice.find(path)
    return Main(path, device.sectors, device.lbs, of_device(device))


def of_device(device: BlockDevice) -> dict[str, str]:
    """What is known of a device, by key; white space never occurs in values."""
    return {**device.hardware(), **_of_contents(device.path)}


def _of_contents(path: str) -> dict[str, str]:
    seen = probe.blkid(path)
    found = {
        "partuuid": seen.get("PART_ENTRY_UUID", ""),
        "fsuuid": seen.get("UUID", ""),
        "ptuuid": seen.get("PTUUID", ""),
        "fstype": seen.get("TYPE", ""),
    }
    return {key: "_".join(value.split()) for key, value in found.items() if value}


def encode(identity: Mapping[str, str]) -> str:
    """`wwid=… serial=…`, as it is stored: ASCII, at most IDENTITY_LEN - 1 bytes."""
    text = ""
    for key in (_LENGTH, *_HARD, *_SOFT):
        word = f"{key}={identity[key]}" if key in identity else ""
        longer = f"{text} {word}".strip()
        if longer.isascii() and len(longer) < IDENTITY_LEN:
            text = longer
    return text


def of_replacement(device: BlockDevice, main_sectors: int) -> str:
    """What is to be remembered of a device that becomes main of a set of `main_sectors`."""
    length = {} if device.sectors == main_sectors else {_LENGTH: str(device.sectors)}
    return encode({**of_device(device), **length})


def decode(text: str) -> dict[str, str]:
    """The opposite of encode; words that are no `key=value` are left out."""
    pairs = (word.partition("=") for word in text.split())
    return {key: value for key, sep, value in pairs if sep and key}


def merged(stored: Mapping[str, str], now: Mapping[str, str]) -> dict[str, str]:
    """What to remember from now on: what is found; what is not found stays."""
    return {**stored, **{key: now[key] for key in (*_HARD, *_SOFT) if key in now}}


def examine(
    superblock: Superblock,
    main: Main,
    *,
    content: Compared | None = None,
    state: State | None = None,
    now: int,
) -> list[Field]:
    """Compare everything that is remembered of main; `now` is in seconds since 1970."""
    stored = decode(superblock.identity)
    fields = [_size(superblock, main, stored), _block_size(superblock, main)]
    fields += [_text(key, stored, main.identity, Verdict.REFUSED) for key in _HARD]
    fields += [_text(key, stored, main.identity, Verdict.WARNING) for key in _SOFT]
    known_hardware = any(field.verdict == Verdict.SAME for field in fields[2 : 2 + len(_HARD)])
    fields.append(_content(content, known_hardware=known_hardware))
    fields.append(_time("created", superblock.created, now))
    fields.append(_time("updated", superblock.updated, now))
    fields.append(_time("state", state.time if state else 0, now))
    return fields


def examine_survey(survey: Survey, main: Main, now: int) -> list[Field]:
    """As examine, with samples of main if the set has some and its table is sane."""
    state, content = survey.state(), None
    if state and not survey.lost:
        try:
            with open_for_reading(main.path) as opened:
                entries = [entry for _, _, entry in survey.entries()]
                content = samples.compare(opened, survey.reference, state, entries)
        except PyctlError:
            content = None
    return examine(survey.reference, main, content=content, state=state, now=now)


def evidence(superblock: Superblock, main: Main) -> Evidence:
    """What is known of a device, its content aside, that speaks for it or against it.

    Size and block size alone speak for nothing. A file system that is copied with all else tells
    two disks apart no more; so it does not count for a device-mapper device, which would be known
    by its own UUID.
    """
    stored = decode(superblock.identity)
    hard = [_text(key, stored, main.identity, Verdict.REFUSED).verdict for key in _HARD]
    soft = [_text(key, stored, main.identity, Verdict.WARNING).verdict for key in _TELLING]
    if (
        _size(superblock, main, stored).verdict == Verdict.REFUSED
        or _block_size(superblock, main).verdict == Verdict.REFUSED
        or Verdict.REFUSED in hard
    ):
        return Evidence.AGAINST
    if Verdict.SAME in hard:
        return Evidence.HARDWARE
    if "dmuuid" in main.identity:
        return Evidence.NONE
    return Evidence.FILE_SYSTEM if Verdict.SAME in soft else Evidence.NONE


def content_is_the_same(survey: Survey, path: str) -> bool:
    """Is the content of a device what the set left on its main when it was stopped in order?

    False after a crash, and where too little was sampled to tell. Raises as open_for_reading().
    """
    state = survey.state()
    if state is None or survey.lost or not state.clean:
        return False
    with open_for_reading(path) as opened:
        entries = [entry for _, _, entry in survey.entries()]
        content = samples.compare(opened, survey.reference, state, entries)
    return content.telling >= _ENOUGH_SAMPLES and not content.differ


def judge(fields: Sequence[Field], *, force_main: bool = False) -> tuple[list[str], list[str]]:
    """Reasons to refuse, and mere warnings. `force_main` accepts all that is not `fixed`."""
    refused = [field for field in fields if field.verdict == Verdict.REFUSED]
    problems = [field.clause for field in refused if field.fixed]
    others = [field.clause for field in refused if not field.fixed]
    if others and not force_main:
        problems += [f"main is another device: {clause}" for clause in others]
        problems[-1] += " (--force-main accepts it nevertheless)"
        return problems, []
    warned = [field.clause for field in fields if field.verdict == Verdict.WARNING]
    return problems, [f"main has changed: {clause}" for clause in (*others, *warned)]


def describe(fields: Sequence[Field]) -> list[dict[str, str]]:
    """As plain values, for tables and JSON."""
    return [
        {
            "field": field.name,
            "remembered": field.remembered,
            "found": field.found,
            "verdict": str(field.verdict),
        }
        for field in fields
    ]


def has_length(superblock: Superblock, sectors: int) -> bool:
    """Whether a device of so many sectors is as long as the main device of the set."""
    length = _length(decode(superblock.identity))
    if length is not None:
        return sectors == length
    return sectors >> superblock.unit_shift << superblock.unit_shift == superblock.main_sectors


def _length(stored: Mapping[str, str]) -> int | None:
    text = stored.get(_LENGTH, "")
    return int(text) if text.isdecimal() else None


def _size(superblock: Superblock, main: Main, stored: Mapping[str, str]) -> Field:
    length = _length(stored)
    wanted = superblock.main_sectors if length is None else length
    return Field(
        "sectors",
        str(wanted),
        str(main.sectors),
        Verdict.SAME if has_length(superblock, main.sectors) else Verdict.REFUSED,
        f"main has {main.sectors} sectors, the spares belong to a main device of {wanted}",
        fixed=True,
    )


def _block_size(superblock: Superblock, main: Main) -> Field:
    verdict = Verdict.SAME if main.lbs == superblock.main_lbs else Verdict.REFUSED
    return Field(
        "logical block size",
        str(superblock.main_lbs),
        str(main.lbs or "-"),
        verdict if main.lbs else Verdict.UNKNOWN,
        f"main has logical blocks of {main.lbs} bytes, the spares belong to a main device with"
        f" {superblock.main_lbs}",
        fixed=True,
    )


def _text(key: str, stored: Mapping[str, str], now: Mapping[str, str], worst: Verdict) -> Field:
    then, found = stored.get(key, ""), now.get(key, "")
    verdict = Verdict.UNKNOWN if not (then and found) else worst
    return Field(
        _NAMES[key],
        then or "-",
        found or "-",
        Verdict.SAME if then and then == found else verdict,
        f"its {_NAMES[key]} is {found}, the spares remember {then}",
    )


def _content(content: Compared | None, *, known_hardware: bool) -> Field:
    if content is None or not content.compared:
        return Field("content samples", "-", "-", Verdict.UNKNOWN)
    how = "after an orderly stop" if content.clean else "while it was running"
    all_differ = content.differ == content.telling >= _ENOUGH_SAMPLES
    if not content.differ:
        verdict = Verdict.SAME
    elif content.clean or (all_differ and not known_hardware):
        verdict = Verdict.REFUSED
    else:
        verdict = Verdict.WARNING
    return Field(
        "content samples",
        f"{content.compared}, taken {how}",
        f"{content.differ} differ",
        verdict,
        f"{content.differ} of {content.compared} samples of its content differ from what the"
        f" spares remember, which was taken {how}",
    )


def _time(name: str, then: int, now: int) -> Field:
    if not then:
        return Field(f"{name} at", "-", when(now), Verdict.UNKNOWN)
    future = then > now + _CLOCK_SLACK
    return Field(
        f"{name} at",
        when(then),
        when(now),
        Verdict.WARNING if future else Verdict.PLAUSIBLE,
        f"the set was {name} at {when(then)}, which is in the future: a clock is wrong",
    )
