"""What happens to the disk, what the daemon should do about it, and what comes of it."""

from collections.abc import Sequence
from dataclasses import dataclass, field

BLOCK = 4096
MAIN_MB = 32
SPARE_MB = 8
# How much of the room on the spare the bad blocks take; the policy wants more from 85 percent on.
FULL_PERCENT = 88
# The first bad blocks, which are too few to fill anything.
FIRST_BAD = 12
# What the shipped policy says must be done: the rule, the action, and what it is for.
WANTED = (
    ("look-around-errors", "scan", "it looks for more errors near the first ones"),
    ("look-around-errors", "notify", "it tells people that there are errors"),
    ("more-room", "spare-add", "it adds a spare from the pool before there is no room"),
    ("more-room", "notify", "it tells people that the spare fills up"),
)


@dataclass(frozen=True)
class Work:
    """What an application met that has written and read the whole disk."""

    requests: int
    errors: int
    wrong: int


@dataclass(frozen=True)
class Did:
    """An action of the daemon."""

    rule: str
    kind: str
    state: str
    why: str


@dataclass
class Outcome:
    """All that the end is judged by."""

    raw: list[Work] = field(default_factory=list)
    remap: list[Work] = field(default_factory=list)
    did: list[Did] = field(default_factory=list)
    # rules that have an open alert, and what a receiver of messages has got
    alerts: list[str] = field(default_factory=list)
    messages: int = 0
    spares: int = 0
    lost: int = 0
    # the audit log: its records, what is wrong with it, and what it says of a forged copy
    records: int = 0
    problems: list[str] = field(default_factory=list)
    forgery_found: bool = False


def missing(outcome: Outcome) -> list[str]:
    """What should have come out and has not, in words."""
    done = {(one.rule, one.kind) for one in outcome.did if one.state == "done" and one.why}
    found = [
        f"nothing shows that {what}" for rule, kind, what in WANTED if (rule, kind) not in done
    ]
    found += [
        f"{one.kind} of {one.rule} is {one.state}" for one in outcome.did if one.state != "done"
    ]
    if _errors(outcome.remap):
        found.append("an application saw an error of dm-remap, or wrong data")
    if not _errors(outcome.raw):
        found.append("the same faults did no harm to the bare disk, so nothing is shown")
    if not {"look-around-errors", "more-room"} <= set(outcome.alerts):
        found.append("an alert is not there")
    if not outcome.messages:
        found.append("nobody was told")
    if outcome.spares != 2:
        found.append(f"there are {outcome.spares} spares, not two")
    if outcome.lost:
        found.append(f"{outcome.lost} blocks are lost")
    if outcome.problems or not outcome.records:
        found.append(f"the audit log is wrong: {'; '.join(outcome.problems) or 'it is empty'}")
    if not outcome.forgery_found:
        found.append("a forged audit log passes as a true one")
    return found


def _errors(days: Sequence[Work]) -> int:
    return sum(one.errors + one.wrong for one in days)
