"""Records of the audit log as people read them."""

from collections.abc import Mapping, Sequence

from pyctl.output import Rows

__all__ = ["changed", "summed", "table"]

Record = Mapping[str, object]
# Ranges of sectors that are shown of a record; all are in the log.
_RANGES = 8


def table(records: Sequence[Record]) -> Rows:
    """Each record in a line."""
    names = ("number", "time", "who", "what", "device", "why")
    return Rows(
        [*(name.upper() for name in names), "WHAT EXACTLY"],
        [[*(_cell(one.get(name)) for name in names), changed(one) or "-"] for one in records],
    )


def summed(records: Sequence[Record]) -> Rows:
    """How often who did what to which device, and how many blocks that were."""
    groups: dict[tuple[str, str, str], list[Record]] = {}
    for one in records:
        key = (_cell(one.get("who")), _cell(one.get("what")), _cell(one.get("device")))
        groups.setdefault(key, []).append(one)
    return Rows(
        ["WHO", "WHAT", "DEVICE", "RECORDS", "EVENTS", "FIRST", "LAST"],
        [
            [
                *(*key, len(same), sum(map(_count, same)) or "-"),
                *(_cell(one.get("time")) for one in (same[0], same[-1])),
            ]
            for key, same in sorted(groups.items())
        ],
    )


def changed(record: Record) -> str:
    """What was asked for, what it changed, and what went wrong, in a few words."""
    before, after = _named(record.get("before")), _named(record.get("after"))
    parts = [_change(name, before, after) for name in {**before, **after}]
    parts += [f"{name}={_plain(it)}" for name, it in _named(record.get("parameters")).items()]
    if count := _count(record):
        parts.insert(0, "once" if count == 1 else f"{count} times")
    sectors = record.get("sectors")
    if isinstance(sectors, list):
        parts.append(f"sectors {_ranges(sectors)}")
    if isinstance(record.get("spares"), list):
        parts.append(f"spare {_plain(record['spares'])}")
    if record.get("error"):
        parts.append(f"error: {record['error']}")
    return "; ".join(parts)


def _change(name: str, before: Record, after: Record) -> str:
    if name not in after:
        return f"{name} was {_plain(before[name])}"
    was = f"{_plain(before[name])} -> " if name in before else ""
    return f"{name} {was}{_plain(after[name])}"


def _ranges(sectors: list[object]) -> str:
    shown = [f"{one[0]}+{one[1]}" for one in sectors if isinstance(one, list) and len(one) == 2]
    more = f" and {len(shown) - _RANGES} more ranges" if len(shown) > _RANGES else ""
    return ", ".join(shown[:_RANGES]) + more


def _count(record: Record) -> int:
    count = record.get("count")
    return count if isinstance(count, int) else 0


def _named(value: object) -> dict[str, object]:
    return {str(key): it for key, it in value.items()} if isinstance(value, dict) else {}


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ", ".join(map(_plain, value))
    if isinstance(value, dict):
        return " ".join(f"{key}={_plain(it)}" for key, it in value.items())
    return _cell(value)


def _cell(value: object) -> str:
    return "-" if value in (None, "") else str(value)
