"""How a question's hops look: as a tree in the terminal, and as a drawing that needs no network."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from rich.tree import Tree

from langgraph_rlm.cli.render import clean, plain
from langgraph_rlm.corpus.hopping import PATH
from langgraph_rlm.types import Hit

_MOST_LABEL_CHARS = 40
_RADIUS, _NODE = 170, 7
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; color: #222; background: #fff }
svg { width: 100%; height: auto; border: 1px solid #ddd } line { stroke: #9ab; stroke-width: 1.5 }
circle { fill: #246; } circle.question { fill: #a40 } text { font: 12px system-ui, sans-serif; fill: #222 }
text.link { fill: #678; font-style: italic } pre { white-space: pre-wrap; background: #f6f6f6; padding: .5rem }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } text { fill: #ddd } pre { background: #252525 } }
"""
_QUESTION = ""
"""The node at the middle; no document has this id."""


class Edge(NamedTuple):
    """A step from one node to another."""

    source: str
    target: str
    label: str


def hops_tree(question: str, hits: Sequence[Hit]) -> Tree:
    """The question at the root, documents below what led to them, each with its rank and the names that link them."""
    tree = Tree(plain(question, "bold"))
    ranks: dict[str, int] = {}
    for hit in hits:
        ranks.setdefault(hit["doc_id"], hit["rank"] + 1)
    branches: dict[tuple[str, ...], Tree] = {(): tree}
    for hit in hits:
        trail: tuple[str, ...] = ()
        for step in _path(hit):
            before, trail = trail, (*trail, step["doc_id"])
            if trail not in branches:
                line = plain(f"{_why(step)} → ", "dim")
                line.append(clean(step["doc_id"]), "cyan")
                if step["doc_id"] in ranks:
                    line.append(f"  #{ranks[step['doc_id']]}", "green")
                branches[trail] = branches[before].add(line)
    return tree


def edges_of(hits: Sequence[Hit]) -> Iterator[Edge]:
    """Each step of the paths once."""
    seen: set[tuple[str, str]] = set()
    for hit in hits:
        source = _QUESTION
        for step in _path(hit):
            if (source, step["doc_id"]) not in seen and source != step["doc_id"]:
                seen.add((source, step["doc_id"]))
                yield Edge(source, step["doc_id"], _why(step))
            source = step["doc_id"]


def hops_page(question: str, hits: Sequence[Hit]) -> str:
    """A page of HTML with a drawing of the neighbourhood and the hits below; no scripts, everything escaped.

    Args:
        question: what was asked.
        hits: of ``mode="hop"``.
    """
    edges = list(edges_of(hits))
    texts = "\n".join(map(_section, hits))
    return (
        '<!doctype html>\n<html><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{_escaped(question)}</title>\n<style>{_STYLE}</style></head>\n"
        f"<body><h1>{_escaped(question)}</h1>\n{_drawing(question, edges)}\n{texts}\n</body></html>\n"
    )


def _section(hit: Hit) -> str:
    trail = " → ".join(f"{_why(step)}: {step['doc_id']}" for step in _path(hit))
    title = f"{hit['rank'] + 1}. {hit['doc_id']}"
    return f"<h2>{_escaped(title)}</h2>\n<p>{_escaped(trail)}</p>\n<pre>{_escaped(hit['text'])}</pre>"


def _drawing(question: str, edges: Sequence[Edge]) -> str:
    places = _placed(edges)
    reach = max((math.hypot(*place) for place in places.values()), default=0) + 140
    lines = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="{-reach:.0f} {-reach:.0f} {2 * reach:.0f} {2 * reach:.0f}">'
    ]
    for edge in edges:
        (x1, y1), (x2, y2) = places[edge.source], places[edge.target]
        lines.append(f'<line x1="{x1:.0f}" y1="{y1:.0f}" x2="{x2:.0f}" y2="{y2:.0f}"/>')
        x, y = (x1 + 2 * x2) / 3, (y1 + 2 * y2) / 3
        lines.append(
            f'<text class="link" x="{x:.0f}" y="{y:.0f}" text-anchor="middle">{_escaped(_short(edge.label))}</text>'
        )
    for node, (x, y) in places.items():
        kind, label = (' class="question"', question) if node == _QUESTION else ("", node)
        lines.append(
            f'<g><title>{_escaped(label)}</title><circle{kind} cx="{x:.0f}" cy="{y:.0f}" r="{_NODE}"/>'
            f'<text x="{x:.0f}" y="{y - 12:.0f}" text-anchor="middle">{_escaped(_short(label))}</text></g>'
        )
    return "\n".join([*lines, "</svg>"])


def _placed(edges: Sequence[Edge]) -> dict[str, tuple[float, float]]:
    """Nodes on circles around the question, by their distance from it."""
    distance = {_QUESTION: 0}
    for edge in edges:
        distance.setdefault(edge.target, distance.get(edge.source, 0) + 1)
    rings: dict[int, list[str]] = {}
    for node, ring in distance.items():
        rings.setdefault(ring, []).append(node)
    return {
        node: (
            ring * _RADIUS * math.cos(2 * math.pi * (at + ring / 2) / len(nodes)),
            ring * _RADIUS * math.sin(2 * math.pi * (at + ring / 2) / len(nodes)),
        )
        for ring, nodes in rings.items()
        for at, node in enumerate(nodes)
    }


def _path(hit: Hit) -> Sequence[Mapping[str, str]]:
    """A hit without a path was found as ``hybrid`` does."""
    path: Sequence[Mapping[str, str]] = hit["metadata"].get(PATH) or [
        {"by": hit["source"], "name": "", "doc_id": hit["doc_id"]}
    ]
    return path


def _why(step: Mapping[str, str]) -> str:
    return f"{step['by']} “{step['name']}”" if step["name"] else step["by"]


def _short(text: str) -> str:
    return text if len(text) <= _MOST_LABEL_CHARS else f"{text[: _MOST_LABEL_CHARS - 1]}…"


def _escaped(text: str) -> str:
    return html.escape(clean(text), quote=True)
