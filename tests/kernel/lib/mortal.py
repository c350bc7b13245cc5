"""Spares that go some day, each in a way of its own."""

import contextlib
from collections.abc import Callable, Iterator

import pytest

from tests.kernel.lib.blockdev import BlockDevice, NullBlk, ScsiDebug
from tests.kernel.lib.setup import SPARE_MB, QuickFaulty

# Makes a spare, and gives what ends it.
Mortal = Callable[[], contextlib.AbstractContextManager[tuple[BlockDevice, Callable[[], None]]]]


@contextlib.contextmanager
def answers_nothing() -> Iterator[tuple[BlockDevice, Callable[[], None]]]:
    """A spare whose every request fails some day."""
    with NullBlk(SPARE_MB) as disk, QuickFaulty(disk) as faulty:
        yield faulty, faulty.fail


@contextlib.contextmanager
def is_unplugged(disk: NullBlk | ScsiDebug) -> Iterator[tuple[BlockDevice, Callable[[], None]]]:
    """A spare that isn't there any more some day."""
    with disk:
        yield disk, disk.unplug


# For parametrize(): each is a Mortal.
UNPLUGGED = (
    pytest.param(lambda: is_unplugged(NullBlk(SPARE_MB)), id="null_blk"),
    pytest.param(lambda: is_unplugged(ScsiDebug(dev_size_mb=SPARE_MB)), id="scsi_debug"),
)
MORTALS = (pytest.param(answers_nothing, id="answers_nothing"), *UNPLUGGED)
