"""Cuts a text into chunks with exact places: every chunk is ``text[start:end]``.

LangChain's splitter says where to cut. It is asked for parts that lie side by side and cover the text, because a place
found by searching for a chunk's text is wrong where a text repeats itself; overlap and trimming are done on places.

The splitter knows no headings: it would cut a title off a paragraph that is longer than a chunk. So it is shown a text of the
same length in which the white space between a heading and what stands below it is no place to cut.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator

from langchain_text_splitters import Language, RecursiveCharacterTextSplitter

from langgraph_rlm.corpus.names.code_definitions import CODE
from langgraph_rlm.corpus.names.headings import headings_of
from langgraph_rlm.errors import InvalidInput

CHUNK_SIZE = 800
"""Characters: some 200 tokens, which every embedding model reads whole."""
CHUNK_OVERLAP = 200
"""Characters: a sentence or two, so that what a border cuts stands whole in one of the chunks."""

_JOINT = "\ue000"
"""In the place of white space where no cut may fall; private to us, and never stored."""
_LONE = re.compile(r"(?:\A|\n[ \t\r]*\n)(?P<line>[ \t]*[^\s][^\n]{0,79})(?=\n\s*\S)")
"""A line alone above a text, as captions and headings without marks are; up to 80 characters, the width of a page."""
_TAGS = re.compile(r"(?:\s|<(?!/?(?:h[1-6]|title)\b)[^<>]{0,400}>)*+", re.IGNORECASE)
"""Between a heading of HTML and the text below it."""
_GAP = re.compile(r"\s|(?<!\A)<")
"""Where the splitter may cut: at white space, and before a tag."""
_SENTENCE_END = re.compile(r"[.;,!?]\s*\Z")


def chunk_text(
    text: str, *, size: int = CHUNK_SIZE, overlap: int = CHUNK_OVERLAP, language: str | None = None
) -> list[tuple[int, int]]:
    """The places of a text's chunks, in order; together they hold everything but white space.

    Titles and headings go with the text below them, where there is some and they take at most half of a chunk.

    Args:
        text: the text.
        size: most characters that a chunk adds to the one before.
        overlap: most characters that it repeats of the one before, in front; they begin at a line or word.
        language: a name of :func:`langgraph_rlm.corpus.languages.language_of`; cuts then fall between functions, classes or headings.

    Returns:
        Pairs ``(start, end)``; none for a text of white space.

    Raises:
        InvalidInput: ``overlap`` is not smaller than ``size``, or either is not a number.

    Example:
        >>> chunk_text("one two", size=4, overlap=0)
        [(0, 3), (4, 7)]
    """
    check_sizes(size, overlap)
    places: list[tuple[int, int]] = []
    for cut, cut_end in _cuts(text, size, language):
        start, end = cut, cut_end
        while end > start and text[end - 1].isspace():
            end -= 1
        while start < end and text[start].isspace():
            start += 1
        if start == end:
            continue
        if places and overlap:
            start = _widened(text, start, max(places[-1][0] + 1, start - overlap))
        places.append((start, end))
    return places


def check_sizes(size: int, overlap: int) -> None:
    """Refuse sizes that make no chunks.

    Raises:
        InvalidInput: naming the value.
    """
    for name, value, least in (("chunk size", size, 1), ("chunk overlap", overlap, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidInput(f"{name} must be a whole number of at least {least}, not {value!r}")
    if overlap >= size:
        raise InvalidInput(f"chunk overlap ({overlap}) must be smaller than the chunk size ({size})")


def _cuts(text: str, size: int, language: str | None) -> Iterator[tuple[int, int]]:
    """Parts side by side that make up the whole text, each of at most ``size`` characters."""
    if len(text) <= size:
        yield 0, len(text)
        return
    joined = _joined(text, size, language)
    parts = _splitter(size, language).split_text(joined)
    if "".join(parts) != joined:  # a language whose separators swallow characters
        parts = _splitter(size, None).split_text(joined)
    at = 0
    for part in parts:
        for start in range(at, at + len(part), size):
            yield start, min(start + size, at + len(part))
        at += len(part)


def _joined(text: str, size: int, language: str | None) -> str:
    """The text with no white space to cut at within headings, and between them and what they stand above."""
    lines = [] if language in CODE else _heads(text, language)
    pieces: list[str] = []
    at = first = behind = 0  # copied so far; where a run of headings begins, and where the text below it does
    for start, end in lines:
        below = _TAGS.match(text, end).end() if language == "html" else _next_text(text, end)  # type: ignore[union-attr]
        if start != behind:
            first = start
        if below - first > size // 2:  # so many headings, one below the other, that no text fits under them
            first = start
            if below - first > size // 2:
                continue
        if start < at:
            continue
        if below == len(text):  # nothing stands below it
            while start > at and text[start - 1].isspace():
                start -= 1
        pieces += [text[at:start], _GAP.sub(_JOINT, text[start:below])]
        at = behind = below
    return "".join(pieces) + text[at:]


def _heads(text: str, language: str | None) -> list[tuple[int, int]]:
    """Where headings stand, with lines that look like one; in order, and apart."""
    found = [(one.start, one.end) for one in headings_of(text, language)]
    found += [
        match.span("line")
        for match in _LONE.finditer(text)
        if language != "html" and not _SENTENCE_END.search(match["line"])
    ]
    apart: list[tuple[int, int]] = []
    for start, end in sorted(found, key=lambda one: (one[0], -one[1])):
        if not apart or start >= apart[-1][1]:
            apart.append((start, end))
    return apart


def _next_text(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _widened(text: str, start: int, least: int) -> int:
    """Moves a start back to the first line that begins from ``least`` on, else to the first word, else all the way."""
    for mark in ("\n", " "):
        found = text.find(mark, max(0, least - 1), start)
        while 0 <= found < start:
            begin = found + 1
            while begin < start and text[begin].isspace() and text[begin] != "\n":
                begin += 1
            if begin < start and not text[begin].isspace():
                return begin if mark == " " else found + 1
            found = text.find(mark, begin, start)
    while least < start and text[least].isspace():
        least += 1
    return least


@functools.lru_cache(maxsize=64)
def _splitter(size: int, language: str | None) -> RecursiveCharacterTextSplitter:
    if language is None:
        return RecursiveCharacterTextSplitter(chunk_size=size, chunk_overlap=0, strip_whitespace=False)
    return RecursiveCharacterTextSplitter.from_language(
        Language(language), chunk_size=size, chunk_overlap=0, strip_whitespace=False
    )
