"""A policy as a whole: rules, limits, pools."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field

from pyctl.daemon.events import Action
from pyctl.daemon.policy.conditions import (
    Condition,
    Devices,
    TimeIs,
    Zone,
    children,
    counted,
)
from pyctl.daemon.policy.doing import DEVICE_ACTIONS, RULE_ACTIONS, Doing, Hook, Notify, SpareAdd
from pyctl.daemon.policy.schema import Duration, Many, Part, Some, mistake, nearest

__all__ = ["FLEET", "Limit", "Policy", "Rule", "Times", "problems"]

# The device of what a rule about all devices does.
FLEET = "*"

Path = tuple[str | int, ...]


def _action(value: object) -> object:
    known = [one.value for one in RULE_ACTIONS]
    if value not in known:
        raise mistake(f"there is no action {value!r}", nearest(str(value), known))
    return Action(str(value))


class Times(Part):
    """At most so often in any time of this length."""

    times: Annotated[int, Field(ge=1)]
    within: Duration


class Limit(Times):
    """The same for some actions of all rules, over all devices or for each of them."""

    actions: Some[Annotated[Action, BeforeValidator(_action)]] = DEVICE_ACTIONS
    per: Literal["host", "device"] = "host"


class Rule(Part):
    """When, and what then."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9-]{0,62}$")]
    about: str = ""
    scope: Literal["device", "fleet"] = "device"
    devices: Some[str] = ("*",)
    when: Condition
    do: Some[Doing]
    cool_down: Duration = 3600
    limit: Times | None = None
    dry_run: bool = False
    enabled: bool = True


class Policy(Part):
    """What a policy file says."""

    version: Literal[1]
    name: Annotated[str, Field(min_length=1, max_length=63)]
    about: str = ""
    timezone: Zone = "UTC"
    dry_run: bool = False
    stale_after: Duration = 3600
    limits: Many[Limit] = ()
    pools: dict[str, Some[Annotated[str, Field(pattern="^/")]]] = Field(default_factory=dict)
    rules: Some[Rule]

    def counted(self) -> dict[int, set[tuple[str, ...]]]:
        """What has to be counted: for each time in seconds, the kinds of events."""
        found: dict[int, set[tuple[str, ...]]] = {}
        for rule in self.rules:
            for kinds, within in counted(rule.when):
                found.setdefault(within, set()).add(tuple(sorted(kinds)))
        return found

    def memory_seconds(self) -> int:
        """How far back a limit or a cool-down looks."""
        limits = [one.within for one in self.limits]
        limits += [rule.limit.within for rule in self.rules if rule.limit]
        return max([*limits, *(rule.cool_down for rule in self.rules)])


def problems(policy: Policy) -> Iterator[tuple[Path, str, str]]:
    """What no single part can know: place, what is wrong, what to do."""
    seen: dict[str, int] = {}
    for index, rule in enumerate(policy.rules):
        where: Path = ("rules", index)
        if rule.name in seen:
            yield (
                (*where, "name"),
                f"the rule {rule.name!r} is there twice",
                "Give each rule a name of its own: limits and cool-downs go by it.",
            )
        seen[rule.name] = index
        yield from _in_scope(rule, where)
        for number, doing in enumerate(rule.do):
            if isinstance(doing, SpareAdd) and doing.spare_add.pool not in policy.pools:
                yield (
                    (*where, "do", number, "spare-add", "pool"),
                    f"there is no pool {doing.spare_add.pool!r}",
                    nearest(doing.spare_add.pool, list(policy.pools))
                    if policy.pools
                    else "Add it under pools, with a list of devices.",
                )
    yield from _pools(policy)


# One device in two pools would be given away twice.
def _pools(policy: Policy) -> Iterator[tuple[Path, str, str]]:
    owner: dict[str, str] = {}
    for pool, devices in policy.pools.items():
        for index, device in enumerate(devices):
            if device in owner:
                yield (
                    ("pools", pool, index),
                    f"{device} is in the pool {owner[device]!r} already",
                    "Leave it in one place.",
                )
            owner[device] = pool


# A rule about all devices can't ask for the health of "the" device.
def _in_scope(rule: Rule, where: Path) -> Iterator[tuple[Path, str, str]]:
    if rule.scope == "device":
        return
    for path, condition in _outside(rule.when, (*where, "when")):
        if not isinstance(condition, TimeIs):
            yield (
                path,
                "a rule with scope fleet is about no device",
                "Put this into devices: {at-least: ..., where: ...}.",
            )
    for number, doing in enumerate(rule.do):
        if not isinstance(doing, Notify | Hook):
            yield (
                (*where, "do", number),
                "a rule with scope fleet can only notify or run a hook",
                "Let a rule with scope device do it.",
            )


# The leaves that are not in a quorum of devices.
def _outside(condition: Condition, path: Path) -> Iterator[tuple[Path, Condition]]:
    if isinstance(condition, Devices):
        return
    below = children(condition)
    if not below:
        yield path, condition
    for place, one in below:
        yield from _outside(one, (*path, *_split(place)))


def _split(place: str) -> Path:
    parts: list[str | int] = []
    for word in place.split("."):
        key, bracket, index = word.partition("[")
        parts.append(key)
        if bracket:
            parts.append(int(index[:-1]))
    return tuple(parts)
