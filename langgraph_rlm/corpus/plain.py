"""Metadata of LangChain documents as plain data: what loaders give beyond texts and numbers, converted without loss."""

from __future__ import annotations

from collections.abc import Mapping, Set
from datetime import date, time
from decimal import Decimal
from enum import Enum
from pathlib import PurePath
from typing import Any
from uuid import UUID

import numpy as np

from langgraph_rlm.corpus.filters import is_scalar

MOST_DEPTH = 20
"""Of dicts and lists in each other; loaders of JSON and of web pages give three or four."""


def plain(value: Any, depth: int = 0) -> Any:
    """A value as JSON holds it, scalars and lists of them.

    Numbers of numpy become Python's, dates and times ISO 8601, paths and UUIDs their text, tuples, sets and arrays lists.

    Raises:
        ValueError: there is no such form; the message says what is wrong.

    Example:
        >>> import numpy as np
        >>> from datetime import date
        >>> plain((np.float32(0.5), date(2026, 1, 31), None))
        [0.5, '2026-01-31', None]
    """
    if depth > MOST_DEPTH:
        raise ValueError(f"dicts and lists stand in each other more than {MOST_DEPTH} deep")
    if isinstance(value, Enum):
        value = value.value
    if isinstance(value, np.generic):
        value = value.item()
    if value is None or (isinstance(value, str) and type(value) is str):
        return value
    if isinstance(value, date | time):  # a datetime is a date
        return value.isoformat()
    if isinstance(value, PurePath | UUID | Decimal):
        return str(value)
    if isinstance(value, np.ndarray):
        value = value.tolist()
    if isinstance(value, list | tuple | Set):
        values = sorted(value, key=repr) if isinstance(value, Set) else value
        return [plain(one, depth + 1) for one in values]
    if isinstance(value, Mapping):
        return {str(key): plain(one, depth + 1) for key, one in value.items()}
    if is_scalar(value):
        return str(value) if isinstance(value, str) else value
    raise ValueError(f"must be a str, a finite number of at most 64 bits or a bool, not {type(value).__name__}")


def flat(metadata: Mapping[Any, Any]) -> dict[str, Any]:
    """Metadata whose values are plain, with nested dicts under dotted names, by which filters find them.

    Raises:
        ValueError: naming the field, and what is wrong with it.

    Example:
        >>> from datetime import date
        >>> flat({"author": {"name": "Ada", "born": date(1815, 12, 10)}, "tags": ("a", "b")})
        {'author.name': 'Ada', 'author.born': '1815-12-10', 'tags': ['a', 'b']}
    """
    found: dict[str, Any] = {}
    for key, value in metadata.items():
        name = key if isinstance(key, str) else str(key)
        try:
            as_data = plain(value)
        except ValueError as error:
            raise ValueError(f"metadata[{name!r}]: {error}") from None
        for path, one in _leaves(name, as_data):
            if path in found:
                raise ValueError(f"metadata[{path!r}]: two values have this name; rename one of them")
            found[path] = one
    return found


def flat_or_shown(metadata: Mapping[Any, Any]) -> dict[str, Any]:
    """As :func:`flat`, for what somebody else has stored: what has no plain form is shown as text.

    Example:
        >>> flat_or_shown({"a": 1, "b": float("nan")})
        {'a': 1, 'b': 'nan'}
    """
    if all(isinstance(key, str) and (type(value) is str or is_scalar(value)) for key, value in metadata.items()):
        return dict(metadata)
    found: dict[str, Any] = {}
    for key, value in metadata.items():
        try:
            found.update(flat({key: value}))
        except ValueError:
            found[str(key)] = repr(value)
    return found


def _leaves(name: str, value: Any) -> list[tuple[str, Any]]:
    if not isinstance(value, dict) or not value:
        return [(name, value)]
    return [leaf for key, one in value.items() for leaf in _leaves(f"{name}.{key}", one)]
