"""What is measured: devices, loads, and the limits."""

from tests.bench.plan import BASIC, KIB, MAIN_GIB, MAIN_SECTORS, SECTOR, SEQUENTIAL, Workload

__all__ = ["KIB", "MAIN_GIB", "MAIN_SECTORS", "SECTOR"]

# Both are dm-linear over the same disk; only the first has probes.
PROBED = "/dev/mapper/probed"
BESIDE = "/dev/mapper/beside"
DEVICES = (PROBED, BESIDE)

LOADS: tuple[Workload, ...] = (
    *(each for each in BASIC if each.direction == "read"),
    *(each for each in SEQUENTIAL if each.direction == "read"),
)
ROUNDS = 24
# Longer than anything here takes, so that no frame is made meanwhile.
INTERVAL = 3600
LOADING_SECONDS = 1800

# Instructions that probes may add to an I/O of the device that has them, and of any other one.
LIMIT = 2500.0
BESIDE_LIMIT = 600.0
