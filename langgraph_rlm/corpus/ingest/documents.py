"""What a document must be to come into a corpus: an id that is its own, and flat metadata."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from langchain_core.documents import Document

from langgraph_rlm.corpus.filters import is_scalar
from langgraph_rlm.corpus.index import RESERVED_PREFIX
from langgraph_rlm.corpus.plain import flat
from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.text.document_ids import document_id

MOST_ID_CHARS = 4_096
"""As many as a path may have; every hit carries the id of its document."""


def checked_id(document: Any) -> str:
    """The document's id, see :func:`langgraph_rlm.text.document_ids.document_id`.

    Raises:
        InvalidInput: it has neither, or the id is reserved for contexts.
    """
    if not isinstance(document, Document):
        raise InvalidInput(f"corpus: expected LangChain Documents, got {type(document).__name__}")
    doc_id = document_id(document)
    if doc_id is None or not doc_id.strip() or "\x00" in doc_id or not _is_storable(doc_id):
        start = document.page_content[:40]
        raise InvalidInput(
            f'the document that begins {start!r} has no usable id: set Document(id=…) or metadata["source"] to a str'
        )
    if doc_id == "context" or doc_id.startswith("context/"):
        raise InvalidInput(f"document {doc_id!r}: ids that begin with 'context' stand for the context; choose another")
    return doc_id


def _is_storable(doc_id: str) -> bool:
    return len(doc_id) <= MOST_ID_CHARS and doc_id.encode("utf-8", "ignore").decode() == doc_id


def checked_metadata(document: Document) -> dict[str, Any]:
    """A document's metadata as plain data, nested dicts under dotted names, see :mod:`langgraph_rlm.corpus.plain`.

    Raises:
        ValueError: a value has no such form, or a key is reserved; both are named.
    """
    metadata = flat(document.metadata)
    for key in metadata:
        if not key or key.startswith((RESERVED_PREFIX, "$", "chroma:")):
            raise ValueError(f"metadata[{key!r}]: a key must begin with neither {RESERVED_PREFIX!r} nor '$'")
    return metadata


def comparable(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """What every vector store can keep of it; the rest stands in the catalog, which filters ask.

    Example:
        >>> comparable({"team": "hr", "tags": ["a"], "end": None})
        {'team': 'hr'}
    """
    return {key: value for key, value in metadata.items() if is_scalar(value)}
