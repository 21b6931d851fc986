"""Regular expressions and plain strings over documents, in time linear in their length (re2).

Patterns may come from a model, so an engine that backtracks is out of the question. ``\\w``, ``\\d`` and ``\\s`` know
all of Unicode here, and so does ``\\b``. ``^`` and ``$`` stand for the ends of each line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import closing
from itertools import chain
from typing import NamedTuple

import re2

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.text.boundaries import Span
from langgraph_rlm.text.clock import Clock
from langgraph_rlm.text.lines import Cursor, Data, count_chars
from langgraph_rlm.text.plan import Plan, plan_of
from langgraph_rlm.text.scan import count, scan
from langgraph_rlm.types import Hit

LONG_LINE = 500
"""Characters from which on a hit is a window and not whole lines."""
WINDOW = 200
"""Characters shown on each side of a match in a long line."""
LONGEST_HIT = 10_000
"""Characters of a match that are shown; its true end is in ``metadata["match"]``."""

MOST_CHARS = 32_000_000
"""Characters of all hits of a search together; a hundred thousand hits with hundreds of lines each would fill the memory."""

_MOST_BYTES = 4  # of one character
_SMALL = 1 << 16
"""Bytes of a document up to which a copy costs less than views."""
_LOOK = (LONG_LINE + 1) * _MOST_BYTES
_LF, _CR = 0x0A, 0x0D


class Hits(list[Hit]):
    """Hits in the order of the text, and how complete they are.

    Args:
        hits: the hits.
        seen: matches met; one more than there are hits when the search stopped at ``max_matches``.
        complete: everything was looked at, so that there is no further match.
    """

    def __init__(self, hits: Iterable[Hit] = (), *, seen: int = 0, complete: bool = True) -> None:
        super().__init__(hits)
        self.seen = seen
        self.complete = complete


class Searched(NamedTuple):
    """A document to search in; a plain pair of id and UTF-8 bytes is one too, of which less is known.

    ``far`` tells character offset and line number of a byte offset. ``windows`` tells in which byte spans a plan's matches
    can be, or None when it does not know.
    """

    doc_id: str
    data: Data
    far: Callable[[int], tuple[int, int]] | None = None
    windows: Callable[[Plan], list[Span] | None] | None = None

    def where(self, plan: Plan) -> list[Span] | None:
        """The windows for a plan."""
        return None if self.windows is None else self.windows(plan)


Documents = Iterable[tuple[str, Data] | Searched]


class Count(NamedTuple):
    """How many matches were found, and whether everything was looked at."""

    matches: int
    complete: bool


def grep_documents(
    documents: Documents,
    pattern: str,
    *,
    max_matches: int = 20,
    before: int = 0,
    after: int = 0,
    ignore_case: bool = False,
    deadline: float | None = 1.0,
) -> Hits:
    """Matches of a regular expression, each as one hit.

    A hit spans the whole line or lines of its match, without the last line end, and ``before`` and ``after`` further
    lines. Where these lines have more than 500 characters it reaches at most 200 characters to each side of the match.
    ``metadata`` holds ``match``, the ``[start, end]`` of the match in characters, and ``match_line``, its line number.

    Args:
        documents: pairs of document id and UTF-8 bytes, or :class:`Searched`.
        pattern: a regular expression in Python's syntax, without lookaround and backreferences.
        max_matches: the search stops here (or at 32 million characters of hits); whether there are more is still found out.
        before: further lines before each match.
        after: further lines after it.
        ignore_case: upper and lower case are the same.
        deadline: seconds after which the search stops; None for no end. It ends within twice this time: a pattern that would
            take longer at a long line is not looked for there, and the hits are not ``complete``.

    Raises:
        PatternError: the pattern is refused.
        InvalidInput: another argument is not usable.

    Example:
        >>> [hit["text"] for hit in grep_documents([("a", b"one\\ntwo\\n")], "^t")]
        ['two']
    """
    return _run(documents, plan_of(pattern, ignore_case), "grep", max_matches, before, after, deadline)


def search_documents(
    documents: Documents,
    text: str,
    *,
    max_matches: int = 20,
    before: int = 0,
    after: int = 0,
    ignore_case: bool = False,
    deadline: float | None = 1.0,
) -> Hits:
    """Places of a plain string; arguments and hits as in :func:`grep_documents`.

    Raises:
        InvalidInput: an empty ``text`` or an argument that is not usable.
    """
    if not isinstance(text, str) or not text:
        raise InvalidInput("search: text must be a str that is not empty")
    if not is_encodable(text):
        raise InvalidInput(f"search: text {text!r} holds a lone surrogate, which no document has")
    return _run(documents, plan_of_text(text, ignore_case), "search", max_matches, before, after, deadline)


def plan_of_text(text: str, ignore_case: bool = False) -> Plan:
    """The plan of a plain string."""
    return plan_of(re2.escape(text), ignore_case)


def count_documents(
    documents: Documents, pattern: str, *, ignore_case: bool = False, deadline: float | None = None
) -> Count:
    """How many matches there are; arguments as in :func:`grep_documents`.

    Raises:
        PatternError: the pattern is refused.

    Example:
        >>> count_documents([("a", b"one two"), ("b", b"two")], "t").matches
        2
    """
    plan, over, found = plan_of(pattern, ignore_case), Clock(deadline), 0
    for document in documents:
        one = Searched(*document)
        found += count(plan, one.data, over, one.where(plan))
        if over():
            return Count(found, False)
    return Count(found, True)


def _run(
    documents: Documents,
    plan: Plan,
    source: str,
    max_matches: int,
    before: int,
    after: int,
    deadline: float | None,
) -> Hits:
    for name, value, least in (("max_matches", max_matches, 1), ("before", before, 0), ("after", after, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidInput(f"{source}: {name} must be a whole number of at least {least}, not {value!r}")
    over, hits, room = Clock(deadline), Hits(), MOST_CHARS
    for document in documents:
        one = Searched(*document)
        doc_id, data = one.doc_id, one.data
        if len(data) <= _SMALL:
            data = bytes(data)  # its pieces cost less than those of a view
        cursor = Cursor(data, one.far)
        with closing(scan(plan, data, over, max_matches - len(hits) + 1, one.where(plan))) as found:
            for match in chain.from_iterable(found):
                hits.seen += 1
                if len(hits) == max_matches or room <= 0:
                    hits.complete = False
                    return hits
                hits.append(_hit(doc_id, data, cursor, match, before, after, source, rank=len(hits)))
                room -= len(hits[-1]["text"])
                if over.late:
                    hits.complete = False
                    return hits
        if over():
            hits.complete = False
            return hits
    return hits


def _hit(
    doc_id: str, data: Data, cursor: Cursor, match: tuple[int, int], before: int, after: int, source: str, rank: int
) -> Hit:
    first, last = match
    char, line = cursor.to(first)
    if not (before or after) and (place := _plain_line(data, first, last)):
        lead_chars, match_chars, text = place
        start = char - lead_chars
        return {  # a call of Hit takes twice as long
            "doc_id": doc_id,
            "start": start,
            "end": start + len(text),
            "text": text,
            "score": 1.0,
            "rank": rank,
            "line": line,
            "source": source,
            "metadata": {"match": [char, char + match_chars], "match_line": line},
        }
    match_chars = count_chars(data[first:last])
    head, head_whole = _line_before(data, first)
    tail, tail_whole = ("", True) if last > first and data[last - 1] == _LF else _line_after(data, last)
    start, end = first - len(head.encode()), last + len(tail.encode())
    if match_chars > LONGEST_HIT:
        end, tail_whole = first + _bytes_of(data, first, LONGEST_HIT), False
    if len(head) + match_chars + len(tail) > LONG_LINE:
        head_whole, tail_whole = head_whole and len(head) <= WINDOW, tail_whole and len(tail) <= WINDOW
        start = first - len(head[-WINDOW:].encode())
        end = min(end, last + len(tail[:WINDOW].encode()))
    for _ in range(before if head_whole else 0):
        further, whole = _line_before(data, start - 1)
        if start == 0 or not whole or len(further) > LONG_LINE:
            break
        start -= len(further.encode()) + 1
    for _ in range(after if tail_whole else 0):
        begin = end if end > 0 and data[end - 1] == _LF and end == last > first else _next_line(data, end)
        further, whole = _line_after(data, begin)
        if begin >= len(data) or not whole or len(further) > LONG_LINE:
            break
        end = begin + len(further.encode())
    lead = bytes(data[start:first])
    text = bytes(data[start:end]).decode()
    begins = char - len(lead.decode())
    return Hit(
        doc_id=doc_id,
        start=begins,
        end=begins + len(text),
        text=text,
        score=1.0,
        rank=rank,
        line=line - lead.count(b"\n"),
        source=source,
        metadata={"match": [char, char + match_chars], "match_line": line},
    )


def _plain_line(data: Data, first: int, last: int) -> tuple[int, int, str] | None:
    """The short way for the usual hit, a short line: characters before the match in it, of the match, and its text."""
    if isinstance(data, bytes):
        start = data.rfind(b"\n", max(0, first - LONG_LINE - 1), first) + 1
        end = data.find(b"\n", max(0, last - 1), start + LONG_LINE + 1)
        line = data[start:end]
        if start <= end and last <= end and (start or first <= LONG_LINE) and line.isascii() and data[end - 1] != _CR:
            return first - start, last - first, line.decode()
    begin = max(0, first - LONG_LINE)
    block = bytes(data[begin : last + LONG_LINE])
    start = block.rfind(b"\n", 0, first - begin) + 1
    end = block.find(b"\n", max(0, last - begin - 1))
    if end - start > LONG_LINE or end < last - begin or not (start or begin == 0) or block[end - 1] == _CR:
        return None
    line = block[start:end]
    if line.isascii():
        return first - begin - start, last - first, line.decode()
    return len(block[start : first - begin].decode()), len(block[first - begin : last - begin].decode()), line.decode()


def _line_before(data: Data, at: int) -> tuple[str, bool]:
    """The line up to the byte offset ``at``, and whether that is all of it; of a long line only its last part."""
    start = max(0, at - _LOOK)
    block = bytes(data[start:at]) if at > 0 else b""
    newline = block.rfind(b"\n")
    return block[newline + 1 :].decode(errors="ignore"), newline >= 0 or start == 0


def _line_after(data: Data, at: int) -> tuple[str, bool]:
    """The line from the byte offset ``at`` without its end, and whether that is all of it."""
    block = bytes(data[at : at + _LOOK])
    newline = block.find(b"\n")
    if newline < 0:
        return block.decode(errors="ignore"), at + _LOOK >= len(data)
    return block[: newline - (newline > 0 and block[newline - 1] == _CR)].decode(), True


def _next_line(data: Data, end: int) -> int:
    """Where the line behind a line's text begins; the size of the data when there is none."""
    return end + 1 + (bytes(data[end : end + 1]) == b"\r")


def _bytes_of(data: Data, start: int, chars: int) -> int:
    """Bytes of so many characters from the byte offset ``start``."""
    return len(bytes(data[start : start + chars * _MOST_BYTES]).decode(errors="ignore")[:chars].encode())


def is_encodable(text: str) -> bool:
    """Whether a text has no lone surrogate."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
