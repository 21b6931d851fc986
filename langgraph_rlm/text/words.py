"""Words: how a word index reads texts and queries, and the small file in which an index keeps that."""

from __future__ import annotations

import json
import os
import uuid
from collections.abc import Collection
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from langgraph_rlm.errors import CorpusError, IndexMismatch, InvalidInput

LANGUAGES = (
    "arabic", "danish", "dutch", "english", "finnish", "french", "german", "greek", "hungarian", "italian", "norwegian",
    "portuguese", "romanian", "russian", "spanish", "swedish", "tamil", "turkish",
)  # fmt: skip
"""Languages whose words can be stemmed."""
FORMAT_VERSION = 1
"""Raised with each change of how words are made."""

_NAME = "words.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How texts and queries are read as words. Fixed when an index is made; case is always ignored.

    Args:
        language: what the texts are written in, one of :data:`LANGUAGES`; None when that is not known.
        stem: find other forms of a word too (``retries`` by ``retry``); needs a language.
        stop_words: words that count only when a query has no other. None for the common ones of the language, English
            where none is given; for Arabic, Greek, Romanian, Tamil and Turkish there is no list.
        code: take identifiers apart. ``getUserName``, ``get_user_name``, ``get-user-name`` and ``get.user.name`` are then
            found by each part and by each other; a chunk with the whole identifier comes before those with parts of it.

    Raises:
        InvalidInput: an unknown language, stemming without one, or stop words that are no words.

    Example:
        >>> Words(language="english", stem=True)
        Words(language='english', stem=True)
    """

    language: str | None = None
    stem: bool = False
    stop_words: Collection[str] | None = None
    code: bool = False

    def __post_init__(self) -> None:
        for name in ("stem", "code"):
            if not isinstance(getattr(self, name), bool):
                raise InvalidInput(f"words: {name} must be True or False, not {getattr(self, name)!r}")
        if self.language is not None and self.language not in LANGUAGES:
            raise InvalidInput(f"words: unknown language {self.language!r}; known are {', '.join(LANGUAGES)}")
        if self.stem and self.language is None:
            raise InvalidInput('words: stemming needs a language, e.g. Words(language="english", stem=True)')
        if self.stop_words is not None:
            given = self.stop_words
            if isinstance(given, str) or not all(isinstance(word, str) for word in given):
                raise InvalidInput(f"words: stop_words must be a collection of str, not {given!r}"[:200])
            object.__setattr__(self, "stop_words", tuple(sorted({word.lower() for word in given})))

    def __repr__(self) -> str:
        chosen = {one.name: getattr(self, one.name) for one in fields(self)}
        named = (f"{name}={value!r}" for name, value in chosen.items() if value not in (None, False))
        return f"Words({', '.join(named)})"


def read_words(directory: Path) -> Words:
    """What an index was made with. One without the file is from before there was a choice.

    Args:
        directory: of the index.

    Raises:
        IndexMismatch: another format version.
        CorpusError: the file is damaged.
    """
    path = directory / _NAME
    try:
        kept: Any = json.loads(path.read_text(encoding="utf-8"))
        version = kept.pop("format_version")
    except FileNotFoundError:
        return Words()
    except (ValueError, KeyError, TypeError, AttributeError, OSError) as error:
        raise _damaged(path, error) from None
    if version != FORMAT_VERSION:
        raise IndexMismatch(
            f"{path} has format version {version!r}, this release reads {FORMAT_VERSION}: index the documents again in "
            "another directory, or use the release that made it"
        )
    try:
        return Words(**kept)
    except (TypeError, InvalidInput) as error:
        raise _damaged(path, error) from None


def write_words(directory: Path, words: Words) -> None:
    """Keep what an index is made with, whole or not at all.

    Args:
        directory: of the index.
        words: the options.
    """
    temporary = directory / f"{_NAME}.{uuid.uuid4().hex}.tmp"
    with temporary.open("w", encoding="utf-8") as file:
        json.dump({"format_version": FORMAT_VERSION} | asdict(words), file, indent=2)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(directory / _NAME)


def _damaged(path: Path, error: Exception) -> CorpusError:
    return CorpusError(f"{path} cannot be read ({error}): remove {path.parent} and add again")
