"""The piece of a text that shows best why a query found it."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.text.analyzer import Analyzer, Place
from langgraph_rlm.text.characters import inside_word

_REACH = 30  # characters that are given up to begin or end at a blank
_NAME_WEIGHT = 1.0  # of a whole identifier, on top of its parts
_JOINER = "\u200d"
_REGIONAL = ("\U0001f1e6", "\U0001f1ff")  # two make a flag


class Snippet(NamedTuple):
    """A piece of a text, and the words in it that were asked for."""

    start: int
    """In the text, in characters."""
    end: int
    text: str
    spans: list[tuple[int, int]]
    """Where the words stand, counted as ``start`` and ``end`` are; in order, none touches the next."""

    def moved(self, by: int) -> Snippet:
        """The same, counted from ``by`` characters earlier."""
        return Snippet(
            self.start + by, self.end + by, self.text, [(first + by, last + by) for first, last in self.spans]
        )


def snippet(analyzer: Analyzer, text: str, query: str, chars: int) -> Snippet:
    """The piece of a text with most of the words of a query; its beginning when it has none.

    Args:
        analyzer: reads both.
        text: the text.
        query: the query.
        chars: most characters of the piece. Words are not cut unless one is longer than that.

    Raises:
        InvalidInput: ``chars`` is no whole number from 1 on.
    """
    if isinstance(chars, bool) or not isinstance(chars, int) or chars < 1:
        raise InvalidInput(f"snippet: chars must be a whole number from 1 on, not {chars!r}")
    asked = analyzer.asked(query)
    weights = dict(asked.weights)
    for name in asked.names:
        for compound in name.compounds():
            token = analyzer.token_of(compound)
            if token is not None:
                weights[token] = _NAME_WEIGHT
    found = sorted(place for place in analyzer.places(text) if place.token in weights)
    first, last = _best(found, weights, chars)
    start, end = _widened(text, first, last, chars)
    return Snippet(start, end, text[start:end], _joined(found, start, end))


def _best(found: list[Place], weights: dict[str, float], chars: int) -> tuple[int, int]:
    """Where the words stand that a window should show: those of most weight, then most of them, then the first."""
    held = Counter[str]()
    left, weight, best, window = 0, 0.0, (0.0, 0), slice(0)
    for right, place in enumerate(found, start=1):
        weight += 0.0 if held[place.token] else weights[place.token]
        held[place.token] += 1
        while left < right - 1 and place.end - found[left].start > chars:
            held[found[left].token] -= 1
            weight -= 0.0 if held[found[left].token] else weights[found[left].token]
            left += 1
        score = (round(weight, 6), right - left)
        if score > best:
            best, window = score, slice(left, right)
    shown = found[window]
    return (shown[0].start, max(place.end for place in shown)) if shown else (0, 0)


def _widened(text: str, first: int, last: int, chars: int) -> tuple[int, int]:
    """As much as fits around the words, from one place between words to another."""
    start = end = first
    if last - first <= chars:
        end = min(len(text), max(0, first - (chars - (last - first)) // 2) + chars)
        start = _between_words(text, range(max(0, end - chars), first), first)
        end = _between_words(text, range(end, last, -1), last)
        while start < first and text[start].isspace():
            start += 1
        while end > max(start, last) and text[end - 1].isspace():
            end -= 1
    if end == start < len(text):  # a word that is longer than the window
        whole = min(len(text), start + chars)
        end = next((at for at in range(whole, start, -1) if not _inside_character(text, at)), whole)
    return start, end


def _between_words(text: str, places: range, otherwise: int) -> int:
    """The first of some places that is beside a blank and near, else the first between words."""
    for at in places[:_REACH]:
        if at in (0, len(text)) or text[at - 1].isspace() or text[at].isspace():
            return at
    return next((at for at in places if not inside_word(text, at) and not _inside_character(text, at)), otherwise)


def _inside_character(text: str, at: int) -> bool:
    """Whether a cut would part what readers see as one character: a letter and its accent, an emoji and its colour."""
    if not 0 < at < len(text):
        return False
    before, here = text[at - 1], text[at]
    if unicodedata.category(here).startswith("M") or _JOINER in (before, here):
        return True
    if "\U0001f3fb" <= here <= "\U0001f3ff" or "\U000e0020" <= here <= "\U000e007f":  # colours of skin, tags of flags
        return True
    run = at
    while run > 0 and _REGIONAL[0] <= text[run - 1] <= _REGIONAL[1]:
        run -= 1
    return _REGIONAL[0] <= here <= _REGIONAL[1] and (at - run) % 2 == 1


def _joined(found: Iterable[Place], start: int, end: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for place in found:
        first, last = max(place.start, start), min(place.end, end)
        if spans and first <= spans[-1][1]:
            spans[-1] = spans[-1][0], max(last, spans[-1][1])
        elif first < last:
            spans.append((first, last))
    return spans
