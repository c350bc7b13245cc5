"""What tests under the verifying load (lib/verify.py) have in common."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from tests.kernel.lib.setup import QuickRemap
from tests.kernel.lib.verify import LOAD_SECTORS, VerifyingLoad

# The fixture `under_load`: called with a device and options of VerifyingLoad.
UnderLoad = Callable[..., AbstractContextManager[VerifyingLoad]]


def parts(count: int) -> list[int]:
    """The starts of so many equal parts of the load's range, in sectors."""
    return [LOAD_SECTORS // count * number for number in range(count)]


def spread(dm: QuickRemap, count: int = 256) -> None:
    """Put units all over the load's range on the spares."""
    for start in parts(8):
        dm.message("remap", start, count)


def units_on(dm: QuickRemap, spare: int) -> set[int]:
    """The first sectors of the units that a spare has."""
    return {remap.sector for remap in dm.remaps() if remap.spare == spare}


def everything_is_verified(dm: QuickRemap) -> None:
    """The device itself finds every remapped unit readable."""
    count = len(dm.remapped())
    assert dm.message("verify") == f"verified={count} errors=0"


def everything_survives(dm: QuickRemap, under_load: UnderLoad) -> None:
    """After a stop and a start the set is whole, and works."""
    everything_is_verified(dm)
    dm.reassemble()
    everything_is_verified(dm)
    with under_load(dm):
        pass
