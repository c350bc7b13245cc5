"""What all parts of a policy file have in common.

Strict models, alternatives that are told by their key, and errors that say what to do.
"""

import difflib
from collections.abc import Callable, Sequence
from typing import Annotated, Any, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag
from pydantic_core import PydanticCustomError

from pyctl.daemon.policy.durations import duration_text, parse_duration

__all__ = [
    "TAG",
    "Duration",
    "Many",
    "Part",
    "Some",
    "Threshold",
    "TimeThreshold",
    "alternatives",
    "mistake",
    "nearest",
    "time_bounds",
]

# Begins the names of alternatives in the path of an error, where no key of a file can be.
TAG = "\0"


def mistake(what: str, hint: str) -> PydanticCustomError:
    """An error of the file: `what` is wrong and why, and what to do."""
    # pydantic fills in braces; what users wrote may have some
    return PydanticCustomError("mistake", "{what}", {"what": what, "hint": hint})


def nearest(word: str, known: Sequence[str]) -> str:
    """What to write instead of an unknown word."""
    close = difflib.get_close_matches(word, known, n=1)
    return f"Did you mean {close[0]}?" if close else f"One of: {', '.join(known)}."


def _name(field: str) -> str:
    return field.replace("_", "-")


class Part(BaseModel):
    """A part of the file. Keys have dashes for underscores; unknown keys are errors."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", alias_generator=_name, populate_by_name=False, strict=True
    )


def _duration(value: object) -> object:
    if not isinstance(value, str):
        raise mistake(f"{value!r} has no unit", "Write 90s, 10m, 1h30m, 7d or 2w.")
    try:
        return parse_duration(value)
    except ValueError as error:
        raise mistake(str(error), "Write 90s, 10m, 1h30m, 7d or 2w.") from error


Duration = Annotated[int, BeforeValidator(_duration)]
T = TypeVar("T")
# A list of the file.
Many = Annotated[tuple[T, ...], Field(strict=False)]
Some = Annotated[tuple[T, ...], Field(strict=False, min_length=1)]


Bound = Annotated[float, Field(allow_inf_nan=False)]


class Threshold(Part):
    """Bounds of a number; all that are given must hold."""

    below: Bound | None = None
    at_most: Bound | None = None
    above: Bound | None = None
    at_least: Bound | None = None

    def model_post_init(self, _context: object) -> None:
        """Refuse what is always true or never."""
        if not self.bounds():
            raise mistake("there is no bound", "Give below, at-most, above or at-least.")
        low = max((b for b in (self.above, self.at_least) if b is not None), default=None)
        high = min((b for b in (self.below, self.at_most) if b is not None), default=None)
        strict = self.above == low or self.below == high
        if low is not None and high is not None and (low > high or (strict and low == high)):
            raise mistake(
                f"no number is above {low:g} and below {high:g}", "Exchange the two bounds."
            )

    def bounds(self) -> dict[str, float]:
        """The bounds that are given, by their name in the file."""
        named = {
            "below": self.below,
            "at-most": self.at_most,
            "above": self.above,
            "at-least": self.at_least,
        }
        return {name: bound for name, bound in named.items() if bound is not None}

    def holds(self, value: float) -> bool:
        """Is the value within all bounds?"""
        return (
            (self.below is None or value < self.below)
            and (self.at_most is None or value <= self.at_most)
            and (self.above is None or value > self.above)
            and (self.at_least is None or value >= self.at_least)
        )

    def text(self, show: Callable[[float], str] = "{:g}".format) -> str:
        """`below 70`, `at least 2 and below 5`."""
        words = [f"{name.replace('-', ' ')} {show(bound)}" for name, bound in self.bounds().items()]
        return " and ".join(words)


def _ahead(value: object) -> object:
    # Bounds in time are written as durations: {below: 30d}.
    if not isinstance(value, dict):
        return value
    return {key: _duration(bound) for key, bound in value.items()}


TimeThreshold = Annotated[Threshold, BeforeValidator(_ahead)]


def time_bounds(threshold: Threshold) -> str:
    """The text of a threshold whose numbers are seconds."""
    return threshold.text(duration_text)


def alternatives(what: str, classes: Sequence[type[Part]]) -> Any:
    """The type of a mapping with one key, which says by its name what it is."""
    by_key = {next(iter(_keys(one))): one for one in classes}

    def check(value: object) -> object:
        if isinstance(value, Part):
            return value
        if not isinstance(value, dict):
            raise mistake(
                f"{value!r} is no {what}", f"Write a mapping with one key: {', '.join(by_key)}."
            )
        if len(value) != 1:
            raise mistake(f"a {what} has one key, not {len(value)}", "Combine several in a list.")
        key = next(iter(value))
        if key not in by_key:
            raise mistake(f"there is no {what} {key!r}", nearest(str(key), list(by_key)))
        return value

    def tag(value: object) -> str:
        found = value if isinstance(value, dict) else _keys(type(cast("Part", value)))
        return TAG + str(next(iter(found)))

    union: Any = None
    for key, one in by_key.items():
        member: Any = Annotated[cast("Any", one), Tag(TAG + key)]
        union = member if union is None else union | member
    # what stands further behind is asked first
    return Annotated[union, Discriminator(tag), BeforeValidator(check)]


def _keys(part: type[Part]) -> list[str]:
    return [field.alias or name for name, field in part.model_fields.items()]
