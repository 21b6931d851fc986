"""Regular expressions and plain strings over documents, in time linear in their length (re2).

Patterns may come from a model, so an engine that backtracks is out of the question. ``\\w``, ``\\d`` and ``\\s`` know
all of Unicode here; ``\\b`` is ASCII, as re2 has it. ``^`` and ``$`` stand for the ends of each line.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import Any

import re2

from langgraph_rlm.errors import InvalidInput, PatternError
from langgraph_rlm.text.lines import Cursor, Data, count_chars
from langgraph_rlm.text.patterns import LINE_END, translate
from langgraph_rlm.types import Hit

LONG_LINE = 500
"""Characters from which on a hit is a window and not whole lines."""
WINDOW = 200
"""Characters shown on each side of a match in a long line."""
LONGEST_HIT = 10_000
"""Characters of a match that are shown; its true end is in ``metadata["match"]``."""

MOST_CHARS = 32_000_000
"""Characters of all hits of a search together; a hundred thousand hits with hundreds of lines each would fill the memory."""
MOST_PATTERN_CHARS = 20_000

_MAX_MEMORY = 64 << 20
_MOST_BYTES = 4  # of one character
_LOOK = (LONG_LINE + 1) * _MOST_BYTES
_LF, _CR = 0x0A, 0x0D
_LINE_END = LINE_END.encode()


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


def compile_pattern(pattern: str, ignore_case: bool = False) -> Any:
    """A compiled re2 pattern over UTF-8 bytes.

    Args:
        pattern: a regular expression in Python's syntax, without lookaround and backreferences.
        ignore_case: upper and lower case are the same.

    Raises:
        PatternError: the engine refuses it; the message says what to write instead.
    """
    if not isinstance(pattern, str):
        raise InvalidInput(f"pattern: expected a str, got {type(pattern).__name__}")
    if len(pattern) > MOST_PATTERN_CHARS:
        raise PatternError(f"a pattern of {len(pattern):,} characters is too long (at most {MOST_PATTERN_CHARS:,})")
    options = re2.Options()
    options.log_errors = False
    options.max_mem = _MAX_MEMORY
    options.case_sensitive = not ignore_case
    translated = translate(pattern)
    try:
        return re2.compile(b"(?m)" + translated.encode(), options)
    except UnicodeEncodeError:
        raise PatternError(f"pattern {pattern!r} holds a lone surrogate, which no text has") from None
    except re2.error as error:
        reason = error.args[0].decode(errors="replace") if error.args else "not a regular expression"
        reason = reason.replace("(?m)", "", 1)  # ours
        raise PatternError(f"pattern {pattern!r} is not usable: {reason}{_advice(reason)}") from None


def grep_documents(
    documents: Iterable[tuple[str, Data]],
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
        documents: pairs of document id and UTF-8 bytes.
        pattern: see :func:`compile_pattern`.
        max_matches: the search stops here (or at 32 million characters of hits); whether there are more is still found out.
        before: further lines before each match.
        after: further lines after it.
        ignore_case: upper and lower case are the same.
        deadline: seconds after which the search stops between two matches or documents; None for no end.

    Raises:
        PatternError: the pattern is refused.
        InvalidInput: another argument is not usable.

    Example:
        >>> [hit["text"] for hit in grep_documents([("a", b"one\\ntwo\\n")], "^t")]
        ['two']
    """
    return _run(documents, compile_pattern(pattern, ignore_case), "grep", max_matches, before, after, deadline)


def search_documents(
    documents: Iterable[tuple[str, Data]],
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
    if not _encodable(text):
        raise InvalidInput(f"search: text {text!r} holds a lone surrogate, which no document has")
    compiled = compile_pattern(re2.escape(text), ignore_case)
    return _run(documents, compiled, "search", max_matches, before, after, deadline)


def _run(
    documents: Iterable[tuple[str, Data]],
    compiled: Any,
    source: str,
    max_matches: int,
    before: int,
    after: int,
    deadline: float | None,
) -> Hits:
    for name, value, least in (("max_matches", max_matches, 1), ("before", before, 0), ("after", after, 0)):
        if isinstance(value, bool) or not isinstance(value, int) or value < least:
            raise InvalidInput(f"{source}: {name} must be a whole number of at least {least}, not {value!r}")
    stop = None if deadline is None else time.monotonic() + deadline
    hits, room = Hits(), MOST_CHARS
    for doc_id, data in documents:
        cursor = Cursor(data)
        for match in _matches(compiled, data):
            hits.seen += 1
            if len(hits) == max_matches or room <= 0:
                hits.complete = False
                return hits
            hits.append(_hit(doc_id, data, cursor, match, before, after, source, rank=len(hits)))
            room -= len(hits[-1]["text"])
            if stop is not None and time.monotonic() > stop:
                hits.complete = False
                return hits
        if stop is not None and time.monotonic() > stop:
            hits.complete = False
            return hits
    return hits


def _matches(compiled: Any, data: Data) -> Iterator[tuple[int, int]]:
    """Byte spans of the matches; an empty one neither inside a character nor right behind another match."""
    last, size = -1, len(data)
    ends_lines = _LINE_END in compiled.pattern
    for match in compiled.finditer(data):
        start, end = match.span()
        if start < end:
            last = end
            if ends_lines and end < size and data[end] == _LF and data[end - 1] == _CR:
                end -= 1  # `$` was widened to take the CR of the line end, which belongs to no match
            yield start, end
        elif start != last and not (start < size and _inside(data[start])):  # re2 offers some of these twice
            last = end
            yield start, end


def _inside(byte: int) -> bool:
    return byte & 0xC0 == 0x80


def _hit(
    doc_id: str, data: Data, cursor: Cursor, match: tuple[int, int], before: int, after: int, source: str, rank: int
) -> Hit:
    first, last = match
    char, line = cursor.to(first)
    if not (before or after) and (place := _plain_line(data, first, last)):
        lead_chars, match_chars, text = place
        start = char - lead_chars
        metadata = {"match": [char, char + match_chars], "match_line": line}
        return Hit(
            doc_id=doc_id,
            start=start,
            end=start + len(text),
            text=text,
            score=1.0,
            rank=rank,
            line=line,
            source=source,
            metadata=metadata,
        )
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


def _encodable(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _advice(reason: str) -> str:
    return next((f". {advice}" for part, advice in _ADVICE.items() if part in reason), "")


_ADVICE = {
    "bad repetition operator": "Possessive quantifiers are not available and not needed: every pattern takes linear time",
    "(?>": "Atomic groups are not available and not needed: write (?:…)",
    "(?x": "Verbose patterns are not available: write it without the blanks and comments",
    "repetition size": "Repeat at most 1000 times",
    "too large": "Make the repetitions smaller, or drop them and check the length of the hits afterwards",
    "invalid escape": "Write the character itself, or \\x{1F600} with its code point",
}
