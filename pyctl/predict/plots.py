"""The figures of docs/prediction.md as SVG, drawn from the JSON of an evaluation."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyctl.files import write_whole

__all__ = ["FIGURES", "calibration", "draw", "lead_time", "precision_recall"]

Points = Sequence[tuple[float, float]]

FIGURES = ("precision-recall", "lead-time", "calibration")

_WIDTH, _HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 30, 45
_COLOURS = ("#1f5fa8", "#c0562b", "#4b8b3b", "#7a4fa0")
_WHO = {"fail7": "failure", "sec7": "sector event"}
_DASH = {"model": "", "rule": ' stroke-dasharray="5 4"'}


class _Chart:
    def __init__(self, title: str, x: str, y: str, x_end: float, y_end: float) -> None:
        self.x_end, self.y_end = x_end, y_end
        space = 'xmlns="http://www.w3.org/2000/svg"'
        size = f'viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        self.parts = [
            f'<svg {space} {size} font-family="sans-serif" font-size="12">',
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>',
        ]
        self._text(_WIDTH / 2, 18, title, "middle")
        self._text(_WIDTH / 2, _HEIGHT - 8, x, "middle")
        middle = _HEIGHT / 2
        self._text(14, middle, y, "middle", f' transform="rotate(-90 14 {middle:g})"')
        self.series = 0

    def ticks(self, x: Sequence[tuple[float, str]], y: Sequence[tuple[float, str]]) -> None:
        for value, label in x:
            self._text(self._x(value), _HEIGHT - _BOTTOM + 16, label, "middle")
        for value, label in y:
            at = self._y(value)
            self._text(_LEFT - 6, at + 4, label, "end")
            self.parts.append(
                f'<path d="M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}" stroke="#ddd" fill="none"/>'
            )

    def line(self, points: Points, name: str, style: str = "", *, colour: int = -1) -> None:
        shade = _COLOURS[self.series if colour < 0 else colour]
        path = "L".join(f"{self._x(x):.1f} {self._y(y):.1f}" for x, y in points)
        self.parts.append(
            f'<path d="M{path}" fill="none" stroke="{shade}" stroke-width="2"{style}/>'
        )
        at = _TOP + 14 + 16 * self.series
        self.parts.append(
            f'<path d="M{_WIDTH - 220} {at - 4}h24" stroke="{shade}" stroke-width="2"{style}/>'
        )
        self._text(_WIDTH - 190, at, name, "start")
        self.series += 1

    def bar(self, start: float, end: float, height: float) -> None:
        left, right, top = self._x(start), self._x(end), self._y(height)
        self.parts.append(
            f'<rect x="{left + 1:.1f}" y="{top:.1f}" width="{right - left - 2:.1f}"'
            f' height="{self._y(0) - top:.1f}" fill="{_COLOURS[0]}"/>'
        )

    def done(self) -> str:
        right, low = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
        axes = f'<path d="M{_LEFT} {_TOP}V{low}H{right}" fill="none" stroke="black"/>'
        return "\n".join([*self.parts, axes, "</svg>", ""])

    def _x(self, value: float) -> float:
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * value / self.x_end

    def _y(self, value: float) -> float:
        return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * min(value / self.y_end, 1)

    def _text(self, x: float, y: float, text: str, anchor: str, more: str = "") -> None:
        self.parts.append(f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}"{more}>{text}</text>')


def precision_recall(result: dict[str, Any]) -> str:
    """Precision over recall of the model and of the plain rule, for both questions."""
    chart = _Chart("Precision and recall by drive-day", "recall", "precision", 1, 1)
    even = [(one / 5, f"{one / 5:.1f}") for one in range(6)]
    chart.ticks(even, even)
    for name, points in result["curves"].items():
        question, who = name.split()
        colour = 0 if question == "fail7" else 1
        chart.line(points, f"{_WHO[question]}, {who}", _DASH[who], colour=colour)
    return chart.done()


def lead_time(result: dict[str, Any]) -> str:
    """How many days before its failure each alarmed drive was alarmed first."""
    width = 3
    counts = [
        sum(start <= lead < start + width for lead in result["leads"]) for start in range(0, 33, 3)
    ]
    top = max([*counts, 1]) * 1.1
    title = "First alarm before a failure, at 1 % of healthy drives ever alarmed"
    chart = _Chart(title, "days before the failure", "drives", 33, top)
    step = max(1, round(top / 5))
    heights = [(float(one), str(one)) for one in range(0, int(top) + 1, step)]
    chart.ticks([(float(day), str(day)) for day in range(0, 34, 3)], heights)
    for number, count in enumerate(counts):
        if count:
            chart.bar(number * width, (number + 1) * width, count)
    return chart.done()


def calibration(result: dict[str, Any]) -> str:
    """The share of drive-days that the event followed, by score; the score as rank of the group."""
    steps = result["calibration"]
    groups = max(len(one["score"]) for one in steps.values())
    chart = _Chart(
        "What followed, by group of score",
        "group: each has half of the days of the one before",
        "share that the event followed",
        groups - 1,
        1,
    )
    even = [(one / 5, f"{one / 5:.1f}") for one in range(6)]
    chart.ticks([(float(one), str(one + 1)) for one in range(groups)], even)
    for question, one in steps.items():
        chart.line(list(enumerate(one["probability"])), _WHO[question])
    return chart.done()


def draw(result: dict[str, Any], folder: Path) -> list[Path]:
    """Write all figures into a folder; gives their files."""
    makers = (precision_recall, lead_time, calibration)
    folder.mkdir(parents=True, exist_ok=True)
    files = []
    for name, maker in zip(FIGURES, makers, strict=True):
        files.append(folder / f"{name}.svg")
        write_whole(files[-1], maker(result).encode(), replace=True, mode=0o644)
    return files
