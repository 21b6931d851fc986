"""Corpora over each store, against the bare client of the same store in the same run.

``--chunks 100000`` for the large size, ``--stores chroma qdrant`` for some. Embeddings are drawn at random, and
their time is not counted. Qdrant's local mode is Python; its REST server and Pinecone's are the loopback doubles of the tests, so that
only what is compared with the bare client on the same server says anything.
"""

from __future__ import annotations

import argparse
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
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
    """Draws a vector for each text, and knows how long that took."""

    model = "known"
    seconds = 0.0

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        started = time.perf_counter()
        drawn = np.random.default_rng(len(texts)).standard_normal((len(texts), DIMENSION)).astype(np.float32)
        vectors: list[list[float]] = drawn.tolist()
        self.seconds += time.perf_counter() - started
        return vectors

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


class Store(NamedTuple):
    """How a store is opened by us, and used without us."""

    ours: VectorIndex
    spare: VectorIndex
    """Another collection of the same kind."""
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
    ours, spare, bare = (ChromaIndex(folder / name) for name in ("ours", "spare", "bare"))
    yield Store(ours, spare, _chroma_write(bare), _chroma_query(bare), bare.close)


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
        at = (Address("", "127.0.0.1", port, name) for name in ("ours", "spare", "bare"))
        ours, spare, bare = (ChromaIndex(address=address) for address in at)
        yield Store(ours, spare, _chroma_write(bare), _chroma_query(bare), bare.close)
    finally:
        server.kill()
        server.wait()


def _chroma_write(index: ChromaIndex) -> Any:
    def write(ids: list[str], vectors: Any, texts: list[str], metadatas: list[dict[str, Any]]) -> None:
        index._make(DIMENSION)
        collection = index._collection
        for at in range(0, len(ids), 1000):
            part = slice(at, at + 1000)
            collection.upsert(
                ids=ids[part], embeddings=vectors[part], documents=texts[part], metadatas=metadatas[part]  # type: ignore[arg-type]
            )  # fmt: skip

    return write


def _chroma_query(index: ChromaIndex) -> Any:
    return lambda vector: index._collection.query(
        query_embeddings=[vector], n_results=8, include=["metadatas", "distances"]
    )


@contextmanager
def qdrant(folder: Path) -> Iterator[Store]:
    """Qdrant's local mode, in memory."""
    ours, spare, bare = QdrantIndex(), QdrantIndex(), QdrantIndex()
    yield Store(ours, spare, _qdrant_write(bare), _qdrant_query(bare), bare.close, "Python")


@contextmanager
def qdrant_rest(folder: Path) -> Iterator[Store]:
    """Qdrant's REST client against the double of the tests."""
    with QdrantServer() as server:
        at = (Address("", "127.0.0.1", server.port, name) for name in ("ours", "spare", "bare"))
        ours, spare, bare = (QdrantIndex(address=address) for address in at)
        yield Store(ours, spare, _qdrant_write(bare), _qdrant_query(bare), bare.close, "double")


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
            index._client.upsert(index.place.collection, points=points, wait=True)

    return write


def _qdrant_query(index: QdrantIndex) -> Any:
    return lambda vector: index._client.query_points(index.place.collection, query=vector, limit=8, with_payload=True)


@contextmanager
def pinecone(folder: Path) -> Iterator[Store]:
    """Pinecone's SDK against the double of the tests."""
    with PineconeServer() as server:
        server.create("papers", DIMENSION)
        names = ("ours", "spare", "bare")
        ours, spare, bare = (PineconeIndex("papers", name, api_key="key", host=server.url) for name in names)

        def write(ids: list[str], vectors: Any, texts: list[str], metadatas: list[dict[str, Any]]) -> None:
            records = [
                {"id": id_, "values": vector, "metadata": {**metadata, "rlm_text": text}}
                for id_, vector, text, metadata in zip(ids, vectors, texts, metadatas, strict=True)
            ]
            bare._index.upsert(vectors=records, namespace="bare", batch_size=400, show_progress=False)

        def query(vector: list[float]) -> object:
            return bare._index.query(vector=vector, top_k=8, namespace="bare", include_metadata=True)

        yield Store(ours, spare, write, query, bare.close, "double")


STORES = {"chroma": chroma, "chroma-server": chroma_server, "qdrant": qdrant, "qdrant-rest": qdrant_rest,
          "pinecone": pinecone}  # fmt: skip


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


class Keeping:
    """Passes on to an index, and keeps what is written."""

    def __init__(self, index: VectorIndex) -> None:
        self._index = index
        self.batches: list[tuple[Any, ...]] = []

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def upsert(self, *batch: Any) -> None:
        """Passed on."""
        self.batches.append(batch)
        self._index.upsert(*batch)


def side_by_side(batches: Sequence[tuple[Any, ...]], store: Store) -> tuple[float, float]:
    """Seconds that an index and the bare client take for the same batches, now the one and now the other first."""
    ours = bare = 0.0
    for number, batch in enumerate(batches):
        for turn in (number % 2, 1 - number % 2):
            if turn:
                ours += seconds(partial(store.spare.upsert, *batch))
            else:
                bare += seconds(partial(store.write, *batch))
    return ours, bare


def over_bare(index: VectorIndex, store: Store) -> tuple[float, float]:
    """Milliseconds that a query takes more than by the bare client, asked right before or after, and by that one alone."""
    draw = Known().embed_documents([str(number) for number in range(QUERIES)])
    asks: list[Callable[[list[float]], object]] = [lambda vector: index.query(vector, 8), store.query]
    pairs = []
    for turn in range(QUERIES * 3):
        times = [0.0, 0.0]
        for which in (turn % 2, 1 - turn % 2):
            times[which] = seconds(partial(asks[which], draw[turn % QUERIES])) * 1e3
        pairs.append(times)
    return statistics.median(ours - bare for ours, bare in pairs), statistics.median(bare for _, bare in pairs)


def measure(name: str, store: Store, texts: Sequence[Document], folder: Path) -> list[Row]:
    """All figures of one store."""
    label = f"{name} ({store.note})" if store.note else name
    index, embeddings = Keeping(store.ours), Known()
    corpus = Corpus.open(index, embeddings, directory=folder / "corpus", chunk_overlap=0)
    added = seconds(lambda: corpus.add(texts)) - embeddings.seconds
    chunks = corpus.chunk_count()
    ours, bare = side_by_side(index.batches, store)
    again = min(seconds(lambda: corpus.add(texts)) for _ in range(2))
    rows = [
        Row(f"{label}: {chunks:,} records, through the index", ours * 1e3, "ms", bare * 1e3 / 0.9, "bare client", bare * 1e3),
        Row(f"{label}: the whole add (texts, words, catalog, names)", added * 1e3, "ms", None, "bare client", bare * 1e3),
        Row(f"{label}: adding all again, unchanged", again * 1e3, "ms", added * 1e3 / 50, "first add", added * 1e3),
    ]  # fmt: skip
    more, bare_query = over_bare(index, store)
    rows.append(Row(f"{label}: query over the bare client", more, "ms", 1.0, "bare client", bare_query))
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
