"""What carries out the actions of policies: the same functions that pyctl's commands call.

All of them but hooks can be interrupted at any point and run again.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from pyctl import spares
from pyctl.control import Control
from pyctl.daemon.actions import Intent, Work
from pyctl.daemon.alerts import Alerts
from pyctl.daemon.events import Action
from pyctl.daemon.hooks import Hooks
from pyctl.daemon.senders import Severity
from pyctl.errors import PyctlError, RefusedError
from pyctl.pool import Pool, SpareRow
from pyctl.scan import Scan

__all__ = [
    "Evacuations",
    "Notices",
    "Relocations",
    "Remaps",
    "ScanStops",
    "Scans",
    "SpareAdds",
    "all_works",
]

Open = Callable[[str], Control]


@dataclass(frozen=True)
class _Again:
    """Work that is finished by running it again."""

    def repeatable(self, intent: Intent) -> bool:  # noqa: ARG002 (the same for all)
        """Always."""
        return True

    def undoable(self, intent: Intent) -> bool:  # noqa: ARG002
        """Never."""
        return False

    def undo(self, intent: Intent) -> None:
        """Not possible. Raises PyctlError."""
        raise PyctlError(f"{intent.kind} of {intent.device} cannot be undone.")


@dataclass(frozen=True)
class Remaps(_Again):
    """Move ranges of sectors to spares, whether or not they can be read."""

    open: Open

    def run(self, intent: Intent) -> Mapping[str, Any]:
        """As Work.run; what was moved already is not moved again."""
        control = self.open(intent.device)
        ranges = [(int(start), int(start) + int(n)) for start, n in intent.parameters["ranges"]]
        before = control.status()
        done = self._move(control, ranges)
        after = control.status()
        return {
            "before": {"used": before.used, "lost": before.lost},
            "after": {"used": after.used, "lost": after.lost, **done},
        }

    def _move(self, control: Control, ranges: list[tuple[int, int]]) -> Mapping[str, int]:
        return control.remap_ranges(ranges, sum(end - start for start, end in ranges))


@dataclass(frozen=True)
class Relocations(Remaps):
    """Move what can be read; what can't is `kept` where it is, and nothing is given up."""

    def _move(self, control: Control, ranges: list[tuple[int, int]]) -> Mapping[str, int]:
        return control.relocate_ranges(ranges)


@dataclass(frozen=True)
class Scans(_Again):
    """Have the kernel scan a device."""

    open: Open

    def run(self, intent: Intent) -> Mapping[str, Any]:
        """As Work.run. It ends when the scan has begun; a scan that runs already will do."""
        try:
            begun = Scan(self.open(intent.device)).start(str(intent.parameters["pattern"]))
        except RefusedError:
            return {"after": {"scan": "ran already"}}
        return {"after": {"scan": begun.pattern}}


@dataclass(frozen=True)
class ScanStops(_Again):
    """Have the kernel end a scan."""

    open: Open

    def run(self, intent: Intent) -> Mapping[str, Any]:
        """As Work.run; where no scan is under way, all is as it was wanted."""
        try:
            ended = Scan(self.open(intent.device)).stop()
        except RefusedError:
            return {"after": {"scan": "none ran"}}
        return {"after": {"scan": ended.state}}


@dataclass(frozen=True)
class Evacuations(_Again):
    """Empty a spare. Given up after too many tries, new blocks may go there again."""

    open: Open

    def undoable(self, intent: Intent) -> bool:  # noqa: ARG002
        """What was moved stays where it is, which is no harm."""
        return True

    def run(self, intent: Intent) -> Mapping[str, Any]:
        """As Work.run."""
        pool, row = self._find(intent)
        moved = spares.evacuate(pool, row)
        return {
            "before": {"used": row.used},
            "after": {"used": pool.find(str(row.row)).used, "moved": moved},
        }

    def undo(self, intent: Intent) -> None:
        """As Work.undo."""
        spares.keep(*self._find(intent))

    def _find(self, intent: Intent) -> tuple[Pool, SpareRow]:
        pool = Pool(self.open(intent.device))
        return pool, pool.find(str(intent.parameters["spare"]))


@dataclass(frozen=True)
class SpareAdds(_Again):
    """Make a device of a pool a spare. One that is not blank is refused."""

    open: Open

    def run(self, intent: Intent) -> Mapping[str, Any]:
        """As Work.run."""
        pool = Pool(self.open(intent.device))
        before = len(pool.members())
        row = spares.add(pool, str(intent.parameters["device"]))
        return {
            "before": {"spares": before},
            "after": {"spares": len(pool.members()), "row": row.row},
        }


@dataclass(frozen=True)
class Notices(_Again):
    """Raise an alert: one for each rule and device, however often it is said."""

    alerts: Alerts

    def run(self, intent: Intent) -> Mapping[str, Any]:
        """As Work.run. It ends when the alert is in the store; sending it is the alerts' matter."""
        told = intent.parameters
        alert = self.alerts.announce(
            f"{intent.who.removeprefix('policy:')}/{intent.device}",
            intent.device,
            Severity(told["severity"]),
            str(told["text"]),
            [str(one) for one in told["channels"]],
        )
        return {"after": {"alert": alert.id, "count": alert.count}}


def all_works(open_device: Open, alerts: Alerts) -> dict[Action, Work]:
    """Who does what. `open_device` gives a live device by its name."""
    return {
        Action.REMAP: Remaps(open_device),
        Action.RELOCATE: Relocations(open_device),
        Action.SCAN: Scans(open_device),
        Action.SCAN_STOP: ScanStops(open_device),
        Action.EVACUATE: Evacuations(open_device),
        Action.SPARE_ADD: SpareAdds(open_device),
        Action.NOTIFY: Notices(alerts),
        Action.HOOK: Hooks(),
    }
