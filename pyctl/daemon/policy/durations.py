"""Lengths of time as people write them: `90s`, `10m`, `1h30m`, `7d`."""

import math
import re

__all__ = ["MAX_SECONDS", "duration_text", "parse_duration"]

_SECONDS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_WHOLE = re.compile(r"(?:\d{1,9}[wdhms])+", re.ASCII)
_PART = re.compile(r"(\d+)([wdhms])", re.ASCII)
MAX_SECONDS = 10 * 365 * 86_400


def parse_duration(text: str) -> int:
    """Seconds. Raises ValueError unless it is between one second and ten years."""
    if not _WHOLE.fullmatch(text):
        message = f"{text!r} is no length of time"
        raise ValueError(message)
    seconds = sum(int(number) * _SECONDS[unit] for number, unit in _PART.findall(text))
    if not 1 <= seconds <= MAX_SECONDS:
        message = f"{text!r} is not between 1s and ten years"
        raise ValueError(message)
    return seconds


def duration_text(seconds: float) -> str:
    """The shortest exact text of whole seconds, `never` for infinity, `0s` below one second."""
    if math.isinf(seconds):
        return "never"
    left = int(seconds)
    text = ""
    for unit, length in _SECONDS.items():
        if left >= length:
            text += f"{left // length}{unit}"
            left %= length
    return text or "0s"
