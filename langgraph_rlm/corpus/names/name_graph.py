"""The name graph of a corpus: names are nodes, mentions of them in other documents are links."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from langgraph_rlm.corpus.catalog import Catalog, NewRow
from langgraph_rlm.corpus.filters import Where, passes
from langgraph_rlm.corpus.locking import WriterLock
from langgraph_rlm.corpus.names.definitions import definitions
from langgraph_rlm.corpus.names.hopping import Hopper
from langgraph_rlm.corpus.names.linking import Linker, style_of
from langgraph_rlm.corpus.names.name_index import Defined, NameIndex, NamesDamaged, NewNames
from langgraph_rlm.corpus.names.naming import Words
from langgraph_rlm.errors import StoreUnavailable
from langgraph_rlm.text.bm25 import BM25Index

T = TypeVar("T")

MOST_LINKED_CHARS = 1_000_000
"""Of a document, when its links are listed."""
MOST_LINKS = 1000
"""Of one document that are shown."""


class NameGraph:
    """Keeps the names of all documents and answers what follows from them.

    A file that is missing, damaged or of an older release is made again from the documents: by the next change, or by
    the first question while nobody changes the corpus.

    Args:
        path: the file of names.
        catalog: the documents.
        words: their words.
        writer: the corpus' lock for changes.
    """

    def __init__(self, path: Path, catalog: Catalog, words: BM25Index, writer: WriterLock) -> None:
        self._path = path
        self._catalog = catalog
        self._words = words
        self._writer = writer
        self._index = NameIndex(path)
        self._linker = Linker(self._index, catalog, words)
        self._hopper = Hopper(self._linker)

    # --- changes; made while the corpus is locked for writing -----------------------------------------------------

    def make_whole(self) -> None:
        """See to it that the names of all documents are there."""
        if not self._index.is_whole():
            self._index.rebuild(self._all())

    def write(self, rows: Sequence[NewRow]) -> None:
        """Put the names of these documents in the place of those that they had."""
        try:
            self._index.write([_new_names(row.doc_id, row.digest, row.text, row.metadata) for row in rows])
        except NamesDamaged:
            self._index.rebuild(self._all())  # these rows are in the catalog already

    def delete(self, doc_ids: Collection[str]) -> None:
        """Forget the names of these documents."""
        try:
            self._index.delete(doc_ids)
        except NamesDamaged:
            self._index.rebuild(self._all())

    # --- questions ------------------------------------------------------------------------------------------------

    def following(self, ask: Callable[[Hopper], T]) -> T | None:
        """What ``ask`` finds; None when no document defines a name.

        Raises:
            StoreUnavailable: the names have to be made again, and another process changes the corpus.
        """
        return self._repaired(lambda: ask(self._hopper) if self._index.has_any() else None)

    def names(self, prefix: str, where: Where | None) -> Iterator[dict[str, Any]]:
        """Names with the documents that define them, by name."""
        passing = (
            None
            if where is None
            else {row.doc_id for row in self._catalog.rows() if passes(where, row.doc_id, row.metadata)}
        )
        self._repaired(self._index.has_any)
        begin = " ".join(Words(prefix).keys)
        for one in self._index.names(begin):
            if passing is None or one.doc_id in passing:
                yield _as_dict(one)

    def named_in(self, question: str, where: Where | None) -> list[dict[str, Any]]:
        """The names that a question mentions, with the documents that they stand for."""
        found = self._repaired(lambda: self._linker.named_in(question, "question"))
        live = self._live([one for _, those in found for one in those], where)
        return [
            {
                "name": question[mention.start : mention.end],
                "start": mention.start,
                "end": mention.end,
                "documents": there,
            }
            for mention, those in found
            if (there := [_as_dict(one) for one in those if one in live])
        ]

    def links(self, doc_id: str, text: str) -> dict[str, list[dict[str, Any]]]:
        """What a document is called, what it mentions and what mentions it."""
        return self._repaired(lambda: self._links(doc_id, text))

    def close(self) -> None:
        """Release the file."""
        self._index.close()

    def _links(self, doc_id: str, text: str) -> dict[str, list[dict[str, Any]]]:
        mine = self._index.defined_at(doc_id, 0, len(text), MOST_LINKS)
        out = self._linker.named_in(text[:MOST_LINKED_CHARS], style_of(doc_id))
        out = list({mention.key: (mention, those) for mention, those in reversed(out)}.values())[::-1]
        live = self._live([*mine, *(one for _, those in out for one in those)], None)
        return {
            "names": [_as_dict(one) for one in mine if one in live],
            "mentions": [
                {**_as_dict(one), "name": text[mention.start : mention.end], "at": mention.start}
                for mention, those in out
                for one in those
                if one in live and one.doc_id != doc_id
            ][:MOST_LINKS],
            "mentioned_by": self._linker.mentioning([one for one in mine if one in live], MOST_LINKS),
        }

    def _live(self, found: Sequence[Defined], where: Where | None) -> set[Defined]:
        """Those whose documents still have this content, and pass the filter."""
        rows = self._catalog.rows_of(one.doc_id for one in found)
        return {
            one
            for one in found
            if one.doc_id in rows
            and rows[one.doc_id].digest == one.digest
            and (where is None or passes(where, one.doc_id, rows[one.doc_id].metadata))
        }

    def _repaired(self, ask: Callable[[], T]) -> T:
        if self._index.is_whole():
            try:
                return ask()
            except NamesDamaged:
                self._locked(lambda: self._index.rebuild(self._all()))
        else:
            self._locked(self.make_whole)
        return ask()

    def _locked(self, change: Callable[[], None]) -> None:
        try:
            with self._writer.held():
                change()
        except StoreUnavailable as error:
            raise StoreUnavailable(
                f"{self._path} holds not all names yet, and another process changes the corpus: ask again when it has "
                'finished, or use mode="hybrid"'
            ) from error

    def _all(self) -> Iterator[NewNames]:
        for row in self._catalog.rows():
            text = self._catalog.text(row.doc_id)
            if text is not None:
                yield _new_names(row.doc_id, row.digest, text.decode(), row.metadata)


def _new_names(doc_id: str, digest: str, text: str, metadata: Mapping[str, Any]) -> NewNames:
    return NewNames(doc_id, digest, definitions(doc_id, text, metadata))


def _as_dict(one: Defined) -> dict[str, Any]:
    return {"name": one.text, "kind": one.kind, "doc_id": one.doc_id, "start": one.start, "end": one.end}
