"""Moments and lengths of time in options of commands."""

from pyctl.errors import UsageError

__all__ = ["duration", "moment"]


def moment(text: str) -> float:
    """Seconds since 1970, of ISO 8601 with a time zone or of a number. Raises UsageError."""
    # the events of the daemon take a while to import
    from pyctl.daemon.events import parse_time

    try:
        return float(str(parse_time(text)))
    except ValueError as error:
        raise UsageError(
            f"{text!r} is no time: {error}.", hint="Write 2026-11-21T10:00:00Z."
        ) from error


def duration(option: str, text: str) -> int:
    """Seconds, of the value of an option like 90s or 1h30m. Raises UsageError."""
    from pyctl.daemon.policy.durations import parse_duration

    try:
        return parse_duration(text)
    except ValueError as error:
        raise UsageError(f"{option}: {error}.", hint="Write 90s, 30m, 8h or 7d.") from error
