"""Corpora over each store, against the bare client of the same store in the same run.

``--chunks 100000`` for the large size, ``--stores chroma qdrant`` for some. Embeddings cost nothing here: their vectors are
known beforehand. Qdrant's local mode is Python; its REST server and Pinecone's are the loopback doubles of the tests, so that
only what is compared with the bare client on the same server says anything.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from _report import Row, median_ms, report
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langgraph_rlm.integrations.chroma import ChromaIndex
from langgraph_rlm.integrations.pinecone import PineconeIndex
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm import Corpus
from langgraph_rlm.corpus.index import Address, VectorIndex
from tests.pinecone_server import PineconeServer
from tests.qdrant_server import QdrantServer

DIMENSION = 128
CHUNKS_EACH = 10
QUERIES = 30
RARE = r"needle-\d+ in a haystack"
WORDS = ["margin", "quarter", "revenue", "tree", "harbour", "engine", "letter", "winter", "signal", "paper", "river"]


class Known(Embeddings):
    """Draws a vector for each text from the text, fast enough not to count."""

    model = "known"

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        drawn = np.random.default_rng(len(texts)).standard_normal((len(texts), DIMENSION)).astype(np.float32)
        return drawn.tolist()  # type: ignore[no-any-return]

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class Store(NamedTuple):
    """How a store is opened by us, and used without us."""

    open: Callable[[], VectorIndex]
    write: Callable[[list[str], Any, list[str], list[dict[str, Any]]], None]
    query: Callable[[list[float]], object]
    close: Callable[[], None]
    note: str = ""


def documents(chunks: int) -> list[Document]:
    """Documents of ten chunks each; one holds the needle."""
    draw = np.random.default_rng(1)
    made = []
    for number in range(chunks // CHUNKS_EACH):
        parts = [" ".join(draw.choice(WORDS, 100)) for _ in range(CHUNKS_EACH)]
        if number == chunks // CHUNKS_EACH // 2:
            parts[3] += f" needle-{number} in a haystack"
        made.append(Document("\n\n".join(parts), id=f"doc{number}.txt", metadata={"number": number % 10}))
    return made


@contextmanager
def chroma(folder: Path) -> Iterator[Store]:
    """Chroma in this process."""
    ours, bare = ChromaIndex(folder / "ours"), ChromaIndex(folder / "bare")
    yield Store(lambda: ours, _chroma_write(bare), _chroma_query(bare), bare.close)


@contextmanager
def chroma_server(folder: Path) -> Iterator[Store]:
    """Chroma behind `chroma run` on loopback."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    program = "import sys; from chromadb.cli.cli import app; sys.exit(app())"
    server = subprocess.Popen(
        [sys.executable, "-c", program, "run", "--host", "127.0.0.1", "--port", str(port), "--path", str(folder)],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        for _ in range(300):
            with socket.socket() as knock:
                if knock.connect_ex(("127.0.0.1", port)) == 0:
                    break
            time.sleep(0.1)
        ours, bare = (ChromaIndex(address=Address("", "127.0.0.1", port, name)) for name in ("ours", "bare"))
        yield Store(lambda: ours, _chroma_write(bare), _chroma_query(bare), bare.close)
    finally:
        server.kill()
        server.wait()


def _chroma_write(index: ChromaIndex) -> Any:
    def write(ids: list[str], vectors: Any, texts: list[str], metadatas: list[dict[str, Any]]) -> None:
        collection = index._made()
        for at in range(0, len(ids), 1000):
            part = slice(at, at + 1000)
            collection.upsert(
                ids=ids[part], embeddings=vectors[part], documents=texts[part], metadatas=metadatas[part]  # type: ignore[arg-type]
            )  # fmt: skip

    return write


def _chroma_query(index: ChromaIndex) -> Any:
    return lambda vector: index._made().query(
        query_embeddings=[vector], n_results=8, include=["metadatas", "distances"]
    )


@contextmanager
def qdrant(folder: Path) -> Iterator[Store]:
    """Qdrant's local mode, in memory."""
    ours, bare = QdrantIndex(), QdrantIndex()
    yield Store(lambda: ours, _qdrant_write(bare), _qdrant_query(bare), bare.close, "Python")


@contextmanager
def qdrant_rest(folder: Path) -> Iterator[Store]:
    """Qdrant's REST client against the double of the tests."""
    with QdrantServer() as server:
        ours, bare = (QdrantIndex(address=Address("", "127.0.0.1", server.port, name)) for name in ("ours", "bare"))
        yield Store(lambda: ours, _qdrant_write(bare), _qdrant_query(bare), bare.close, "double")


def _qdrant_write(index: QdrantIndex) -> Any:
    from qdrant_client import models

    def write(ids: list[str], vectors: Any, texts: list[str], metadatas: list[dict[str, Any]]) -> None:
        index._make(DIMENSION)
        for at in range(0, len(ids), 1000):
            part = slice(at, at + 1000)
            points = [
                models.PointStruct(id=id_, vector=vector, payload={**metadata, "rlm_text": text})
                for id_, vector, text, metadata in zip(
                    ids[part], vectors[part], texts[part], metadatas[part], strict=True
                )
            ]
            index._client.upsert(index._name, points=points, wait=True)

    return write


def _qdrant_query(index: QdrantIndex) -> Any:
    return lambda vector: index._client.query_points(index._name, query=vector, limit=8, with_payload=True)


@contextmanager
def pinecone(folder: Path) -> Iterator[Store]:
    """Pinecone's SDK against the double of the tests."""
    with PineconeServer() as server:
        server.create("papers", DIMENSION)
        ours, bare = (PineconeIndex("papers", name, api_key="key", host=server.url) for name in ("ours", "bare"))

        def write(ids: list[str], vectors: Any, texts: list[str], metadatas: list[dict[str, Any]]) -> None:
            records = [
                {"id": id_, "values": vector, "metadata": {**metadata, "rlm_text": text}}
                for id_, vector, text, metadata in zip(ids, vectors, texts, metadatas, strict=True)
            ]
            bare._index.upsert(vectors=records, namespace="bare", batch_size=400, show_progress=False)

        def query(vector: list[float]) -> object:
            return bare._index.query(vector=vector, top_k=8, namespace="bare", include_metadata=True)

        yield Store(lambda: ours, write, query, bare.close, "double")


STORES = {"chroma": chroma, "chroma-server": chroma_server, "qdrant": qdrant, "qdrant-rest": qdrant_rest,
          "pinecone": pinecone}  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Beside:
    """Passes on to an index, and writes each batch by the bare client too, now before and now after: both are timed."""

    def __init__(self, index: VectorIndex, store: Store) -> None:
        self._index = index
        self._store = store
        self._batches = 0
        self.ours = self.bare = 0.0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def upsert(self, *batch: Any) -> None:
        """Timed."""
        self._batches += 1
        for turn in (self._batches % 2, 1 - self._batches % 2):
            if turn:
                self.ours += seconds(lambda: self._index.upsert(*batch))
            else:
                self.bare += seconds(lambda: self._store.write(*batch))


def measure(name: str, store: Store, texts: Sequence[Document], folder: Path) -> list[Row]:
    """All figures of one store."""
    label = f"{name} ({store.note})" if store.note else name
    index = Beside(store.open(), store)
    corpus = Corpus.open(index, Known(), directory=folder / "corpus", chunk_overlap=0)
    added = seconds(lambda: corpus.add(texts)) - index.bare
    chunks, bare = corpus.chunk_count(), index.bare
    again = min(seconds(lambda: corpus.add(texts)) for _ in range(2))
    rows = [
        Row(f"{label}: {chunks:,} records, through the index", index.ours * 1e3, "ms", bare * 1e3 / 0.9, "bare client", bare * 1e3),
        Row(f"{label}: the whole add (texts, words, catalog)", added * 1e3, "ms", None, "bare client", bare * 1e3),
        Row(f"{label}: adding all again, unchanged", again * 1e3, "ms", added * 1e3 / 50, "first add", added * 1e3),
    ]  # fmt: skip
    draw = Known().embed_documents([str(number) for number in range(QUERIES)])
    turns = iter(range(10**9))
    both = [
        median_ms(lambda ask=ask: ask(draw[next(turns) % QUERIES]), repeats=QUERIES * 3, warm_up=5)  # type: ignore[misc]
        for ask in (lambda vector: index.query(vector, 8), store.query)
    ]
    rows.append(Row(f"{label}: query over the bare client", both[0] - both[1], "ms", 1.0, "bare client", both[1]))
    asked = iter(range(10**9))
    times = {
        mode: median_ms(
            lambda mode=mode: corpus.retrieve(f"{WORDS[next(asked) % 11]} of the {WORDS[next(asked) % 7]}", mode=mode),  # type: ignore[misc]
            repeats=QUERIES,
        )
        for mode in ("vector", "bm25", "hybrid")
    }
    slower = max(times["vector"], times["bm25"])
    rows.append(Row(f"{label}: hybrid", times["hybrid"], "ms", 2 * slower, "slower part", slower))
    local = median_ms(lambda: corpus.grep(RARE, deadline=None), repeats=5)
    target = 150.0 if name.startswith("chroma") else None
    attached = Corpus.open(index, Known())
    if len(attached.grep(RARE, deadline=None)) != 1 or len(corpus.grep(RARE, deadline=None)) != 1:
        raise RuntimeError(f"{name}: the needle was not found")
    pushed = median_ms(lambda: attached.grep(RARE, deadline=None), repeats=3)
    rows.append(Row(f"{label}: grep of a rare pattern, own texts", local, "ms", target))
    rows.append(Row(f"{label}: grep of a rare pattern, in the store", pushed, "ms", target, "own texts", local))
    corpus.close()
    store.close()
    return rows


def main() -> None:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--chunks", type=int, default=10_000)
    arguments.add_argument("--stores", nargs="+", choices=list(STORES), default=list(STORES))
    given = arguments.parse_args()
    texts = documents(given.chunks)
    rows: list[Row] = []
    for name in given.stores:
        folder = Path(tempfile.mkdtemp(prefix="stores-"))
        try:
            with ExitStack() as stack:
                rows += measure(name, stack.enter_context(STORES[name](folder)), texts, folder)
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    report("stores" if given.chunks == 10_000 else f"stores-{given.chunks}", rows)


if __name__ == "__main__":
    main()
