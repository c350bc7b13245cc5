"""What is measured: the machines, the workloads, and the limit."""

from tests.bench import plan

# Machines with so many processors; null_blk has a queue for each of them.
CPUS = (2, 4)

WORKLOADS = tuple(
    plan.Workload(
        engine=engine,
        depth=depth,
        direction=direction,
        pattern="random",
        size=4 * plan.KIB,
        count=2000,
    )
    for engine, depth in (("psync", 1), ("uring", 32))
    for direction in ("read", "write")
)

LINEAR, EMPTY = plan.LINEAR, "/dev/mapper/empty"

# What dm-remap's scaling must be of dm-linear's, at least.
LIMIT = 0.99
