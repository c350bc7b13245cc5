"""What a storm shows, and what must come out of it."""

from dataclasses import dataclass

# MiB that the daemon may need more than before, however long the storm.
MORE = 40


@dataclass(frozen=True)
class Storm:
    """What was seen of one storm; times in seconds, memory (RSS) in MiB.

    `told` are the kernel's events as its own numbers have it, `heard` and `lost` as the daemon
    says, `gaps` how often a rule was told that some were lost; the last ones of a storm may be in a
    gap whose length shows with the next event only. `counted` are the remaps in its store, `placed`
    those of them whose sectors it knows, `elsewhere` the sectors of these that the table doesn't
    have. `dumped` are the entries of the table in the end, `believed` how many the daemon says
    there are.
    """

    stopped: bool
    remaps: int
    seconds: float
    caught_up: float
    before: int
    peak: int
    after: int
    told: int
    heard: int
    lost: int
    gaps: int
    counted: int
    placed: int
    elsewhere: int
    believed: int
    dumped: int
    store_mib: float


def wrong(storm: Storm) -> list[str]:
    """What should have come out and has not, in words."""
    found = [
        f"{what} are {number}, not {storm.remaps}"
        for what, number in (
            ("remaps in the store", storm.counted),
            ("remaps that the daemon knows of", storm.believed),
            ("entries of the table", storm.dumped),
        )
        if number != storm.remaps
    ]
    if storm.elsewhere:
        found.append(f"{storm.elsewhere} sectors were named that are not remapped")
    if storm.peak - storm.before > MORE:
        found.append(f"{storm.peak - storm.before} MiB more memory were needed")
    if storm.heard < storm.told and not storm.gaps:
        found.append(f"{storm.told - storm.heard} events were lost, and no rule was told")
    if storm.stopped and not storm.gaps:
        found.append("nothing was lost while the daemon was stopped: its socket held it all")
    return found
