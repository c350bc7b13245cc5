"""A run: one set, cut and started again, over several generations of the same disks."""

import random
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.crash import fresh, guest, journal
from tests.crash.checker import Checker, ReadUnit, Violation
from tests.crash.disks import Disk, Sectors
from tests.crash.journal import MAIN, Died, Event, GoneBad
from tests.crash.media import Media, Survivors
from tests.crash.plan import (
    MARKS_SHARE,
    PEAKS_SHARE,
    SPARE_SECTORS,
    Variant,
)
from tests.crash.promises import Promises, Versions
from tests.crash.session import Session, powered_on
from tests.crash.table import Loader, RefusedError
from tests.vm.errors import CommandError, GuestLostError

LOAD_SECONDS = (0.6, 1.6)
# However slow the machine is, a generation that wrote next to nothing shows nothing.
LEAST_WRITES = 300


@dataclass
class Generation:
    """From power on to the cut: what was on the disks before, what was promised, what happened.

    `bases` is what every unit gave when it was read, `seconds` what its second copy would have
    given; the same where there is none.
    """

    number: int
    images: list[Sectors]
    bases: list[Versions]
    seconds: list[Versions]
    mapped: list[bool]
    events: list[Event] = field(default_factory=list)
    start: int = 0
    """Before it the journal tells what was bad already."""


@dataclass(frozen=True)
class Cut:
    """Where the power is cut: a position of the journal, and what chance is seeded with."""

    position: int
    seed: str


@dataclass
class Run:
    """A variant with a seed: its disks, and what is done with them."""

    variant: Variant
    machine: guest.Machine
    seed: int

    def __post_init__(self) -> None:
        self.rng = random.Random(f"run {self.variant.name} {self.seed}")
        self.number = self.rng.getrandbits(62)
        spares = [SPARE_SECTORS] * self.variant.spares
        loader = Loader(spares)
        self.checker = Checker(self.number, self.variant.unit_sectors, self.variant.units, loader)
        self.disks = fresh.disks(self.variant, self.number, self.rng)

    def first_generation(self) -> Generation:
        """The state before anything was written."""
        base: Versions = (0,) * self.variant.unit_sectors
        images = [dict(disk.content) for disk in self.disks]
        units = self.variant.units
        return Generation(1, images, [base] * units, [base] * units, [False] * units)

    def live(self, generation: Generation) -> list[Violation]:
        """Turn the power on, check what is there, write, cut. Fills in the events."""
        self._insert(generation.images)
        # The guest's timing decides how much is drawn from it: it has a source of its own.
        answers = random.Random(self._cut_seed(generation, "answers"))
        with powered_on(self.machine, self.variant, self.disks, answers) as session:
            self._note_bad(session)
            generation.events = session.power.events
            generation.start = len(generation.events)
            found = self._check_booted(session, generation)
            if found:
                return found
            guest.start_writing(
                session.vm,
                self.variant,
                self.number,
                generation.number,
                self.rng.getrandbits(60),
            )
            self._wear(session)
            session.cut()
        return found

    def _insert(self, images: Sequence[Sectors]) -> None:
        for disk, image in zip(self.disks, images, strict=True):
            disk.content = dict(image)

    def _note_bad(self, session: Session) -> None:
        """The journal begins with what is bad already."""

        def note() -> None:
            for disk in session.disks:
                session.power.note_bad(disk)

        session.server.call(note)

    def _wear(self, session: Session) -> None:
        """Let the load work; sectors go bad meanwhile, and perhaps a spare dies."""
        units = self.variant.units
        growing = self.rng.sample(range(units), int(units * self.variant.growing))
        seconds = self.rng.uniform(*LOAD_SECONDS)
        dies = self.rng.randrange(len(growing)) if self.variant.spare_dies else -1
        for step, unit in enumerate(growing):
            time.sleep(seconds / len(growing))
            session.server.call(partial(self._grow, session, unit))
            if step == dies and not session.disks[-1].dead:
                session.server.call(partial(session.power.die, session.disks[-1]))
        session.wait_for_acknowledgements(LEAST_WRITES)

    def _grow(self, session: Session, unit: int) -> None:
        first, count, readable = fresh.spoil(session.disks[MAIN], self.variant, unit, self.rng)
        session.power.note_gone_bad(session.disks[MAIN], first, count, readable=readable)

    def _check_booted(self, session: Session, generation: Generation) -> list[Violation]:
        """What the kernel makes of the disks must be what was promised."""
        promises = self.promises(generation)
        for event in session.power.events:
            promises.feed(event)
        return self.check_by_kernel(session, promises)

    def boot(self, generation: Generation, moment: "Moment") -> list[Violation]:
        """Start a machine with what a cut has left, and check that."""
        disks = self._disks_at(generation, moment)
        answers = random.Random(moment.cut.seed)
        try:
            with powered_on(self.machine, self.variant, disks, answers) as session:
                return self.check_by_kernel(session, moment.promises)
        except GuestLostError as error:
            return [Violation("the kernel died", "kernel", str(error))]

    def _disks_at(self, generation: Generation, moment: "Moment") -> list[Disk]:
        images = moment.disks.images()
        disks = [
            Disk(disk.number, disk.sectors, content=image)
            for disk, image in zip(self.disks, images, strict=True)
        ]
        disks[MAIN].weak = dict(self.disks[MAIN].weak)
        for event in generation.events[: moment.cut.position]:
            if isinstance(event, GoneBad):
                disks[event.disk].mark_bad(event.first, event.count, readable=event.readable)
            elif isinstance(event, Died):
                disks[event.disk].dead = True
        return disks

    def check_by_kernel(self, session: Session, promises: Promises) -> list[Violation]:
        """Assemble the set, compare its table with ours, read everything, scrub the table."""
        self.checker.counts.cuts_by_kernel += 1
        disks = Survivors([dict(disk.content) for disk in session.power.disks], None)
        try:
            table = self.checker.loader.load(disks)
            session.assemble()
            remaps = guest.remaps(session.vm)
            contents = session.read_back()
            answer = guest.message(session.vm, "restore")
        except (RefusedError, CommandError) as error:
            return [Violation("the set can't be started", "kernel", str(error))]
        found = []
        if not answer.startswith("leaves="):
            found.append(Violation("the table can't be repaired", "kernel", answer))
        dead = promises.dead_spares
        found += self.checker.compare_table(table, remaps, dead)
        found += self.checker.compare_content(
            self.checker.reader(disks, table, promises),
            {number: content.data for number, content in contents.items()},
            table.units_on(dead),
            self.checker.reader(disks, table, promises, avoid=dead),
        )
        found += self.checker.check_content(lambda unit: contents[unit].data, table, promises)
        found += [Violation("the kernel complains", "log", p) for p in session.kernel_problems()]
        return found

    def promises(self, generation: Generation) -> Promises:
        """The promises at the start of a generation."""
        sectors = self.variant.unit_sectors
        return Promises(generation.bases, generation.seconds, generation.mapped, sectors)

    def replay(
        self, generation: Generation, cuts: Sequence[Cut], *, lying: bool = False
    ) -> Iterator["Moment"]:
        """Go through the journal; stop at each of the cuts, which are sorted by position.

        With `lying` the disks answered flushes and FUA writes and did nothing for them.
        """
        media = Media(generation.images, lying=lying)
        promises = self.promises(generation)
        done = 0
        for cut in cuts:
            for event in generation.events[done : cut.position]:
                media.feed(event)
                promises.feed(event)
            done = cut.position
            yield Moment(cut, media.draw(random.Random(cut.seed)), promises)

    def check(self, moment: "Moment") -> list[Violation]:
        """Check a cut with the format code on the host."""
        found = self.checker.check(moment.disks, moment.promises)
        return found + [
            Violation("the load saw it", "while the power was on", text)
            for text in moment.promises.new_complaints()
        ]

    def next_generation(self, generation: Generation) -> Generation:
        """What the cut at the end of a generation has left. Raises RefusedError."""
        (moment,) = self.replay(generation, [self.last_cut(generation)])
        table = self.checker.loader.load(moment.disks)
        reader = partial(self.checker.reader, moment.disks, table, moment.promises)
        return Generation(
            generation.number + 1,
            moment.disks.images(),
            self._versions(reader()),
            self._versions(reader(avoid=table.present)),
            [unit in table.remapped for unit in range(self.variant.units)],
        )

    def _versions(self, read: ReadUnit) -> list[Versions]:
        return [self.checker.versions(read(unit)) for unit in range(self.variant.units)]

    def last_cut(self, generation: Generation) -> Cut:
        """The cut that really happened."""
        return Cut(len(generation.events), self._cut_seed(generation, "end"))

    def choose(self, generation: Generation, number: int) -> list[Cut]:
        """So many cuts, and the real one behind them.

        At the marks, where the most is in flight, and anywhere between.
        """
        events = generation.events
        rng = random.Random(self._cut_seed(generation, "choose"))
        marks = [at for at in journal.marks(events) if at > generation.start]
        peaks = [at for at in journal.peaks(events) if at > generation.start]
        chosen = rng.sample(marks, min(len(marks), int(number * MARKS_SHARE)))
        chosen += rng.sample(peaks, min(len(peaks), int(number * PEAKS_SHARE)))
        self.checker.counts.marks += len(marks)
        self.checker.counts.marks_checked += len(set(chosen).intersection(marks))
        chosen += [rng.randint(generation.start, len(events)) for _ in range(number - len(chosen))]
        cuts = [
            Cut(at, self._cut_seed(generation, f"{at}/{index}"))
            for index, at in enumerate(sorted(chosen))
        ]
        return [*cuts, self.last_cut(generation)]

    def _cut_seed(self, generation: Generation, what: str) -> str:
        return f"{self.variant.name}/{self.seed}/{generation.number}/{what}"


@dataclass(frozen=True)
class Moment:
    """A cut that was drawn: what is left, and what was promised."""

    cut: Cut
    disks: Survivors
    promises: Promises
