"""The word index at a million chunks: building, size, queries, opening, adding; against SQLite's FTS5 in the same run.

``--chunks 100000`` for a shorter run, ``--code`` and ``--language english`` for the index's options, ``--no-peer`` to leave SQLite
out. Texts are those of this Python's standard library and installed packages, repeated with words of their own each time.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sqlite3
import statistics
import sys
import sysconfig
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from itertools import count, islice
from pathlib import Path
from typing import NamedTuple

sys.path.insert(0, str(Path(__file__).parents[1]))

from _report import Row, report

from langgraph_rlm.text.bm25 import BM25Index, Chunk
from langgraph_rlm.text.words import Words

CHUNK_CHARS = 800
CHUNKS_EACH = 20
"""Chunks of a document."""
MOST_TEXTS = 60_000
"""Different chunks that are kept in memory; more are made of these."""
BATCH = 20_000
MORE = 100
QUERIES = 40
K = 8
PEER = "SQLite FTS5"


class Question(NamedTuple):
    """Queries of one kind, each asked once."""

    name: str
    queries: list[str]
    documents: list[str] | None = None


def texts() -> list[str]:
    """Pieces of the Python and Markdown files of this machine."""
    found: list[str] = []
    for folder in dict.fromkeys((sysconfig.get_paths()["stdlib"], sysconfig.get_paths()["purelib"])):
        for path in sorted(Path(folder).rglob("*")):
            if path.suffix not in (".py", ".md", ".rst", ".txt") or not path.is_file():
                continue
            text = path.read_text(encoding="utf-8", errors="replace")
            found += [text[at : at + CHUNK_CHARS] for at in range(0, len(text), CHUNK_CHARS)]
            if len(found) >= MOST_TEXTS:
                return found[:MOST_TEXTS]
    return found


def chunks(pieces: Sequence[str]) -> Iterator[Chunk]:
    """Chunks without end; each says once more which round and which number it is."""
    for number in count():
        around, at = divmod(number, len(pieces))
        text = f"{pieces[at]}\nround{around} serial{number}"
        document, part = divmod(number, CHUNKS_EACH)
        start = part * CHUNK_CHARS
        yield Chunk(
            f"{number:032x}",
            f"src/doc{document}.py",
            f"{document:032x}",
            start,
            start + len(text),
            text,
            f"src/doc{document}",
        )


def questions(chunks_there: int) -> list[Question]:
    """Rare, common and several words; the last in a tenth of the documents, drawn by lot, and in ten."""
    rare = [f"serial{chunks_there * step // QUERIES}" for step in range(QUERIES)]
    common = ["self", "return", "import", "none", "value", "name", "type", "str", "def", "test"] * (QUERIES // 10)
    some = ["parse command line arguments file", "open socket connection timeout error", "thread lock release queue wait",
            "decode bytes utf stream reader", "sort list key function order"]  # fmt: skip
    several = [f"{words} round{turn % 3}" if turn % 2 else words for turn, words in enumerate(some * (QUERIES // 5))]
    there = chunks_there // CHUNKS_EACH
    documents = [f"src/doc{number}.py" for number in random.Random(1).sample(range(there), there // 10)]
    return [
        Question("rare word", rare),
        Question("common word", common),
        Question("five words", several),
        Question(f"five words in {len(documents):,} documents", several, documents),
        Question("five words in 10 documents", several, documents[:10]),
    ]


def percentiles(ask: Callable[[str], object], queries: Sequence[str]) -> tuple[float, float]:
    """p50 and p95 in milliseconds; every query was asked once before."""
    times = []
    for turn in range(2):
        for query in queries:
            started = time.perf_counter()
            ask(query)
            if turn:
                times.append((time.perf_counter() - started) * 1e3)
    return statistics.median(times), statistics.quantiles(times, n=20)[-1]


def seconds(work: Callable[[], object]) -> float:
    """Wall time."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def size(folder: Path) -> float:
    """MB of all files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6


class Measured(NamedTuple):
    """Figures of one engine."""

    build: float
    megabytes: float
    queries: list[tuple[float, float]]
    reopen: float
    more: float


def ours(folder: Path, pieces: Sequence[str], number: int, asked: Sequence[Question], words: Words) -> Measured:
    """BM25Index."""
    index = BM25Index(folder, words)
    source, built = chunks(pieces), 0.0
    for done in range(0, number, BATCH):
        batch = list(islice(source, min(BATCH, number - done)))  # making them is not what is measured
        built += seconds(lambda batch=batch: index.add(batch))  # type: ignore[misc]
    built += seconds(index.commit)
    megabytes = size(folder)
    times = [
        percentiles(lambda query, one=one: index.search(query, K, one.documents), one.queries)  # type: ignore[misc]
        for one in asked
    ]
    index.close()

    def reopen() -> None:
        again = BM25Index(folder)
        if not again.search("serial0", 1):
            raise RuntimeError("what was written is not there")
        again.close()

    opened = statistics.median(seconds(reopen) for _ in range(5))
    more = list(islice(source, 5 * MORE))

    def add(at: int) -> None:
        index.add(more[at : at + MORE])
        index.commit()

    index = BM25Index(folder)
    added = statistics.median(seconds(lambda at=at: add(at)) for at in range(0, len(more), MORE))  # type: ignore[misc]
    index.close()
    return Measured(built, megabytes, times, opened * 1e3, added * 1e3)


def peers(folder: Path, pieces: Sequence[str], number: int, asked: Sequence[Question]) -> Measured:
    """FTS5 without the texts, as our index is, with the chunks' places in a table beside it."""
    path = folder / "fts.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript(
        "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-65536;"
        "CREATE VIRTUAL TABLE words USING fts5(text, content='', detail=column);"
        "CREATE TABLE chunks (id INTEGER PRIMARY KEY, chunk_id, doc_id, digest, start, end);"
        "CREATE INDEX by_document ON chunks (doc_id)"
    )

    def write(batch: Sequence[Chunk], first: int) -> None:
        with connection:
            connection.executemany(
                "INSERT INTO words (rowid, text) VALUES (?, ?)",
                ((first + at, f"{one.text} {one.name}") for at, one in enumerate(batch)),
            )
            connection.executemany(
                "INSERT INTO chunks VALUES (?, ?, ?, ?, ?, ?)",
                ((first + at, *one[:5]) for at, one in enumerate(batch)),
            )

    source, built = chunks(pieces), 0.0
    for done in range(0, number, BATCH):
        batch = list(islice(source, min(BATCH, number - done)))
        built += seconds(lambda batch=batch, done=done: write(batch, done))  # type: ignore[misc]
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    megabytes = size(folder)

    def search(query: str, documents: list[str] | None) -> list[object]:
        within = ""
        if documents is not None:
            within = f"AND doc_id IN ({','.join('?' * len(documents))})"
        return connection.execute(
            "SELECT chunk_id, doc_id, digest, start, end, bm25(words) AS score FROM words JOIN chunks ON id = words.rowid "
            f"WHERE words MATCH ? {within} ORDER BY score LIMIT {K}",
            [" OR ".join(f'"{word}"' for word in query.split()), *(documents or ())],
        ).fetchall()

    times = [
        percentiles(lambda query, one=one: search(query, one.documents), one.queries[: QUERIES // 4])  # type: ignore[misc]
        for one in asked
    ]
    more = list(islice(source, 5 * MORE))
    added = statistics.median(
        seconds(lambda at=at: write(more[at : at + MORE], number + at))  # type: ignore[misc]
        for at in range(0, len(more), MORE)
    )
    connection.close()

    def reopen() -> None:
        again = sqlite3.connect(path)
        again.execute("SELECT rowid FROM words WHERE words MATCH 'serial0'").fetchone()
        again.close()

    return Measured(built, megabytes, times, statistics.median(seconds(reopen) for _ in range(5)) * 1e3, added * 1e3)


def rows_of(number: int, asked: Sequence[Question], own: Measured, peer: Measured | None) -> Iterator[Row]:
    """The table; targets are those of a million chunks."""
    share = max(1.0, number / 1e6)

    def row(what: str, value: float, unit: str, target: float | None, beside: float | None) -> Row:
        return Row(what, value, unit, target, PEER if beside is not None else "", beside)

    yield row(f"build {number:,} chunks", own.build, "s", 90 * share, peer and peer.build)
    yield row("on disk", own.megabytes, "MB", None, peer and peer.megabytes)
    for at, one in enumerate(asked):
        for percent, which in enumerate(("p50", "p95")):
            beside = None if peer is None else peer.queries[at][percent]
            yield row(f"{one.name}, {which}", own.queries[at][percent], "ms", 10, beside)
    yield row("open and find one", own.reopen, "ms", 50, peer and peer.reopen)
    yield row(f"add {MORE} chunks and commit", own.more, "ms", None, peer and peer.more)


def main() -> None:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--chunks", type=int, default=1_000_000)
    arguments.add_argument("--language")
    arguments.add_argument("--code", action="store_true")
    arguments.add_argument("--no-peer", action="store_true")
    given = arguments.parse_args()
    words = Words(language=given.language, stem=given.language is not None, code=given.code)
    pieces, asked = texts(), questions(given.chunks)
    measured: list[Measured | None] = []
    for engine in (
        lambda at: ours(at, pieces, given.chunks, asked, words),
        lambda at: peers(at, pieces, given.chunks, asked),
    ):
        folder = Path(tempfile.mkdtemp(prefix="words-"))
        try:
            measured.append(None if measured and given.no_peer else engine(folder))
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    own, peer = measured
    assert own is not None
    name = "-".join(["words", *([given.language] if given.language else []), *(["code"] if given.code else [])])
    report(
        name if given.chunks == 1_000_000 else f"{name}-{given.chunks}", list(rows_of(given.chunks, asked, own, peer))
    )


if __name__ == "__main__":
    main()
