"""What moving blocks ahead of their errors is worth: errors avoided for each spare block spent.

Simulated, like the failures themselves. A block that was moved before it got unreadable is an error
avoided. Every block of a spare that is taken counts as spent, also those of healthy regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from pyctl.predict.regions.generator import REGION_BLOCKS, Failure, around

__all__ = ["RULES", "Account", "Ledger"]

RULES = (
    "remap nothing",
    "remap neighbours after the first error",
    "predictor: what is weak, and 10 sectors around",
    "predictor: what is weak, and 100 sectors around",
    "predictor (10 sectors), and neighbours after the first error",
    "predictor: the whole region",
)
# How far around a block that failed is moved, in sectors: most errors have their neighbours there
# (SIGMETRICS 2007, FAST 2010).
_REACH = 100
# Blocks of a piece of 32 KiB, which is the least that the scan tells apart.
_PIECE_BLOCKS = 8

Retried = Sequence[tuple[float, int]]


@dataclass
class Account:
    """`errors` blocks got unreadable, of which `avoided` had been moved; `spent` blocks were moved.

    `first` are the failures whose whole first event was avoided, of `failures`.
    """

    errors: int = 0
    avoided: int = 0
    spent: int = 0
    wasted: int = 0
    first: int = 0
    failures: int = 0

    def card(self) -> dict[str, Any]:
        """For the JSON card."""
        return {
            "errors": self.errors,
            "avoided": self.avoided,
            "avoided_share": round(self.avoided / self.errors, 4) if self.errors else None,
            "spent": self.spent,
            "of_healthy_regions": self.wasted,
            "avoided_per_block": round(self.avoided / self.spent, 4) if self.spent else None,
            "failures": self.failures,
            "without_any_first_error": self.first,
        }


@dataclass
class Ledger:
    """The accounts of all rules over the same failures."""

    accounts: dict[str, Account] = field(default_factory=lambda: {r: Account() for r in RULES})

    def failing(self, failure: Failure, alarm: float | None, retried: Retried) -> None:
        """A region that failed, when it was alarmed, and which blocks were read again when."""
        for rule, account in self.accounts.items():
            moved = self._moved(rule, failure, alarm, retried)
            gone: set[int] = set()
            for n, event in enumerate(failure.events):
                new = [block for block in event.blocks if block not in gone]
                saved = [b for b in new if moved.get(b, event.time) < event.time]
                gone.update(new)
                account.errors += len(new)
                account.avoided += len(saved)
                if n == 0:
                    account.failures += 1
                    account.first += len(saved) == len(new)
            account.spent += len(moved)

    def healthy(self, alarm: float, retried: Retried) -> None:
        """A healthy region that was alarmed nevertheless: blocks of spares are spent on it."""
        for rule, account in self.accounts.items():
            spent = len(_predicted(rule, alarm, retried, None))
            account.spent += spent
            account.wasted += spent

    def card(self) -> dict[str, Any]:
        """For the JSON card."""
        return {rule: account.card() for rule, account in self.accounts.items()}

    # The blocks that a rule moves, and when; a block that is lost already can't be.
    def _moved(
        self, rule: str, failure: Failure, alarm: float | None, retried: Retried
    ) -> dict[int, float]:
        moved = {} if alarm is None else _predicted(rule, alarm, retried, failure.where)
        if "after the first error" in rule:
            first = failure.events[0]
            for block in first.blocks:
                for each in around(block, _REACH):
                    moved.setdefault(each, first.time)
        lost: dict[int, float] = {}
        for event in failure.events:
            for block in event.blocks:
                lost.setdefault(block, event.time)
        return {b: time for b, time in moved.items() if time < lost.get(b, time + 1)}


def _predicted(rule: str, alarm: float, retried: Retried, where: int | None) -> dict[int, float]:
    if not rule.startswith("predictor"):
        return {}
    if rule == "predictor: the whole region":
        return dict.fromkeys(range(REGION_BLOCKS), alarm)
    reach = 100 if "100 sectors around" in rule else 10
    weak = list(retried)
    if where is not None and not any(time <= alarm for time, _ in retried):
        # Slow alone: the next scan finds the slow pieces, as tests/kernel/test_scan.py has it.
        pieces = {block // _PIECE_BLOCKS for block in around(where, _REACH)}
        weak += [(alarm, p * _PIECE_BLOCKS + i) for p in pieces for i in range(_PIECE_BLOCKS)]
    moved: dict[int, float] = {}
    for time, block in weak:
        for each in around(block, reach):
            when = max(time, alarm)
            moved[each] = min(when, moved.get(each, when))
    return moved
