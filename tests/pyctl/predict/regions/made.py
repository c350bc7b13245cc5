"""Small backgrounds of the perseus schema that are made up here, from a seed."""

import math
import random

from pyctl.predict.regions.predictor import Observation

INTERVAL = 300
# 2026-01-05 21:00 in China, where the source's days begin and end
FIRST = 1767618000


def made_intervals(seed=0, regions=8, intervals=120, spread=0.05, slower=None):
    """Intervals of one device: load and hour are shared, each region has noise of its own.

    `slower` maps a region to (first interval, factor).
    """
    rng = random.Random(seed)
    found = []
    for i in range(intervals):
        load = math.exp(0.4 * math.sin(i / 7) + rng.gauss(0, 0.1))
        interval = {}
        for region in range(regions):
            own = load * math.exp(rng.gauss(0, 0.1))
            latency = 70 * load**0.3 * (own / load) ** 0.2 * math.exp(rng.gauss(0, spread))
            first, factor = (slower or {}).get(region, (intervals, 1.0))
            if i >= first:
                latency *= factor
            tail = latency * math.exp(abs(rng.gauss(0.1, 0.05)))
            interval[region] = Observation(latency=latency, load=own, tail=tail)
        found.append((FIRST + (i + 1) * INTERVAL, interval))
    return found


def made_rows(seed=0, hosts=2, disks=5, days=6, hours=3, step=60, slow=()):
    """Rows of a file: sessions of some hours a day. `slow` are drives (host, disk), always so."""
    rng = random.Random(seed)
    rows = []
    for host in range(1, hosts + 1):
        for day in range(days):
            for second in range(0, hours * 3600, step):
                ts = FIRST + day * 86400 + second
                load = math.exp(0.3 * math.sin(second / 1500) + rng.gauss(0, 0.05))
                for disk in range(1, disks + 1):
                    latency = 70 * load**0.3 * math.exp(rng.gauss(0, 0.06))
                    if (host, disk) in slow:
                        latency *= 2.2 * math.exp(rng.gauss(0, 0.8))
                    rows.append((host, disk, ts, round(14000 * load), round(100 * latency)))
    return rows


def write_rows(path, rows):
    """As a file of the schema."""
    import pyarrow
    import pyarrow.parquet

    names = ("host", "disk", "ts", "kBps", "lat_x100")
    columns = dict(zip(names, map(list, zip(*rows, strict=True)), strict=True))
    pyarrow.parquet.write_table(pyarrow.table(columns), path)
    return path
