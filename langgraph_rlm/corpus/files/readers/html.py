"""HTML as it reads, with the parser of a browser (lexbor): every page has a head and a body, whatever is missing in it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from selectolax.lexbor import LexborHTMLParser

_SILENT = frozenset({"script", "style", "template", "noscript", "title", "desc", "metadata", "iframe"})
_LINES = frozenset(
    [
        "address",
        "article",
        "aside",
        "blockquote",
        "br",
        "dd",
        "details",
        "dialog",
        "div",
        "dl",
        "dt",
        "fieldset",
        "figcaption",
        "figure",
        "footer",
        "form",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "h6",
        "header",
        "hgroup",
        "hr",
        "li",
        "main",
        "nav",
        "ol",
        "option",
        "p",
        "pre",
        "section",
        "summary",
        "table",
        "tr",
        "td",
        "th",
        "caption",
        "ul",
    ]
)
_FOREIGN = frozenset({"svg", "math"})
_TEXT = "-text"


def html_text(html: str | bytes) -> tuple[str, str]:
    """The text of a page as it reads, block by block on lines of its own, and its title.

    Example:
        >>> html_text("<title>T</title><h1>Tea</h1><p>is&nbsp;<b>hot</b></p>")
        ('Tea\\nis hot\\n', 'T')
    """
    pieces: list[str] = []
    title: str | None = None
    foreign = 0  # elements of other languages around the place: a drawing has titles of its own
    for node, begins in _walked(LexborHTMLParser(html).root):
        tag = node.tag
        if tag == _TEXT:
            pieces.append(node.text_content or "")
            continue
        if tag in _LINES:
            pieces.append("\n")
        elif tag in _FOREIGN:
            foreign += 1 if begins else -1
        elif tag == "title" and begins and not foreign and title is None:
            title = node.text()
    lines = (" ".join(line.split()) for line in "".join(pieces).splitlines())
    text = "\n".join(line for line in lines if line)
    return (text + "\n" if text else ""), " ".join((title or "").split())


def _walked(root: Any) -> Iterator[tuple[Any, bool]]:
    """Nodes in the order of the page: elements where they begin (True) and where they end (False), and their texts.

    Not by recursion: pages are nested as deep as somebody likes.
    """
    node, end = root, root.parent.mem_id
    while node.mem_id != end:
        yield node, True
        below = None if node.tag in _SILENT else node.first_child
        while below is None and node.mem_id != end:
            if node.tag != _TEXT:
                yield node, False
            below = node.next
            if below is None:
                node = node.parent
                if node.mem_id == end:
                    return
        node = below
