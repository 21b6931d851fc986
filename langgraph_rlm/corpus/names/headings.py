"""Headings: where a text says what the text below is about, in Markdown, reStructuredText, HTML and by a title on the first line."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from langgraph_rlm.corpus.names.code_definitions import CODE
from langgraph_rlm.corpus.names.naming import MOST_NAME_CHARS

TITLE = 0
"""The level of what names the whole document."""

_SENTENCE_END = re.compile(r"[.:;,]\s*$")
# Fences come first, so that a comment in an example is no heading.
_MARKDOWN = re.compile(
    r"^(?P<fence>```|~~~).*?^(?P=fence)|^(?P<marks>\#{1,6})[ \t]+(?P<heading>[^\n]++)$"
    r"|^(?P<over>[^\s#>|*+=~-][^\n]{0,159})\n(?P<line>={3,}|-{3,}|~{3,}|\^{3,}|\"{3,})[ \t]*$"
    r"|^\.\.[ ]_(?P<target>[^:\n]+):[ \t]*$",
    re.MULTILINE | re.DOTALL,
)
_MARKDOWN_ANCHOR = re.compile(r"(?:(?<!\s)\s++)?+\{#([\w.:-]++)\}\s*+$")
_UNDERLINES = {"=": 1, "-": 2, "~": 3, "^": 4, '"': 5}
_HTML = re.compile(
    r"<h(?P<level>[1-6])\b(?P<inside>[^<>]{0,400})>(?P<heading>.{1,400}?)</h(?P=level)\s*>|<title[^<>]{0,400}>(?P<title>[^<]{1,400})</title"
    r"|<[a-z][a-z0-9]*\b[^<>]{0,400}?\s(?:id|name)=[\"'](?P<anchor>[\w.:-]{3,80})[\"']",
    re.IGNORECASE | re.DOTALL,
)
_HTML_ANCHOR = re.compile(r"\b(?:id|name)=[\"']([\w.:-]{3,80})[\"']", re.IGNORECASE)
_TAG = re.compile(r"<[^<>]*>")
_INLINE = re.compile(r"!?\[([^\[\]]*)\]\([^()\s]*\)|[`*]|(?<!\w)_|_(?!\w)")


class Heading(NamedTuple):
    """A heading of a text."""

    start: int
    """Of its line, in characters …"""
    end: int
    """… to the end of it, and of what underlines it."""
    level: int
    """1 for the highest; :data:`TITLE` for what names the whole document."""
    text: str
    """Without its marks, on one line."""


class Anchor(NamedTuple):
    """A place that others link to."""

    start: int
    end: int
    text: str


def headings_of(text: str, language: str | None) -> list[Heading]:
    """The headings of a text, in order; none of code.

    Args:
        text: the text.
        language: as :func:`langgraph_rlm.corpus.languages.language_of` has it.

    Example:
        >>> [(one.level, one.text) for one in headings_of("Handbook\\n\\n# Leave\\n\\n16 weeks.", None)]
        [(0, 'Handbook'), (1, 'Leave')]
    """
    return sorted(one for one in marks_of(text, language) if isinstance(one, Heading))


def marks_of(text: str, language: str | None) -> Iterator[Heading | Anchor]:
    """Headings and anchors, those of one kind in order."""
    if language in CODE:
        return
    if (title := first_line(text)) is not None:
        start = text.index(title)
        yield Heading(start, start + len(title), TITLE, title)
    if language == "html" or "</h" in text or "</H" in text:
        yield from _of_html(text)
    if language != "html" and _may_hold_headings(text):
        yield from _of_markdown(text)


def first_line(text: str) -> str | None:
    """The first line of a text when it looks like a title: short, no sentence, and more text follows."""
    line, _, rest = text[: MOST_NAME_CHARS + 200].lstrip("\ufeff\n").partition("\n")
    line = line.strip()
    rest = rest.lstrip()
    if not line or not rest or len(line) > MOST_NAME_CHARS or _SENTENCE_END.search(line) or line[0] in "#<{[|>*-=/":
        return None
    # a sentence that was broken into lines goes on in small letters
    return None if rest[0].islower() and line[0].isupper() and " " in line and len(line) > 60 else line


def sections(headings: Sequence[Heading], end: int) -> list[int]:
    """Where the section of each heading ends: at the next one of its level or above; a title's with the text.

    Example:
        >>> sections([Heading(0, 3, 1, "A"), Heading(9, 13, 2, "B"), Heading(20, 23, 1, "C")], 40)
        [20, 20, 40]
    """
    open_: list[int] = []
    ends = [end] * len(headings)
    for number, one in enumerate(headings):
        while one.level != TITLE and open_ and headings[open_[-1]].level >= one.level:
            ends[open_.pop()] = one.start
        open_.append(number)
    return ends


def paths_at(headings: Sequence[Heading], places: Sequence[int]) -> list[tuple[str, ...]]:
    """The headings above each of these places, the outermost first.

    Args:
        headings: of a text, in order.
        places: in its characters, rising.

    Example:
        >>> paths_at([Heading(0, 3, 1, "A"), Heading(9, 13, 2, "B"), Heading(20, 23, 1, "C")], [4, 15, 22])
        [('A',), ('A', 'B'), ('C',)]
    """
    found: list[tuple[str, ...]] = []
    open_: list[Heading] = []
    at = 0
    for place in places:
        while at < len(headings) and headings[at].start <= place:
            one = headings[at]
            open_ = [above for above in open_ if above.level < one.level]
            open_.append(one)
            at += 1
        found.append(tuple(dict.fromkeys(one.text for one in open_)))
    return found


def _may_hold_headings(text: str) -> bool:
    marks = ("\n#", "\n===", "\n---", "\n~~~", "\n^^^", '\n"""', "\n.. _")
    return text.startswith("#") or any(mark in text for mark in marks)


def _of_markdown(text: str) -> Iterator[Heading | Anchor]:
    for match in _MARKDOWN.finditer(text):
        if (target := match["target"]) is not None:
            yield Anchor(match.start(), match.end(), target)
            continue
        heading = match["heading"].rstrip(" \t#") if match["heading"] else match["over"]
        if heading is None or len(heading) > 2 * MOST_NAME_CHARS:
            continue
        anchor = _MARKDOWN_ANCHOR.search(heading)
        if anchor is not None:
            heading = heading[: anchor.start()]
            yield Anchor(match.start(), match.end(), anchor[1])
        level = len(match["marks"]) if match["marks"] else _UNDERLINES[match["line"][0]]
        plain = _INLINE.sub(lambda one: one[1] or "", heading)
        yield Heading(match.start(), match.end(), level, " ".join(plain.split()))


def _of_html(text: str) -> Iterator[Heading | Anchor]:
    for match in _HTML.finditer(text):
        if match["heading"] is not None:
            if (inside := _HTML_ANCHOR.search(match["inside"])) is not None:
                yield Anchor(match.start(), match.end(), inside[1])
            plain = " ".join(html.unescape(_TAG.sub(" ", match["heading"])).split())
            yield Heading(match.start(), match.end(), int(match["level"]), plain)
        elif match["title"] is not None:
            yield Heading(match.start(), match.end(), TITLE, " ".join(html.unescape(match["title"]).split()))
        else:
            yield Anchor(match.start(), match.end(), match["anchor"])
