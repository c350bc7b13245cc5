"""Fixtures of the tests that need a kernel of their own: they run as root in a guest."""

import os
import signal
from collections.abc import Iterator

import pytest

from tests.kernel.lib.blockdev import NullBlk, ScsiDebug
from tests.kernel.lib.kmsg import KernelLog, mark_test
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import PATIENCE
from tests.kernel.lib.setup import QUICK, Disks, disks

# A test that wants more says so: @pytest.mark.timeout(600)
TEST_SECONDS = 120

# On a host they would load modules and make devices there: `make test-kernel` runs them in a guest.
collect_ignore_glob = [] if os.environ.get("DMR_GUEST") == "1" else ["test_*.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reloads", type=int, default=1000, help="how often tables are reloaded")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "timeout(seconds): how long the test may take")


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    """Name each test in the kernel log."""
    mark_test(item.nodeid)
    return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """Interrupt a test that takes too long; one stuck in the kernel ends by its hung task."""
    marker = item.get_closest_marker("timeout")
    seconds = (marker.args[0] if marker else TEST_SECONDS) * PATIENCE

    def expire(number: int, frame: object) -> None:
        raise TimeoutError(f"the test didn't end in {seconds} s")

    previous = signal.signal(signal.SIGALRM, expire)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        return (yield)
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, previous)


@pytest.fixture(autouse=True)
def kernel_log() -> Iterator[KernelLog]:
    """The kernel's messages during the test; a bug or a warning among them fails it."""
    log = KernelLog()
    yield log
    problems = log.problems()
    log.close()
    assert not problems, "the kernel complained:\n" + "\n".join(problems)


@pytest.fixture
def null_blk() -> Iterator[NullBlk]:
    """A disk in memory of 64 MiB with blocks of 512 bytes."""
    with NullBlk() as disk:
        yield disk


@pytest.fixture
def scsi_debug() -> Iterator[ScsiDebug]:
    """A SCSI disk in memory of 64 MiB which will report 16 medium errors from sector 4096 on."""
    with ScsiDebug(medium_error_start=4096, medium_error_count=16) as disk:
        yield disk


@pytest.fixture
def spare() -> Iterator[NullBlk]:
    """A spare of 16 MiB."""
    with NullBlk(size_mb=16) as disk:
        yield disk


@pytest.fixture
def dm(null_blk: NullBlk, spare: NullBlk) -> Iterator[RemapDevice]:
    """The 64 MiB of `null_blk` under dm-remap with one spare, and hardly any pauses."""
    with RemapDevice(null_blk, spare, opts=QUICK) as device:
        yield device


@pytest.fixture
def two() -> Iterator[Disks]:
    """A main disk and one spare."""
    with disks() as made:
        yield made


@pytest.fixture
def three() -> Iterator[Disks]:
    """A main disk and two spares."""
    with disks(spares=2) as made:
        yield made


@pytest.fixture
def reloads(request: pytest.FixtureRequest) -> int:
    """How often a test of reloads does it: fewer on a slow kernel, more in a long night."""
    return int(request.config.getoption("--reloads"))
