"""The directory of a corpus: found or made, and checked against what the corpus is opened with."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.embeddings import describe
from langgraph_rlm.corpus.ingest.chunking import CHUNK_OVERLAP, CHUNK_SIZE, check_sizes
from langgraph_rlm.corpus.manifest import Manifest
from langgraph_rlm.errors import CorpusError, IndexMismatch, InvalidInput


def opened_manifest(
    directory: Path, embeddings: Embeddings, chunk_size: int | None, chunk_overlap: int | None, *, create: bool
) -> Manifest:
    """The manifest of a corpus' directory, which is made when it is missing.

    Args:
        directory: the corpus' own.
        embeddings: the ones that it is opened with.
        chunk_size: characters; None for what is there, or the default.
        chunk_overlap: characters; None likewise.
        create: make the directory when it is missing.

    Raises:
        InvalidInput: a size is not usable, or the directory is a file.
        IndexMismatch: it was made with other embeddings or other chunk sizes.
        CorpusError: nothing is there and ``create`` is False, or the directory holds something else.
    """
    name, lexical = describe(embeddings)
    found = Manifest.read(directory) if directory.is_dir() else None
    known = found or Manifest(name, lexical, CHUNK_SIZE, min(CHUNK_OVERLAP, (chunk_size or CHUNK_SIZE) // 4))
    if found is not None:
        _refuse_links(directory)
    size = known.chunk_size if chunk_size is None else chunk_size
    overlap = known.chunk_overlap if chunk_overlap is None else chunk_overlap
    check_sizes(size, overlap)
    wanted = Manifest(name, lexical, size, overlap)
    if found is None:
        if not create:
            raise CorpusError(
                f"there is no corpus in {directory}: make it with Corpus.open(…).add(documents), or by "
                "`langgraph-rlm index`"
            )
        _make(directory)
        return wanted.write(directory)
    if found.dimension is None:  # nothing was indexed yet
        wanted = replace(wanted, corpus_id=found.corpus_id)
        return found if found == wanted else wanted.write(directory)
    found.check(wanted, directory)
    if (size, overlap) != (found.chunk_size, found.chunk_overlap):
        raise IndexMismatch(
            f"the index in {directory} has chunks of {found.chunk_size} characters with an overlap of "
            f"{found.chunk_overlap}, it was opened with {size} and {overlap}: leave them out, or index the "
            "documents again in another directory"
        )
    return found


def _refuse_links(directory: Path) -> None:
    """An index that somebody else has made must not make us write to files elsewhere."""
    if links := sorted(path.name for path in directory.iterdir() if path.is_symlink()):
        raise CorpusError(
            f"{directory} holds links ({', '.join(links[:3])}), which no corpus has: index again elsewhere"
        )


def _make(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise InvalidInput(f"corpus: {directory} is a file; give a directory")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds the full texts
    if strangers := sorted(path.name for path in directory.iterdir() if not path.name.startswith("manifest.json")):
        raise CorpusError(
            f"{directory} holds something else ({', '.join(strangers[:3])}) and no corpus: give an empty directory"
        )
