"""Fixtures of the tests that need a kernel of their own: they run as root in a guest."""

import contextlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.kernel.lib.blockdev import NullBlk, ScsiDebug
from tests.kernel.lib.kmsg import KernelLog, mark_test
from tests.kernel.lib.remap import RemapDevice
from tests.kernel.lib.retry import PATIENCE, SLOWNESS
from tests.kernel.lib.setup import QUICK, SPARE_MB, Disks, QuickRemap, disks
from tests.kernel.lib.under_load import UnderLoad
from tests.kernel.lib.verify import VerifyingLoad
from tests.vm.kernel_log import COMPLAINT

# Its assertions say what they compared, as those of tests do.
pytest.register_assert_rewrite("tests.kernel.lib.state_machine")

# A test that wants more says so: @pytest.mark.timeout(600)
TEST_SECONDS = 120

# The first one on which tests that take minutes run.
NEW_KERNEL = (6, 12)

# On a host they would load modules and make devices there: `make test-kernel` runs them in a guest.
collect_ignore_glob = [] if os.environ.get("DMR_GUEST") == "1" else ["test_*.py"]


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--reloads", type=int, default=1000, help="how often tables are reloaded")
    parser.addoption("--machine-runs", type=int, default=12, help="runs of the state machine")
    parser.addoption("--long", action="store_true", help="long tests on old kernels, too")
    parser.addoption("--no-shrink", action="store_true", help="show the first failing run as it is")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "timeout(seconds): how long the test may take")
    config.addinivalue_line("markers", "long: takes minutes; on old kernels with --long only")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """What takes minutes, and has nothing to do with a kernel's version, runs on new kernels."""
    if _takes_its_time(config):
        return
    for item in items:
        if item.get_closest_marker("long"):
            item.add_marker(pytest.mark.skip(reason="long: on old kernels with --long only"))


def _takes_its_time(config: pytest.Config) -> bool:
    release = tuple(map(int, os.uname().release.split(".")[:2]))
    return release >= NEW_KERNEL or bool(config.getoption("--long"))


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
    assert not problems, f"{COMPLAINT}\n" + "\n".join(problems)


@pytest.fixture(autouse=True)
def forgotten() -> Iterator[None]:
    """What pyctl remembers of sets goes with the test that made them."""
    yield
    for folder in ("/etc/dm-remap", "/run/dm-remap"):
        shutil.rmtree(folder, ignore_errors=True)


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
def share(request: pytest.FixtureRequest) -> float:
    """How much of a long test is done: less on old kernels, and where all takes much longer."""
    return (1 if _takes_its_time(request.config) else 0.25) / SLOWNESS


@pytest.fixture
def third() -> Iterator[NullBlk]:
    """Another spare."""
    with NullBlk(SPARE_MB) as disk:
        yield disk


@pytest.fixture
def under_load(record_property: Callable[[str, object], None]) -> UnderLoad:
    """A verifying load whose figures are recorded."""

    @contextlib.contextmanager
    def load(dm: QuickRemap, **options: Any) -> Iterator[VerifyingLoad]:
        running = VerifyingLoad(dm, **options)
        with running:
            yield running
        figures = running.figures
        record_property("requests", sum(figures.ios.values()))
        record_property("failed_requests", figures.failed)
        record_property("longest_pause_ms", round(figures.longest.seconds * 1000))
        record_property("longest_pause_of", figures.longest.who)
        print(figures)

    return load


@pytest.fixture
def reloads(request: pytest.FixtureRequest) -> int:
    """How often a test of reloads does it: fewer on a slow kernel, more in a long night."""
    return int(request.config.getoption("--reloads"))
