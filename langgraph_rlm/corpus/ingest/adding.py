"""How documents come into a corpus and leave it, so that being killed anywhere does no harm.

The order for a batch: vectors are computed; the rows are written as pending; the store gets its records while the word
index commits; the names are written; the rows become done. What was cut short is found by its state and finished at
the next change.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from dataclasses import replace
from itertools import islice
from typing import Any, NamedTuple

from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings

from langgraph_rlm.corpus.catalog import Catalog, NewRow, Row
from langgraph_rlm.corpus.index import RESERVED_PREFIX, VectorIndex
from langgraph_rlm.corpus.ingest.chunking import chunk_text
from langgraph_rlm.corpus.ingest.documents import checked_id, checked_metadata, comparable
from langgraph_rlm.corpus.ingest.given import stopped
from langgraph_rlm.corpus.ingest.reports import MOST_SKIPPED, AddProgress, AddReport, SkippedDocument
from langgraph_rlm.corpus.ingest.vectors import VectorCache, embed
from langgraph_rlm.corpus.languages import language_of
from langgraph_rlm.corpus.manifest import FORMAT_VERSION, Manifest
from langgraph_rlm.corpus.names.headings import headings_of, paths_at
from langgraph_rlm.corpus.names.name_graph import NameGraph
from langgraph_rlm.errors import InvalidInput, RLMError
from langgraph_rlm.fanout import LOCAL
from langgraph_rlm.text.bm25 import BM25Index, Chunk
from langgraph_rlm.text.document_ids import place_of

BATCH_CHUNKS = 1000
MOST_AT_ONCE = 2 * BATCH_CHUNKS
"""Chunks that are embedded and written together: a document of any length takes the memory of so many vectors."""
LOOKED_UP_AT_ONCE = 100
LOOKED_UP_CHARS = 1_000_000
"""Documents are held back until so many, or of so many characters together, are looked up in the catalog."""
SAMPLE = 50
"""Documents looked up in the store at the start of a change, to see whether somebody has emptied it."""
_SUFFIX = re.compile(r"\.[A-Za-z]\w{0,4}$")

_NAMESPACE = uuid.UUID("6c5b3f0e-51c5-4c1c-9d0e-3a7c2f0b8e21").bytes
_DOC_ID, _DIGEST, _START, _END = (RESERVED_PREFIX + name for name in ("doc_id", "digest", "start", "end"))
_SORTED_JSON = json.JSONEncoder(sort_keys=True, ensure_ascii=False)


class _Given(NamedTuple):
    doc_id: str
    text: str
    metadata: dict[str, Any]
    digest: str
    part_of: str | None
    """The source that it is a part of, where its id was made of that."""


class _Job(NamedTuple):
    row: NewRow
    before: int
    """Chunk numbers below this may already be in the store."""
    known: bool
    """A row was there, so that the word index may hold its chunks."""


_Part = tuple[Chunk, dict[str, Any]]
"""A chunk, and what the store keeps with it."""


class Adder:
    """One ``add`` or ``delete``. Made while the corpus is locked for writing.

    Args:
        catalog: the rows.
        index: the vector store.
        words: the word index.
        embeddings: make the vectors.
        manifest: the corpus' manifest.
        save: keeps a manifest in the place of the one before.
        names: what the documents define.
        cache: vectors that were paid for already.
    """

    def __init__(
        self,
        catalog: Catalog,
        index: Callable[[], VectorIndex],
        words: BM25Index,
        embeddings: Embeddings,
        manifest: Manifest,
        save: Callable[[Manifest], Manifest],
        names: NameGraph,
        cache: VectorCache | None = None,
    ) -> None:
        self._catalog = catalog
        self._index = index
        self._words = words
        self._embeddings = embeddings
        self._manifest = manifest
        self._save = save
        self._names = names
        self._cache = cache
        self._claimed = False
        self._superseded: set[str] = set()
        self._chunks = self._chars = self._left_out = 0
        self._skipped: list[SkippedDocument] = []
        self._sources: set[str] = set()
        self._failed: Exception | None = None
        self._last = ""
        self._started = time.monotonic()

    def add(
        self,
        documents: Iterable[Document],
        on_progress: Callable[[AddProgress], None] | None,
        prune: bool | str,
        ttl: float | None = None,
    ) -> AddReport:
        """See :meth:`langgraph_rlm.corpus.corpus.Corpus.add`."""
        total = len(documents) if isinstance(documents, Sized) else None
        try:
            resumed = self.finish()
            seen: set[str] = set()
            counts = {"new": 0, "changed": 0, "unchanged": 0}
            batch: list[_Job] = []
            waiting = 0

            def tell(pending: int = 0) -> None:
                if on_progress is not None:
                    done, seconds = sum(counts.values()) - pending, time.monotonic() - self._started
                    on_progress(AddProgress(done, total, self._chunks, seconds, self._chars))

            for job in self._jobs(documents, seen):
                counts["unchanged" if job is None else "changed" if job.known else "new"] += 1
                if job is not None:
                    batch.append(job)
                    waiting += len(job.row.spans)
                if waiting >= BATCH_CHUNKS or len(batch) >= BATCH_CHUNKS:
                    self._write(batch, tell)
                    batch, waiting = [], 0
                    tell()
            self._write(batch, tell)
            tell()
            gone = self._superseded - seen
            superseded = self.delete(gone) if gone else 0
            pruned = self.delete(self._prunable(prune) - seen) if prune and self._failed is None else 0
            self._catalog.write_expiry(seen, None if ttl is None else time.time() + ttl)
            if self._cache is not None:
                self._cache.shrink(self._catalog.totals()[1])
        finally:
            self._words.rollback()  # nothing when all is committed, but it lets others write
        if self._failed is not None:
            raise stopped(self._failed, sum(counts.values()), self._last) from self._failed
        return AddReport(
            **counts,
            left_out=self._left_out,
            skipped=tuple(self._skipped),
            superseded=superseded,
            pruned=pruned,
            resumed=resumed,
            chunks=self._chunks,
            seconds=time.monotonic() - self._started,
        )

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Remove documents; returns how many of them there were."""
        rows = list(self._catalog.rows_of(doc_ids).values())
        if rows:
            self._catalog.write_deleted(row.doc_id for row in rows)
            self._remove(rows)
        return len(rows)

    def finish(self) -> int:
        """Complete what an interrupted change left, or what the store has lost; returns the number of documents."""
        self._names.make_whole()
        self._remove(list(self._catalog.rows_of_any(self._catalog.expired())))
        self._mark_lost()
        rows = self._catalog.unfinished()
        self._remove([row for row in rows if row.state == "deleted"])
        batch: list[_Job] = []
        for row in rows:
            if row.state != "pending":
                continue
            text = (self._catalog.text(row.doc_id) or b"").decode()
            batch.append(_Job(self._cut(row.doc_id, row.digest, text, row.metadata), row.indexed, True))
            if sum(len(job.row.spans) for job in batch) >= BATCH_CHUNKS:
                self._write(batch)
                batch = []
        self._write(batch)
        if self._manifest.is_old:
            self._cut_anew()
        return len(rows)

    def _cut_anew(self) -> None:
        """Cut the documents of an index of an earlier release by today's rules. Killed in between, the next change goes on."""
        batch: list[_Job] = []
        unused: set[str] = set()
        for row in list(self._catalog.all_done()):
            text = (self._catalog.text(row.doc_id) or b"").decode()
            digest = self._digest(row.doc_id, text, row.metadata)
            if digest == row.digest:
                continue
            new = self._cut(row.doc_id, digest, text, row.metadata)
            unused |= {text[start:end] for start, end in set(self._catalog.spans(row.doc_id)) - set(new.spans)}
            batch.append(_Job(new, row.indexed, True))
            if sum(len(job.row.spans) for job in batch) >= BATCH_CHUNKS:
                self._rewrite(batch, unused)
                batch, unused = [], set()
        self._rewrite(batch, unused)
        self._manifest = self._save(replace(self._manifest, format_version=FORMAT_VERSION))

    def _rewrite(self, batch: Sequence[_Job], unused: set[str]) -> None:
        self._write(batch)
        if self._cache is not None and unused:
            self._cache.drop(unused)

    def _mark_lost(self) -> None:
        """Find documents that the store or the words do not hold any more.

        All are looked up only when the store lacks one of a few. Of the words only a directory that was removed is noticed.
        """
        some = self._catalog.some_done(SAMPLE)
        if some and not self._words.count():
            self._catalog.write_lost([row.doc_id for row in self._catalog.all_done()])
        elif some and self._lost((row.doc_id, 1) for row in some):
            self._catalog.write_lost(self._lost((row.doc_id, row.chunks) for row in self._catalog.all_done()))

    def _lost(self, documents: Iterable[tuple[str, int]]) -> list[str]:
        ids = {doc_id: [chunk_id(doc_id, number) for number in range(count)] for doc_id, count in documents}
        there = self._index().existing([id_ for some in ids.values() for id_ in some])
        return [doc_id for doc_id, some in ids.items() if not there.issuperset(some)]

    def _jobs(self, documents: Iterable[Document], seen: set[str]) -> Iterator[_Job | None]:
        """What is to be done for each document; None for one that is there as it is."""
        held: list[_Given] = []
        chars = 0
        for document in self._as_far_as_it_goes(documents):
            if (given := self._given(document, seen)) is None:
                continue
            held.append(given)
            chars += len(given.text)
            if len(held) == LOOKED_UP_AT_ONCE or chars >= LOOKED_UP_CHARS:
                yield from self._looked_up(held)
                held, chars = [], 0
        yield from self._looked_up(held)

    def _as_far_as_it_goes(self, documents: Iterable[Document]) -> Iterator[Document]:
        """Documents until their iterator fails: what came before is still written."""
        try:
            yield from documents
        except RLMError:
            raise
        except Exception as error:  # noqa: BLE001 - a loader may raise anything; it is raised again as the cause
            self._failed = error

    def _prunable(self, prune: bool | str) -> set[str]:
        if prune is True:
            return set(self._catalog.ids())
        return {row.doc_id for row in self._catalog.rows() if row.metadata.get("source") in self._sources}

    def _given(self, document: Document, seen: set[str]) -> _Given | None:
        """A document, checked; None for one whose metadata cannot be kept."""
        doc_id = checked_id(document)
        try:
            metadata = checked_metadata(document)
        except ValueError as error:
            seen.add(doc_id)  # what is there stays as it is
            self._left_out += 1
            if len(self._skipped) < MOST_SKIPPED:
                self._skipped.append(SkippedDocument(doc_id, str(error)))
            return None
        if doc_id in seen:
            raise InvalidInput(
                f"document {doc_id!r}: a second document with this id, which would take the place of the first. Give each an "
                "id of its own, Document(id=…); chunks of one text get theirs from a splitter with add_start_index=True"
            )
        seen.add(doc_id)
        text = document.page_content
        self._last = doc_id
        source = metadata.get("source")
        if isinstance(source, str):
            self._sources.add(source)
        part_of = source if isinstance(source, str) and doc_id != source and not document.id else None
        return _Given(doc_id, text, metadata, self._digest(doc_id, text, metadata), part_of)

    def _looked_up(self, given: Sequence[_Given]) -> Iterator[_Job | None]:
        wholes = {one.part_of for one in given if one.part_of is not None}
        rows = self._catalog.rows_of([*(one.doc_id for one in given), *wholes])
        # Release 0.1 gave all pages of a file the id of the file, so that the last one took the place of the others.
        self._superseded |= {source for source in wholes & rows.keys() if place_of(rows[source].metadata)}
        for doc_id, text, metadata, digest, _ in given:
            row = rows.get(doc_id)
            if row is not None and row.digest == digest and row.state == "done":
                self._chars += len(text)
                yield None
            else:
                new = self._cut(doc_id, digest, text, metadata)
                yield _Job(new, row.indexed if row else 0, row is not None)

    def _cut(self, doc_id: str, digest: str, text: str, metadata: dict[str, Any]) -> NewRow:
        language = language_of(doc_id)
        spans = chunk_text(
            text, size=self._manifest.chunk_size, overlap=self._manifest.chunk_overlap, language=language
        )
        paths = paths_at(headings_of(text, language), [start for start, _ in spans])
        return NewRow(doc_id, digest, text, metadata, spans, paths)

    def _digest(self, doc_id: str, text: str, metadata: dict[str, Any]) -> str:
        try:
            encoded = text.encode()
            described = _SORTED_JSON.encode(metadata).encode()
        except UnicodeEncodeError as error:
            raise InvalidInput(
                f"document {doc_id!r}: a lone surrogate at character {error.start}, which is no text; repair it, e.g. "
                'by text.encode("utf-8", "replace").decode()'
            ) from None
        chunking = f"{FORMAT_VERSION} {self._manifest.chunk_size} {self._manifest.chunk_overlap} {len(described)}\n"
        return hashlib.sha256(chunking.encode() + described + encoded).hexdigest()[:32]

    def _write(self, batch: Sequence[_Job], on_part: Callable[[int], None] = lambda pending: None) -> None:
        """Write documents, a long one in parts; ``on_part`` is told after each but the last how many are not done yet."""
        if not batch:
            return
        for job in batch:
            self._check(job.row)
        for number, part in enumerate(_parts(batch)):
            if number:
                on_part(len(batch))
            texts = [chunk.text for chunk, _ in part]
            vectors = embed(texts, self._embeddings, self._cache, self._manifest.dimension)
            self._claim(vectors)
            if not number:
                self._catalog.write_pending(job.row for job in batch)
                # A store merges the metadata of a record with that of the one before, so old records go first.
                self._delete_vectors((job.row.doc_id, job.before) for job in batch)
            self._write_part(part, vectors, again=[] if number else [job.row.doc_id for job in batch if job.known])
        self._names.write([job.row for job in batch])
        self._catalog.write_done(job.row.doc_id for job in batch)

    def _claim(self, vectors: Sequence[Sequence[float]]) -> None:
        """Check that vectors are of the corpus' length; the first ones of a change claim the collection."""
        if not vectors:
            return
        if self._manifest.dimension is None:
            self._manifest = self._save(replace(self._manifest, dimension=len(vectors[0])))
        for vector in vectors:
            self._manifest.check_dimension(len(vector))
        if not self._claimed:
            self._index().claim(self._manifest.embeddings, len(vectors[0]))
            self._claimed = True

    def _write_part(self, part: Sequence[_Part], vectors: list[list[float]], *, again: Sequence[str]) -> None:
        """Write chunks into store and words; those of documents ``again`` are taken out of the words before."""

        def write_vectors() -> None:
            if part:
                self._index().upsert(
                    [chunk.chunk_id for chunk, _ in part],
                    vectors,
                    [chunk.text for chunk, _ in part],
                    [metadata for _, metadata in part],
                )

        def write_words() -> None:
            for doc_id in again:
                self._words.delete_document(doc_id)
            self._words.add([chunk for chunk, _ in part])
            self._words.commit(release=False)

        # The store first: it may take long, and here it can be interrupted.
        LOCAL.map(lambda write: write(), [write_vectors, write_words])
        self._chunks += len(part)
        self._chars += sum(chunk.end - chunk.start for chunk, _ in part)

    def _check(self, row: NewRow) -> None:
        try:
            self._index().check(comparable(row.metadata) | {_DOC_ID: row.doc_id})
        except InvalidInput as error:
            raise InvalidInput(f"document {row.doc_id!r}: {error}") from None

    def _remove(self, rows: Sequence[Row]) -> None:
        if not rows:
            return
        if self._cache is not None:
            for row in rows:
                text = (self._catalog.text_of_any(row.doc_id) or b"").decode()
                self._cache.drop(text[start:end] for start, end in self._catalog.spans(row.doc_id))
        self._delete_vectors((row.doc_id, row.indexed) for row in rows)
        for row in rows:
            self._words.delete_document(row.doc_id)
        self._words.commit(release=False)
        self._names.delete([row.doc_id for row in rows])
        self._catalog.remove(row.doc_id for row in rows)

    def _delete_vectors(self, documents: Iterable[tuple[str, int]]) -> None:
        ids = [chunk_id(doc_id, number) for doc_id, count in documents for number in range(count)]
        if ids:
            self._index().delete(ids)


def chunk_id(doc_id: str, number: int) -> str:
    """The id of a chunk in every store: the UUID, of version 5, of document id and number.

    Written out here, as there is one for each chunk and ``uuid.uuid5`` takes three times as long.
    """
    digest = bytearray(hashlib.sha1(_NAMESPACE + f"{doc_id}\x00{number}".encode(), usedforsecurity=False).digest())
    digest[6] = 0x50 | digest[6] & 0x0F
    digest[8] = 0x80 | digest[8] & 0x3F
    written = digest.hex()
    return f"{written[:8]}-{written[8:12]}-{written[12:16]}-{written[16:20]}-{written[20:32]}"


def _chunks(row: NewRow) -> Iterator[Chunk]:
    name = _name(row)
    paths = row.paths or [()] * len(row.spans)
    for number, ((start, end), path) in enumerate(zip(row.spans, paths, strict=True)):
        text = row.text[start:end]
        # A section that goes on in a further chunk is asked for by its heading all the same.
        above = " ".join([name, *(heading for heading in path if heading not in text)])
        yield Chunk(chunk_id(row.doc_id, number), row.doc_id, row.digest, start, end, text, above)


def _parts(batch: Sequence[_Job]) -> Iterator[list[_Part]]:
    """The chunks of documents, at most :data:`MOST_AT_ONCE` in a part; one part also when there are none."""
    pairs = (pair for job in batch for pair in zip(_chunks(job.row), _metadatas(job.row), strict=True))
    yield list(islice(pairs, MOST_AT_ONCE))
    while part := list(islice(pairs, MOST_AT_ONCE)):
        yield part


def _name(row: NewRow) -> str:
    """The words by which people ask for a document: its id without the suffix, and its title where it has one.

    Few chunks repeat them: `textwrap.dedent` is asked for, and its chunk in textwrap.py says only `def dedent`.
    """
    title = row.metadata.get("title")
    return f"{_SUFFIX.sub('', row.doc_id)} {title if isinstance(title, str) else ''}".strip()


def _metadatas(row: NewRow) -> Iterator[dict[str, Any]]:
    """What the store keeps with each chunk of a document."""
    shared = comparable(row.metadata) | {_DOC_ID: row.doc_id, _DIGEST: row.digest}
    return ({**shared, _START: start, _END: end} for start, end in row.spans)
