"""One stored context: its parts by document id, and what is read from them by characters and by lines."""

from __future__ import annotations

import logging
from bisect import bisect_left
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from langgraph_rlm.text.aside import Aside, TooMuch
from langgraph_rlm.text.blocks import BlockIndex, IndexDamaged
from langgraph_rlm.text.boundaries import Span
from langgraph_rlm.text.line_numbers import LineIndex
from langgraph_rlm.text.lines import BLOCK, CharIndex, Data
from langgraph_rlm.text.plan import Plan
from langgraph_rlm.text.search import Searched
from langgraph_rlm.types import ContextKind

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Payload:
    """The parts of a context, joined, as a REPL wants them.

    Args:
        kind: what the context is: ``text``, ``list``, ``fields`` or ``documents``.
        names: keys of the parts for ``fields`` and ``documents``; empty for the other kinds.
        sizes: bytes of each part.
        data: the UTF-8 of all parts, one after the other.
    """

    kind: ContextKind
    names: Sequence[str]
    sizes: Sequence[int]
    data: Data


class Stored:
    """One context: what its parts are, and their bytes.

    Args:
        kind: what the context is.
        names: keys of the parts; empty strings where the kind has none.
        sizes: bytes of each part.
        chars: characters of all parts.
        data: the parts, joined.
    """

    __slots__ = (
        "_documents",
        "_places",
        "aside",
        "blocks",
        "chars",
        "data",
        "file",
        "index_sought",
        "kind",
        "names",
        "searches",
        "sizes",
    )

    def __init__(self, kind: ContextKind, names: Sequence[str], sizes: Sequence[int], chars: int, data: Data) -> None:
        self.kind = kind
        self.names = names
        self.sizes = sizes
        self.chars = chars
        self.data = data
        self.blocks: BlockIndex | None = None
        """Which blocks can hold a string, when that is known."""
        self.searches = 0
        """Searches so far that this would have made shorter."""
        self.index_sought = False
        """Whether its file was looked for."""
        self.file: Path | None = None
        """Its file, when that ends with the data as they are."""
        self.aside: Aside | TooMuch | None = None
        """The lines of the file that ripgrep cannot judge, when they are known."""
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

    def searched(self, doc_ids: Collection[str] | None = None) -> list[Searched]:
        """Documents as a search wants them, in order; None for all."""
        blocks = _Candidates(self, self.blocks) if self.blocks is not None else None
        return [
            Searched(
                doc_id,
                self._slice(*place),
                self._far(doc_id),
                None if blocks is None else partial(blocks.within, *place),
            )
            for doc_id, place in self._by_id().items()
            if doc_ids is None or doc_id in doc_ids
        ]

    def _far(self, doc_id: str) -> Callable[[int], tuple[int, int]]:
        def place_of(byte: int) -> tuple[int, int]:
            document = self.document(doc_id)
            assert document is not None  # it was listed
            return document.place_of(byte)

        return place_of

    def document(self, doc_id: str) -> StoredDocument | None:
        """One document to read from; None when there is none of this id."""
        found = self._documents.get(doc_id)
        if found is None and (place := self._by_id().get(doc_id)) is not None:
            known = self.blocks.counts.tolist() if self.blocks is not None and len(self.sizes) == 1 else (None, None)
            found = self._documents[doc_id] = StoredDocument(self._slice(*place), *known, ascii=self.ascii)
        return found

    def indexed_by(self, blocks: BlockIndex) -> None:
        """Use an index; what it has counted need not be counted again."""
        self.blocks = blocks
        self._documents = {}

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


class _Candidates:
    """The blocks in which the matches of a plan can be; looked up once for all documents."""

    def __init__(self, stored: Stored, blocks: BlockIndex) -> None:
        self._stored = stored
        self._blocks = blocks
        self._known: tuple[Plan, list[int] | None] | None = None

    def within(self, start: int, end: int, plan: Plan) -> list[Span] | None:
        """Byte spans in a document that lies between two offsets of the text; None: anywhere."""
        if self._known is None or self._known[0] is not plan:
            self._known = plan, self._numbers(plan)
        numbers = self._known[1]
        if numbers is None:
            return None
        first, last = bisect_left(numbers, start // BLOCK), bisect_left(numbers, -(-end // BLOCK))
        spans = ((number * BLOCK - start, (number + 1) * BLOCK - start) for number in numbers[first:last])
        return [(max(0, begin), min(stop, end - start)) for begin, stop in spans]

    def _numbers(self, plan: Plan) -> list[int] | None:
        if plan.indexed is None:
            return None
        try:
            return self._blocks.blocks(plan.indexed, fold=plan.folds)
        except IndexDamaged:
            _log.warning("the search index of a context is damaged: searches go on without it until it is built again")
            self._stored.blocks, self._stored.searches = None, 0
            return None


class StoredDocument:
    """One document of a context. What is looked up in it is remembered, so that the next look-up need not look again.

    Args:
        data: its UTF-8.
        chars: characters that begin in each 64 KB, where they are known.
        line_ends: in each 64 KB, where they are known.
        ascii: whether it is known to be ASCII, so that no character needs looking for.
    """

    def __init__(
        self, data: Data, chars: list[int] | None = None, line_ends: list[int] | None = None, *, ascii: bool = False
    ) -> None:
        self._data = memoryview(data)
        self._ascii = ascii
        self._chars = None if chars is None else CharIndex(self._data, chars)
        self._lines = LineIndex(self._data, line_ends)

    def place_of(self, byte: int) -> tuple[int, int]:
        """Character offset and line number of a byte offset at which a character begins."""
        line = self._lines.number_at(byte)
        return (byte if self._ascii else self._char_index().char_of(byte)), line

    def span(self, start: int, end: int | None) -> str:
        """The text between two character offsets; what lies beyond the end is left out."""
        if self._ascii:
            return self._text(start, len(self._data) if end is None else end)
        known = self._char_index()
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

    def _char_index(self) -> CharIndex:
        if self._chars is None:
            self._chars = CharIndex(self._data)
        return self._chars

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
