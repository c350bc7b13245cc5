"""When to look, if not all the time."""

import math
import random
from collections.abc import Callable

__all__ = ["Windows"]


class Windows:
    """Once in each `cycle` seconds it is open, for `share` of it, at a random time of the cycle.

    With a share of 1 it is always open. Times are in seconds of any clock; `now` is what it says.
    """

    def __init__(
        self,
        share: float,
        cycle: float,
        now: float,
        choose: Callable[[float, float], float] = random.uniform,
    ) -> None:
        self._length = share * cycle
        self._cycle = cycle
        self._choose = choose
        self._next_cycle = self._since = now
        self._looked = 0.0
        self.is_open = share >= 1
        self.edge = math.inf if self.is_open else self._opens(now)

    def switch(self, now: float) -> bool:
        """Open or close it if it is time, at `edge`; whether it was."""
        if now < self.edge:
            return False
        self._count(now)
        self.is_open = not self.is_open
        self.edge = now + self._length if self.is_open else self._opens(now)
        return True

    def looked(self, now: float) -> float:
        """The seconds for which it was open since it was asked last."""
        self._count(now)
        seconds, self._looked = self._looked, 0.0
        return seconds

    # Cycles that were missed are left out.
    def _opens(self, now: float) -> float:
        begin = max(self._next_cycle, now)
        self._next_cycle = begin + self._cycle
        return begin + self._choose(0, self._cycle - self._length)

    def _count(self, now: float) -> None:
        if self.is_open:
            self._looked += now - self._since
        self._since = now
