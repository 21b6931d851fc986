"""The name graph at 100,000 documents: building, memory, adding, and what a hop costs over BM25.

``--documents 1000000`` for the larger run (a quarter of an hour). The documents are an encyclopedia of invented words that are as
frequent as those of a language; each page has a title and mentions others. Times are of the processor, since others use the
machine too. ``--scanner`` also times the alternative that was not
taken: an Aho-Corasick automaton over all names that scans all texts for mentions.
"""

from __future__ import annotations

import argparse
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

import ahocorasick_rs
from _report import Row, report

from langgraph_rlm.corpus.catalog import Catalog, NewRow
from langgraph_rlm.corpus.finding.finder import Finder
from langgraph_rlm.corpus.finding.query import Asked, Query
from langgraph_rlm.corpus.locking import WriterLock
from langgraph_rlm.corpus.manifest import Manifest
from langgraph_rlm.corpus.names.name_graph import NameGraph
from langgraph_rlm.text.bm25 import BM25Index, Chunk

SYLLABLES = [
    "ka",
    "ro",
    "mi",
    "ten",
    "dal",
    "ver",
    "sho",
    "lin",
    "bar",
    "qua",
    "zer",
    "op",
    "ny",
    "fel",
    "gu",
    "han",
    "sei",
]
WORDS, WORDS_EACH, LINKS_EACH = 60_000, 90, 5
BATCH = 5_000
QUERIES = 60
K = 8


class Encyclopedia:
    """Pages by number, each always the same."""

    def __init__(self, documents: int) -> None:
        self.documents = documents
        draw = random.Random(7)
        self._words = list(dict.fromkeys("".join(draw.choices(SYLLABLES, k=1 + n % 4)) for n in range(WORDS)))
        self._weights = [1 / (rank + 3) for rank in range(len(self._words))]  # Zipf

    def title(self, number: int) -> str:
        """One to three words, sometimes with a remark in brackets."""
        draw = random.Random(number)
        name = " ".join(word.capitalize() for word in draw.choices(self._words, k=draw.randint(1, 3)))
        return f"{name} ({draw.choice(self._words)})" if draw.random() < 0.3 else name

    def links(self, number: int) -> list[int]:
        """Pages that a page mentions."""
        return random.Random(number + 10**9).choices(range(self.documents), k=LINKS_EACH)

    def pages(self, numbers: range) -> Iterator[NewRow]:
        """Pages with their titles."""
        draw = random.Random(numbers.start)
        for number in numbers:
            words = draw.choices(self._words, self._weights, k=WORDS_EACH)
            for place, other in enumerate(self.links(number)):
                words.insert(10 + 15 * place, self.title(other).partition(" (")[0])
            text = f"{self.title(number)}\n{' '.join(words).capitalize()}."
            yield NewRow(f"p{number}", f"{number:032x}", text, {}, [(0, len(text))])

    def question(self, number: int) -> str:
        """Asks by some words for something that a page mentions."""
        draw = random.Random(-number)
        about = " ".join(draw.choices(self._words, self._weights, k=6))
        return f"What {about} of {self.title(number).partition(' (')[0]}?"


class Opened:
    """What a corpus has in its directory, without a vector store."""

    def __init__(self, directory: Path) -> None:
        self.catalog = Catalog(directory / "documents.sqlite")
        self.words = BM25Index(directory / "bm25")
        writer = WriterLock(directory / "lock")
        self.names = NameGraph(directory / "names.sqlite", self.catalog, self.words, writer)
        manifest = Manifest("none", True, 800, 200)
        self.finder = Finder(directory, lambda: manifest, self.catalog, self.words, _no_vectors, self.names)

    def write(self, rows: list[NewRow]) -> None:
        """Add documents without names."""
        self.catalog.write_pending(rows)
        self.words.add(
            Chunk(one.doc_id, one.doc_id, one.digest, 0, len(one.text), one.text, one.doc_id) for one in rows
        )
        self.words.commit(release=False)
        self.catalog.write_done(one.doc_id for one in rows)

    def ask(self, question: str, mode: str, hops: int = 1) -> list[dict]:  # type: ignore[type-arg]
        """The hits of one query."""
        return self.finder.hits(Query([Asked(question, None)], K, mode, None, 0, 0.0, hops), [])  # type: ignore[arg-type,return-value]


def _no_vectors() -> None:
    raise RuntimeError("no vectors here")


def build(directory: Path) -> None:
    """What ``--build`` does in a process of its own: all names anew, then seconds and bytes of memory."""
    opened = Opened(directory)
    opened.catalog.totals()
    before = _most_memory()
    started = time.process_time()
    opened.names.make_whole()
    print(time.process_time() - started, _most_memory() - before)


def _most_memory() -> float:
    """The most memory that this process ever had, in bytes."""
    status = Path("/proc/self/status").read_text()
    return 1024 * float(status.partition("VmHWM:")[2].split()[0])


def scanner_rate(book: Encyclopedia, pages: int) -> float:
    """Megabytes a second in which an automaton over all titles finds the mentions of some pages."""
    titles = [book.title(number).partition(" (")[0] for number in range(book.documents)]
    longest = ahocorasick_rs.MatchKind.LeftmostLongest
    automaton = ahocorasick_rs.BytesAhoCorasick([title.encode() for title in dict.fromkeys(titles)], matchkind=longest)
    texts = [page.text.encode() for page in book.pages(range(pages))]
    started = time.perf_counter()
    for text in texts:
        automaton.find_matches_as_indexes(text)
    return sum(map(len, texts)) / 1e6 / (time.perf_counter() - started)


def median_ms(work: Callable[[int], object], times: int) -> float:
    """Median over numbers of the best of three processor times of ``work``, in milliseconds."""
    taken = []
    for number in range(times):
        best = float("inf")
        for _ in range(3):
            started = time.process_time()
            work(number)
            best = min(best, time.process_time() - started)
        taken.append(best * 1e3)
    return statistics.median(taken)


def measure(directory: Path, documents: int, scanner: bool) -> list[Row]:
    """All figures of one size."""
    book, opened = Encyclopedia(documents), Opened(directory)
    size = 0
    for start in range(0, documents, BATCH):
        rows = list(book.pages(range(start, min(documents, start + BATCH))))
        size += sum(len(row.text) for row in rows)
        opened.write(rows)
    opened.words.commit()
    print(f"{documents:,} documents, {size / 1e6:,.0f} MB", flush=True)
    command = [sys.executable, __file__, "--build", str(directory)]
    seconds, memory = map(float, subprocess.run(command, check=True, capture_output=True, text=True).stdout.split())
    asked = [book.question(number) for number in random.Random(3).sample(range(documents), QUERIES)]
    for question in asked[:5]:
        opened.ask(question, "hop")
    bm25 = median_ms(lambda number: opened.ask(asked[number], "bm25"), QUERIES)
    hop = median_ms(lambda number: opened.ask(asked[number], "hop"), QUERIES)
    two = median_ms(lambda number: opened.ask(asked[number], "hop", 2), QUERIES)
    more = list(islice(book.pages(range(documents, documents + 30)), 30))
    add = median_ms(lambda number: opened.names.write([more[number]]), 30)
    on_disk = sum(path.stat().st_size for path in directory.glob("names.sqlite*"))
    rows = [
        Row("build, per MB of text", seconds / size * 1e9, "ms", 50),
        Row("memory of a build, of the text", 100 * memory / size, "%", 30),
        Row("on disk, of the text", 100 * on_disk / size, "%"),
        Row("add one document", add, "ms", 10),
        Row("hop over bm25", hop - bm25, "ms", 5 if documents <= 100_000 else 20, "bm25", bm25),
        Row("two hops over bm25", two - bm25, "ms", None, "bm25", bm25),
    ]
    if scanner:
        rows.append(Row("an automaton of all names, per MB of text", 1e3 / scanner_rate(book, 20_000), "ms"))
    return rows


def main() -> None:
    """Measure, print, write."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    arguments.add_argument("--documents", type=int, default=100_000)
    arguments.add_argument("--scanner", action="store_true")
    arguments.add_argument("--build", type=Path, help=argparse.SUPPRESS)
    given = arguments.parse_args()
    if given.build is not None:
        build(given.build)
        return
    directory = Path(tempfile.mkdtemp(prefix="names-"))
    try:
        rows = measure(directory, given.documents, given.scanner)
    finally:
        shutil.rmtree(directory)
    report("names", rows)


if __name__ == "__main__":
    main()
