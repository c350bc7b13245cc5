"""Shares with their confidence intervals."""

import math
from dataclasses import dataclass
from typing import Any

__all__ = ["Share"]

_Z = 1.959964


@dataclass(frozen=True)
class Share:
    """`hits` of `of`, with the 95 % interval of Wilson."""

    hits: int
    of: int

    @property
    def value(self) -> float | None:
        """The share itself, None when there was nothing."""
        return self.hits / self.of if self.of else None

    @property
    def interval(self) -> tuple[float, float]:
        """Lower and upper bound, 0 to 1."""
        if not self.of:
            return 0.0, 1.0
        p, n, z2 = self.hits / self.of, self.of, _Z * _Z
        middle = (p + z2 / (2 * n)) / (1 + z2 / n)
        half = _Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
        return max(0.0, middle - half), min(1.0, middle + half)

    def card(self) -> dict[str, Any]:
        """For the JSON card."""
        low, high = self.interval
        return {
            "hits": self.hits,
            "of": self.of,
            "share": None if self.value is None else round(self.value, 5),
            "low": round(low, 5),
            "high": round(high, 5),
        }

    def __str__(self) -> str:
        if self.value is None:
            return "-"
        low, high = self.interval
        return f"{self.value:.2%} ({low:.2%} to {high:.2%})"
