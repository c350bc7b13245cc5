"""From samples to figures with their limits, as bench.json keeps them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.bench.scale import plan
from tests.bench.scale.guest import Cost, Sample


@dataclass(frozen=True)
class Figure:
    """One number of one table; a run fails when it is beyond its limit, if it has one."""

    kernel: str
    geometry: str
    entries: int
    measure: str
    value: float
    unit: str
    limit: float | None = None

    @property
    def is_missed(self) -> bool:
        """Whether it makes the run fail."""
        return self.limit is not None and self.value > self.limit

    def __str__(self) -> str:
        where = f"{self.geometry} with {self.entries:,} entries on {self.kernel}"
        return f"{self.measure} of {where} is {self.value:,} {self.unit}, beyond {self.limit:,}."


def figures_of(kernel: str, samples: Sequence[Sample]) -> list[Figure]:
    """All figures of the tables of one geometry, from the smallest to the largest."""
    figures = [figure for sample in samples for figure in _of_sample(kernel, sample)]
    return figures + list(_of_all(kernel, samples))


def _of_sample(kernel: str, sample: Sample) -> Iterator[Figure]:
    def figure(measure: str, value: float, unit: str, limit: float | None = None) -> Figure:
        name = sample.geometry.name
        return Figure(kernel, name, sample.entries, measure, round(value, 4), unit, limit)

    loaded, full = sample.loaded, sample.entries == plan.MILLION
    yield figure("load", loaded.instructions, "instructions", plan.LOAD_LIMIT if full else None)
    yield figure("load-wall", loaded.wall_seconds, "s")
    yield figure("load-passes", loaded.passes, "passes", plan.PASSES_LIMIT)
    yield figure("memory", loaded.memory, "bytes")
    if full:
        limit = sample.geometry.memory_limit
        yield figure("memory-per-remap", loaded.memory / sample.entries, "bytes", limit)
    for name, cost in (
        ("single", sample.single),
        ("together", sample.together),
        ("stretch", sample.stretch),
        ("whole", sample.whole),
    ):
        if cost:
            yield figure(name, cost.instructions, "instructions")
            yield figure(f"{name}-commits", cost.commits, "commits")
            yield figure(f"{name}-meta-writes", cost.metadata_writes, "writes")
            yield figure(f"{name}-writes", cost.device_writes, "writes")
    if sample.single and sample.together:
        ratio = sample.together.metadata_writes / sample.single.metadata_writes
        yield figure("group-meta-writes", ratio, "ratio", plan.GROUP_LIMIT)


def _of_all(kernel: str, samples: Sequence[Sample]) -> Iterator[Figure]:
    costs: dict[int, Cost] = {s.entries: s.single for s in samples if s.single}
    if plan.MILLION in costs and plan.THOUSAND in costs:
        small, large = costs[plan.THOUSAND], costs[plan.MILLION]
        ratio = large.instructions / small.instructions
        name = samples[0].geometry.name
        limit = plan.FLATNESS_LIMIT
        yield Figure(kernel, name, plan.MILLION, "flatness", round(ratio, 4), "ratio", limit)
