"""The manifest of a corpus: what its files were made with. Anything else is refused by name, never misread."""

from __future__ import annotations

import json
import os
import uuid
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pydantic import ConfigDict, TypeAdapter, ValidationError, with_config

from langgraph_rlm.errors import CorpusError, IndexMismatch

FORMAT_VERSION = 2
"""Raised with each change of the files beside it, and of how documents are cut. 2: headings go with the text below them."""
OLDEST_READ = 1
"""An index of this version is searched as it is, and cut anew by its next change."""

_NAME = "manifest.json"


@with_config(ConfigDict(extra="forbid"))
@dataclass(frozen=True, slots=True)
class Manifest:
    """What a corpus was made with.

    Args:
        embeddings: name of the embeddings.
        lexical: they know words only, so that BM25 alone ranks better.
        chunk_size: characters.
        chunk_overlap: characters.
        dimension: numbers per vector; None until the first document.
        corpus_id: drawn once, tells corpora apart.
        format_version: of all files in the directory.
    """

    embeddings: str
    lexical: bool
    chunk_size: int
    chunk_overlap: int
    dimension: int | None = None
    corpus_id: str = ""
    format_version: int = FORMAT_VERSION

    @classmethod
    def read(cls, directory: Path) -> Manifest | None:
        """The manifest of a directory; None when it has none.

        Raises:
            IndexMismatch: it has another format version.
            CorpusError: it is damaged.
        """
        try:
            path = directory / _NAME
            if not path.is_file() and path.exists():  # to read from a named pipe would take for ever
                raise OSError("it is no regular file")
            text = path.read_text(encoding="utf-8")
            fields = json.loads(text)
        except FileNotFoundError:
            return None
        except (ValueError, OSError, RecursionError) as error:
            raise CorpusError(
                f"{directory / _NAME} cannot be read ({error}): remove {directory} and add again"
            ) from None
        version = fields.get("format_version") if isinstance(fields, dict) else None
        if version not in range(OLDEST_READ, FORMAT_VERSION + 1):
            raise IndexMismatch(
                f"the index in {directory} has format version {version!r}, this release reads {FORMAT_VERSION}: "
                "index the documents again in another directory, or use the release that made it"
            )
        try:
            return _MANIFEST.validate_json(text, strict=True)
        except ValidationError:
            raise CorpusError(f"{directory / _NAME} is damaged: remove {directory} and add again") from None

    def write(self, directory: Path) -> Manifest:
        """Write it, whole or not at all; returns it with its ``corpus_id``."""
        named = self if self.corpus_id else replace(self, corpus_id=uuid.uuid4().hex)
        temporary = directory / f"{_NAME}.{uuid.uuid4().hex}.tmp"
        with temporary.open("w", encoding="utf-8") as file:
            json.dump(asdict(named), file, indent=2)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(directory / _NAME)
        return named

    @property
    def is_old(self) -> bool:
        """Whether its documents were cut by an earlier release."""
        return self.format_version < FORMAT_VERSION

    def check(self, wanted: Manifest, directory: Path) -> None:
        """Refuse to open this corpus with other embeddings.

        Raises:
            IndexMismatch: naming both.
        """
        if self.embeddings != wanted.embeddings:
            size = f" ({self.dimension} dimensions)" if self.dimension else ""
            raise IndexMismatch(
                f"the index in {directory} was made with the embeddings {self.embeddings!r}{size}, it was opened with "
                f"{wanted.embeddings!r}: give the same ones, or index the documents again in another directory"
            )

    def check_dimension(self, dimension: int) -> None:
        """Refuse vectors of another length.

        Raises:
            IndexMismatch: naming both lengths.
        """
        if self.dimension is not None and dimension != self.dimension:
            raise IndexMismatch(
                f"the index holds vectors of {self.dimension} dimensions, the embeddings {self.embeddings!r} gave "
                f"{dimension}: give the ones it was made with, or index the documents again in another directory"
            )


_MANIFEST = TypeAdapter(Manifest)
