"""Features in plain words. Each belongs to a kind, so that the same thing is not said twice."""

import re
from math import isnan

__all__ = ["reason"]

_ATTRIBUTES = {
    5: "reallocated sectors",
    10: "spin retries",
    12: "power cycles",
    187: "uncorrectable errors reported",
    188: "command timeouts",
    189: "high-fly writes",
    196: "reallocation events",
    197: "pending sectors",
    198: "offline uncorrectable sectors",
}
_LONG = 2000
_RISE = re.compile(r"rise_(\d+)_(\d+)d")
_LEVEL = re.compile(r"level_(\d+)")
_SINCE = re.compile(r"days_since_(\d+)")
_FRESH = re.compile(r"fresh_(\d+)_(\d+)d")
_RISE_DAYS = re.compile(r"rise_days_(\d+)_(\d+)d")
_PER_DAY = re.compile(r"per_day_(\d+)")
_CHANGES = re.compile(r"changes_(\d+)d")
_EVENTS = re.compile(r"events_(\d+)d")
_PLAIN = {
    "model": "the failure history of this drive model",
    "size_tb": "the drive's size, {:.3g} TB",
    "age_days": "{:.0f} days of power-on time",
    "seen_days": "observed for {:.0f} days",
    "events_ever": "{:.0f} sector events since it is observed",
    "kinds_30d": "{:.0f} kinds of sector errors rose within 30 days",
    "pending_of_most": "pending sectors are at {:.2f} of their highest count",
    "last_rise": "the last sector event was a rise by {:.0f}",
    "most_rise": "the largest sector event was a rise by {:.0f}",
    "dirty": "{:.0f} of 4 sector error counters are not zero",
    "full_counter": "a sector error counter is full",
    "most_pending": "pending sectors have been as many as {:.0f}",
    "fall_197_30d": "pending sectors fell by {:.0f} within 30 days",
    "own_rate": "by its own history, {:.4f} sector events a day",
    "own_surprise_7d": "sector events of 7 days against its own rate: {:+.1f} deviations",
    "own_surprise_30d": "sector events of 30 days against its own rate: {:+.1f} deviations",
    "own_gap_ratio": "the pause since the last sector event is {:.1f} of its usual one",
}
# What a zero says, and its kind.
_NONE = {
    "events_ever": ("events", "no sector event since it is observed"),
    "last_rise": ("events", "no sector event is known"),
    "most_rise": ("events", "no sector event is known"),
    "dirty": ("dirty", "all 4 sector error counters are zero"),
    "full_counter": ("full_counter", "no sector error counter is full"),
    "most_pending": ("attribute 197", "there has never been a pending sector"),
    "fall_197_30d": ("attribute 197", "pending sectors did not fall within 30 days"),
}
_KINDS = {
    "own_rate": "own",
    "own_surprise_7d": "own",
    "own_surprise_30d": "own",
    "own_gap_ratio": "own",
    "last_rise": "size",
    "most_rise": "size",
    "most_pending": "attribute 197",
    "pending_of_most": "attribute 197",
    "fall_197_30d": "attribute 197",
    "days_since_fall_197": "attribute 197",
    "days_since_change": "changes",
    "seen_days": "age",
    "age_days": "age",
}


def reason(name: str, value: float) -> tuple[str, str]:
    """The kind of a feature, and its value in plain words."""
    if isnan(value):
        return _KINDS.get(name, name), _unknown(name)
    if value == 0 and name in _NONE:
        return _NONE[name]
    if found := _RISE.fullmatch(name):
        what, days = _ATTRIBUTES[int(found[1])], found[2]
        rose = f"rose by {value:.0f}" if value > 0 else "did not rise"
        return f"attribute {found[1]}", f"{what} {rose} within {_days(days)}"
    if found := _FRESH.fullmatch(name):
        # what is left of the logarithms of all rises
        amount = "have not risen lately" if value < 0.01 else f"rose lately, weight {value:.2f}"
        return f"attribute {found[1]}", f"{_ATTRIBUTES[int(found[1])]} {amount}"
    if found := _RISE_DAYS.fullmatch(name):
        what = _ATTRIBUTES[int(found[1])]
        return f"attribute {found[1]}", f"{what} rose on {value:.0f} of {_days(found[2])}"
    if found := _PER_DAY.fullmatch(name):
        return (
            f"attribute {found[1]}",
            f"{value:.3g} {_ATTRIBUTES[int(found[1])]} a day of its life",
        )
    if found := _CHANGES.fullmatch(name):
        return "changes", f"{value:.0f} changes of readings within {_days(found[1])}"
    if found := _LEVEL.fullmatch(name):
        return f"attribute {found[1]}", f"{value:.0f} {_ATTRIBUTES[int(found[1])]}"
    if found := _SINCE.fullmatch(name):
        what = _ATTRIBUTES[int(found[1])]
        when = "have not risen" if value >= _LONG else f"last rose {_ago(value)}"
        return f"attribute {found[1]}", f"{what} {when}"
    if found := _EVENTS.fullmatch(name):
        return "events", f"{value:.0f} sector events within {_days(found[1])}"
    if name == "days_since_fall_197":
        when = "have never fallen" if value >= _LONG else f"last fell {_ago(value)}"
        return _KINDS[name], f"pending sectors {when}"
    if name == "days_since_change":
        return _KINDS[name], f"the last change of any reading was {_ago(value)}"
    if name.startswith("days_since_"):
        which = {"2": "one before the last ", "3": "third last "}.get(name[-1], "")
        if name.endswith("first_event"):
            which = "first "
        if value >= _LONG:
            return "events", f"no {which}sector event is known"
        return "events", f"the {which or 'last '}sector event was {_ago(value)}"
    if name == "own_gap_ratio" and value < 0:
        return "own", "fewer than three sector events, so no usual pause"
    if name == "model":
        return name, _PLAIN[name]
    return _KINDS.get(name, name), _PLAIN[name].format(value)


def _ago(days: float) -> str:
    return "today" if days < 0.5 else f"{days:.0f} days ago"


def _days(days: str) -> str:
    return "a day" if days == "1" else f"{days} days"


def _unknown(name: str) -> str:
    if found := re.search(r"_(\d+)", name):
        return f"the drive does not report {_ATTRIBUTES[int(found[1])]}"
    return "the drive model is not known from the training" if name == "model" else f"no {name}"
