"""Small field data of the schema that `pyctl predict` reads: made here, of no real drive."""

from datetime import date, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

ATTRIBUTES = (5, 10, 12, 187, 188, 189, 196, 197, 198)
BEGIN = date(2020, 1, 1)


def make(folder, drives=300, days=500, seed=0):
    """Drives that run 24 hours a day; one in five fails, most of these after pending sectors."""
    random = np.random.default_rng(seed)
    static, changes = [], []
    for number in range(drives):
        failed = random.random() < 0.2
        lived = int(random.integers(60, days)) if failed else days
        hour = int(random.integers(0, 20_000))
        static.append(
            {
                "drive_id": number * 7 + 3,
                "model": f"MODEL {number % 3}",
                "manufacturer": "ST",
                "size_tb": 4.0,
                "first_day": BEGIN,
                "last_day": BEGIN + timedelta(days=lived),
                "first_hour": hour,
                "last_hour": hour + 24 * lived,
                "failed": int(failed),
            }
        )
        counts = dict.fromkeys(ATTRIBUTES, 0)
        if number % 3 == 2:
            counts[187] = None
        at = {0}
        if failed and random.random() < 0.8:
            at |= {int(lived - back) for back in random.integers(1, 25, 6) if back < lived}
        if random.random() < 0.3:
            at |= set(random.integers(1, lived, 2).tolist())
        for day in sorted(at):
            if day:
                counts[197] += int(random.integers(1, 9)) * 8
                counts[5] += int(random.integers(0, 3)) * 8
                counts[12] += int(random.integers(0, 2))
            row = {"drive_id": static[-1]["drive_id"], "hour": hour + 24 * day}
            changes.append(row | {f"smart_{one}": counts[one] for one in ATTRIBUTES})
    write(folder, static, changes)
    return folder


def write(folder, static, changes):
    """The two files, from rows."""
    ints = [("drive_id", pa.int32()), ("hour", pa.int32())]
    log = pa.schema([*ints, *((f"smart_{one}", pa.int64()) for one in ATTRIBUTES)])
    drives = pa.schema(
        [
            *(("drive_id", pa.int32()), ("model", pa.string()), ("manufacturer", pa.string())),
            *(("size_tb", pa.float64()), ("first_day", pa.date32()), ("last_day", pa.date32())),
            *(("first_hour", pa.int32()), ("last_hour", pa.int32()), ("failed", pa.int8())),
        ]
    )
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist(static, drives), folder / "smart_drives.parquet")
    pq.write_table(pa.Table.from_pylist(changes, log), folder / "smart_changes.parquet")


def rows(folder):
    """What make() has written, as rows."""
    return tuple(
        pq.read_table(folder / f"smart_{name}.parquet").to_pylist()
        for name in ("drives", "changes")
    )
