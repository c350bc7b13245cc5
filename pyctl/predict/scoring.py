"""Scores for every drive and day of a folder, written as they are computed.

Drives are taken in groups, so memory does not grow with the folder.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq

from pyctl.files import write_whole
from pyctl.predict.days import DriveDays, daily
from pyctl.predict.evaluating import Scorer
from pyctl.predict.features import compute
from pyctl.predict.log import Log
from pyctl.predict.model import QUESTIONS, Model
from pyctl.predict.training import chunks

__all__ = ["score", "score_file"]

_SCHEMA = pa.schema(
    [("drive_id", pa.int32()), ("hour", pa.int32()), *((one, pa.float32()) for one in QUESTIONS)]
)


def score(
    log: Log, model: Model, at: DriveDays, threads: int = 2, rival: Scorer | None = None
) -> dict[str, npt.NDArray[np.float64]]:
    """The score of each drive-day for each question, from rows up to its hour.

    A `rival` scores in place of the trees; it knows the drive models by the card's numbers.
    """
    codes = model.codes(log.drives.model)
    if rival is not None:
        return rival.scores(log, at, codes, threads)
    features = compute(log, at, codes)
    return {one: model.scores(one, features, threads) for one in QUESTIONS}


def score_file(
    log: Log,
    model: Model,
    days: tuple[int, int],
    out: Path,
    *,
    threads: int = 2,
    rival: Scorer | None = None,
    step: Callable[[int, int], None] | None = None,
) -> int:
    """Write one row for each drive and day of the period, both ends included.

    Columns: drive_id, hour (power-on hours), and a score for each question: higher is worse.
    Returns the number of rows. A file that is there is replaced when all is written.
    """
    rows = 0
    everyone = np.arange(len(log.drives))
    sink = pa.BufferOutputStream()
    with pq.ParquetWriter(sink, _SCHEMA) as writer:
        for some in chunks(everyone):
            part = log.of_drives(some)
            at = daily(part.drives, *days)
            if len(at):
                found = score(part, model, at, threads, rival)
                columns = [part.drives.ids[at.drive], at.hour, *found.values()]
                arrays = [
                    pa.array(column, type=field.type)
                    for column, field in zip(columns, _SCHEMA, strict=True)
                ]
                writer.write_table(pa.Table.from_arrays(arrays, schema=_SCHEMA))
                rows += len(at)
            if step is not None:
                step(int(some[-1]) + 1, len(everyone))
    write_whole(out, sink.getvalue().to_pybytes(), replace=True, mode=0o644)
    return rows
