"""What the predictor takes for slow, for long, and for many.

All latencies and loads are compared as natural logarithms of ratios, so units cancel out. How the
values were chosen is in docs/prediction-regions.md.
"""

import math
from dataclasses import dataclass

__all__ = ["DEFAULT", "RegionSettings"]

_DAY = 86400.0


@dataclass(frozen=True)
class RegionSettings:
    """Settings of the predictor; memories of latency are in intervals, others in seconds.

    A pair is a ramp: evidence is nothing at the first value and whole at the second.
    """

    # before so many intervals nothing is said about a region's own history
    warm: int = 30
    # memory of what is usual of a region, of what it is like now, and of where its peers are
    usual: float = 250.0
    recent: float = 8.0
    beside: float = 40.0
    # a region's deviation counts for what is usual only so far, in its own deviations
    clip: float = 2.0
    # how latency follows load until a region has shown it itself: log per log
    load_slope: float = 0.2
    # slower than its own past; than its peers
    slower: tuple[float, float] = (math.log(1.12), math.log(1.40))
    apart: tuple[float, float] = (math.log(1.25), math.log(1.60))
    # shortest known deviations of a median, below which nothing is a surprise
    least_deviation: float = 0.04
    # how many of its own deviations a region must be off, in the mean of what is recent
    deviations: tuple[float, float] = (1.2, 2.4)
    # how many times the peers' own spread a region must be from them
    outlying: tuple[float, float] = (3.0, 5.0)
    # a region that is slower than its peers, but as steady as they are, is of another kind: it
    # must vary more than they do before more than half of that counts
    unsteady: tuple[float, float] = (1.3, 2.0)
    # slow tails: the top of an interval over its middle, against what is usual
    tail: tuple[float, float] = (math.log(1.8), math.log(3.5))
    # half of what was counted is forgotten after so long
    retries_half_life: float = 3 * _DAY
    errors_half_life: float = 30 * _DAY
    # so many give 63 % of the evidence
    retries_scale: float = 1.9
    errors_scale: float = 1.2
    # likewise for slow pieces that a scan has found
    pieces_scale: float = 1.0
    # share of a neighbour's errors and retries that counts here
    spread: float = 0.25
    # the most that each kind of evidence can give
    slower_weight: float = 0.85
    apart_weight: float = 0.80
    tail_weight: float = 0.60
    retries_weight: float = 0.93
    errors_weight: float = 0.98
    marginal_weight: float = 0.85
    slow_weight: float = 0.45
    # from this score on a region is alarmed; it must be reached in so many intervals in turn,
    # unless errors or retries alone reach it
    alarm: float = 0.5
    in_turn: int = 3


DEFAULT = RegionSettings()
