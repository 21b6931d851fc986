"""How a pattern is searched for: what is compiled, and which short ways there are."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Any

import ahocorasick_rs
import numpy as np
import re2

from langgraph_rlm.errors import InvalidInput, PatternError
from langgraph_rlm.text.boundaries import Edges, Marked, Span
from langgraph_rlm.text.effort import CERTAINLY_SMALL, MOST_PROGRAM_BYTES, Effort, effort_of
from langgraph_rlm.text.lines import Data
from langgraph_rlm.text.literals import literals_of
from langgraph_rlm.text.patterns import LINE_END, tokens

MOST_PATTERN_CHARS = 20_000
"""What models write has some hundred; taking apart more takes longer than searching."""

_ANYWHERE = getattr(getattr(re2, "_Anchor", None), "UNANCHORED", None)
_MAX_MEMORY = 64 << 20
"""Bytes of a compiled pattern and its automaton; with re2's own 8 MB the automata of usual patterns are made again and again."""
_KEPT_PLANS = 16
"""Each may have 64 MB of automaton; a cell asks for a few patterns again and again."""
_MOST_REQUIRED = 64
"""Strings that are looked for instead of the pattern; with more, one of them stands on every other line."""
_LEAST_BYTES = 2
"""Shorter strings stand everywhere."""
_LEAST_INDEXED = 3
"""Bytes of a trigram."""
_PLAIN = re.compile(rb"[ -)+-~]+")
_CASED = re.compile(rb"[A-JL-RT-Za-jl-rt-z]+")
_CASE = np.uint8(0x20)
_LOOK_LIKE_K_OR_S = {bytes(byte | _CASE for byte in one.encode()) for one in "\u212a\u017f"}
"""The Kelvin sign and the long s, which are a K and an s where case is ignored."""
_PIECE = 1 << 18
"""Bytes that stay in the processor's second cache."""
_ONE_BY_ONE = 4
"""So few strings are looked for one after the other: each of them is found at the speed of memory."""


class Plan:
    """A compiled pattern, and what is known of its matches.

    Args:
        pattern: a regular expression in Python's syntax, without lookaround and backreferences.
        ignore_case: upper and lower case are the same.

    Raises:
        PatternError: the engine refuses it; the message says what to write instead.
    """

    def __init__(self, pattern: str, ignore_case: bool = False) -> None:
        self.pattern = pattern
        self._ignore_case = ignore_case
        self._parts = list(tokens(pattern))
        self.effort: Effort = effort_of(self._parts)
        """How much work it can make."""
        translated = "".join(part.re2 for part in self._parts)
        self.compiled = self._compile(translated)
        self.ends_lines = LINE_END in translated
        """``$`` may take the CR of a line end, which belongs to no match."""
        self.has_boundaries = any(part.kind == "boundary" for part in self._parts)
        exact, required = (None, None) if ignore_case else literals_of(pattern, most=_MOST_REQUIRED, least=_LEAST_BYTES)
        self.exact = Needles(exact) if exact else self._exact_up_to_case()
        """The matches are these strings and nothing else."""
        self.required = Needles(required.strings, required.before) if required else None
        """A line without any of these has no match."""

    def spans(self, data: Data, start: int, end: int) -> Iterator[Span]:
        """Byte spans of the matches between two offsets, as re2 knows boundaries: for ASCII."""
        engine = getattr(self.compiled, "_regexp", None)
        if engine is None or _ANYWHERE is None:
            yield from (match.span() for match in self.compiled.finditer(data, start, end))
            return
        match = engine.Match  # without the wrapper, which makes an object of each match in as much time as that takes
        while True:
            span: Span = match(_ANYWHERE, data, start, end)[0]
            if span[0] < 0:
                return
            yield span
            if start == end:
                return
            start = span[1] if span[1] > start else start + 1

    @functools.cached_property
    def indexed(self) -> tuple[bytes, ...] | None:
        """Strings of which a matching line contains at least one, up to upper and lower case; None: there are none."""
        if self.exact is None and self.crosses_lines:
            return None
        if self.exact is not None:
            return None if self.exact.cross_lines else self.exact.strings
        required = literals_of(
            self.pattern, most=_MOST_REQUIRED, least=_LEAST_INDEXED, classes=False, fold=True
        ).required
        return required.strings if required else None

    @functools.cached_property
    def folded(self) -> FoldedNeedles | None:
        """As ``required`` for a pattern that ignores case; None: it does not, or nothing is known."""
        if not self.folds or self.required is not None or self.crosses_lines:
            return None
        pieces = [max(_PLAIN.findall(one), key=len, default=b"") for one in self.indexed or ()]
        return FoldedNeedles(pieces) if pieces and min(map(len, pieces)) >= _LEAST_INDEXED else None

    def _exact_up_to_case(self) -> FoldedNeedles | None:
        """Strings of letters that nothing but their upper and lower case looks like."""
        exact = literals_of(self.pattern, most=1, fold=True).exact if self.folds else None
        return FoldedNeedles(exact) if exact and all(map(_CASED.fullmatch, exact)) else None

    @functools.cached_property
    def folds(self) -> bool:
        """Whether case is ignored anywhere."""
        flags = (part.re2 for part in self._parts if part.kind == "group")
        return self._ignore_case or any(re.match(r"\(\?[a-zA-Z]*i", flag) for flag in flags)

    @functools.cached_property
    def crosses_lines(self) -> bool:
        """Whether a match may hold a line end."""
        dot = any(part.kind == "group" and re.match(r"\(\?[a-zA-Z]*s", part.re2) for part in self._parts)
        return any(
            (dot if part.re2 == "." else _holds_line_end(part.re2)) for part in self._parts if part.kind == "atom"
        )

    @functools.cached_property
    def edges(self) -> Edges | None:
        """The way for text beyond ASCII when the boundaries of the pattern stand at its ends."""
        try:
            return Edges(self._parts, self._compile)
        except ValueError:
            return None

    @functools.cached_property
    def marked(self) -> Marked:
        """The way for all other boundaries in text beyond ASCII.

        Raises:
            PatternError: there is none.
        """
        try:
            return Marked(self._parts, self._compile)
        except ValueError:
            raise self.no_boundary() from None

    @functools.cached_property
    def relaxed(self) -> Any:
        """The pattern without its boundaries: where it does not match, the pattern does not either."""
        return self._compile("".join("(?:)" if part.kind == "boundary" else part.re2 for part in self._parts))

    def no_boundary(self) -> PatternError:
        """For boundaries that cannot be found in a text beyond ASCII."""
        return PatternError(
            rf"pattern {self.pattern!r}: \b and \B are not available in this place on text that is not ASCII. Write what "
            r"stands beside the word, e.g. (?:^|\W)word(?:\W|$), or let the pattern match within lines: [ \t] for \s"
        )

    @property
    def program(self) -> int:
        """Instructions of the compiled pattern, at least 1."""
        return max(1, int(getattr(self.compiled, "programsize", 1)))

    def _compile(self, translated: str) -> Any:
        if self.effort.characters > CERTAINLY_SMALL:
            self._compiled_within(translated, MOST_PROGRAM_BYTES)  # a larger one is refused while it is compiled
        return self._compiled_within(translated, _MAX_MEMORY)

    def _compiled_within(self, translated: str, memory: int) -> Any:
        options = re2.Options()
        options.log_errors = False
        options.never_capture = True  # groups cost time, and nobody asks for them
        options.max_mem = memory
        options.case_sensitive = not self._ignore_case
        try:
            return re2.compile(b"(?m)" + translated.encode(), options)
        except UnicodeEncodeError:
            raise PatternError(f"pattern {self.pattern!r} holds a lone surrogate, which no text has") from None
        except re2.error as error:
            reason = error.args[0].decode(errors="replace") if error.args else "not a regular expression"
            reason = reason.replace("(?m)", "", 1)  # ours
            raise PatternError(f"pattern {self.pattern!r} is not usable: {reason}{_advice(reason)}") from None
        finally:
            re2.purge()  # its own cache would keep 128 of them, each with its memory


def plan_of(pattern: str, ignore_case: bool = False) -> Plan:
    """The plan of a pattern; the last ones are kept.

    Raises:
        PatternError: the pattern is refused.
        InvalidInput: it is no text.
    """
    if not isinstance(pattern, str):
        raise InvalidInput(f"pattern: expected a str, got {type(pattern).__name__}")
    if len(pattern) > MOST_PATTERN_CHARS:
        raise PatternError(f"a pattern of {len(pattern):,} characters is too long (at most {MOST_PATTERN_CHARS:,})")
    return _kept(pattern, bool(ignore_case))


_kept = functools.lru_cache(maxsize=_KEPT_PLANS)(Plan)


class Needles:
    """Strings, found all at once.

    Args:
        strings: the first is preferred where several begin at one place.
        before: bytes of which one stands right before; None for any.
    """

    def __init__(self, strings: Sequence[bytes], before: frozenset[int] | None = None) -> None:
        self._before = before
        self.longest = max(map(len, strings))
        self.strings = tuple(strings)
        first = ahocorasick_rs.MatchKind.LeftmostFirst
        self._all = ahocorasick_rs.BytesAhoCorasick(strings, matchkind=first)
        few = strings if 1 < len(strings) <= _ONE_BY_ONE else ()
        self._each = [ahocorasick_rs.BytesAhoCorasick([one], matchkind=first) for one in few]

    @property
    def cross_lines(self) -> bool:
        """Whether one holds a line end."""
        return any(b"\n" in one for one in self.strings)

    def found(self, data: Data) -> list[tuple[int, int, int]]:
        """Number of the string, and its byte span; no two of these overlap."""
        return self._all.find_matches_as_indexes(data)

    def places(self, data: Data) -> list[int]:
        """Byte offsets at which one begins, in order; of two that overlap, one may be left out."""
        if self._each:
            places = sorted(start for one in self._each for _, start, _ in one.find_matches_as_indexes(data))
        else:
            places = [start for _, start, _ in self._all.find_matches_as_indexes(data)]
        if self._before is None:
            return places
        return [place for place in places if place and data[place - 1] in self._before]


class FoldedNeedles(Needles):
    """ASCII strings in upper or lower case, found all at once; sometimes also what looks like one.

    With bit 0x20 set in all bytes, upper and lower case of ASCII letters are the same, and so are some other bytes. That is
    done piece by piece, in memory that stays in the processor's cache.

    Args:
        strings: without a ``*``, which would look like a line end.
    """

    def __init__(self, strings: Sequence[bytes]) -> None:
        alike = dict.fromkeys(bytes(byte | _CASE for byte in one) for one in strings)
        if any(letter in one for one in alike for letter in b"ks"):
            alike |= dict.fromkeys(_LOOK_LIKE_K_OR_S)
        super().__init__(list(alike))

    def found(self, data: Data) -> list[tuple[int, int, int]]:
        """Number of the string, and its byte span; no two of these overlap."""
        found: list[tuple[int, int, int]] = []
        done = 0
        for at, alike in self._pieces(data):
            skipped = max(0, done - at)
            for number, first, last in super().found(alike[skipped:]):
                if first + skipped >= _PIECE:
                    break
                done = at + skipped + last
                found.append((number, at + skipped + first, done))
        return found

    def places(self, data: Data) -> list[int]:
        """Byte offsets at which one, or a character that stands for one of its letters, may begin, in order."""
        pieces = self._pieces(data)
        return [
            at + place for at, alike in pieces for place in super(FoldedNeedles, self).places(alike) if place < _PIECE
        ]

    def _pieces(self, data: Data) -> Iterator[tuple[int, memoryview]]:
        """Where a piece begins, and its bytes with bit 0x20: until the next is asked for."""
        more = self.longest - 1
        buffer = np.empty(min(len(data), _PIECE + more), np.uint8)
        for at in range(0, len(data), _PIECE):
            piece = np.frombuffer(data[at : at + _PIECE + more], np.uint8)
            alike = buffer[: len(piece)]
            np.bitwise_or(piece, _CASE, out=alike)
            yield at, alike.data


@functools.lru_cache(maxsize=512)
def _holds_line_end(atom: str) -> bool:
    if len(atom) == 1:
        return atom == "\n"
    try:
        return re2.compile(atom.encode()).search(b"\n") is not None
    except (re2.error, UnicodeEncodeError):  # reported for the whole pattern
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
