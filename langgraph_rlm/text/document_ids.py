"""Ids of LangChain documents: their own, or made of where a loader has found them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from langchain_core.documents import Document

_PLACES = (("page", ("page", "page_number")), ("row", ("row", "seq_num")), ("start", ("start_index",)))
"""What an id says of the place, and the metadata that LangChain's loaders and splitters tell it by."""
_MOST_CHARS = 40
"""Of a place that is no number, such as the page ``xiv``; what is longer is a text about a page, not its number."""


def document_id(document: Document) -> str | None:
    """A document's ``id``, else its ``source`` with the page, row or start in it; None when it has neither.

    Loaders give all pages of a file one ``source``: by that alone they would take each other's place.

    Example:
        >>> from langchain_core.documents import Document
        >>> document_id(Document("…", metadata={"source": "report.pdf", "page": 3, "start_index": 800}))
        'report.pdf#page=3&start=800'
    """
    if document.id:
        return document.id
    source = document.metadata.get("source")
    source = str(source) if isinstance(source, PurePath) else source
    if not isinstance(source, str) or not source:
        return None
    place = place_of(document.metadata)
    return f"{source}#{place}" if place else source


def place_of(metadata: Mapping[str, Any]) -> str:
    """Which part of its source a document is: ``page=3``; empty for a whole one.

    Example:
        >>> place_of({"source": "people.csv", "row": 12})
        'row=12'
    """
    parts = []
    for name, keys in _PLACES:
        for key in keys:
            value = metadata.get(key)
            is_number = isinstance(value, int) and not isinstance(value, bool)
            if is_number or (isinstance(value, str) and 0 < len(value) <= _MOST_CHARS and value.isprintable()):
                parts.append(f"{name}={value}")
                break
    return "&".join(parts)
