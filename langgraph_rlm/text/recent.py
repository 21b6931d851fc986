"""The last texts that were put, so that putting one again costs a comparison and no hashing."""

from __future__ import annotations

import sys

_LEAST_CHARS = 1 << 12
"""Hashing a shorter text takes a microsecond or two."""
_MOST_TEXTS = 8
"""Each is compared with a text that is put; lengths mostly tell."""
_MOST_BYTES = 64 << 20
"""Of all of them in memory: a text is held here beyond the store's own bytes of it, unless it is ASCII."""


class RecentTexts:
    """Digests by text, of a few. Safe to share between threads.

    Equal texts are found, whether they are one object or two; texts that differ mostly do so in their length or at once.

    Example:
        >>> recent = RecentTexts()
        >>> recent.keep("a" * 5_000, "digest")
        >>> recent.find("a" * 5_000)
        'digest'
    """

    def __init__(self) -> None:
        self._texts: tuple[tuple[str, str], ...] = ()  # replaced as a whole, the newest first

    def find(self, text: str) -> str | None:
        """The digest of an equal text; None when there is none."""
        return next((digest for known, digest in self._texts if known == text), None)

    def keep(self, text: str, digest: str) -> None:
        """Remember a text, where it is worth it."""
        if len(text) < _LEAST_CHARS:
            return
        kept, room = list[tuple[str, str]](), _MOST_BYTES
        for pair in ((text, digest), *(pair for pair in self._texts if pair[1] != digest)):
            room -= sys.getsizeof(pair[0])
            if room < 0 or len(kept) == _MOST_TEXTS:
                break
            kept.append(pair)
        self._texts = tuple(kept)

    def forget(self, digest: str | None = None) -> None:
        """Let go of the text with this digest, or of all."""
        self._texts = tuple(pair for pair in self._texts if digest not in (None, pair[1]))
