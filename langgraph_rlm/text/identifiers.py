"""Identifiers of code, taken apart: `HTTPServer.get_user-name` and everything it is made of."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator
from typing import NamedTuple

from langgraph_rlm.text.characters import joined_words

MOST_PARTS = 12
"""What falls into more pieces is a digest or a path, not a name."""
MOST_CHARS = 120
"""Longer words are data; the longest identifiers of code seen have some 80."""

_SEPARATORS = ".-_"  # the outermost first


class Identifier(NamedTuple):
    """A piece of an identifier, or all of it."""

    text: str
    start: int
    """Where it stands in the outermost identifier, in characters."""
    inner: tuple[Identifier, ...] = ()
    """What it is made of; nothing for a part that cannot be divided."""

    @property
    def end(self) -> int:
        """One past its last character."""
        return self.start + len(self.text)

    @property
    def glued(self) -> bool:
        """Its parts stand side by side without a separator: ``camelCase``."""
        return bool(self.inner) and self.inner[0].end == self.inner[1].start

    @property
    def name(self) -> str:
        """Its parts joined by underscores: the same for ``getUser``, ``get_user`` and ``get-user``."""
        return "_".join(part.text for part in self.parts())

    def parts(self) -> Iterator[Identifier]:
        """All that cannot be divided, in order."""
        if not self.inner:
            yield self
        for one in self.inner:
            yield from one.parts()

    def compounds(self) -> Iterator[Identifier]:
        """All that can be divided, the outermost first."""
        if self.inner:
            yield self
        for one in self.inner:
            yield from one.compounds()


def identifiers(text: str) -> Iterator[tuple[int, Identifier]]:
    """Identifiers of more than one part in a text, each with its place in characters.

    Example:
        >>> [(at, [part.text for part in found.parts()]) for at, found in identifiers("a HTTPServer2 in snake_case")]
        [(2, ['HTTP', 'Server', '2']), (17, ['snake', 'case'])]
    """
    at = 0
    for word in joined_words(text):
        start = text.index(word, at)
        at = start + len(word)
        found = taken_apart(word)
        if found is not None:
            yield start, found


def taken_apart(word: str) -> Identifier | None:
    """The pieces of a word; None when it has only one."""
    if len(word) > MOST_CHARS:
        return None
    found = _divided(word, 0, _SEPARATORS)
    return found if found is not None and found.inner and sum(1 for _ in found.parts()) <= MOST_PARTS else None


def _divided(text: str, start: int, separators: str) -> Identifier | None:
    while separators and separators[0] not in text:
        separators = separators[1:]
    if separators:
        pieces = _between(text, start, separators[0])
        found = [one for piece, at in pieces if (one := _divided(piece, at, separators[1:])) is not None]
    else:
        found = [Identifier(piece, at) for piece, at in _humps(text, start)]
    if len(found) < 2:
        return found[0] if found else None
    first, last = found[0], found[-1]
    return Identifier(text[first.start - start : last.end - start], first.start, tuple(found))


def _between(text: str, start: int, separator: str) -> Iterator[tuple[str, int]]:
    for piece in text.split(separator):
        if piece:
            yield piece, start
        start += len(piece) + 1


def _humps(word: str, start: int) -> Iterator[tuple[str, int]]:
    """``HTTPServer2`` → ``HTTP``, ``Server``, ``2``; a plural stays whole: ``userIDs`` → ``user``, ``IDs``."""
    if word.isalpha() and (word.isupper() or word[1:].islower()):  # most words, and twenty times as fast
        yield word, start
        return
    begun = 0
    for at in range(1, len(word)):
        before, here, rest = word[at - 1], word[at], word[at + 1 :]
        if not here.isascii() and unicodedata.category(here).startswith("M"):  # an accent belongs to the letter before
            continue
        new_hump = here.isupper() and (not before.isupper() or (rest[:1].islower() and rest != "s"))
        if new_hump or before.isdigit() != here.isdigit():
            yield word[begun:at], start + begun
            begun = at
    if begun < len(word):
        yield word[begun:], start + begun
