"""A device whose health scan is looked at, and a disk with something to find."""

from tests.kernel.lib.faults import WeakDevice
from tests.kernel.lib.retry import wait_until
from tests.kernel.lib.setup import InProcess, QuickRemap


class QuickWeak(InProcess, WeakDevice):
    """A WeakDevice that is driven by libdevmapper in this process."""


class Scanned(QuickRemap):
    """A device whose scan can be asked."""

    def scan(self) -> dict[str, str]:
        """What the scan says of itself."""
        return dict(word.split("=") for word in self.message("scan", "status").split())

    def count(self, key: str) -> int:
        """A number of what it says."""
        return int(self.scan()[key])

    def finish(self, timeout: float = 60) -> dict[str, str]:
        """Wait until the pass is over; what the scan says then."""
        wait_until(lambda: self.scan()["state"] != "running", "the pass is over", timeout)
        found = self.scan()
        assert (found["state"], found["percent"]) == ("waiting", "100"), found
        return found

    def whole_pass(self, *words: str, timeout: float = 60) -> dict[str, str]:
        """Begin a pass and wait for its end."""
        self.message("scan", "start", *words)
        return self.finish(timeout)

    def regions(self) -> dict[tuple[str, int], dict[str, int]]:
        """What is noted of regions, by spare (- for main) and first sector."""
        *lines, last = self.message("scan", "regions").splitlines()
        assert last == "end"
        noted = {}
        for line in lines:
            spare, sector, *pairs = line.split()
            words = (pair.split("=") for pair in pairs)
            noted[spare, int(sector)] = {key: int(value) for key, value in words}
        return noted

    def moved(self) -> set[int]:
        """All sectors that are on a spare."""
        moved = (remap for remap in self.remaps() if remap.kind == "remap")
        return {remap.sector + i for remap in moved for i in range(remap.sectors)}

    def candidates(self) -> list[tuple[int, int]]:
        """First sector and length of what is slow time and again."""
        *lines, last = self.message("scan", "candidates").splitlines()
        assert last == "end"
        return [(int(a), int(b)) for a, b in map(str.split, lines)]
