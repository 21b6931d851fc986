"""Files found by their words: a BM25 index for each stored text, made when it is first asked for."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Collection
from dataclasses import dataclass, field

from langgraph_rlm.corpus.ingest.chunking import chunk_text
from langgraph_rlm.text import ContextStore
from langgraph_rlm.text.bm25 import BM25Index, Chunk
from langgraph_rlm.types import ContextRef, Hit

_MOST_CHARS = 100_000_000
"""Characters of the texts whose indexes are kept: these take about as much memory."""


@dataclass(slots=True)
class _Indexed:
    chars: int
    lock: threading.Lock = field(default_factory=threading.Lock)
    index: BM25Index | None = None
    lines: dict[str, int] = field(default_factory=dict)


class FileWords:
    """Indexes of stored texts; those that were not used for longest go. Safe to share between threads."""

    def __init__(self) -> None:
        self._known: OrderedDict[str, _Indexed] = OrderedDict()
        self._lock = threading.Lock()

    def search(
        self, contexts: ContextStore, ref: ContextRef, query: str, k: int, documents: Collection[str] | None
    ) -> list[Hit]:
        """The best pieces of a stored text by words, best first; blocks.

        Args:
            contexts: that hold it.
            ref: of the text.
            query: words.
            k: pieces wanted.
            documents: ids to look in; None for all.
        """
        made = self._made(contexts, ref)
        assert made.index is not None
        hits = list[Hit]()
        for rank, found in enumerate(made.index.search(query, k, documents)):
            text = contexts.read(ref, found.doc_id, found.start, found.end)
            hits.append(
                Hit(
                    doc_id=found.doc_id, start=found.start, end=found.end, text=text, score=found.score, rank=rank,
                    line=made.lines[found.chunk_id], source="bm25", metadata={},
                )
            )  # fmt: skip
        return hits

    def _made(self, contexts: ContextStore, ref: ContextRef) -> _Indexed:
        key = ref["context_ref"]
        with self._lock:
            held = self._known.setdefault(key, _Indexed(ref["chars"]))
            self._known.move_to_end(key)
            while len(self._known) > 1 and sum(one.chars for one in self._known.values()) > _MOST_CHARS:
                self._known.popitem(last=False)
        with held.lock:
            if held.index is None:
                held.index = _index_of(contexts, ref, held.lines)
        return held


def _index_of(contexts: ContextStore, ref: ContextRef, lines: dict[str, int]) -> BM25Index:
    index, number = BM25Index(), 0
    for doc_id in contexts.documents(ref):
        text, at, line = contexts.read(ref, doc_id), 0, 1
        chunks = list[Chunk]()
        for start, end in chunk_text(text):
            line, at = line + text.count("\n", at, start) if start >= at else 1 + text.count("\n", 0, start), start
            lines[str(number)] = line
            chunks.append(Chunk(str(number), doc_id, "", start, end, text[start:end]))
            number += 1
        index.add(chunks)
    index.commit()
    return index
