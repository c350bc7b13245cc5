"""Runs in the machine: python -m tests.bench.finding.agent

Scans a disk with known faults twice by each pattern, and tells when what was found.
"""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict

from tests.bench.finding import plan
from tests.bench.finding.figures import Pass
from tests.kernel.lib.blockdev import NullBlk
from tests.kernel.lib.scanned import QuickWeak, Scanned
from tests.vm.events import emit

# How often is looked what was found.
_SECONDS = 0.005


def main() -> None:
    """Measure all patterns."""
    faults = plan.faults()
    for pattern in plan.PATTERNS:
        with _set() as (weak, dm):
            for number, bad in enumerate((faults.all_bad, faults.all_bad | faults.all_new), 1):
                weak.spoil(_sectors(bad), faults.slow, read_ms=plan.SLOW_MS)
                emit("pass", **asdict(_follow(dm, pattern, number)))


@contextmanager
def _set() -> Iterator[tuple[QuickWeak, Scanned]]:
    options = {"retries": 1, "backoff_ms": 0, "relocate": "always"}
    with (
        NullBlk(plan.MAIN_MB, plan.BLOCK) as main,
        NullBlk(plan.SPARE_MB, plan.BLOCK) as spare,
        QuickWeak(main) as weak,
        Scanned(weak, spare, opts=options, sectors=main.sectors) as dm,
    ):
        yield weak, dm


def _sectors(blocks: Iterable[int]) -> set[int]:
    return {block + i for block in blocks for i in range(plan.SECTORS)}


def _follow(dm: Scanned, pattern: str, number: int) -> Pass:
    """A pass, and after how many sectors of it each bad block was known."""
    known = {remap.sector for remap in dm.remaps()}
    found: dict[int, int] = {}
    dm.message("scan", "start", pattern)
    running = True
    while running:
        status = dm.scan()
        running = status["state"] == "running"
        for remap in dm.remaps():
            if remap.kind == "lost" and remap.sector not in known:
                found.setdefault(remap.sector, int(status["done"]))
        time.sleep(_SECONDS)
    status = dm.scan()
    return Pass(
        pattern=pattern,
        number=number,
        state=status["state"],
        total=int(status["total"]),
        found=sorted(found.items()),
        slow=int(status["slow"]),
        moved=sorted(dm.moved()),
    )


if __name__ == "__main__":
    main()
