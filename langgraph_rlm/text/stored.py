"""One stored context: its parts by document id, and what is read from them by characters and by lines."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from langgraph_rlm.text.line_numbers import LineIndex
from langgraph_rlm.text.lines import CharIndex, Data
from langgraph_rlm.types import ContextKind


class Stored:
    """One context: what its parts are, and their bytes.

    Args:
        kind: what the context is.
        names: keys of the parts; empty strings where the kind has none.
        sizes: bytes of each part.
        chars: characters of all parts.
        data: the parts, joined.
    """

    __slots__ = ("_documents", "_places", "chars", "data", "kind", "names", "sizes")

    def __init__(self, kind: ContextKind, names: Sequence[str], sizes: Sequence[int], chars: int, data: Data) -> None:
        self.kind = kind
        self.names = names
        self.sizes = sizes
        self.chars = chars
        self.data = data
        self._places: dict[str, tuple[int, int]] | None = None
        self._documents: dict[str, StoredDocument] = {}

    @property
    def ascii(self) -> bool:
        """Whether bytes and characters are the same."""
        return self.chars == len(self.data)

    def ids(self) -> Collection[str]:
        """Document ids, in order."""
        return self._by_id().keys()

    def parts(self) -> list[tuple[str, Data]]:
        """Pairs of document id and bytes, in order."""
        return [(doc_id, self._slice(*place)) for doc_id, place in self._by_id().items()]

    def document(self, doc_id: str) -> StoredDocument | None:
        """One document to read from; None when there is none of this id."""
        found = self._documents.get(doc_id)
        if found is None and (place := self._by_id().get(doc_id)) is not None:
            found = self._documents[doc_id] = StoredDocument(self._slice(*place), ascii=self.ascii)
        return found

    def _slice(self, start: int, end: int) -> Data:
        return self.data if end - start == len(self.data) else memoryview(self.data)[start:end]

    def _by_id(self) -> dict[str, tuple[int, int]]:
        if self._places is None:
            places, start = {}, 0
            for number, (name, size) in enumerate(zip(self.names, self.sizes, strict=True)):
                places[_doc_id(self.kind, name, number)] = (start, start + size)
                start += size
            self._places = places
        return self._places


class StoredDocument:
    """One document of a context. What is looked up in it is remembered, so that the next look-up need not look again.

    Args:
        data: its UTF-8.
        ascii: whether it is known to be ASCII, so that no character needs looking for.
    """

    def __init__(self, data: Data, *, ascii: bool = False) -> None:
        self._data = memoryview(data)
        self._ascii = ascii
        self._chars: CharIndex | None = None
        self._lines = LineIndex(self._data)

    def span(self, start: int, end: int | None) -> str:
        """The text between two character offsets; what lies beyond the end is left out."""
        if self._ascii:
            return self._text(start, len(self._data) if end is None else end)
        if self._chars is None:
            self._chars = CharIndex(self._data)
        known = self._chars
        first = known.byte_of(min(start, known.chars))
        return self._text(first, len(self._data) if end is None or end >= known.chars else known.byte_of(end))

    def count_lines(self) -> int:
        """Lines, of which the last may have no end."""
        return self._lines.count()

    def lines(self, first: int, last: int) -> str:
        """The lines from number ``first`` (1 is the first) to number ``last``, with their ends."""
        return self._text(self._lines.start_of(first), self._lines.start_of(last + 1))

    def head(self, lines: int) -> str:
        """The first so many lines."""
        return self._text(0, self._lines.head(lines))

    def tail(self, lines: int) -> str:
        """The last so many lines."""
        return self._text(self._lines.tail(lines), len(self._data))

    def _text(self, start: int, end: int) -> str:
        return str(self._data[start:end], "utf-8")


def _doc_id(kind: ContextKind, name: str, number: int) -> str:
    match kind:
        case "text":
            return "context"
        case "list":
            return f"context/{number}"
        case "fields":
            return f"context/{name}"
        case _:
            return name
