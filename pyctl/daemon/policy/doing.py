"""What a rule can do: the actions of a policy file."""

import string
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import AfterValidator, Field

from pyctl.daemon.events import GAUGES, Action
from pyctl.daemon.policy.schema import Duration, Many, Part, Some, alternatives, mistake, nearest

__all__ = [
    "DEVICE_ACTIONS",
    "PLACEHOLDERS",
    "RULE_ACTIONS",
    "Doing",
    "Evacuate",
    "Hook",
    "Notify",
    "Relocate",
    "Remap",
    "Scan",
    "SpareAdd",
    "action_of",
]

# What a text may name in braces.
PLACEHOLDERS = ("device", "rule", "time", "why", *(name.replace("_", "-") for name in GAUGES))


def _template(text: str) -> str:
    try:
        fields = [(name, spec, conv) for _, name, spec, conv in string.Formatter().parse(text)]
    except ValueError as error:
        raise mistake(f"the braces of {text!r} don't match", "Double those that are meant.") from (
            error
        )
    for name, spec, conversion in fields:
        if name is None:
            continue
        if name not in PLACEHOLDERS or spec or conversion:
            raise mistake(f"there is no {{{name}}} to put in", nearest(name, PLACEHOLDERS))
    return text


def _program(path: str) -> str:
    if not path.startswith("/") or "\0" in path or ".." in path.split("/"):
        raise mistake(
            f"{path!r} is no absolute path", "A hook is started without a shell and without PATH."
        )
    return path


Template = Annotated[str, Field(min_length=1, max_length=4096), AfterValidator(_template)]


class RemapWhat(Part):
    """The sectors that events of these kinds named of late; `at-most` sectors at a time."""

    of: Some[Literal["read-error", "write-error", "lost", "verify-error"]] = ("read-error",)
    within: Duration = 3600
    at_most: Annotated[int, Field(ge=1, le=1_000_000)] = 2048


class Remap(Part):
    """Move sectors that gave errors to a spare."""

    remap: RemapWhat


class RelocateWhat(Part):
    """The weak regions that the scanner or the prediction named of late."""

    within: Duration = 86_400
    at_most: Annotated[int, Field(ge=1, le=1_000_000)] = 65_536


class Relocate(Part):
    """Move what can still be read before it fails."""

    relocate: RelocateWhat


class ScanHow(Part):
    """In which order."""

    pattern: Literal["sequential", "random", "staggered", "focused"] = "sequential"


class Scan(Part):
    """Look at the whole device."""

    scan: ScanHow


class EvacuateWhat(Part):
    """The spare in sync with the lowest health."""

    spare: Literal["weakest"] = "weakest"


class Evacuate(Part):
    """Move everything off a spare."""

    evacuate: EvacuateWhat


class SpareAddFrom(Part):
    """The first device of the pool that is still free."""

    pool: str


class SpareAdd(Part):
    """Give the device another spare."""

    spare_add: SpareAddFrom


class NotifyHow(Part):
    """Whom, and what."""

    severity: Literal["info", "warning", "critical"] = "warning"
    text: Template
    channels: Many[str] = ()


class Notify(Part):
    """Tell people."""

    notify: NotifyHow


class HookHow(Part):
    """A program, started as it is: no shell, no PATH. `again`: it may be run twice."""

    program: Annotated[str, AfterValidator(_program)]
    arguments: Many[Template] = ()
    timeout: Duration = 60
    again: bool = False


class Hook(Part):
    """Run a program."""

    hook: HookHow


_ACTIONS: dict[type[Part], Action] = {
    Remap: Action.REMAP,
    Relocate: Action.RELOCATE,
    Scan: Action.SCAN,
    Evacuate: Action.EVACUATE,
    SpareAdd: Action.SPARE_ADD,
    Notify: Action.NOTIFY,
    Hook: Action.HOOK,
}
# What rules can do.
RULE_ACTIONS = tuple(_ACTIONS.values())
# Those that change a device: what a limit is about that names none.
DEVICE_ACTIONS = tuple(one for one in RULE_ACTIONS if one is not Action.NOTIFY)

if TYPE_CHECKING:
    Doing = Remap | Relocate | Scan | Evacuate | SpareAdd | Notify | Hook
else:
    Doing = alternatives("action", tuple(_ACTIONS))


def action_of(doing: "Doing") -> Action:
    """The action that a part of the file asks for."""
    return _ACTIONS[type(doing)]
