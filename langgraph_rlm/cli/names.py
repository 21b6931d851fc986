"""How a question's hops look: as a tree in the terminal, and as a drawing that needs no network."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from rich.tree import Tree

from langgraph_rlm.cli.cleaning import clean
from langgraph_rlm.cli.drawing import STYLE, Edge, drawing, escaped
from langgraph_rlm.cli.render import plain
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.names.hopping import PATH
from langgraph_rlm.types import Hit

_MOST_NEAR = 4
"""Further documents drawn around each one of the paths."""
_POLICY = "default-src 'none'; style-src 'unsafe-inline'"
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 80rem; padding: 0 1rem; color: #222; background: #fff }
h1 { font-size: 1.4rem } h2 { font-size: 1.1rem } pre { white-space: pre-wrap; background: #f6f6f6; padding: .5rem }
@media (prefers-color-scheme: dark) { body { color: #ddd; background: #181818 } pre { background: #252525 } }
"""


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


def edges_of(question: str, hits: Sequence[Hit]) -> Iterator[Edge]:
    """Each step of the paths once."""
    seen: set[tuple[str, str]] = set()
    for hit in hits:
        source = question
        for step in _path(hit):
            if (source, step["doc_id"]) not in seen and source != step["doc_id"]:
                seen.add((source, step["doc_id"]))
                yield Edge(source, step["doc_id"], _why(step))
            source = step["doc_id"]


def neighbourhood(corpus: Corpus, edges: Sequence[Edge]) -> list[Edge]:
    """These steps, and what else the documents on the way mention or are mentioned by, a few each."""
    known = {edge.source for edge in edges} | {edge.target for edge in edges}
    more: list[Edge] = []
    for doc_id in dict.fromkeys(edge.target for edge in edges):
        links = corpus.links(doc_id)
        near = [
            Edge(doc_id, one["doc_id"], f"{by} “{one['name']}”", near=True)
            for by, found in (("mentions", links["mentions"]), ("mentioned by", links["mentioned_by"]))
            for one in found
            if one["doc_id"] not in known
        ]
        chosen = list({edge.target: edge for edge in reversed(near)}.values())[::-1][:_MOST_NEAR]
        known |= {edge.target for edge in chosen}
        more += chosen
    return [*edges, *more]


def hops_page(question: str, hits: Sequence[Hit], edges: Sequence[Edge]) -> str:
    """A page of HTML with a drawing of the neighbourhood and the hits below; no scripts, everything escaped.

    Args:
        question: what was asked.
        hits: of ``mode="hop"``.
        edges: what to draw.
    """
    texts = "\n".join(map(_section, hits))
    return (
        '<!doctype html>\n<html><head><meta charset="utf-8">\n'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">\n'
        f"<title>{escaped(question)}</title>\n<style>{_STYLE}{STYLE}</style></head>\n"
        f"<body><h1>{escaped(question)}</h1>\n{drawing(question, edges)}\n{texts}\n</body></html>\n"
    )


def _section(hit: Hit) -> str:
    trail = " → ".join(f"{_why(step)}: {step['doc_id']}" for step in _path(hit))
    title = f"{hit['rank'] + 1}. {hit['doc_id']}"
    return f"<h2>{escaped(title)}</h2>\n<p>{escaped(trail)}</p>\n<pre>{escaped(hit['text'])}</pre>"


def _path(hit: Hit) -> Sequence[Mapping[str, str]]:
    """A hit without a path was found as ``hybrid`` does."""
    path: Sequence[Mapping[str, str]] = hit["metadata"].get(PATH) or [
        {"by": hit["source"], "name": "", "doc_id": hit["doc_id"]}
    ]
    return path


def _why(step: Mapping[str, str]) -> str:
    return f"{step['by']} “{step['name']}”" if step["name"] else step["by"]
