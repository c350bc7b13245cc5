"""False alarms: the predictor over the background as it is."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from typing import Any

from pyctl.predict.regions.background import Background, day_of
from pyctl.predict.regions.judging.shares import Share
from pyctl.predict.regions.predictor import DevicePredictor

__all__ = ["Untouched", "watch_untouched"]

RegionKey = tuple[int, int]


@dataclass
class Untouched:
    """Region-days of normal regions, and what became of those that are known to be slow.

    The first day of a device counts for neither: nothing is known of its regions yet. `slow` are,
    for each region that is known to be slow, the days with an alarm and all days.
    """

    days: Share
    regions: Share
    alarms: dict[str, int]
    slow: dict[RegionKey, Share] = field(default_factory=dict)

    def card(self) -> dict[str, Any]:
        """For the JSON card."""
        return {
            "false_alarms_region_days": self.days.card(),
            "normal_regions_ever_alarmed": self.regions.card(),
            "strongest_reasons": dict(sorted(self.alarms.items())),
            "known_slow": [
                {"host": host, "disk": disk, "days_alarmed": share.hits, "days": share.of}
                for (host, disk), share in sorted(self.slow.items())
            ],
        }


def watch_untouched(
    background: Background,
    slow: Collection[RegionKey],
    progress: Callable[[int, int], None] | None = None,
) -> Untouched:
    """Step through all devices. A day of a region is alarmed if any of its intervals is."""
    days: dict[tuple[int, int, int], bool] = {}
    reasons: dict[str, int] = {}
    for done, device in enumerate(background.devices, 1):
        predictor = DevicePredictor()
        first = day_of(device.intervals[0][0]) if device.intervals else 0
        for time, interval in device.intervals:
            predictor.step(time, interval)
            day = day_of(time)
            if day == first:
                continue
            for region in interval:
                key = (device.host, region, day)
                before = days.setdefault(key, False)
                if not before and predictor.alarmed(region):
                    days[key] = True
                    if (device.host, region) not in slow:
                        name = predictor.answer(region).reasons[0].name
                        reasons[name] = reasons.get(name, 0) + 1
        if progress:
            progress(done, len(background.devices))
    normal = {key: alarm for key, alarm in days.items() if key[:2] not in slow}
    return Untouched(
        days=Share(sum(normal.values()), len(normal)),
        regions=Share(
            len({key[:2] for key, alarm in normal.items() if alarm}),
            len({key[:2] for key in normal}),
        ),
        alarms=reasons,
        slow={each: _days_of(days, each) for each in sorted(slow)},
    )


def _days_of(days: dict[tuple[int, int, int], bool], region: RegionKey) -> Share:
    own = [alarm for key, alarm in days.items() if key[:2] == region]
    return Share(sum(own), len(own))
