"""IndexConformance: the tests that every vector index has to pass, ours and third parties' alike. Needs pytest."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import re
import signal
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from multiprocessing.connection import wait
from typing import Any

import numpy as np
import pytest

from langgraph_rlm.corpus.filters import matches
from langgraph_rlm.corpus.index import MAX_BATCH, RESERVED_PREFIX, VectorIndex
from langgraph_rlm.errors import (
    CollectionMissing,
    DimensionMismatch,
    IndexMismatch,
    InvalidFilter,
    InvalidInput,
    StoreUnavailable,
)
from langgraph_rlm.threads import in_thread

DIMENSION = 8
SETTLED_WITHIN = 90.0
"""Seconds that a store with the capability ``lag`` has to show what was written."""

LARGE = 2**53 + 1
"""The first whole number that a float64 does not hold: it looks like the one below."""
SNOWFLAKE = 1146520190123450001
FORK_SECONDS = 30.0
"""That a forked process has to answer in before it counts as hanging."""
VALUES = (None, 0, 1, 1.5, -3, True, False, "a", "b", "1", "ü 漢字 🍒", LARGE - 1, LARGE, LARGE + 1, -LARGE, -LARGE - 1,
          SNOWFLAKE, SNOWFLAKE + 1, 2.0**60, 2**60 + 1, 2**63 - 1, -(2**63), 1e300)  # fmt: skip
FILTERS: Sequence[dict[str, Any]] = (
    {},
    {"x": "a"},
    {"x": 1},
    {"x": True},
    {"x": 1.5},
    {"x": {"$eq": "ü 漢字 🍒"}},
    {"x": {"$ne": 1}},
    {"x": {"$ne": "a"}},
    {"x": {"$ne": False}},
    {"x": {"$in": ["a", 1, True]}},
    {"x": {"$in": []}},
    {"x": {"$nin": ["a", 1.5]}},
    {"x": {"$nin": []}},
    {"x": {"$gt": 0}},
    {"x": {"$gte": 1}},
    {"x": {"$lt": 1}},
    {"x": {"$lte": 1, "$gt": -5}},
    {"x": {"$gt": 0}, "n": {"$lt": 8}},
    {"$and": [{"n": {"$gte": 2}}, {"n": {"$lt": 7}}]},
    {"$or": [{"x": "a"}, {"n": 3}]},
    {"$or": [{"$and": [{"x": "b"}, {"n": {"$ne": 0}}]}, {"n": {"$in": [0, 5]}}], "n": {"$lte": 9}},
    {"$and": [{}]},
    {"a.key with [odd] names": "odd"},
    {"absent": {"$ne": 1}},
    {"absent": 1},
)
LARGE_FILTERS: Sequence[dict[str, Any]] = (
    {"x": LARGE},
    {"x": SNOWFLAKE},
    {"x": 2**60},
    {"x": float(2**60)},
    {"x": 2**63 - 1},
    {"x": -(2**63)},
    {"x": {"$ne": LARGE}},
    {"x": {"$in": [1, "a", SNOWFLAKE, -LARGE]}},
    {"x": {"$nin": [LARGE, 1.5, SNOWFLAKE]}},
    {"x": {"$gt": LARGE}},
    {"x": {"$gte": LARGE, "$lt": SNOWFLAKE + 1}},
    {"x": {"$lt": -LARGE}},
    {"x": {"$gt": float(2**63)}},
    {"x": {"$gt": -(2**63)}, "n": {"$lt": 20}},
    {"$or": [{"x": SNOWFLAKE}, {"$and": [{"x": {"$gt": SNOWFLAKE}}, {"n": {"$ne": 3}}]}]},
)
"""Exact, or refused by a message that holds the number: whoever asks for user 1146520190123450001 must not see another."""
REFUSED: Sequence[Any] = (
    {"x": "\ud800"},
    {"x": {"$in": ["a", "\udfff"]}},
    {"\ud800": 1},
    {"x": 2**63},
    {"x": {"$like": "a"}},
    {"$not": []},
    {"$or": []},
    {"x": None},
    {"x": {"$in": "a"}},
    [1],
)


def vector(number: int) -> list[float]:
    """A direction of its own for every number."""
    drawn = random.Random(number)
    return [drawn.uniform(-1, 1) for _ in range(DIMENSION)]


def id_of(number: int) -> str:
    """A UUID, as every id is."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, str(number)))


_NUMBERS = {id_of(number): number for number in range(MAX_BATCH + 10)}


def metadata(number: int) -> dict[str, Any]:
    """The reserved keys and some of a user's."""
    value = VALUES[number % len(VALUES)]
    own = {"n": number} | ({} if value is None else {"x": value})
    if number % 2:
        own["a.key with [odd] names"] = "odd"
    return own | {"rlm_doc_id": f"dök/{number}.txt", "rlm_digest": "d", "rlm_start": 0, "rlm_end": 9}


def text(number: int) -> str:
    """A text with a word that only it has."""
    return f"Text of number {number}, wörd{number} 漢字 (a+b)[{number}]."


class Caller:
    """Calls an index in this thread, or from coroutines in others, as a corpus does."""

    def __init__(self, index: VectorIndex, by_coroutines: bool = False) -> None:
        self.index = index
        self._by_coroutines = by_coroutines

    def __getattr__(self, name: str) -> Callable[..., Any]:
        if not self._by_coroutines:
            return getattr(self.index, name)
        return lambda *args: asyncio.run(in_thread(getattr(self.index, name), *args))

    def write(self, numbers: Sequence[int], told: str = "") -> None:
        """Upsert these records."""
        self.upsert(
            [id_of(number) for number in numbers],
            [vector(number) for number in numbers],
            [text(number) + told for number in numbers],
            [metadata(number) for number in numbers],
        )

    def numbers(self, found: Any) -> list[int]:
        """Which records these are."""
        return [_NUMBERS[one.id] for one in found]


class IndexConformance:
    """Subclass it in a test module and override :meth:`opener`; pytest runs the rest.

    Example:
        >>> import pytest
        >>> class TestMyIndex(IndexConformance):
        ...     @pytest.fixture
        ...     def opener(self, tmp_path):
        ...         return lambda: MyIndex(tmp_path)
    """

    persistent = True
    """Whether closing and opening again finds the records."""
    survives_dropping = True
    """Whether :meth:`drop` is overridden."""

    @pytest.fixture
    def opener(self) -> Callable[[], VectorIndex]:
        """A function that opens the same, at first empty, collection each time it is called in a test."""
        raise NotImplementedError("override the fixture `opener`")

    def drop(self, index: VectorIndex) -> None:
        """Remove the collection behind the index' back."""
        raise NotImplementedError

    @pytest.fixture(params=[False, True], ids=["sync", "async"])
    def index(self, request: pytest.FixtureRequest, opener: Callable[[], VectorIndex]) -> Iterator[Caller]:
        """The index that the tests talk to."""
        opened = opener()
        yield Caller(opened, request.param)
        opened.close()

    def settled(self, caller: Caller, check: Callable[[], bool]) -> None:
        """Assert it; a store whose reads lag gets time."""
        until = time.monotonic() + (SETTLED_WITHIN if "lag" in caller.index.capabilities else 0)
        while not check():
            assert time.monotonic() < until, f"it holds {caller.index.count()} records"
            time.sleep(0.05)

    def test_what_was_written_is_found_with_its_text_and_metadata(self, index: Caller) -> None:
        index.write(range(5))
        self.settled(index, lambda: index.count() == 5)
        best = index.query(vector(3), 2)
        assert len(best) == 2 and best[0].id == id_of(3) and best[0].score > best[1].score
        reserved = {key: value for key, value in metadata(3).items() if key.startswith(RESERVED_PREFIX)}
        assert reserved.items() <= best[0].metadata.items() <= metadata(3).items()
        (record,) = index.get([id_of(4)])
        assert record == (id_of(4), text(4), metadata(4))
        assert [type(record.metadata[key]) for key in ("n", "rlm_start")] == [int, int]

    def test_writing_again_doubles_nothing_and_replaces(self, index: Caller) -> None:
        index.write(range(4))
        index.write(range(2, 6), " again")
        self.settled(index, lambda: index.count() == 6)
        self.settled(
            index,
            lambda: (
                [one.text for one in index.get([id_of(1), id_of(2), id_of(5)])]
                == [text(1), text(2) + " again", text(5) + " again"]
            ),
        )

    @pytest.mark.parametrize("kind", ["array", "rows", "numbers"])
    def test_vectors_may_be_of_numpy(self, index: Caller, kind: str) -> None:
        drawn = np.array([vector(number) for number in range(3)], np.float32)
        given: Any = {"array": drawn, "rows": list(drawn), "numbers": [list(row) for row in drawn]}[kind]
        index.upsert([*map(id_of, range(3))], given, [*map(text, range(3))], [*map(metadata, range(3))])
        self.settled(index, lambda: index.count() == 3)
        assert index.numbers(index.query(given[1], 1)) == [1]
        assert index.query(given[1], 1)[0].score == pytest.approx(1.0, abs=1e-4)

    def test_more_than_one_batch_is_written_and_deleted(self, index: Caller) -> None:
        many = range(MAX_BATCH + 5)
        index.write(many)
        self.settled(index, lambda: index.count() == len(many))
        ids = [id_of(number) for number in many]
        assert index.existing([*ids, id_of(-1)]) == set(ids)
        index.delete([*ids[:-2], id_of(-1)])
        self.settled(index, lambda: index.count() == 2)
        self.settled(index, lambda: index.existing(ids) == set(ids[-2:]))

    def test_records_come_in_the_order_asked_for(self, index: Caller) -> None:
        index.write(range(6))
        wanted = [id_of(number) for number in (5, 99, 0, 3)]
        self.settled(index, lambda: index.count() == 6)
        assert [one.id for one in index.get(wanted)] == [id_of(5), id_of(0), id_of(3)]
        assert index.get([]) == [] and index.existing([]) == set()

    @pytest.mark.parametrize("where", FILTERS, ids=str)
    def test_every_filter_means_what_it_means_elsewhere(self, opener: Any, where: dict[str, Any]) -> None:
        index = Caller(opener())
        try:
            numbers = range(len(VALUES) + 2)
            index.write(numbers)
            self.settled(index, lambda: index.count() == len(numbers))
            expected = [number for number in numbers if matches(where, metadata(number))]
            assert sorted(index.numbers(index.query(vector(1), 100, where))) == expected
            assert sorted(index.numbers(index.scroll(where))) == expected
        finally:
            index.close()

    def test_whole_numbers_that_no_float_holds_are_kept_and_compared_exactly_or_refused(self, opener: Any) -> None:
        index = Caller(opener())
        numbers = range(len(VALUES) + 2)
        index.write(numbers)
        self.settled(index, lambda: index.count() == len(numbers))
        assert {one.metadata["n"]: one.metadata for one in index.scroll()} == {one: metadata(one) for one in numbers}
        for where in LARGE_FILTERS:
            expected = [number for number in numbers if matches(where, metadata(number))]
            for ask in (
                lambda where=where: index.query(vector(1), 100, where),
                lambda where=where: index.scroll(where),
            ):
                try:
                    assert sorted(index.numbers(ask())) == expected, where
                except InvalidFilter as refused:
                    assert any(number in str(refused) for number in re.findall(r"[\d.e+]{10,}", str(where)))
            if expected:
                with contextlib.suppress(InvalidFilter):
                    assert index.numbers(index.query(vector(expected[0]), 1, where)) == expected[:1]
        index.close()

    def test_filters_without_a_meaning_are_refused_before_they_are_sent(self, index: Caller) -> None:
        index.write([1])
        for where in (*REFUSED, {"x": {"$gt": "a"}}):
            with pytest.raises(InvalidFilter):
                index.query(vector(1), 1, where)
            with pytest.raises(InvalidFilter):
                list(index.scroll(where))

    def test_everything_can_be_scrolled(self, index: Caller) -> None:
        numbers = range(MAX_BATCH + 3)
        index.write(numbers)
        self.settled(index, lambda: index.count() == len(numbers))
        records = list(index.scroll())
        assert sorted(index.numbers(records)) == list(numbers)
        assert {record.metadata["n"]: record.text for record in records}[7] == text(7)

    def test_nothing_found_is_an_empty_list(self, index: Caller) -> None:
        index.write([1])
        self.settled(index, lambda: index.count() == 1)
        assert index.query(vector(1), 5, {"x": "none has this"}) == []
        assert list(index.scroll({"x": "none has this"})) == []
        index.delete([id_of(1)])
        self.settled(index, lambda: index.query(vector(1), 5) == [])

    def test_vectors_of_another_length_are_refused(self, index: Caller) -> None:
        index.write([1])
        self.settled(index, lambda: index.count() == 1)
        with pytest.raises(DimensionMismatch):
            index.query([1.0] * (DIMENSION + 1), 1)
        with pytest.raises(DimensionMismatch):
            index.upsert([id_of(2)], [[1.0] * (DIMENSION - 1)], ["t"], [metadata(2)])

    def test_a_collection_remembers_its_embeddings(self, opener: Any) -> None:
        index = opener()
        index.claim("one-model", DIMENSION)
        index.claim("one-model", DIMENSION)
        with pytest.raises(DimensionMismatch):
            index.claim("one-model", DIMENSION * 2)
        with pytest.raises(IndexMismatch, match=r"one-model.*other-model"):
            index.claim("other-model", DIMENSION)
        index.close()

    def test_a_claimed_collection_is_empty_and_takes_what_it_was_claimed_for(self, opener: Any) -> None:
        index = Caller(opener())
        index.claim("one-model", DIMENSION)
        assert index.count() == 0 and index.existing([id_of(1)]) == set() and list(index.scroll()) == []
        assert index.query(vector(1), 3) == []
        with pytest.raises(DimensionMismatch):
            index.upsert([id_of(1)], [[1.0] * (DIMENSION + 1)], ["t"], [metadata(1)])
        index.write([1, 2])
        self.settled(index, lambda: index.count() == 2)
        index.claim("one-model", DIMENSION)
        with pytest.raises(IndexMismatch, match=r"one-model.*other-model"):
            index.claim("other-model", DIMENSION)
        index.close()

    def test_of_equal_ids_in_one_upsert_the_last_counts(self, index: Caller) -> None:
        index.upsert([*map(id_of, (1, 2, 1, 1))], [*map(vector, (3, 2, 4, 1))], ["old", text(2), "old", text(1)],
                     [*map(metadata, (3, 2, 4, 1))])  # fmt: skip
        self.settled(index, lambda: index.count() == 2)
        assert index.get([id_of(1)]) == [(id_of(1), text(1), metadata(1))]
        assert index.query(vector(1), 1)[0].score == pytest.approx(1.0, abs=1e-4)

    def test_columns_of_different_lengths_are_refused(self, index: Caller) -> None:
        with pytest.raises(InvalidInput, match="2 ids, 1 vectors"):
            index.upsert([id_of(1), id_of(2)], [vector(1)], ["t", "t"], [metadata(1), metadata(2)])

    @pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
    def test_a_forked_process_is_answered_or_refused_and_does_no_harm(self, opener: Any) -> None:
        index = Caller(opener())
        index.write(range(3))
        self.settled(index, lambda: index.count() == 3)
        reading, writing = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                served = index.count() == 3 and index.numbers(index.query(vector(1), 1)) == [1]
                answer = "served" if served else "wrong"
            except StoreUnavailable as error:
                answer = "refused" if "fork" in str(error) else str(error)
            except BaseException as error:  # noqa: BLE001 - pytest must not go on in the child
                answer = repr(error)
            os.write(writing, answer.encode())
            index.close()
            os._exit(0)
        os.close(writing)
        if not wait([reading], FORK_SECONDS):  # select() knows 1,024 descriptors only
            os.kill(child, signal.SIGKILL)
        answer = os.read(reading, 1000).decode()
        os.close(reading)
        os.waitpid(child, 0)
        assert answer in ("served", "refused"), answer or "the child hangs"
        assert index.count() == 3 and index.numbers(index.query(vector(2), 1)) == [2]
        index.close()

    def test_several_threads_write_at_once(self, index: Caller) -> None:
        index.write([0])
        parts = [range(number, number + 20) for number in (0, 10, 20, 30)]
        with ThreadPoolExecutor(4) as pool:
            list(pool.map(index.write, parts))
        self.settled(index, lambda: index.count() == 50)
        assert sorted(index.numbers(index.scroll())) == list(range(50))

    def test_an_index_that_was_opened_again_has_everything(self, opener: Any) -> None:
        if not self.persistent:
            pytest.skip("lives in memory")
        first = opener()
        Caller(first).write(range(3))
        self.settled(Caller(first), lambda: first.count() == 3)
        first.close()
        second = opener()
        assert second.count() == 3 and second.query(vector(2), 1)[0].id == id_of(2)
        second.close()

    def test_a_collection_that_is_gone_is_named_and_made_again(self, opener: Any) -> None:
        if not self.survives_dropping:
            pytest.skip("cannot be dropped")
        index = opener()
        index.delete([id_of(1)])
        assert index.existing([id_of(1)]) == set() and index.count() == 0
        Caller(index).write([1, 2])
        self.drop(index)
        with pytest.raises(CollectionMissing, match=r"corpus\.add"):
            index.query(vector(1), 1)
        Caller(index).write([1])
        self.settled(Caller(index), lambda: index.count() == 1)
        index.close()

    def test_candidates_hold_all_that_contain_a_string(self, opener: Any) -> None:
        index = opener()
        if "candidates" not in index.capabilities:
            index.close()
            pytest.skip("looks nothing up by substrings")
        Caller(index).write(range(30))
        for literals in (["wörd7 "], ["(a+b)[3]", "number 11"], ["漢字"], ["\\", "^", "none has this"]):
            expected = {number for number in range(30) if any(literal in text(number) for literal in literals)}
            assert expected <= set(Caller(index).numbers(index.candidates(literals)))
            some = Caller(index).numbers(index.candidates(literals, {"n": {"$lt": 5}}))
            assert {number for number in expected if number < 5} <= set(some) <= set(range(5))
        upper = Caller(index).numbers(index.candidates(["WÖRD7 "], ignore_case=True))
        assert 7 in upper
        index.close()

    def test_words_are_ranked_by_the_store(self, opener: Any) -> None:
        index = opener()
        if "bm25" not in index.capabilities:
            index.close()
            pytest.skip("does not rank by words")
        caller = Caller(index)
        caller.write(range(30))
        self.settled(caller, lambda: index.count() == 30)
        self.settled(caller, lambda: caller.numbers(index.bm25("wörd11", 4)) == [11])
        found = index.bm25("wörd11 number", 4)
        assert caller.numbers(found)[0] == 11 and len(found) == 4
        assert found[0].score > found[1].score and found[0].metadata["rlm_doc_id"] == metadata(11)["rlm_doc_id"]
        assert max(caller.numbers(index.bm25("wörd11 number", 30, {"n": {"$lt": 8}}))) < 8
        assert index.bm25("wörd11", 4, {"n": {"$lt": 8}}) == [] == index.bm25("nobodywrotethis", 4)
        with pytest.raises(InvalidFilter):
            index.bm25("wörd11", 4, {"x": {"$like": "a"}})
        index.close()

    def test_words_and_vectors_are_ranked_together(self, opener: Any) -> None:
        index = opener()
        if "hybrid" not in index.capabilities:
            index.close()
            pytest.skip("does not rank by words")
        Caller(index).write(range(30))
        found = Caller(index).numbers(index.hybrid("wörd11", vector(5), 4))
        assert {5, 11} <= set(found) and len(found) == 4
        within = Caller(index).numbers(index.hybrid("wörd11", vector(5), 30, {"n": {"$lt": 8}}))
        assert 5 in within and max(within) < 8
        index.close()
