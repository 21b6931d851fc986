"""What embeddings give is looked at before it is kept: a bad reply is an error by name and leaves nothing behind."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.embeddings import Embeddings
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.embeddings import checked_vectors
from langgraph_rlm.corpus.ingest.vectors import VectorCache
from langgraph_rlm.errors import EmbeddingsError

DOCUMENTS = [
    Document("Parental leave is 16 weeks.", id="a"),
    Document("Trains come first.", id="b"),
    Document("x", id="c"),
]
NAN, INFINITY = float("nan"), float("inf")

BAD: dict[str, Callable[[list[Any]], Any]] = {
    "empty": lambda good: [[] for _ in good],
    "one empty": lambda good: [good[0], [], good[2]],
    "not a number": lambda good: [[NAN] * 4 for _ in good],
    "one not a number": lambda good: [good[0], good[1], [1.0, NAN, 2.0, 3.0]],
    "infinite": lambda good: [good[0], [INFINITY, 0.0, 0.0, 1.0], good[2]],
    "too large for 32 bits": lambda good: [good[0], [1e300, 0.0, 0.0, 1.0], good[2]],
    "one vector fewer": lambda good: good[:-1],
    "one vector more": lambda good: [*good, good[0]],
    "shorter in the middle": lambda good: [good[0], good[1][:3], good[2]],
    "longer at the end": lambda good: [*good[:2], [*good[2], 1.0]],
    "None": lambda good: None,
    "None in the middle": lambda good: [good[0], None, good[2]],
    "a None among the numbers": lambda good: [good[0], [None, 1.0, 2.0, 3.0], good[2]],
    "text": lambda good: "error",
    "a text for a vector": lambda good: [good[0], "error", good[2]],
    "vectors of vectors": lambda good: [[one] for one in good],
    "a mapping": lambda good: {"error": "overloaded"},
}


class Flaky(Embeddings):
    """Gives one bad reply, and good ones ever after."""

    def __init__(self, bad: Callable[[list[Any]], Any]) -> None:
        self.bad: Callable[[list[Any]], Any] | None = bad

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        good = [[float(len(text)), 1.0, 2.0, 3.0] for text in texts]
        bad, self.bad = self.bad, None
        return good if bad is None else bad(good)

    def embed_query(self, text: str) -> list[float]:
        return self.embed_documents([text])[0]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_reply_is_an_error_and_the_next_add_works(name: str, tmp_path: Path) -> None:
    with Corpus.open(QdrantIndex(), Flaky(BAD[name]), directory=tmp_path / "corpus") as corpus:
        with pytest.raises(EmbeddingsError, match="Flaky") as caught:
            corpus.add(DOCUMENTS)
        assert caught.value.embeddings == "Flaky"
        assert len(corpus) == 0
        assert corpus.add(DOCUMENTS).new == 3
        assert len(corpus.retrieve("leave", 3, "vector")) == 3


def test_the_text_without_a_vector_is_named_and_so_are_the_numbers() -> None:
    texts = ["one", "two"]
    with pytest.raises(EmbeddingsError, match=r"of 1 numbers after some of 2.*'two'") as caught:
        checked_vectors([[1.0, 2.0], [1.0]], texts, Flaky(list))
    assert caught.value.text == "two"
    with pytest.raises(EmbeddingsError, match="1 vectors for 2 texts"):
        checked_vectors([[1.0]], texts, Flaky(list))


@given(
    st.lists(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=2, max_size=2), max_size=4)
)
def test_good_vectors_pass_as_they_are(vectors: list[list[float]]) -> None:
    texts = ["text"] * len(vectors)
    for given_as in (
        vectors,
        tuple(vectors),
        np.asarray(vectors, np.float32).reshape(-1, 2),
        list(map(tuple, vectors)),
    ):
        assert checked_vectors(given_as, texts, Flaky(list)) == vectors


@pytest.mark.parametrize("bad", [None, [], [NAN, 1.0, 2.0, 3.0], "error"])
async def test_a_bad_vector_of_a_query_is_an_error_everywhere(bad: Any, tmp_path: Path) -> None:
    embeddings, index = Flaky(lambda good: [bad]), QdrantIndex()
    embeddings.bad = None
    with (
        Corpus.open(index, embeddings, directory=tmp_path / "corpus") as own,
        Corpus.open(index, embeddings) as attached,
    ):
        own.add(DOCUMENTS)
        for corpus in (own, attached):
            embeddings.bad = lambda good: [bad]
            with pytest.raises(EmbeddingsError, match="Flaky"):
                corpus.retrieve("leave", mode="vector")
            embeddings.bad = lambda good: [bad]
            with pytest.raises(EmbeddingsError, match="Flaky"):
                await corpus.aretrieve("leave", mode="vector")
            assert len(corpus.retrieve("leave", mode="vector")) == 3


def test_bad_vectors_in_a_cache_of_before_are_not_believed(tmp_path: Path) -> None:
    cache = VectorCache(tmp_path / "vectors.sqlite", "Flaky")
    cache.put(["empty", "short", "NaN", "good"], [[], [1.0], [NAN, 1.0], [1.0, 2.0]])
    assert cache.get(["empty", "short", "NaN", "good"], 2) == {"good": [1.0, 2.0]}
    assert set(cache.get(["empty", "short", "NaN", "good"])) == {"short", "good"}
    cache.close()
