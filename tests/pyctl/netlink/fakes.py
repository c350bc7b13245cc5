"""A module of which a test says what happens."""

from dataclasses import replace
from uuid import UUID

from pyctl.errors import NoKernelError
from pyctl.netlink.events import Gap, Happening
from pyctl.netlink.numbers import CopyPhase, News, SetMode, Space
from pyctl.netlink.sets import SetInfo

SET = UUID(int=5)
INFO = SetInfo(
    uuid=SET,
    name="d",
    device=(254, 0),
    instance=7,
    seq=10,
    unit=512,
    sectors=1 << 20,
    mode=SetMode.OK,
    suspended=False,
    health=100,
    breaker_open=False,
    space=Space.OK,
    copy=CopyPhase.OFF,
    remaps=0,
    manual=0,
    unknown=0,
    lost=0,
    bad=0,
    capacity=100,
    free=100,
    redundancy=1,
    below=0,
    read_errors=0,
    write_errors=0,
    scan_state="waiting",
    scan_pass=0,
    scan_percent=0,
    spares=(),
    last_error="",
)


def happening(seq, kind=News.REMAP, **more):
    values = {"instance": 7, "time": 60.0, "count": 1, "set": SET, "device": (254, 0)}
    return Happening(seq=seq, kind=kind, **{**values, **more})


class Said:
    """Listeners, one after the other: each hears a list, in which an exception ends it."""

    def __init__(self, *lists):
        self.lists = list(lists)
        self.infos = [[INFO]]
        self.closed = 0

    def sets(self):
        return self.infos.pop(0) if len(self.infos) > 1 else self.infos[0]

    def listener(self):
        if not self.lists:
            raise NoKernelError("there is none")
        return self

    async def hear(self):
        for one in self.lists.pop(0):
            if isinstance(one, Exception):
                raise one
            yield one

    def close(self):
        self.closed += 1


__all__ = ["INFO", "SET", "Gap", "Said", "happening", "replace"]
