"""Backup files: the whole metadata of a set in one file.

A file is UTF-8 text, one JSON object in each line. The first describes the set (`format` is
"dm-remap-backup", `version` 1); each further one is a metadata block, verbatim: `block` says what
it is, `data` is base64 of its zlib stream. The last line is the SHA-256 of all bytes before it.
"""

import base64
import binascii
import hashlib
import json
import uuid
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pyctl.errors import FormatError, RefusedError, from_os_error
from pyctl.files import write_whole
from pyctl.format.check import best_records
from pyctl.format.membership import count_kinds
from pyctl.format.model import BLOCK_SIZE, FormatCode, Leaf, Superblock
from pyctl.format.records import GEN_RECORDS, STATE_BLOCKS, Generation, State
from pyctl.format.survey import Role, Survey

__all__ = ["Archive", "load_archive", "pack_archive", "save_archive"]

_FORMAT = "dm-remap-backup"
_VERSION = 1
# What reading a text that only looks like a backup may raise.
_UNREADABLE = (ValueError, LookupError, TypeError, AttributeError, OverflowError)


@dataclass
class Archive:
    """What a backup file holds. `superblocks` are by spare, `leaves` by number."""

    header: Mapping[str, Any]
    reference: Superblock
    superblocks: dict[int, Superblock]
    leaves: dict[int, bytes] = field(default_factory=dict)
    generations: list[Generation] = field(default_factory=list)
    state: State | None = None

    def seq(self, number: int) -> int:
        """Sequence number of a leaf, 0 if it is not in the file."""
        block = self.leaves.get(number)
        return Leaf.probe(block, self.reference.set_uuid, number)[1] if block else 0

    def geometry(self, index: int) -> Superblock:
        """The superblock that belongs on a spare. Raises RefusedError if it is not in the file."""
        if index not in self.superblocks:
            raise RefusedError(
                f"Spare {index} was not there when the backup was made: the file has no superblock"
                " for it."
            )
        return self.superblocks[index]


def pack_archive(survey: Survey, now: int) -> bytes:
    """A backup of what was read. Raises FormatError if the table is not sane."""
    set_uuid = survey.reference.set_uuid
    lines = [_header(survey, now)]
    for spare in survey.spares:
        if spare.role in (Role.CURRENT, Role.STALE):
            own = spare.own
            lines.append(_line("superblock", own.encode(own.copy_idx), _place(own)))
    for number, block in sorted(survey.best.items()):
        lines.append(_line("leaf", block, {"number": number}))
    lines += [
        _line("generation", record.encode(set_uuid), {"number": record.number})
        for record in best_records(survey).values()
    ]
    state = survey.state()
    if state:
        lines.append(_line("state", state.encode(set_uuid), {"seq": state.seq}))
    text = b"".join(json.dumps(line).encode("ascii") + b"\n" for line in lines)
    return text + _seal(text)


def save_archive(path: Path, data: bytes, *, force: bool) -> None:
    """Write a file so that it is there whole or not at all, and on the medium.

    Raises RefusedError if there is one already, unless `force` is given; PyctlError as the system
    calls say.
    """
    if path.exists() and not force:
        raise RefusedError(f"{path} exists already.", hint="Choose another name, or add --force.")
    write_whole(path, data, replace=force)


def load_archive(path: Path) -> Archive:
    """Read and check a backup file. Raises RefusedError, with the reason, if it is not whole."""
    try:
        data = path.read_bytes()
    except OSError as error:
        raise from_os_error(error, f"Cannot read {path}") from error
    try:
        return _parse(data)
    except (FormatError, *_UNREADABLE) as error:
        why = error.message if isinstance(error, FormatError) else f"it is damaged ({error})"
        raise RefusedError(
            f"{path} is no whole backup of a set: {why.rstrip('.')}.", hint="Nothing was written."
        ) from error


def _header(survey: Survey, now: int) -> dict[str, Any]:
    reference = survey.reference
    return {
        "format": _FORMAT,
        "version": _VERSION,
        "set_uuid": str(reference.set_uuid),
        "events": reference.events,
        "generation": reference.generation,
        "time": now,
        **count_kinds(entry for _, _, entry in survey.entries()),
        "leaves": len(survey.best),
        "lost_leaves": survey.lost,
        "spares": [_place(spare.own) for spare in survey.spares if spare.superblock],
        "reference": reference.spare_idx,
    }


def _place(superblock: Superblock) -> dict[str, Any]:
    return {
        "spare": superblock.spare_idx,
        "spare_uuid": str(superblock.spare_uuid),
        "sectors": superblock.spares[superblock.spare_idx].sectors,
        "copy": superblock.copy_idx,
    }


def _line(kind: str, block: bytes, more: Mapping[str, Any]) -> dict[str, Any]:
    packed = base64.b64encode(zlib.compress(block)).decode("ascii")
    return {"block": kind, **more, "data": packed}


def _seal(text: bytes) -> bytes:
    return json.dumps({"sha256": hashlib.sha256(text).hexdigest()}).encode("ascii") + b"\n"


def _parse(data: bytes) -> Archive:
    if not data.startswith(b'{"format": "' + _FORMAT.encode() + b'"'):
        raise FormatError("it does not begin as one")
    end = data[:-1].rfind(b"\n") + 1
    if data[end:] != _seal(data[:end]):
        raise FormatError("its checksum does not match, so it is damaged or cut off")
    header, *rest = (json.loads(line) for line in data[:end].splitlines())
    if header["version"] != _VERSION:
        raise FormatError(
            f"it is of version {header['version']}, and this pyctl knows version {_VERSION}"
        )
    return _collect(header, list(_blocks(rest)))


def _blocks(lines: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], bytes]]:
    for line in lines:
        try:
            packed = base64.b64decode(line["data"], validate=True)
            unpacker = zlib.decompressobj()
            block = unpacker.decompress(packed, BLOCK_SIZE + 1)
        except (binascii.Error, zlib.error) as error:
            raise FormatError(f"a block in it cannot be unpacked ({error})") from error
        if len(block) != BLOCK_SIZE:
            raise FormatError(f"a block in it has not {BLOCK_SIZE} bytes")
        yield line, block


def _collect(header: dict[str, Any], blocks: list[tuple[dict[str, Any], bytes]]) -> Archive:
    set_uuid = uuid.UUID(header["set_uuid"])
    superblocks: dict[int, Superblock] = {}
    for line, block in blocks:
        if line["block"] == "superblock":
            one = Superblock.decode(block, line["copy"], line["sectors"])
            superblocks[one.spare_idx] = one
    if header["reference"] not in superblocks:
        raise FormatError("it has no superblock")
    reference = superblocks[header["reference"]]
    if any(one.set_uuid != set_uuid for one in superblocks.values()):
        raise FormatError("its superblocks belong to different sets")
    found = Archive(header, reference, superblocks)
    for line, block in blocks:
        _collect_block(found, line, block)
    found.generations.sort(key=lambda one: one.number)
    return found


def _collect_block(found: Archive, line: dict[str, Any], block: bytes) -> None:
    reference, kind = found.reference, line["block"]
    code = FormatCode.OK
    if kind == "leaf":
        number = line["number"]
        # also its entries: what is restored must be what the kernel accepts
        Leaf.decode(block, reference, number)
        found.leaves[number] = block
    elif kind == "generation":
        code, one = Generation.try_decode(block, reference.set_uuid, line["number"] % GEN_RECORDS)
        if one:
            found.generations.append(one)
    elif kind == "state":
        code, found.state = State.try_decode(block, reference.set_uuid, line["seq"] % STATE_BLOCKS)
    elif kind != "superblock":
        raise FormatError(f"it has a block of an unknown kind {kind}")
    if code != FormatCode.OK:
        raise FormatError(f"its {kind} is not valid")
