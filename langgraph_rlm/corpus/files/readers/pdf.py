"""PDF by page, read by pypdf."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Iterator
from typing import Any

import pypdf

_LEAST_ELEMENTS = 1_000_000
"""pypdf stops at 100,000 elements of an array or dictionary, which reports of 72 pages have. An element takes two bytes or more
of a file that may be packed; time and memory of this process are bounded besides."""


def pdf_pages(data: bytes) -> Iterator[tuple[int, str]]:
    """Number, from 1, and text of each page that has text.

    Raises:
        ValueError: it is locked by a password.
        Exception: whatever pypdf raises on a file that is no PDF.
    """
    with _bounded_by(len(data)), pypdf.PdfReader(io.BytesIO(data)) as reader:
        if reader.is_encrypted and not reader.decrypt(""):
            raise ValueError("locked by a password")
        for number, page in enumerate(reader.pages, start=1):
            if (text := page.extract_text()).strip():
                yield number, text


def _bounded_by(size: int) -> Any:
    """pypdf's own bounds, as far as they are counts, raised to what a file of this size may hold."""
    configured = getattr(pypdf, "apply_configuration", None)
    if configured is None:  # releases before 6.10 have none of these bounds
        return contextlib.nullcontext()
    most = max(_LEAST_ELEMENTS, size)
    return configured(array_maximum_element_count=most, dictionary_maximum_element_count=most)
