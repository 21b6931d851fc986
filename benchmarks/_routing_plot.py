"""Curves as a small SVG, without a plotting library."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import NamedTuple

WIDTH, HEIGHT, MARGIN = 460, 360, 56
COLOURS = ("#1f6feb", "#d1590b", "#2da44e", "#8250df", "#57606a")
STEPS = 5  # marks on an axis


class Line(NamedTuple):
    """One curve, or one point where it has no more."""

    name: str
    points: Sequence[tuple[float, float]]


class Panel(NamedTuple):
    """One diagram; both axes are in percent."""

    title: str
    across: str
    up: str
    lowest: float
    """Of the vertical axis."""
    lines: Sequence[Line]


def draw(panels: Sequence[Panel], path: Path) -> None:
    """Write the panels side by side."""
    parts = [part for number, panel in enumerate(panels) for part in _panel(panel, number * WIDTH)]
    size = f'width="{WIDTH * len(panels)}" height="{HEIGHT}"'
    svg = f'<svg xmlns="http://www.w3.org/2000/svg" {size} font-family="sans-serif" font-size="11">'
    path.parent.mkdir(exist_ok=True)
    path.write_text("\n".join([svg, f'<rect {size} fill="white"/>', *parts, "</svg>"]) + "\n", encoding="utf-8")


def _panel(panel: Panel, left: float) -> list[str]:
    wide, high = WIDTH - 2 * MARGIN, HEIGHT - 2 * MARGIN

    def at(x: float, y: float) -> tuple[float, float]:
        return left + MARGIN + wide * x / 100, MARGIN + high * (100 - y) / (100 - panel.lowest)

    middle = left + WIDTH / 2
    parts = [
        _text(middle, 24, panel.title, bold=True),
        _text(middle, HEIGHT - 12, panel.across),
        _text(left + MARGIN, MARGIN - 12, panel.up),
    ]
    for step in range(STEPS + 1):
        x, y = 100 * step / STEPS, panel.lowest + (100 - panel.lowest) * step / STEPS
        (x1, bottom), (right, y1), (first, _) = at(x, panel.lowest), at(100, y), at(0, y)
        parts.append(f'<path d="M{first:.0f} {y1:.1f}H{right:.0f}" stroke="#d0d7de"/>')
        parts += [_text(x1, bottom + 16, f"{x:.0f}"), _text(first - 16, y1 + 4, f"{y:.0f}")]
    for number, line in enumerate(panel.lines):
        colour = COLOURS[number % len(COLOURS)]
        places = [at(x, max(panel.lowest, y)) for x, y in line.points]
        if len(places) > 1:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
            parts.append(f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>')
        else:
            parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>' for x, y in places]
        parts.append(_text(left + WIDTH - MARGIN, HEIGHT - MARGIN - 10 - 15 * number, line.name, colour, anchor="end"))
    return parts


def _text(x: float, y: float, text: str, colour: str = "#1f2328", *, bold: bool = False, anchor: str = "middle") -> str:
    weight = ' font-weight="bold"' if bold else ""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{colour}"{weight}>{escape(text)}</text>'
