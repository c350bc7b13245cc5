"""The kernel's side of the boundary, for tests without a kernel: a device that answers messages.

It keeps remaps in a dictionary and speaks as the kernel module does.
"""

import errno
from dataclasses import dataclass, field

from pyctl.dm import DeviceInfo, DeviceName, TargetLine
from pyctl.errors import DmError

UUID = "11111111-2222-4333-8444-555555555555"
STATUS = (
    "v4.0 {used}/32004 {lost}/32004 {used}/32004 health=97 errors=W3:R1 auto_remaps={used}"
    " manual_remaps=0 scan=0% set=" + UUID + " main=7:0 unit=512 spares=2/2 mode=rw"
    " breaker=closed free=32001 space=ok novelty=7"
)


@dataclass
class FakeDevice:
    name: str = "d"
    exists: bool = True
    length: int = 204800
    remaps: dict = field(default_factory=dict)
    lost: set = field(default_factory=set)
    bad_main: set = field(default_factory=set)
    kind: str = "remap"
    sent: list = field(default_factory=list)
    fail: dict = field(default_factory=dict)
    open_count: int = 0
    created: list = field(default_factory=list)
    removed: list = field(default_factory=list)
    said: str = ""

    def _exist(self, ioctl):
        if not self.exists:
            raise DmError("gone.", errno=errno.ENXIO, ioctl=ioctl, device=self.name)

    def info(self):
        return DeviceInfo(
            exists=self.exists,
            name=self.name,
            uuid="DMREMAP-" + UUID.replace("-", ""),
            major=254,
            minor=0,
            suspended=False,
            live_table=True,
            inactive_table=False,
            read_only=False,
            open_count=self.open_count,
            event_nr=0,
            target_count=1,
            deferred_remove=False,
        )

    def status(self, *, flush=False):
        self._exist("STATUS")
        text = STATUS.format(used=len(self.remaps), lost=len(self.lost))
        return [TargetLine(0, self.length, self.kind, text)]

    def table(self):
        self._exist("TABLE")
        return [TargetLine(0, self.length, self.kind, f"7:0 7:1 7:2 2 set {UUID}")]

    def create(self, table, uuid=""):
        if "create" in self.fail:
            raise self.fail["create"]
        self.created.append((list(map(str, table)), uuid))
        self.exists = True

    def remove(self, *, deferred=False, retry=False):
        self.removed.append((deferred, retry))
        self.exists = False

    def message(self, sector, *words):
        self._exist("TARGET_MSG")
        self.sent.append(words)
        if words[0] == "error":
            return self.said
        if words[0] in self.fail:
            raise DmError("no.", errno=self.fail[words[0]], ioctl="TARGET_MSG", device=self.name)
        return getattr(self, f"_{words[0]}")(*words[1:])

    def _ping(self):
        return f"pong dm-remap 4.0.0 set={UUID}\n"

    def _stats(self):
        # also lines that this version of pyctl has never heard of
        return "commits=3\nretries=12\ncommitted=40\ncommit_writes=420\nlast=never\n"

    def _clear_stats(self):
        return "cleared\n"

    def _health(self):
        return "health=97\nlost=0\n"

    def _scan(self, word, *words):
        assert word == "regions"
        return "end\n"

    def _save(self):
        return "saved events=4\n"

    def _restore(self):
        return "leaves=127 repaired=2\n"

    def _repair(self):
        return "leaves=127 superblocks=10 records=3 repaired=4\n"

    def _remap(self, *words):
        done = {"remapped": 0, "lost": 0, "already": 0}
        numbers = list(map(int, words))
        pairs = list(zip(numbers[::2], numbers[1::2], strict=True))
        # as the kernel's table of commands has it
        assert 1 <= len(pairs) <= 64
        for s in sorted({s for sector, count in pairs for s in range(sector, sector + count)}):
            if s in self.remaps:
                done["already"] += 1
            else:
                self.remaps[s] = 10240 + len(self.remaps)
                done["remapped"] += 1
                if s in self.bad_main:
                    self.lost.add(s)
                    done["lost"] += 1
        return "remapped={remapped} lost={lost} already={already}\n".format(**done)

    def _relocate(self, sector, count):
        wanted = range(int(sector), int(sector) + int(count))
        done = [s for s in wanted if s not in self.remaps and s not in self.bad_main]
        already = [s for s in wanted if s in self.remaps]
        self.remaps.update({s: 10240 + len(self.remaps) + n for n, s in enumerate(done)})
        kept = len(wanted) - len(done) - len(already)
        return f"relocated={len(done)} already={len(already)} kept={kept}\n"

    def _unremap(self, sector, count):
        here = [s for s in self.remaps if int(sector) <= s < int(sector) + int(count)]
        kept = [s for s in here if s in self.bad_main]
        for s in here:
            if s not in kept:
                del self.remaps[s]
        return f"unremapped={len(here) - len(kept)} kept={len(kept)} lost=0\n"

    def _clear(self):
        reply = self._unremap(0, self.length)
        return reply.replace("unremapped", "cleared")

    def _verify(self, sector, count):
        here = [s for s in self.remaps if int(sector) <= s < int(sector) + int(count)]
        bad = sum(s in self.bad_main for s in here)
        return f"verified={len(here) - bad} errors={bad}\n"

    def _list(self, start, most):
        rows = [s for s in sorted(self.remaps) if s >= int(start)]
        page = rows[: int(most)]
        lines = [
            f"{s} 1 0 {self.remaps[s]} {'unknown' if s in self.lost else 'remap'} auto"
            for s in page
        ]
        last = f"next={page[-1] + 1}" if len(page) < len(rows) else "end"
        return "\n".join([*lines, last]) + "\n"


@dataclass
class FakeKernel:
    """Several devices, by name."""

    devices: list

    def open_device(self, name):
        for device in self.devices:
            if device.name == name:
                return device
        return FakeDevice(name=name, exists=False)

    def list_devices(self):
        return [DeviceName(d.name, 254, i) for i, d in enumerate(self.devices) if d.exists]
