"""Accuracy against cost as one SVG that needs nothing else: no script, no font, no address."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from html import escape
from typing import NamedTuple

from langgraph_rlm.evaluation.bootstrap import Interval

_WIDTH, _HEIGHT = 720, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 70, 30, 80, 60
_LETTER, _LINE = 7.5, 16
"""Pixels that a letter and a line of a label take."""
_LEAST_COST, _MOST_COST = 1e-300, 1e300
"""Beyond them a scale cannot be told apart from 0 or from infinity; what costs less stands at 0."""
_COLOURS = {"direct": "#7a5195", "rag": "#2f6690", "rlm": "#c8553d", "auto": "#2a9d4e"}
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


class Point(NamedTuple):
    """One route."""

    name: str
    cost: float
    accuracy: Interval
    """0 to 1."""


def draw(points: Sequence[Point], *, title: str, subtitle: str, unit: str) -> str:
    """The picture as SVG: one point for each route, cost to the right, accuracy upwards, bars for its interval.

    Args:
        points: what to draw; with none the picture says so, and one without a finite cost is left out.
        title, subtitle: above; any text, it is escaped.
        unit: of the costs.
    """
    points = [point for point in points if math.isfinite(point.cost)]
    most = _above(max((point.cost for point in points), default=0.0))
    described = "; ".join(f"{p.name}: {100 * p.accuracy.mean:.1f} % at {number(p.cost)} {unit}" for p in points)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" height="{_HEIGHT}" '
        f'role="img" font-family="sans-serif" font-size="13" fill="#222">',
        f"<title>{text_of(title)}</title>",
        f"<desc>{text_of(described or 'nothing was scored')}</desc>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="30" font-size="17" font-weight="bold">{text_of(title[:90])}</text>',
        f'<text x="{_LEFT}" y="52" font-size="12" fill="#666">{text_of(subtitle[:120])}</text>',
        *_axes(most, unit),
    ]
    places = list[_Place]()
    for point in sorted(points, key=lambda point: point.cost):
        parts += _drawn(point, most, places)
    if not points:
        parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT / 2}" text-anchor="middle">nothing was scored</text>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def text_of(text: str) -> str:
    """``text`` as it may stand in XML."""
    return escape(_NOT_XML.sub("\N{REPLACEMENT CHARACTER}", text))


def number(value: float) -> str:
    """A cost or a number of tokens, short."""
    return f"{value:,.0f}" if 100 <= value < 1e15 else f"{value:.4g}"


def _x(cost: float, most: float) -> float:
    return round(_LEFT + (_WIDTH - _LEFT - _RIGHT) * (cost / most), 2)


def _y(share: float) -> float:
    return round(_TOP + (_HEIGHT - _TOP - _BOTTOM) * (1 - share), 2)


def _above(value: float) -> float:
    """A round number with some room above ``value``."""
    if not value > _LEAST_COST:
        return 1.0
    if value > _MOST_COST:
        return value
    unit = 10 ** math.floor(math.log10(value * 1.1))
    return float(next(step * unit for step in (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10) if step * unit >= value * 1.1))


def _axes(most: float, unit: str) -> list[str]:
    bottom, right = _y(0), _x(most, most)
    parts = [f'<g stroke="#ddd">{"".join(f"""<path d="M{_LEFT} {_y(s / 5)}H{right}"/>""" for s in range(6))}</g>']
    for step in range(6):
        parts.append(f'<text x="{_LEFT - 8}" y="{_y(step / 5) + 4}" text-anchor="end">{20 * step}</text>')
        cost = most * (step / 5)
        parts.append(f'<text x="{_x(cost, most)}" y="{bottom + 20}" text-anchor="middle">{number(cost)}</text>')
    parts.append(f'<path d="M{_LEFT} {_TOP}V{bottom}H{right}" fill="none" stroke="#222"/>')
    parts.append(
        f'<text x="{_LEFT + (right - _LEFT) / 2}" y="{bottom + 44}" text-anchor="middle">{text_of(unit)}</text>'
    )
    parts.append(f'<text transform="translate(22 {_y(0.5)}) rotate(-90)" text-anchor="middle">accuracy, %</text>')
    return parts


class _Place(NamedTuple):
    """Where a label stands."""

    left: float
    right: float
    y: float

    def meets(self, other: _Place) -> bool:
        return self.left < other.right and other.left < self.right and abs(self.y - other.y) < _LINE


def _drawn(point: Point, most: float, places: list[_Place]) -> list[str]:
    """One point with its bar and its label, which keeps clear of the labels in ``places`` and is added to them."""
    x, y, colour = _x(point.cost, most), _y(point.accuracy.mean), _COLOURS.get(point.name, "#555")
    low, high = _y(point.accuracy.low), _y(point.accuracy.high)
    label = f"{point.name[:40]} {100 * point.accuracy.mean:.1f} %, n={point.accuracy.n:,}"
    wide = _LETTER * len(label)
    leftwards = x + 12 + wide > _WIDTH
    place = _Place(x - 12 - wide if leftwards else x + 12, x - 12 if leftwards else x + 12 + wide, y - 8)
    while any(place.meets(other) for other in places):
        place = place._replace(y=place.y + _LINE)
    places.append(place)
    at, anchor = (place.right, "end") if leftwards else (place.left, "start")
    return [
        f'<path d="M{x} {low}V{high}M{x - 5} {low}h10M{x - 5} {high}h10" stroke="{colour}" stroke-width="1.5"/>',
        f'<circle cx="{x}" cy="{y}" r="6" fill="{colour}"/>',
        f'<text x="{at:.2f}" y="{place.y:.2f}" text-anchor="{anchor}" fill="{colour}">{text_of(label)}</text>',
    ]
