"""Policies of the daemon: check them, try them on what was recorded, explain what they decide.

The packages of the extra `daemon` take long to import, so that is done where they are used.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from pyctl.app import App, command
from pyctl.errors import NotFoundError, PyctlError, UsageError
from pyctl.moments import duration, moment
from pyctl.output import Rows, counted

if TYPE_CHECKING:
    from pyctl.daemon.policy.engine import Decision
    from pyctl.daemon.policy.evaluating import Seen

__all__ = ["COMMANDS", "needs_daemon"]

_FILE = click.Path(path_type=Path)


@click.group("policy")
def policy() -> None:
    """Check, try and explain the policies of the daemon. See docs/policies.md."""


@contextmanager
def needs_daemon() -> Iterator[None]:
    """Says which packages are missing, where an import fails."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise PyctlError(
            f"The Python package {error.name} is missing.",
            hint="The daemon's packages come with: pip install 'dm-remap[daemon]'",
        ) from error


@command("check")
@click.argument("file", type=_FILE)
@click.pass_context
def check(ctx: click.Context, app: App, file: Path) -> None:
    """Say everything that is wrong in the policy FILE, with line and column."""
    with needs_daemon():
        from pyctl.daemon.policy.loading import PolicyError, load_policy
    try:
        found = load_policy(file)
    except PolicyError as error:
        app.emit(
            {"file": str(file), "problems": [one.plain() for one in error.problems]},
            "\n".join(str(one) for one in error.problems),
        )
        ctx.exit(2)
    app.emit(
        {
            "file": str(file),
            "problems": [],
            "name": found.name,
            "dry_run": found.dry_run,
            "rules": [one.name for one in found.rules],
        },
        f"{file}: {counted(len(found.rules), 'rule')}, nothing is wrong."
        + (" All of it is a dry run." if found.dry_run else ""),
    )


_HISTORY = click.option(
    "--history", type=_FILE, required=True, help="Recorded events, one JSON object in each line."
)
_EVERY = click.option(
    "--every",
    default="1m",
    metavar="TIME",
    help="How often to look between events, as the daemon does; default 1m.",
)


@command("test")
@click.argument("file", type=_FILE)
@_HISTORY
@_EVERY
@click.option("--until", metavar="TIME", help="Go on to this time after the last event.")
@click.option("--rule", help="Tell of this rule only.")
@click.option("--why", is_flag=True, help="Print what every condition saw, too.")
def test(
    app: App,
    file: Path,
    history: Path,
    every: str,
    until: str | None,
    rule: str | None,
    why: bool,
) -> None:
    """Run recorded events through the policy FILE and print what it would have done, and why.

    Nothing is done. TIME of --until is in ISO 8601, with a time zone.
    """
    with needs_daemon():
        from pyctl.daemon.policy.loading import load_policy
        from pyctl.daemon.policy.replay import gaps, read_history, replay
    found = load_policy(file)
    _known_rule(rule, [one.name for one in found.rules])
    events = read_history(history)
    done = replay(found, events, duration("--every", every), moment(until) if until else None)
    missing = gaps(events)
    decisions = [one for one in done.decisions if rule in (None, one.rule)]
    counts = {name: dict(one) for name, one in done.counts.items() if rule in (None, name)}
    app.emit(
        {
            "policy": found.name,
            "events": done.events,
            "looks": done.looks,
            "decisions": [one.plain() for one in decisions],
            "rules": counts,
            "gaps": [{"source": g.source, "first": g.first, "last": g.last} for g in missing],
        },
        _told(decisions, why=why),
    )
    never = [name for name, one in counts.items() if not set(one) - {"not-met", "not-known"}]
    if never:
        app.note(f"The condition never held of: {', '.join(never)}.")
    for gap in missing:
        app.note(f"The history lacks the events {gap.first} to {gap.last} of {gap.source or '-'}.")


@command("explain")
@click.argument("file", type=_FILE)
@_HISTORY
@_EVERY
@click.option("--at", metavar="TIME", help="When; default: after the last event.")
@click.option("--rule", help="Tell of this rule only.")
@click.option("--device", help="Tell of this device only.")
def explain(
    app: App,
    file: Path,
    history: Path,
    every: str,
    at: str | None,
    rule: str | None,
    device: str | None,
) -> None:
    """Say why each rule of the policy FILE acted or did not, at one moment of recorded events."""
    with needs_daemon():
        from pyctl.daemon.policy.loading import load_policy
        from pyctl.daemon.policy.replay import read_history, rounds
    found = load_policy(file)
    _known_rule(rule, [one.name for one in found.rules])
    # the last answer about each device
    last: dict[tuple[str, str], Decision] = {}
    pace, end = duration("--every", every), moment(at) if at else None
    for _, decisions in rounds(found, read_history(history), pace, end):
        last |= {(one.rule, one.device): one for one in decisions}
    wanted = [
        one for one in last.values() if rule in (None, one.rule) and device in (None, one.device)
    ]
    if not wanted:
        raise NotFoundError(
            f"Nothing was decided about {device or 'any device'} by then.",
            hint="Is the device in the history, and do the rule's devices name it?",
        )
    app.emit([one.plain() for one in wanted], "\n".join(_whole(one) for one in wanted))


def _known_rule(rule: str | None, names: list[str]) -> None:
    if rule is not None and rule not in names:
        raise UsageError(f"There is no rule {rule}.", hint=f"One of: {', '.join(names)}.")


def _told(decisions: "list[Decision]", *, why: bool) -> Rows | str:
    if why:
        return "\n".join(_whole(one) for one in decisions) or "Nothing."
    rows = [
        [one.plain()["time"], one.device, one.rule, one.verdict.value, _steps(one), one.why]
        for one in decisions
    ]
    return Rows(["TIME", "DEVICE", "RULE", "DECISION", "ACTIONS", "WHY"], rows)


def _steps(one: "Decision") -> str:
    return ", ".join(
        step.action.value if step.outcome.value == "act" else f"{step.action} ({step.outcome})"
        for step in one.steps
    )


def _whole(one: "Decision") -> str:
    lines = [f"{one.plain()['time']} {one.device} {one.rule}: {one.verdict}: {one.why}"]
    for step in one.steps:
        words = " ".join(f"{key}={_shown(value)}" for key, value in step.parameters.items())
        why = f" ({step.why})" if step.why else ""
        lines.append(f"  {step.outcome}: {step.action} {words}{why}".rstrip())
    return "\n".join([*lines, *_tree(one.seen, 1)])


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, str) and " " in value else str(value)


def _tree(seen: "Seen", depth: int) -> Iterator[str]:
    saw = f" ({seen.saw})" if seen.saw else ""
    yield f"{'  ' * depth}[{seen.truth}] {seen.asks}{saw}"
    for one in seen.below:
        yield from _tree(one, depth + 1)


for _each in (check, test, explain):
    policy.add_command(_each)

COMMANDS = (policy,)
