"""Arguments that are refused, and documents that are not there, in words that help."""

from __future__ import annotations

from collections.abc import Collection
from difflib import get_close_matches
from itertools import islice
from typing import Any

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.shortening import NAME_CHARS, shortened

_COMPARED_IDS = 5_000
"""With more of them, looking for similar ones takes seconds."""


def check_span(start: Any, end: Any) -> None:
    """Refuse offsets that are no whole numbers from 0 on, or an end before the start.

    Raises:
        InvalidInput: the message names the offset.
    """
    for name, value in (("start", start), ("end", end)):
        if name == "end" and value is None:
            continue
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise InvalidInput(f"read: {name} must be a whole number of characters from 0 on, not {value!r}")
    if end is not None and end < start:
        raise InvalidInput(f"read: end ({end}) lies before start ({start})")


def check_number(name: str, value: Any, least: int) -> None:
    """Refuse what is no whole number from ``least`` on.

    Raises:
        InvalidInput: the message names it.
    """
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InvalidInput(f"{name} must be a whole number of at least {least}, not {value!r}")


def missing_document(doc_id: Any, known: Collection[str]) -> str:
    """A message for an unknown document id, with the ids that look like it."""
    doc_id = shortened(str(doc_id), NAME_CHARS)
    near = get_close_matches(doc_id, known, n=3, cutoff=0.5) if len(known) <= _COMPARED_IDS else []
    if near:
        return f"no document {doc_id!r}; similar ids are {', '.join(map(repr, near))}"
    few = list(islice(known, 3))
    return f"no document {doc_id!r}" + (f"; there are {len(known)}, e.g. {', '.join(map(repr, few))}" if few else "")
