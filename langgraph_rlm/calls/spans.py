"""Spans: text by document id and characters, and the citations that stand on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import DocumentMissing, InvalidInput
from langgraph_rlm.text import ContextStore
from langgraph_rlm.types import Citation, ContextRef

MAX_CITED_CHARS = 4_000
"""Of one citation: it is shown to people, and kept in every checkpoint."""


class Readable(Protocol):
    """What a request may read."""

    @property
    def contexts(self) -> ContextStore: ...
    @property
    def context(self) -> ContextRef | None: ...
    @property
    def corpus(self) -> Corpus | None: ...
    @property
    def where(self) -> dict[str, Any] | None: ...


def is_context_id(doc_id: str) -> bool:
    """Whether a document id belongs to the context."""
    return doc_id == "context" or doc_id.startswith("context/")


def read_span(scope: Readable, doc_id: str, start: int = 0, end: int | None = None) -> str:
    """Characters ``[start:end]`` of a document of the context or the corpus, or DocumentMissing."""
    if scope.context is not None and (
        is_context_id(doc_id) or scope.corpus is None or scope.contexts.holds(scope.context, doc_id)
    ):
        return scope.contexts.read(scope.context, doc_id, start, end)
    if scope.corpus is not None and not is_context_id(doc_id):
        return scope.corpus.read(doc_id, start, end, where=scope.where)
    raise DocumentMissing(f"there is no document {doc_id!r}: list_documents() names those that exist")


def citation_of(
    scope: Readable, hit: Mapping[str, Any] | str, start: int | None = None, end: int | None = None
) -> Citation:
    """The citation for a hit or a span, with its quote compared to the document."""
    if isinstance(hit, str):
        if start is None or end is None:
            raise InvalidInput("cite: give a hit, or doc_id, start and end")
        doc_id, first, last, claimed = hit, start, end, None
    else:
        try:
            doc_id, first, last, claimed = hit["doc_id"], hit["start"], hit["end"], hit.get("text")
        except KeyError as error:
            raise InvalidInput(f"cite: the hit has no {error.args[0]!r}") from error
        if not (isinstance(doc_id, str) and type(first) is int and type(last) is int):
            raise InvalidInput("cite: a hit's doc_id is a str, its start and end are whole numbers")
    if not 0 <= first < last:
        raise InvalidInput(f"cite: start {first} and end {last} are not a span")
    if last - first > MAX_CITED_CHARS:
        raise InvalidInput(
            f"cite: {last - first:,} characters are too many for one citation (at most {MAX_CITED_CHARS:,})"
        )
    text = read_span(scope, doc_id, 0, last)
    quote = text[first:last]
    if not quote:
        raise InvalidInput(f"cite: {doc_id!r} ends before character {first}")
    verified = len(text) == last and (claimed is None or claimed == quote)
    line = text.count("\n", 0, first) + 1
    return Citation(
        doc_id=doc_id, start=first, end=min(last, len(text)), quote=quote if claimed is None else str(claimed)[:MAX_CITED_CHARS],
        verified=verified, line=line,
    )  # fmt: skip
