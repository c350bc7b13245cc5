"""`metadata dump`."""

from typing import Any

import click

from pyctl.app import App, command
from pyctl.commands.metadata.access import for_reading
from pyctl.commands.metadata.generations import describe_generation
from pyctl.errors import FormatError
from pyctl.format import (
    EntryFlag,
    ReadSet,
    ReadSpare,
    State,
    Superblock,
    read_set,
    read_spare,
    take_survey,
)

__all__ = ["COMMANDS"]


@command("dump")
@click.argument("devices", nargs=-1, required=True, type=click.Path())
@click.option("--entries/--no-entries", default=True, help="Also the table's entries.")
def dump(app: App, devices: tuple[str, ...], entries: bool) -> None:
    """Print what is on the spares of one set, as JSON.

    DEVICES may be block devices or image files. The newest valid copy of everything is shown, and
    all copies that were refused. On a spare in use the table may be in motion.
    """
    try:
        found = read_set(devices, leaves=entries)
    except FormatError:
        # Show what there is before complaining: the damage is what one wants to see.
        spares = [read_spare(device) for device in devices]
        app.json = True
        app.emit({"spares": [_spare(spare) for spare in spares]}, "")
        raise
    with for_reading(devices) as (opened, _):
        seen = take_survey(opened)
    state = seen.state()
    app.json = True
    data = _set(found, entries=entries)
    data["generations"] = [describe_generation(one) for one in seen.generations()]
    data["state"] = _state(state) if state else None
    app.emit(data, "")


def _state(state: State) -> dict[str, Any]:
    return {
        "seq": state.seq,
        "time": state.time,
        "clean": state.clean,
        "counters": state.counters,
        "samples": [{"unit": sample.unit, "crc": sample.crc} for sample in state.samples],
    }


def _set(found: ReadSet, *, entries: bool) -> dict[str, Any]:
    data: dict[str, Any] = {
        "superblock": _superblock(found.superblock),
        "spares": [_spare(spare) for spare in found.spares],
        "problems": found.problems,
    }
    if entries:
        data["leaves"] = {
            "read": len(found.leaves),
            "highest_seq": max((leaf.seq for leaf in found.leaves), default=0),
        }
        data["entries"] = [
            {
                "leaf": leaf.number,
                "slot": slot,
                "kind": entry.kind.name.lower(),
                "main_unit": entry.main_unit,
                "spare_idx": entry.spare_idx,
                "spare_unit": entry.spare_unit,
                "flags": [
                    flag.name.lower() for flag in EntryFlag if flag in entry.flags and flag.name
                ],
            }
            for leaf in found.leaves
            for slot, entry in sorted(leaf.entries.items())
        ]
    return data


def _spare(spare: ReadSpare) -> dict[str, Any]:
    return {
        "path": spare.path,
        "sectors": spare.sectors,
        "blank": spare.blank,
        "copies": spare.copies_text(),
        "superblock": _superblock(spare.superblock) if spare.superblock else None,
    }


def _superblock(superblock: Superblock) -> dict[str, Any]:
    return {
        "set_uuid": str(superblock.set_uuid),
        "spare_uuid": str(superblock.spare_uuid),
        "spare_idx": superblock.spare_idx,
        "copy_idx": superblock.copy_idx,
        "events": superblock.events,
        "created": superblock.created,
        "updated": superblock.updated,
        "generation": superblock.generation,
        "main_sectors": superblock.main_sectors,
        "main_lbs": superblock.main_lbs,
        "identity": superblock.identity,
        "unit_bytes": superblock.unit_bytes,
        "max_remaps": superblock.max_remaps,
        "nr_leaves": superblock.nr_leaves,
        "overflow": list(superblock.overflow),
        "redundancy": max(superblock.redundancy, 1),
        "features": {
            "compat": superblock.feature_compat,
            "ro_compat": superblock.feature_ro_compat,
            "incompat": superblock.feature_incompat,
        },
        "spares": [
            {
                "uuid": str(row.uuid),
                "sectors": row.sectors,
                "events": row.events,
                "state": row.state.name.lower(),
            }
            for row in superblock.spares
        ],
    }


COMMANDS = (dump,)
