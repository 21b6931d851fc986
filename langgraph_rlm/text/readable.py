"""Reading contexts by their references: documents, characters, lines. What a :class:`ContextStore` is beside a place."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any

from langgraph_rlm.errors import DocumentMissing, InvalidInput
from langgraph_rlm.text.checks import check_number, check_span, missing_document
from langgraph_rlm.text.lines import Data, count_chars
from langgraph_rlm.text.stored import Payload, Stored, StoredDocument
from langgraph_rlm.twins import async_twin
from langgraph_rlm.types import ContextRef


class ReadableContexts(ABC):
    """The methods of a store that read."""

    @abstractmethod
    def _stored(self, ref: Mapping[str, Any]) -> Stored:
        """The context of a reference.

        Raises:
            ContextMissing: the store does not hold it.
            InvalidInput: ``ref`` is no reference.
        """

    def parts(self, ref: ContextRef) -> list[tuple[str, Data]]:
        """Pairs of document id and UTF-8 bytes, in order. The bytes are views and cost no copy.

        Raises:
            ContextMissing: the store does not hold it.
            InvalidInput: ``ref`` is no reference.
        """
        return self._stored(ref).parts()

    aparts = async_twin(parts)

    def payload(self, ref: ContextRef) -> Payload:
        """The whole context as one run of bytes, without a copy; errors as in :meth:`parts`."""
        stored = self._stored(ref)
        names = stored.names if stored.kind in ("fields", "documents") else ()
        return Payload(stored.kind, names, stored.sizes, stored.data)

    apayload = async_twin(payload)

    def documents(self, ref: ContextRef) -> list[str]:
        """Ids of its documents, in order; errors as in :meth:`parts`."""
        return list(self._stored(ref).ids())

    adocuments = async_twin(documents)

    def holds(self, ref: ContextRef, doc_id: str) -> bool:
        """Whether the context has a document of this id; errors as in :meth:`parts`."""
        return doc_id in self._stored(ref).ids()

    aholds = async_twin(holds)

    def chars(self, ref: ContextRef) -> dict[str, int]:
        """Characters of each document by its id, in order; errors as in :meth:`parts`."""
        stored = self._stored(ref)
        counted = len if stored.ascii else count_chars
        return {doc_id: counted(data) for doc_id, data in stored.parts()}

    achars = async_twin(chars)

    def stat(self, ref: ContextRef) -> dict[str, Any]:
        """``{"kind", "chars", "docs", "bytes"}`` of a context; errors as in :meth:`parts`."""
        stored = self._stored(ref)
        return {"kind": stored.kind, "chars": stored.chars, "docs": len(stored.sizes), "bytes": len(stored.data)}

    astat = async_twin(stat)

    def read(self, ref: ContextRef, doc_id: str = "context", start: int = 0, end: int | None = None) -> str:
        """The text of a document between two character offsets; what lies beyond its end is left out.

        Raises:
            DocumentMissing: the context has no document of this id.
            InvalidInput: an offset that is no whole number from 0 on.
            ContextMissing: the store does not hold the context.
        """
        check_span(start, end)
        return self._document(ref, doc_id).span(start, end)

    aread = async_twin(read)

    def count_lines(self, ref: ContextRef, doc_id: str | None = None) -> int:
        """Lines of a document, or of all documents together when ``doc_id`` is None.

        A line ends with ``\\n``; what follows the last one is a line too, unless it is empty.

        Raises:
            DocumentMissing: the context has no document of this id.
            ContextMissing: the store does not hold the context.
        """
        ids = self._stored(ref).ids() if doc_id is None else [doc_id]
        return sum(self._document(ref, one).count_lines() for one in ids)

    acount_lines = async_twin(count_lines)

    def lines(self, ref: ContextRef, first: int, last: int, doc_id: str = "context") -> str:
        """The text of some lines with their ends; what lies beyond the last line is left out.

        Args:
            ref: the context.
            first: number of the first line wanted, from 1.
            last: number of the last line wanted.
            doc_id: the document.

        Raises:
            InvalidInput: a number that is none, or ``last`` before ``first``.
            DocumentMissing, ContextMissing: as in :meth:`count_lines`.
        """
        check_number("lines: first", first, 1)
        check_number("lines: last", last, 1)
        if last < first:
            raise InvalidInput(f"lines: last ({last}) lies before first ({first})")
        return self._document(ref, doc_id).lines(first, last)

    alines = async_twin(lines)

    def head(self, ref: ContextRef, lines: int = 10, doc_id: str = "context") -> str:
        """The first lines of a document with their ends; nothing beyond them is looked at. Errors as in :meth:`lines`."""
        check_number("head: lines", lines, 0)
        return self._document(ref, doc_id).head(lines)

    ahead = async_twin(head)

    def tail(self, ref: ContextRef, lines: int = 10, doc_id: str = "context") -> str:
        """The last lines of a document with their ends; nothing before them is looked at. Errors as in :meth:`lines`."""
        check_number("tail: lines", lines, 0)
        return self._document(ref, doc_id).tail(lines)

    atail = async_twin(tail)

    def _document(self, ref: ContextRef, doc_id: str) -> StoredDocument:
        stored = self._stored(ref)
        document = stored.document(doc_id)
        if document is None:
            raise DocumentMissing(missing_document(doc_id, stored.ids()))
        return document
