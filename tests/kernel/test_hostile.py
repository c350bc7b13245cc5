"""Metadata that somebody has tampered with, checksums put right: refused, or served as it says.

Whatever an image says, the kernel must not crash, hang, read or write outside of a spare's data
area, or serve data of another place. pyctl.format says what an image holds.
"""

import contextlib
import random
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from pyctl.dm import Device, TargetLine
from pyctl.errors import DmError
from pyctl.format import DATA_START, EntryFlag, EntryKind, FormatCode, explain, slot_sector
from tests.kernel.lib.blockdev import SECTOR, NullBlk
from tests.kernel.lib.directio import DirectFile
from tests.kernel.lib.hostile import (
    LEAF_FIELDS,
    SUPERBLOCK_FIELDS,
    Entries,
    HostileSet,
    Mutation,
    Oracle,
    entry_word,
    get,
    put,
)
from tests.kernel.lib.kmsg import KernelLog
from tests.kernel.lib.metadata import ALL_COPIES
from tests.kernel.lib.remap import Remap
from tests.kernel.lib.retry import retry
from tests.kernel.lib.setup import QuickRemap

SEED = 20240611

# LEAF_NO makes a copy invalid, and GENERATION and STATE are no reason to refuse a set: none of them
# is ever told. None of the others may be missing among the refusals.
SILENT = {FormatCode.OK, FormatCode.LEAF_NO, FormatCode.GENERATION, FormatCode.STATE}

# Refusals that are not about a block or an entry alone.
OTHER_REASONS = (
    "no valid copy on any spare",
    "wrong main device",
    "remaps units of",
    "is mapped twice",
    "is used twice",
    "belongs to set",
    "is missing and may hold newer remaps",
    "no current spare is in the table",
    "is no member of the set any more",
    "are the same spare",
    "were each started without the other",
    "spares disagree",
    "carries other data",
    "a spare device is too small",
    "main device .* has changed",
)


@dataclass
class Tally:
    """What became of the images."""

    served: int = 0
    refused_images: int = 0
    reasons: Counter[str] = field(default_factory=Counter)
    codes: set[FormatCode] = field(default_factory=set)
    wrong: list[str] = field(default_factory=list)

    def refusal(self, log: str) -> set[FormatCode]:
        """Count a refusal by the reason that the kernel log gives; there must be one."""
        codes = {code for code in FormatCode if code not in SILENT and explain(code) in log}
        others = [reason for reason in OTHER_REASONS if re.search(reason, log)]
        assert codes or others, f"refused without a reason:\n{log}"
        self.codes |= codes
        self.refused_images += 1
        self.reasons.update([code.name for code in codes] or others)
        return codes

    def __str__(self) -> str:
        reasons = "".join(f"\n{count:6} {name}" for name, count in self.reasons.most_common())
        return f"{self.served} images served, {self.refused_images} refused:{reasons}"


@contextlib.contextmanager
def whole_set(
    spares: int, spare_mb: int, unit: int = 512, max_remaps: int = 32004
) -> Iterator[HostileSet]:
    """A set that the kernel takes, and has stopped in order."""
    with contextlib.ExitStack() as stack:
        main = stack.enter_context(NullBlk(8, unit))
        disks = [stack.enter_context(NullBlk(spare_mb, unit)) for _ in range(spares)]
        hostile = HostileSet(main, disks, unit, max_remaps)
        expected = Oracle(hostile, disks[0].sectors).expect()
        assert expected
        with QuickRemap(main, *disks) as dm:
            assert set(dm.remaps()) == table(expected, hostile)
        hostile.remember()
        yield hostile


def table(expected: Entries, hostile: HostileSet) -> set[Remap]:
    """Entries as the message "list" tells them."""
    sectors = hostile.unit // SECTOR
    found = set()
    for unit, entry in expected.items():
        lost = entry.kind == EntryKind.LOST
        unknown = not lost and entry.flags & EntryFlag.UNKNOWN
        found.add(
            Remap(
                sector=unit * sectors,
                sectors=sectors,
                spare=None if lost else entry.spare_idx,
                spare_sector=None if lost else entry.spare_unit * sectors,
                kind="lost" if lost else "unknown" if unknown else "remap",
                manual=not lost and bool(entry.flags & EntryFlag.MANUAL),
            )
        )
    return found


class Trial:
    """One image: load it, and compare what the kernel does with what it should."""

    def __init__(
        self, hostile: HostileSet, rng: random.Random, log: KernelLog, tally: Tally
    ) -> None:
        self._set = hostile
        self._rng = rng
        self._log = log
        self._tally = tally
        # Of the last image: with what it was refused, whether it was started, and written to.
        self.codes: set[FormatCode] = set()
        self.started = self.wrote = False

    def run(self, sectors: int | None = None) -> bool:
        """Load what the spares hold now, the first one cut to so many sectors; was it served?"""
        self.started = self.wrote = False
        for spare in self._set.spares:
            spare.write_changes()
        length = self._set.spares[0].disk.sectors if sectors is None else sectors
        expected = Oracle(self._set, length).expect()
        seen = len(self._log.lines())
        with self._first_spare(sectors) as first:
            others = [spare.disk for spare in self._set.spares[1:]]
            dm = QuickRemap(self._set.main, first, *others, name="hostile")
            try:
                dm.__enter__()
            except DmError:
                assert expected is None, f"refused, although it is sane:\n{self._told(seen)}"
                assert not Device(dm.name).info().exists
                self._untouched()
                self.codes = self._tally.refusal(self._told(seen))
                return False
            self.started = True
            try:
                assert expected is not None, f"taken:\n{self._told(seen)}"
                self._check(dm, expected)
            finally:
                dm.remove()
        self._tally.served += 1
        return True

    @contextlib.contextmanager
    def blamed(self, story: str) -> Iterator[None]:
        """Note what went wrong with an image, and go on with the next."""
        try:
            yield
        except Exception as error:  # noqa: BLE001 - every image is tried
            self._tally.wrong.append(f"{story}:\n{type(error).__name__}: {error}")
            print(f"wrong: {self._tally.wrong[-1]}", flush=True)

    def _told(self, seen: int) -> str:
        return "\n".join(self._log.lines()[seen:])

    @contextlib.contextmanager
    def _first_spare(self, sectors: int | None) -> Iterator[object]:
        disk = self._set.spares[0].disk
        if sectors is None:
            yield disk
            return
        cut = Device("hostile-cut")
        cut.create([TargetLine(0, sectors, "linear", f"{disk} 0")])
        try:
            yield "/dev/mapper/hostile-cut"
        finally:
            retry(cut.remove, DmError)

    # A refused image is left alone: somebody may want to repair it.
    def _untouched(self) -> None:
        for spare in self._set.spares:
            with DirectFile(spare.disk) as file:
                for sector, block in spare.changed.items():
                    assert file.pread(sector * SECTOR, len(block)) == block

    def _check(self, dm: QuickRemap, expected: Entries) -> None:
        assert set(dm.remaps()) == table(expected, self._set)
        units = self._rng.sample(sorted(expected), min(6, len(expected)))
        units += [self._rng.randrange(self._set.units()) for _ in range(2)]
        with DirectFile(dm) as file:
            for unit in units:
                self._check_read(file, unit, expected)
        self.wrote = self._rng.random() < 0.25
        if self.wrote:
            self._check_remap(dm, expected)

    def _check_read(self, file: DirectFile, unit: int, expected: Entries) -> None:
        entry, size = expected.get(unit), self._set.unit
        if entry and entry.flags & EntryFlag.UNKNOWN:
            with pytest.raises(OSError):
                file.pread(unit * size, size)
        elif entry is None or entry.kind == EntryKind.LOST:
            assert file.pread(unit * size, size) == self._set.main_data(unit)
        else:
            spare = self._set.spares[entry.spare_idx]
            with DirectFile(spare.disk) as below:
                there = below.pread(entry.spare_unit * size, size)
            assert file.pread(unit * size, size) == there

    # What was taken must stay so when the kernel itself has changed it.
    def _check_remap(self, dm: QuickRemap, expected: Entries) -> None:
        sectors = self._set.unit // SECTOR
        unit = next(unit for unit in range(500, self._set.units()) if unit not in expected)
        before = set(dm.remaps())
        dm.message("remap", unit * sectors, sectors)
        (new,) = set(dm.remaps()) - before
        superblock = self._set.spares[new.spare].superblock
        assert superblock.usable(new.spare_sector // sectors)
        dm.reassemble()
        assert set(dm.remaps()) == before | {new}
        assert dm.read(unit * sectors, sectors) == self._set.main_data(unit)


_SUPERBLOCK_CODES = (
    (FormatCode.VERSION, "version", 2),
    (FormatCode.FEATURE, "feature_incompat", 1 << 40),
    (FormatCode.COPY, "copy_idx", 9),
    (FormatCode.SPARES, "nr_spares", 0),
    (FormatCode.UNIT, "unit_shift", 2),
    (FormatCode.MAIN, "main_sectors", 0),
    (FormatCode.LEAVES, "nr_leaves", 1),
    (FormatCode.EXTENT, "overflow0", 8),
    (FormatCode.SPARE_SIZE, "row0.sectors", 1 << 30),
    (FormatCode.NUMBER, "events", (1 << 64) - 1),
    (FormatCode.POLICY, "policy", 9),
    (FormatCode.REDUNDANCY, "redundancy", 9),
    (FormatCode.MOVE, "move_state", 9),
)


def one_of_each(hostile: HostileSet) -> Iterator[FormatCode]:
    """Tamper once for each code that one spare alone can be refused with."""
    spare = hostile.spares[0]
    for code, name, value in _SUPERBLOCK_CODES:
        field_at = SUPERBLOCK_FIELDS[name]
        hostile.change_superblocks(spare, lambda b, at=field_at, v=value: put(b, *at, v))
        yield code
    hostile.change_superblocks(spare, lambda block: put(block, 104, 8, 1), seal=False)
    yield FormatCode.CRC
    hostile.change_leaf(0, lambda block: put(block, *LEAF_FIELDS["used"], 200))
    yield FormatCode.NR_USED
    first, second = entry_word(0, 0), entry_word(0, 8)
    for code, word, value in (
        (FormatCode.KIND, first, 9 << 48),
        (FormatCode.MAIN_RANGE, first, 1 << 40),
        (FormatCode.SPARE_IDX, second, 9 << 40),
        (FormatCode.SPARE_RANGE, second, 1 << 39),
        (FormatCode.RUN, second, 1 << 44),
    ):
        hostile.change_leaf(0, lambda b, w=word, v=value: put(b, w, 8, get(b, w, 8) | v))
        yield code


def unlike_a_spare(hostile: HostileSet) -> Iterator[FormatCode]:
    """Make a spare, beside a whole one, look as if it never was one."""
    spare = hostile.spares[1]
    hostile.change_superblocks(spare, lambda block: bytes(len(block)), seal=False)
    yield FormatCode.BLANK
    hostile.change_superblocks(spare, lambda block: b"x" * len(block), seal=False)
    yield FormatCode.MAGIC
    for copy in ALL_COPIES:
        spare.disk.add_bad(slot_sector(copy))
    spare.readable = False
    yield FormatCode.UNREADABLE
    spare.readable = True
    for copy in ALL_COPIES:
        spare.disk.remove_bad(slot_sector(copy))


def free_but_not_empty(hostile: HostileSet) -> Iterator[FormatCode]:
    """Leave something in an entry of kind FREE: a flag, a unit of main, a unit of a spare."""
    for word, value in ((0, 1 << 56), (0, 77), (8, DATA_START), (8, 1 << 40)):
        at = entry_word(201, word)
        hostile.change_leaf(0, lambda block, at=at, value=value: put(block, at, 8, value))
        yield FormatCode.KIND


def test_free_entries_that_are_not_empty_are_refused(kernel_log: KernelLog) -> None:
    """The next remap in their place would not be counted, and the next start refuse the table."""
    with whole_set(spares=1, spare_mb=8) as hostile:
        trial = Trial(hostile, random.Random(SEED), kernel_log, Tally())
        tamper_on_purpose(hostile, free_but_not_empty, trial)


@pytest.mark.parametrize(
    ("spare", "name", "value"),
    [
        (1, "unit_shift", 3),
        (1, "main_sectors", 1 << 20),
        (1, "nr_leaves", 126 + 2),
        (0, "row1.sectors", 1 << 39),
        (0, "row1.sectors", 12288),
    ],
)
def test_spares_that_disagree_are_refused(
    spare: int, name: str, value: int, kernel_log: KernelLog
) -> None:
    """Each superblock is sane, and the first is believed; the second spare isn't what it says.

    Its units would be taken for others, in its metadata too, or lie beyond its end.
    """
    with whole_set(spares=2, spare_mb=8) as hostile:
        place = SUPERBLOCK_FIELDS[name]
        hostile.change_superblocks(hostile.spares[spare], lambda block: put(block, *place, value))
        trial = Trial(hostile, random.Random(SEED), kernel_log, Tally())
        assert not trial.run()


@pytest.mark.timeout(600)
def test_the_kernel_refuses_or_serves_1000_mutated_images(
    kernel_log: KernelLog, share: float
) -> None:
    print(f"seed {SEED}")
    rng, tally = random.Random(SEED), Tally()
    with whole_set(spares=1, spare_mb=8) as hostile:
        tamper_on_purpose(hostile, one_of_each, Trial(hostile, rng, kernel_log, tally))
        tamper_at_random(hostile, int(400 * share), Trial(hostile, rng, kernel_log, tally), rng)
        cut_off(hostile, int(60 * share), Trial(hostile, rng, kernel_log, tally), rng)
    with whole_set(spares=2, spare_mb=8) as hostile:
        tamper_on_purpose(hostile, unlike_a_spare, Trial(hostile, rng, kernel_log, tally))
        tamper_at_random(hostile, int(250 * share), Trial(hostile, rng, kernel_log, tally), rng)
    with whole_set(spares=1, spare_mb=1024, max_remaps=40_000) as hostile:
        assert hostile.first.nr_leaves > 127
        tamper_at_random(hostile, int(150 * share), Trial(hostile, rng, kernel_log, tally), rng)
    with whole_set(spares=2, spare_mb=8, unit=4096) as hostile:
        tamper_at_random(hostile, int(150 * share), Trial(hostile, rng, kernel_log, tally), rng)
    print(tally)
    assert not tally.wrong, "\n".join([f"{len(tally.wrong)} images:", *tally.wrong[:20]])
    assert tally.served + tally.refused_images >= 1000 * share
    assert min(tally.served, tally.refused_images) >= 100 * share
    assert not set(FormatCode) - SILENT - tally.codes


def tamper_on_purpose(
    hostile: HostileSet, tamper: Callable[[HostileSet], Iterator[FormatCode]], trial: Trial
) -> None:
    for code in tamper(hostile):
        assert not trial.run(), f"taken: {code.name}"
        assert code in trial.codes, f"refused, but not for {code.name}"
        if all(spare.readable for spare in hostile.spares):
            hostile.restore(everything=False)
    hostile.restore(everything=False)
    assert all(spare.is_whole() for spare in hostile.spares)


def tamper_at_random(hostile: HostileSet, count: int, trial: Trial, rng: random.Random) -> None:
    superblocks = {slot_sector(copy) for copy in ALL_COPIES}
    for number in range(count):
        mutation = Mutation(hostile, rng)
        mutation.apply()
        moved = any(superblocks & set(spare.changed) for spare in hostile.spares)
        with trial.blamed(f"image {number} of {count}: {mutation.story}"):
            trial.run()
        hostile.restore(everything=trial.wrote or (trial.started and moved))
        if number % 50 == 0:
            assert all(spare.is_whole() for spare in hostile.spares), mutation.story


def cut_off(hostile: HostileSet, count: int, trial: Trial, rng: random.Random) -> None:
    """The spare is shorter than it was, at any of its borders or anywhere."""
    whole = hostile.spares[0].disk.sectors
    borders = (16, 1024, 8200, 9216, 9728, DATA_START, 12288, whole)
    for number in range(count):
        sectors = rng.choice((*borders, rng.randrange(16, whole))) // 8 * 8 - 8 * (number % 2)
        with trial.blamed(f"cut to {sectors} sectors"):
            trial.run(sectors=sectors)
        hostile.restore(everything=trial.started)
