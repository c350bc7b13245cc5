"""What is measured: devices, loads, and the limits."""

from tests.bench.plan import BASIC, KIB, MAIN_GIB, MAIN_SECTORS, SECTOR, Workload

__all__ = ["KIB", "MAIN_GIB", "MAIN_SECTORS", "SECTOR"]

# Both are dm-linear over the same disk; only the first has probes.
PROBED = "/dev/mapper/probed"
BESIDE = "/dev/mapper/beside"
DEVICES = (PROBED, BESIDE)

# Long I/O is left out: what clang leaves of the memory is in smaller pieces, which costs more of it
# than the probes do.
LOADS: tuple[Workload, ...] = tuple(each for each in BASIC if each.direction == "read")
ROUNDS = 24
# Longer than anything here takes, so that no frame is made meanwhile.
INTERVAL = 3600
LOADING_SECONDS = 1800

# Instructions that probes may add to an I/O of the device that has them, and of any other one:
# a tenth more than they did when this was written.
LIMIT = 985.0
BESIDE_LIMIT = 376.0
