"""Plots of a card, as SVG text: no package is needed for three plots."""

import math
from collections.abc import Sequence
from typing import Any
from xml.sax.saxutils import escape

from pyctl.predict.regions.judging.moving import RULES

__all__ = ["draw_plots"]

_WIDTH, _HEIGHT = 560, 300
_LEFT, _RIGHT, _TOP, _BOTTOM = 60, 20, 36, 48
_INK, _LINE, _BAND = "#333", "#1f5fa8", "#9dbfe6"


def draw_plots(card: dict[str, Any]) -> dict[str, str]:
    """By file name: slowdowns found, failures seen coming, and what moving blocks avoids."""
    return {
        "regions-slowdowns.svg": _slowdowns(card),
        "regions-recall.svg": _recall(card),
        "regions-moving.svg": _moving(card),
    }


def _slowdowns(card: dict[str, Any]) -> str:
    rows = [row for row in card["slowdowns"] if row["factor"] <= 2]
    lowest, highest = rows[0]["factor"], rows[-1]["factor"]

    def across(row: dict[str, Any]) -> float:
        share = float((row["factor"] - lowest) / (highest - lowest))
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    parts = [
        f'<line x1="{across(r):.1f}" x2="{across(r):.1f}" y1="{_up(r["found"]["low"]):.1f}"'
        f' y2="{_up(r["found"]["high"]):.1f}" stroke="{_BAND}" stroke-width="6"/>'
        for r in rows
    ]
    line = " ".join(f"{across(r):.1f},{_up(r['found']['share'] or 0.0):.1f}" for r in rows)
    parts.append(f'<polyline points="{line}" fill="none" stroke="{_LINE}" stroke-width="2"/>')
    parts += [_text(across(r), _HEIGHT - _BOTTOM + 16, f"x {r['factor']:g}") for r in rows]
    return _plot("Slowdowns found within three hours of readings", parts)


def _recall(card: dict[str, Any]) -> str:
    found = card["failures"]
    bars = [(f"{name} before", share) for name, share in found["recall"].items()]
    bars += [(f"48 h, {kind}", share) for kind, share in found["recall_48_h_by_kind"].items()]
    return _plot("Failing regions alarmed before their first error (simulated)", _bars(bars))


def _moving(card: dict[str, Any]) -> str:
    rules = card["failures"]["preventive_remap"]
    most = max(account["spent"] for account in rules.values()) or 1
    parts = []
    for number, rule in enumerate(RULES, 1):
        account = rules[rule]
        # a square root, since the rules differ by a factor of ten
        share = math.sqrt(account["spent"] / most)
        x = _LEFT + 8 + share * (_WIDTH - _LEFT - _RIGHT - 24)
        y = _up(account["avoided"] / account["errors"] if account["errors"] else 0.0)
        parts.append(
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{_LINE}">'
            f"<title>{escape(rule)}</title></circle>"
        )
        parts.append(_text(x, y - 9, str(number)))
    parts.append(
        _text((_LEFT + _WIDTH) / 2, _HEIGHT - 14, f"square root of blocks spent, up to {most}")
    )
    return _plot("Errors avoided for blocks spent (simulated)", parts)


def _bars(bars: Sequence[tuple[str, dict[str, Any]]]) -> list[str]:
    wide = (_WIDTH - _LEFT - _RIGHT) / len(bars)
    parts = []
    for n, (name, share) in enumerate(bars):
        x, middle = _LEFT + n * wide, _LEFT + (n + 0.5) * wide
        top = _up(share["share"] or 0.0)
        parts.append(
            f'<rect x="{x + wide * 0.2:.1f}" y="{top:.1f}" width="{wide * 0.6:.1f}"'
            f' height="{_up(0) - top:.1f}" fill="{_BAND}"/>'
        )
        parts.append(
            f'<line x1="{middle:.1f}" x2="{middle:.1f}" y1="{_up(share["low"]):.1f}"'
            f' y2="{_up(share["high"]):.1f}" stroke="{_LINE}" stroke-width="2"/>'
        )
        parts.append(_text(middle, _HEIGHT - _BOTTOM + 16, name))
    return parts


def _up(share: float) -> float:
    return _HEIGHT - _BOTTOM - share * (_HEIGHT - _BOTTOM - _TOP)


def _text(x: float, y: float, words: str, anchor: str = "middle") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _plot(title: str, parts: Sequence[str]) -> str:
    grid = []
    for percent in (0, 25, 50, 75, 100):
        y = _up(percent / 100)
        grid.append(
            f'<line x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>'
        )
        grid.append(_text(_LEFT - 8, y + 4, f"{percent} %", "end"))
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}"'
        f' font-family="sans-serif" font-size="11" fill="{_INK}">'
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="white"/>'
    )
    heading = f'<text x="{_LEFT}" y="20" font-size="13">{escape(title)}</text>'
    return "\n".join([head, heading, *grid, *parts, "</svg>", ""])
