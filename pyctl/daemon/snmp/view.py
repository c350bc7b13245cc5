"""What an agent may ask of us: OIDs in their order, with their values."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable

from pyctl.daemon.snmp.wire import Oid, Range, Request, Type, Varbind

__all__ = ["View"]

# Of a get-bulk no more is answered at once; the agent asks on from there.
_MOST = 1000


class View:
    """Values at a moment. `objects` are the OIDs of columns and scalars, without an instance."""

    def __init__(self, values: Iterable[Varbind], objects: Iterable[Oid]) -> None:
        self._values = {one.oid: one for one in values}
        self._order = sorted(self._values)
        self._objects = frozenset(objects)

    def get(self, oid: Oid) -> Varbind:
        """The value of exactly this OID."""
        found = self._values.get(oid)
        if found is not None:
            return found
        known = any(oid[:length] in self._objects for length in range(len(oid)))
        return Varbind(oid, Type.NO_SUCH_INSTANCE if known else Type.NO_SUCH_OBJECT)

    def next(self, asked: Range) -> Varbind:
        """The first value in a range."""
        search = bisect_left if asked.include else bisect_right
        at = search(self._order, asked.start)
        if at < len(self._order) and (not asked.end or self._order[at] < asked.end):
            return self._values[self._order[at]]
        return Varbind(asked.start, Type.END_OF_VIEW)

    def bulk(self, request: Request) -> list[Varbind]:
        """The next values of each range: first those asked once, then the others in turns."""
        found = [self.next(one) for one in request.ranges[: request.once]]
        turn = list(request.ranges[request.once :])
        for _ in range(request.times):
            if not turn or len(found) >= _MOST:
                break
            row = [self.next(one) for one in turn]
            found += row
            if all(one.type is Type.END_OF_VIEW for one in row):
                break
            turn = [
                Range(value.oid, one.end, include=False)
                for one, value in zip(turn, row, strict=True)
            ]
        return found
