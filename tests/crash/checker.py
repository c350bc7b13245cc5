"""Compare what is left after a cut with what was promised."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from pyctl.format import SECTOR_SIZE, EntryFlag, EntryKind
from tests.crash import pattern
from tests.crash.journal import MAIN
from tests.crash.media import Survivors
from tests.crash.promises import Promises, Unit, Versions
from tests.crash.table import Loader, RefusedError, Table


@dataclass(frozen=True)
class Violation:
    """A broken promise: which one, where, and why we think so."""

    what: str
    where: str
    why: str

    def __str__(self) -> str:
        return f"{self.what}: {self.where}: {self.why}"


@dataclass
class Counts:
    """What was looked at."""

    cuts: int = 0
    cuts_by_kernel: int = 0
    acknowledged_writes: int = 0
    mappings: int = 0
    marks: int = 0
    marks_checked: int = 0

    def add(self, other: "Counts") -> None:
        """Sum up."""
        for name, value in vars(other).items():
            setattr(self, name, getattr(self, name) + value)


Place = tuple[int, int]
"""Number of a spare and a sector on it."""

ReadUnit = Callable[[int], bytes | None]
"""Data of a unit, or None when it can't be read."""


@dataclass
class Checker:
    """Checks cuts of one run: `run` is its number in every sector, `sectors` those of a unit."""

    run: int
    sectors: int
    units: int
    loader: Loader
    counts: Counts = field(default_factory=Counts)
    differing: int = 0
    """Leaves whose copies differed in the last cut that was checked."""
    _decoded: dict[bytes, pattern.Sector | None] = field(default_factory=dict)

    def take_counts(self) -> Counts:
        """The counts since the last call."""
        taken, self.counts = self.counts, Counts()
        return taken

    def check(self, disks: Survivors, promises: Promises) -> list[Violation]:
        """Load the set from what is left, and look at everything that was promised."""
        self.counts.cuts += 1
        self.differing = 0
        try:
            table = self.loader.load(disks)
        except RefusedError as refused:
            return [Violation("the set can't be started", "table", str(refused))]
        self.differing = table.differing
        found = self._check_mappings(table, promises)
        resolved = self.reader(disks, table, promises)
        found += self.check_content(resolved, table, promises)
        if table.seconds:
            # whichever copy is asked: what was acknowledged is in both
            second = self.reader(disks, table, promises, avoid=table.present)
            counted = self.counts.acknowledged_writes
            found += self.check_content(second, table, promises, second=True)
            self.counts.acknowledged_writes = counted
        return found

    def reader(
        self, disks: Survivors, table: Table, promises: Promises, *, avoid: Container[int] = ()
    ) -> ReadUnit:
        """How the kernel would read a unit with this table.

        First copies on the spares `avoid` are not asked if there is a second one.
        """
        unreadable = promises.unreadable

        def read(number: int) -> bytes | None:
            entry = table.entries.get(number)
            if entry is None or entry.kind != EntryKind.REMAP:
                if number in unreadable:
                    return None
                return disks.read(MAIN, number * self.sectors, self.sectors)
            other = table.second(number)
            alone = entry.spare_idx in table.present and entry.spare_idx not in avoid
            if other in table.present and not alone:
                entry = table.seconds[number]
            if entry.flags & EntryFlag.UNKNOWN or entry.spare_idx not in table.present:
                return None
            return disks.read(entry.spare_idx + 1, entry.spare_unit * self.sectors, self.sectors)

        return read

    def _check_mappings(self, table: Table, promises: Promises) -> list[Violation]:
        found = []
        for number, unit in enumerate(promises.units):
            if not unit.mapped:
                continue
            self.counts.mappings += 1
            entry = table.entries.get(number)
            if entry is None or entry.kind != EntryKind.REMAP:
                what = "main is served for acknowledged data on a spare"
                why = f"its write was redirected and acknowledged, the table says {entry}"
                found.append(Violation(what, f"unit {number}", why))
        return found

    def check_content(
        self, read: ReadUnit, table: Table, promises: Promises, *, second: bool = False
    ) -> list[Violation]:
        """Look at the data of every unit; `second`: second copies were asked, where there are any.

        When a spare has died they are asked in any case.
        """
        found = []
        gone = table.units_on(promises.dead_spares)
        second = second or bool(promises.dead_spares)
        for number, unit in enumerate(promises.units):
            data = read(number)
            self.counts.acknowledged_writes += unit.floor >= 0
            if data is None:
                if not promises.may_fail(number) and number not in gone:
                    why = f"it gives an error; {_promised(unit)}; the table says"
                    why += f" {table.entries.get(number)}"
                    found.append(Violation("a unit can't be read", f"unit {number}", why))
                continue
            for index in range(self.sectors):
                part = data[index * SECTOR_SIZE : (index + 1) * SECTOR_SIZE]
                known = {unit.base[index], unit.second[index] if second else None}
                if wrong := self._wrong(number, unit, index, part, known):
                    where = f"unit {number}, sector {index} of it"
                    why = f"{wrong[1]}; {_promised(unit)}; the table says"
                    why += f" {table.entries.get(number)}"
                    found.append(Violation(wrong[0], where, why))
        return found

    def compare_table(
        self, table: Table, remaps: Mapping[int, Place], dead: Container[int] = ()
    ) -> list[Violation]:
        """The kernel's list of remaps (main sector to spare and its sector) must be ours.

        By now it may know of spares that are `dead`, and have made second copies the first ones.
        """
        ours = {unit * self.sectors: self._places(table, unit, dead) for unit in table.remapped}
        return [
            Violation(
                "the kernel's table differs",
                f"sector {sector}",
                f"the kernel says {remaps.get(sector)}, the disks {ours.get(sector)}",
            )
            for sector in sorted(ours.keys() | remaps.keys())
            if remaps.get(sector) not in ours.get(sector, ())
        ]

    def _places(self, table: Table, unit: int, dead: Container[int]) -> list[Place]:
        """Where the first copy of a unit may be."""
        entries = [table.entries[unit]]
        if entries[0].spare_idx in dead and table.second(unit) is not None:
            entries.append(table.seconds[unit])
        return [(entry.spare_idx, entry.spare_unit * self.sectors) for entry in entries]

    def compare_content(
        self,
        read: ReadUnit,
        contents: Mapping[int, bytes | None],
        gone: Container[int] = (),
        second: ReadUnit | None = None,
    ) -> list[Violation]:
        """What the kernel has read must be what is on the disks.

        Units that are `gone` are on a spare that takes no writes: the kernel may know that by now,
        and give what `second` reads of those that have another copy.
        """
        found = []
        for number in range(self.units):
            ours, kernels = [read(number)], contents[number]
            if second is not None:
                ours.append(second(number))
            if kernels not in ours and (kernels is not None or number not in gone):
                why = f"{self._told(kernels)} instead of {' or '.join(map(self._told, ours))}"
                found.append(Violation("the kernel reads otherwise", f"unit {number}", why))
        return found

    def _told(self, data: bytes | None) -> str:
        return "an error" if data is None else f"versions {_hex(self.versions(data))}"

    def _wrong(
        self, number: int, unit: Unit, index: int, part: bytes, known: Container[int | None]
    ) -> tuple[str, str] | None:
        """What is wrong with a sector; `known` are the versions that it may have had before."""
        if part not in self._decoded:
            self._decoded[part] = pattern.decode(part)
        sector = self._decoded[part]
        if sector is None:
            return "foreign data", f"no sector that was ever written: {part[:16].hex()}..."
        if (sector.unit, sector.index, sector.run) != (number, index, self.run):
            return "foreign data", f"it belongs to {sector}"
        if unit.floor >= 0:
            fine = sector.version >= unit.floor
        else:
            newest = max(version or 0 for version in unit.base)
            fine = sector.version in known or sector.version > newest
        if fine:
            return None
        return "an acknowledged write is lost", f"the sector has version {sector.version:#x}"

    def versions(self, data: bytes | None) -> Versions:
        """The versions of a unit's sectors, which were checked before."""
        if data is None:
            return (None,) * self.sectors
        parts = [data[at : at + SECTOR_SIZE] for at in range(0, len(data), SECTOR_SIZE)]
        decoded = [pattern.decode(part) for part in parts]
        return tuple(sector.version if sector else None for sector in decoded)


def _promised(unit: Unit) -> str:
    if unit.floor < 0:
        return f"nothing newer than {_hex(unit.base)} was promised"
    return f"version {unit.floor:#x} or a later one was promised"


def _hex(versions: Sequence[int | None]) -> str:
    return ", ".join("unreadable" if v is None else f"{v:#x}" for v in dict.fromkeys(versions))
