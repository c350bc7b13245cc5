"""A set whose main device is being copied to another one, which becomes main."""

import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.kernel.lib.blockdev import SECTOR, BlockDevice, NullBlk
from tests.kernel.lib.directio import pread, pwrite
from tests.kernel.lib.dm import DmDevice, table
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.setup import QuickRemap, disks, patient, pattern

# Slow enough that a test can do something in the middle: the 16 MiB take two seconds.
SLOW = 8192
NEW_MB = 20


@dataclass
class Replacing:
    """A device, its disks, and the disk that will be main; `to` is that, or what is over it."""

    dm: QuickRemap
    main: NullBlk
    spare: NullBlk
    new: NullBlk
    to: BlockDevice

    def options(self, **opts: object) -> dict[str, object]:
        """Those of a table with the replacement."""
        return {**patient(), "copy_to": self.to, **opts}

    def reload(self, **opts: object) -> None:
        """Load the table with the replacement."""
        self.dm.reload(self.dm.target(self.options(**opts)))

    def reload_without(self) -> None:
        """Load the table without the replacement."""
        self.dm.reload(self.dm.target(patient()))

    def replace(self) -> None:
        """Load the table in which the replacement is main."""
        self.dm.message("copy", "complete", "serial=NEW", "fstype=none")
        self.dm.main = self.to
        self.dm.reload(self.dm.target(patient()))

    def copy(self) -> dict[str, str]:
        """What the copy says of itself."""
        words = self.dm.message("copy", "status").split()
        return dict(word.split("=") for word in words)

    def assemble(self, **opts: object) -> None:
        """Make the device again, with the replacement, after it was removed."""
        self.dm._initial = table(self.dm.target(self.options(**opts)))
        self.dm.__enter__()

    def run(self) -> None:
        """Copy everything."""
        self.dm.message("copy", "start")
        self.wait("copied")

    def wait(self, state: str, timeout: float = 60) -> None:
        """Wait for a state; `failed` when it isn't expected ends it at once."""

        def there() -> bool:
            found = self.copy()["state"]
            assert found == state or found not in ("failed", "paused"), self.copy()
            return found == state

        wait_until(there, f"the copy is {state}", timeout)

    def wait_for(self, sectors: int) -> None:
        """Wait until so much is copied."""
        wait_until(lambda: int(self.copy()["copied"]) >= sectors, f"{sectors} copied", 60)

    def same(self) -> bool:
        """Whether the replacement holds what main does."""
        return not self.differences()

    def differences(self) -> list[int]:
        """Sectors that differ on both disks."""
        one, two = (pread(disk, 0, self.main.sectors) for disk in (self.main, self.new))
        if one == two:
            return []
        starts = range(0, self.main.sectors * SECTOR, SECTOR)
        return [i // SECTOR for i in starts if one[i : i + SECTOR] != two[i : i + SECTOR]]


@contextlib.contextmanager
def copying(to: Callable[[NullBlk], DmDevice] | None = None, **opts: object) -> Iterator[Replacing]:
    """A set whose table has a replacement; `to` is put over that disk."""
    with contextlib.ExitStack() as stack:
        main, spare = stack.enter_context(disks())
        new = stack.enter_context(NullBlk(NEW_MB))
        pwrite(main, 0, pattern(main.sectors, 1))
        over: BlockDevice = stack.enter_context(to(new)) if to else new
        dm = QuickRemap(
            main, spare, opts={**patient(), "copy_to": over, **opts}, sectors=main.sectors
        )
        stack.enter_context(dm)
        made = Replacing(dm, main, spare, new, over)
        yield made
