"""Actions that survive a kill at any point: what is to be done is written down before it is begun.

planned -> running -> done, failed, or -> undoing -> undone. After a restart, `recover` finishes or
undoes whatever is not in a final state. Each transition is posted for the audit log in the same
transaction.
"""

import enum
import json
import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from pyctl.daemon.events import Action, iso
from pyctl.daemon.policy.engine import Decision
from pyctl.daemon.store import Store
from pyctl.errors import NotFoundError, PyctlError

__all__ = ["FINAL", "MAX_TRIES", "Actions", "Intent", "Outcome", "State", "Work"]

# An action that takes the daemon down each time is not tried for ever.
MAX_TRIES = 3
# What was planned so long ago (seconds) was decided about another world.
TOO_OLD = 3600


class State(enum.StrEnum):
    """Where an action is; the last three are final."""

    PLANNED = "planned"
    RUNNING = "running"
    UNDOING = "undoing"
    DONE = "done"
    FAILED = "failed"
    UNDONE = "undone"


FINAL = (State.DONE, State.FAILED, State.UNDONE)


@dataclass(frozen=True)
class Intent:
    """An action that was written down; `tries` is how often it was begun."""

    id: int
    time: float
    who: str
    why: str
    device: str
    kind: Action
    parameters: dict[str, Any]
    state: State
    tries: int
    result: dict[str, Any]

    @classmethod
    def of(cls, row: sqlite3.Row) -> "Intent":
        """Of a row of the table."""
        return cls(
            id=row["id"],
            time=row["time"],
            who=row["who"],
            why=row["why"],
            device=row["device"],
            kind=Action(row["kind"]),
            parameters=json.loads(row["parameters"]),
            state=State(row["state"]),
            tries=row["tries"],
            result=json.loads(row["result"]),
        )


@dataclass(frozen=True)
class Outcome:
    """What has become of an action: a final state, and what to remember of it."""

    state: State
    result: Mapping[str, Any]


class Work(Protocol):
    """What does one kind of action. Every call may be cut off anywhere.

    It raises PyctlError when it fails, and leaves nothing half done then.
    """

    def repeatable(self, intent: Intent) -> bool:
        """May `run` be called again after it was cut off? It goes on then, or begins anew."""
        ...

    def undoable(self, intent: Intent) -> bool:
        """Can `undo` take back what a `run` has begun that was cut off?"""
        ...

    def run(self, intent: Intent) -> Mapping[str, Any]:
        """Do it, and say what changed (`before`, `after`)."""
        ...

    def undo(self, intent: Intent) -> None:
        """Take it back; may be repeated."""
        ...


class Actions:
    """The actions of a store, and those who do them."""

    def __init__(
        self, store: Store, works: Mapping[Action, Work], clock: Callable[[], float]
    ) -> None:
        self.store = store
        self.works = works
        self.clock = clock

    def plan(self, decision: Decision) -> list[Intent]:
        """Write down a decision and the actions it wants done, all or none."""
        with self.store.transaction():
            number = self.store.add_decision(decision)
            return [
                self._insert(
                    number,
                    f"policy:{decision.rule}",
                    decision.why,
                    decision.device,
                    step.action,
                    step.parameters,
                )
                for step in decision.acts
            ]

    def order(
        self, who: str, why: str, device: str, kind: Action, parameters: Mapping[str, Any]
    ) -> Intent:
        """Write down an action that a person asked for."""
        with self.store.transaction():
            return self._insert(None, who, why, device, kind, parameters)

    def run(self, intent: Intent) -> Intent:
        """Do a planned action, or go on with one that was cut off. Returns it in a final state."""
        intent = self.begin(intent)
        return self.finish(intent, self.perform(intent))

    def begin(self, intent: Intent) -> Intent:
        """Write down that it is being done; one that is being undone goes on with that."""
        if intent.state is State.UNDOING:
            return intent
        return self._move(intent, State.RUNNING, tries=intent.tries + 1)

    def perform(self, intent: Intent) -> Outcome:
        """Do what was begun. Changes nothing in the store, so that a thread may do it."""
        work = self.works[intent.kind]
        try:
            if intent.state is State.UNDOING:
                work.undo(intent)
                return Outcome(State.UNDONE, {"error": "It was interrupted."})
            return Outcome(State.DONE, dict(work.run(intent)))
        except PyctlError as error:
            return Outcome(State.FAILED, {"error": str(error)})

    def finish(self, intent: Intent, outcome: Outcome) -> Intent:
        """Write down what has become of it."""
        return self._move(intent, outcome.state, outcome.result)

    def recover(self, *, later: bool = False) -> list[Intent]:
        """After a restart: bring everything that is not final to an end, in order.

        With `later`, what takes time is left to the caller, who has to `run` those of the returned
        that are in no final state.
        """
        return [self._end(one, later=later) for one in self.unfinished()]

    def unfinished(self) -> list[Intent]:
        """What is not in a final state, oldest first."""
        marks = ", ".join("?" * len(FINAL))
        found = self.store.rows(
            f"SELECT * FROM actions WHERE state NOT IN ({marks}) ORDER BY id",  # noqa: S608
            FINAL,
        )
        return [Intent.of(row) for row in found]

    def all(self, since: float = 0) -> list[Intent]:
        """The actions that are kept, from a time on."""
        found = self.store.rows("SELECT * FROM actions WHERE time >= ? ORDER BY id", (since,))
        return [Intent.of(row) for row in found]

    def _end(self, intent: Intent, *, later: bool) -> Intent:
        work = self.works[intent.kind]
        if intent.state is State.PLANNED and self.clock() - intent.time > TOO_OLD:
            return self._move(intent, State.UNDONE, {"error": "It was planned too long ago."})
        again = intent.state is State.RUNNING and work.repeatable(intent)
        if intent.state is not State.PLANNED and not (again and intent.tries < MAX_TRIES):
            if not work.undoable(intent):
                return self._move(intent, State.FAILED, {"error": _CUT_OFF})
            intent = self._move(intent, State.UNDOING)
        return intent if later else self.run(intent)

    def _insert(
        self,
        decision: int | None,
        who: str,
        why: str,
        device: str,
        kind: Action,
        parameters: Mapping[str, Any],
    ) -> Intent:
        now = self.clock()
        cursor = self.store.execute(
            "INSERT INTO actions (decision, time, changed, who, why, device, kind, parameters,"
            " state) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                decision,
                now,
                now,
                who,
                why,
                device,
                kind.value,
                json.dumps(dict(parameters)),
                State.PLANNED.value,
            ),
        )
        intent = self.get(int(cursor.lastrowid or 0))
        self._post(intent)
        return intent

    def _move(
        self,
        intent: Intent,
        state: State,
        result: Mapping[str, Any] | None = None,
        *,
        tries: int | None = None,
    ) -> Intent:
        with self.store.transaction():
            self.store.execute(
                "UPDATE actions SET state = ?, changed = ?, tries = ?, result = ? WHERE id = ?",
                (
                    state.value,
                    self.clock(),
                    intent.tries if tries is None else tries,
                    json.dumps(dict(result or {})),
                    intent.id,
                ),
            )
            moved = self.get(intent.id)
            self._post(moved)
        return moved

    def last(self, limit: int) -> list[Intent]:
        """The newest actions, newest first."""
        found = self.store.rows("SELECT * FROM actions ORDER BY id DESC LIMIT ?", (limit,))
        return [Intent.of(row) for row in found]

    def get(self, number: int) -> Intent:
        """An action. Raises NotFoundError."""
        found = self.store.rows("SELECT * FROM actions WHERE id = ?", (number,))
        if not found:
            raise NotFoundError(f"There is no action {number}.")
        return Intent.of(found[0])

    def _post(self, intent: Intent) -> None:
        self.store.post(
            {
                "time": iso(self.clock()),
                "who": intent.who,
                "what": f"{intent.kind} {intent.state}",
                "why": intent.why,
                "device": intent.device,
                "action": intent.id,
                "parameters": intent.parameters,
                "before": intent.result.get("before"),
                "after": intent.result.get("after"),
                **({"error": intent.result["error"]} if "error" in intent.result else {}),
            }
        )


_CUT_OFF = (
    "It was interrupted, and can be neither repeated nor undone: whether it has done its work is"
    " not known."
)
