"""Opening a corpus: what is asked for, checked, and its directory, found or made."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.embeddings import HashingEmbeddings, describe
from langgraph_rlm.corpus.finding.refining import Reranker
from langgraph_rlm.corpus.index import VectorIndex, is_index, open_index, split_address, split_spec
from langgraph_rlm.corpus.ingest.chunking import CHUNK_OVERLAP, CHUNK_SIZE, check_sizes
from langgraph_rlm.corpus.manifest import Manifest
from langgraph_rlm.corpus.tenants import TenantIndex, check_tenant, folder_of
from langgraph_rlm.errors import CorpusError, IndexMismatch, InvalidInput
from langgraph_rlm.text.words import Words


@dataclass(frozen=True, slots=True)
class Opening:
    """What :meth:`langgraph_rlm.corpus.Corpus.open` was asked for. Made by :meth:`checked`.

    Args:
        spec: where the store is: a str, a ``VectorIndex`` or a LangChain store.
        embeddings: the ones given, or lexical ones.
        directory: the corpus' own, of a tenant the tenant's; None where the corpus only reads a store.
        tenant: whose documents these are.
        is_shared: others use the store too, so that each record says whose it is.
        ttl: seconds that a document stays.
        reranker: ranks hits once more.
        create: make the directory when it is missing.
        chunk_size: characters.
        chunk_overlap: characters.
        words: how ``bm25`` reads texts.
        group_by: the field by which chunks that somebody else has stored belong together.
    """

    spec: Any
    embeddings: Embeddings
    directory: Path | None
    tenant: str | None
    is_shared: bool
    ttl: float | None
    reranker: Reranker | None
    create: bool
    chunk_size: int | None
    chunk_overlap: int | None
    words: Words | None
    group_by: str | None = "source"

    @classmethod
    def checked(
        cls,
        spec: Any,
        embeddings: Embeddings | None,
        directory: str | Path | None,
        tenant: str | None,
        ttl: float | None,
        reranker: Reranker | None,
        create: bool,
        chunk_size: int | None,
        chunk_overlap: int | None,
        words: Words | None,
        group_by: str | None = "source",
    ) -> Opening:
        """What was asked for, or InvalidInput for what is not usable."""
        if tenant is not None:
            check_tenant(tenant)
        check_ttl(ttl)
        if group_by is not None and (not isinstance(group_by, str) or not group_by):
            raise InvalidInput(f"corpus: group_by must be the name of a metadata field, or None, not {group_by!r}")
        is_shared = True
        if isinstance(spec, str):
            _, location = split_spec(spec)
            is_shared = split_address(location) is not None
            if not is_shared and directory is not None:
                raise InvalidInput(f"corpus: {spec!r} names the corpus' directory already; leave directory= out")
            directory = directory if is_shared else location
        own = None if directory is None else Path(directory).expanduser()
        if own is not None and tenant is not None:
            own = own / folder_of(tenant)
        embeddings = HashingEmbeddings() if embeddings is None else embeddings
        return cls(
            spec, embeddings, own, tenant, is_shared, ttl, reranker, create, chunk_size, chunk_overlap, words, group_by
        )

    @property
    def is_foreign(self) -> bool:
        """Whether the store is none of ours, but one of LangChain."""
        return not isinstance(self.spec, str) and not is_index(self.spec)

    def index(self) -> VectorIndex:
        """Open the vector store, narrowed to the tenant where others use it too."""
        opened: VectorIndex = (
            open_index(self.spec, self.directory or Path()) if isinstance(self.spec, str) else self.spec
        )
        return TenantIndex(opened, self.tenant) if self.is_shared and self.tenant is not None else opened


def check_ttl(ttl: Any) -> float | None:
    """Seconds that a document stays, or None; InvalidInput for anything else."""
    if ttl is None or (isinstance(ttl, int | float) and not isinstance(ttl, bool) and ttl > 0):
        return ttl
    raise InvalidInput(f"corpus: ttl must be a number of seconds above 0, not {ttl!r}")


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
    if found.is_old:
        warnings.warn(
            f"the index in {directory} was cut into chunks by an earlier release, which left titles without their text: its next "
            "change, or corpus.add([]), cuts its documents anew (vectors of unchanged text are kept); until then it is "
            "searched as it is",
            stacklevel=2,
        )
    return found


def _refuse_links(directory: Path) -> None:
    """An index that somebody else has made must not make us write to files elsewhere, or wait for a pipe for ever."""
    strange = sorted(
        str(path.relative_to(directory))
        for path in directory.rglob("*")
        if path.is_symlink() or not (path.is_file() or path.is_dir())
    )
    if strange:
        raise CorpusError(
            f"{directory} holds links or pipes ({', '.join(strange[:3])}), which no corpus has: index again elsewhere"
        )


def _make(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise InvalidInput(f"corpus: {directory} is a file; give a directory")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)  # it holds the full texts
    if strangers := sorted(path.name for path in directory.iterdir() if not path.name.startswith("manifest.json")):
        raise CorpusError(
            f"{directory} holds something else ({', '.join(strangers[:3])}) and no corpus: give an empty directory"
        )
