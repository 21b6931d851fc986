"""The word index against a naive model: what is found, in which order, by whom and when."""

from __future__ import annotations

import math
import subprocess
import sys
import threading
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from langgraph_rlm.text.bm25 import BM25Index, Chunk, Ranked

VOCABULARY = ["apple", "pear", "plum", "tree", "red", "blue"]
TEXT = st.lists(st.sampled_from(VOCABULARY), max_size=12).map(" ".join)
QUERY = st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=3, unique=True)
DOC_ID = st.sampled_from("abcde")


def chunks_of(doc_id: str, texts: list[str]) -> list[Chunk]:
    return [
        Chunk(f"{doc_id}{number}", doc_id, "", number * 100, number * 100 + len(text), text)
        for number, text in enumerate(texts)
    ]


def naive_scores(chunks: list[Chunk], query: list[str]) -> dict[str, float]:
    """BM25 as in the books: k1 = 1.2, b = 0.75, idf of Robertson and Spärck Jones plus one."""
    words = {chunk.chunk_id: chunk.text.split() for chunk in chunks}
    mean = sum(map(len, words.values())) / max(1, len(words))
    scores = Counter[str]()
    for word in query:
        holding = sum(word in found for found in words.values())
        idf = math.log(1 + (len(words) - holding + 0.5) / (holding + 0.5))
        for chunk_id, found in words.items():
            if times := found.count(word):
                scores[chunk_id] += idf * times * 2.2 / (times + 1.2 * (0.25 + 0.75 * len(found) / mean))
    return dict(scores)


@given(st.lists(TEXT, max_size=12), QUERY)
@settings(deadline=None)
def test_scores_are_those_of_bm25(texts: list[str], query: list[str]) -> None:
    chunks = chunks_of("a", texts)
    index = BM25Index()
    index.add(chunks)
    index.commit()
    found = index.search(" ".join(query), 100)
    assert {one.chunk_id: one.score for one in found} == pytest.approx(naive_scores(chunks, query), rel=1e-3)
    assert [one.score for one in found] == sorted((one.score for one in found), reverse=True)


def test_filters_by_many_documents_find_what_filters_by_few_find() -> None:
    chunks = [Chunk(f"{n}", f"doc{n:04}", "", 0, 9, "apple " * (1 + n % 7) + "pear " * (n % 3)) for n in range(4000)]
    index = BM25Index()
    index.add(chunks)
    index.commit()
    every = {one.doc_id: one for one in index.search("apple pear", 5000)}
    assert len(every) == 4000
    half, weakest = list(every)[::2], list(every)[-1500:]
    for documents in (half, weakest, [*half, "nowhere"], list(every), [f"no{n}" for n in range(2000)]):
        among = [one for doc_id, one in every.items() if doc_id in set(documents)]
        for k in (1, 30, 1000):
            found = index.search("apple pear", k, documents)
            assert [one.score for one in found] == [one.score for one in among[:k]]
            assert {one.doc_id for one in found} <= set(documents) and len(set(found)) == min(k, len(among))


class Changes(RuleBasedStateMachine):
    """Documents come, are replaced and go; a reader on the same directory sees exactly what was committed."""

    @initialize(durable=st.booleans())
    def start(self, durable: bool) -> None:
        self.folder = TemporaryDirectory() if durable else None
        self.index = BM25Index(None if self.folder is None else self.folder.name)
        self.reader = self.index if self.folder is None else BM25Index(self.folder.name)
        self.committed: dict[str, list[Chunk]] = {}
        self.pending: dict[str, list[Chunk]] = {}

    @rule(doc_id=DOC_ID, texts=st.lists(TEXT, min_size=1, max_size=3))
    def put(self, doc_id: str, texts: list[str]) -> None:
        if doc_id in self.pending:
            self.index.delete_document(doc_id)
        self.pending[doc_id] = chunks_of(doc_id, texts)
        self.index.add(self.pending[doc_id])

    @rule(doc_id=DOC_ID)
    def delete(self, doc_id: str) -> None:
        self.index.delete_document(doc_id)
        self.pending.pop(doc_id, None)

    @rule(release=st.booleans())
    def commit(self, release: bool) -> None:
        self.index.commit(release=release)
        self.committed = dict(self.pending)

    @rule()
    def rollback(self) -> None:
        self.index.rollback()
        self.pending = dict(self.committed)

    @rule()
    @precondition(lambda self: self.folder is not None)
    def reopen(self) -> None:
        self.index.close()
        self.pending = dict(self.committed)
        self.index = BM25Index(self.folder.name)

    @rule(query=QUERY, documents=st.none() | st.sets(DOC_ID))
    def search(self, query: list[str], documents: set[str] | None) -> None:
        chunks = {chunk.chunk_id: chunk for held in self.committed.values() for chunk in held}
        among = [chunk for chunk in chunks.values() if documents is None or chunk.doc_id in documents]
        wanted = {chunk.chunk_id for chunk in among if set(query) & set(chunk.text.split())}
        found = self.reader.search(" ".join(query), 100, documents)
        assert {one.chunk_id for one in found} == wanted and len(found) == len(wanted)
        words = [Counter(chunks[one.chunk_id].text.split()) for one in found]
        for at, better in enumerate(words):
            for worse in words[at + 1 :]:  # whatever is known of the other chunks, fewer hits in more words rank lower
                never_less = all(worse[word] >= better[word] for word in query)
                assert not (never_less and worse.total() < better.total())

    @invariant()
    def counts_what_was_committed(self) -> None:
        assert self.reader.count() == sum(map(len, self.committed.values()))

    def teardown(self) -> None:
        self.index.close()
        self.reader.close()
        if self.folder is not None:
            self.folder.cleanup()


class TestChanges(Changes.TestCase):
    settings = settings(max_examples=12, stateful_step_count=15, deadline=None)


@pytest.mark.slow
class TestManyChanges(Changes.TestCase):
    settings = settings(max_examples=150, stateful_step_count=40, deadline=None)


def generation(number: int) -> list[Chunk]:
    return [Chunk(f"{number}.{part}", "d", str(number), part, part + 1, f"apple version{number}") for part in range(5)]


def whole(found: list[Ranked]) -> str:
    """The one generation that was found; a mixture or a part of one is a failure."""
    assert len(found) == 5 and len({one.digest for one in found}) == 1, found
    return found[0].digest


def test_readers_see_the_old_or_the_new_document_while_it_is_replaced(tmp_path: Path) -> None:
    writer, shared = BM25Index(tmp_path), BM25Index(tmp_path)
    writer.add(generation(0))
    writer.commit()
    done = threading.Event()

    def read(index: BM25Index) -> None:
        while not done.is_set():
            whole(index.search("apple", 100))

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, index) for index in (writer, shared, shared, BM25Index(tmp_path))]
        try:
            for number in range(1, 30):
                writer.delete_document("d")
                writer.add(generation(number))
                writer.commit(release=number % 3 == 0)
        finally:
            done.set()
        for reader in readers:
            reader.result()
    writer.close()
    assert whole(shared.search("apple", 100)) == "29"


WRITER = """
import sys
from langgraph_rlm.text.bm25 import BM25Index, Chunk
index = BM25Index(sys.argv[1])
for line in sys.stdin:
    number = line.strip()
    index.delete_document("d")
    index.add(Chunk(f"{number}.{part}", "d", number, part, part + 1, "apple") for part in range(5))
    print("written", flush=True)
    sys.stdin.readline()
    index.commit()
    print("committed", flush=True)
"""


def test_a_process_sees_what_another_commits_and_nothing_before(tmp_path: Path) -> None:
    reader = BM25Index(tmp_path)
    process: Any = subprocess.Popen(
        [sys.executable, "-c", WRITER, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    with process:

        def tell(line: str) -> str:
            process.stdin.write(f"{line}\n")
            process.stdin.flush()
            return str(process.stdout.readline().strip())

        for number in range(4):
            assert tell(str(number)) == "written"
            before = reader.search("apple", 100)
            assert not before if number == 0 else whole(before) == str(number - 1)
            assert tell("commit") == "committed"
            assert whole(reader.search("apple", 100)) == str(number)
        process.stdin.close()
    assert process.returncode == 0
