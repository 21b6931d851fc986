"""A drawing of steps from node to node, from left to right, as SVG that needs no network and runs nothing."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import NamedTuple

from langgraph_rlm.cli.cleaning import clean
from langgraph_rlm.shortening import shortened

STYLE = """
svg { max-width: 100%; height: auto; border: 1px solid #ddd } path { stroke: #9ab; stroke-width: 1.5; fill: none }
path.near { stroke-dasharray: 4 4 } circle { fill: #246; } circle.near { fill: #9ab } circle.root { fill: #a40 }
text { font: 13px system-ui, sans-serif; fill: #222; text-anchor: middle } text.why { fill: #567; font-style: italic }
@media (prefers-color-scheme: dark) { text { fill: #ddd } text.why { fill: #9ab } circle { fill: #7ad } }
"""
_MOST_LABEL_CHARS = 33
"""Of a name in the picture; its tooltip has all of it."""
_COLUMN, _ROW, _NODE = 320, 64, 7  # pixels
_BEND = 70
"""How far a line is bent, as a share of its length: two lines between the same nodes are told apart."""
_MARGIN_X, _MARGIN_Y = 140, 40


class Edge(NamedTuple):
    """A step from one node to another."""

    source: str
    target: str
    label: str
    near: bool = False
    """It leads no further; drawn more lightly."""


def drawing(root: str, edges: Sequence[Edge]) -> str:
    """The nodes in columns by their distance from the root, those that one leads to below each other.

    Args:
        root: the name of the first node.
        edges: steps, each from the root or from the target of an earlier one; those to a node that has been reached
            before are drawn, but move nothing.

    Example:
        >>> drawing("a", [Edge("a", "b", "because")]).startswith("<svg")
        True
    """
    places = _placed(root, edges)
    width = max(x for x, _ in places.values()) + _MARGIN_X
    height = max(y for _, y in places.values()) + _MARGIN_Y
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" viewBox="0 0 {width:.0f} {height:.0f}">'
    ]
    lines += [_line(edge, *places[edge.source], *places[edge.target]) for edge in edges]
    near = {edge.target for edge in edges if edge.near}
    for node, (x, y) in places.items():
        kind = ' class="root"' if node == root else ' class="near"' if node in near else ""
        lines.append(
            f'<g><title>{escaped(node)}</title><circle{kind} cx="{x:.0f}" cy="{y:.0f}" r="{_NODE}"/>'
            f'<text x="{x:.0f}" y="{y + 22:.0f}">{escaped(shortened(node, _MOST_LABEL_CHARS))}</text></g>'
        )
    return "\n".join([*lines, "</svg>"])


def escaped(text: str) -> str:
    """Text of anybody, harmless in HTML and SVG."""
    return html.escape(clean(text), quote=True)


def _line(edge: Edge, x1: float, y1: float, x2: float, y2: float) -> str:
    """Bends at its source and then runs straight, with the label on the straight part."""
    kind = ' class="near"' if edge.near else ""
    bend = min(x1 + _BEND, x2)
    curve = f"M{x1:.0f} {y1:.0f} C{bend:.0f} {y1:.0f} {x1:.0f} {y2:.0f} {bend:.0f} {y2:.0f} L{x2:.0f} {y2:.0f}"
    return (
        f'<path{kind} d="{curve}"/>'
        f'<text class="why" x="{(bend + x2) / 2:.0f}" y="{y2 - 7:.0f}">{escaped(shortened(edge.label, _MOST_LABEL_CHARS))}</text>'
    )


def _placed(root: str, edges: Sequence[Edge]) -> dict[str, tuple[float, float]]:
    parents = {root: root}
    below: dict[str, list[str]] = {root: []}
    for edge in edges:
        if edge.target not in parents:
            parents[edge.target] = edge.source
            below.setdefault(edge.source, []).append(edge.target)
            below.setdefault(edge.target, [])
    depth = {root: 0}
    for node in parents:
        if node != root:
            depth[node] = depth[parents[node]] + 1
    rows: dict[str, float] = {}
    free = 0
    waiting = [(root, False)]
    while waiting:
        node, ready = waiting.pop()
        if below[node] and not ready:
            waiting.append((node, True))
            waiting += [(one, False) for one in reversed(below[node])]
        elif below[node]:
            rows[node] = (rows[below[node][0]] + rows[below[node][-1]]) / 2
        else:
            rows[node], free = free, free + 1
    return {node: (_MARGIN_X + depth[node] * _COLUMN, _MARGIN_Y + rows[node] * _ROW) for node in parents}
