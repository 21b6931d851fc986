"""Rank fusion, hashing embeddings and store names."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.embeddings import DeterministicFakeEmbedding

from langgraph_rlm.corpus.embeddings import HashingEmbeddings, describe
from langgraph_rlm.corpus.finding.fusion import fuse, fusion_depth
from langgraph_rlm.corpus.index import open_index, split_spec
from langgraph_rlm.errors import InvalidInput

SIMILAR = ("the red apple tree", "red apples on a tree")


def similarity(one: str, other: str) -> float:
    first, second = HashingEmbeddings().embed_documents([one, other])
    return float(np.dot(first, second))


def test_fusion_prefers_what_several_lists_agree_on() -> None:
    assert [key for key, _ in fuse([["a", "b", "c"], ["c", "b"], ["b"]])] == ["b", "c", "a"]


def test_a_list_of_weight_zero_has_no_say() -> None:
    assert [key for key, _ in fuse([["a", "b"], ["c"]], [1.0, 0.0])] == ["a", "b"]


def test_what_one_list_ranks_first_is_not_outvoted_by_what_both_rank_low() -> None:
    by_words, by_vectors = ["first", "a", "b", "both"], ["other first", "c", "d", "both"]
    assert [key for key, _ in fuse([by_words, by_vectors])][:3] == ["first", "other first", "both"]


def test_equal_scores_keep_the_order_of_the_lists() -> None:
    assert [key for key, _ in fuse([["a", "b"], ["c", "d"]])] == ["a", "c", "b", "d"]


@given(st.integers(1, 4000))
def test_each_list_gives_at_least_the_hits_wanted(k: int) -> None:
    assert k <= fusion_depth(k) <= max(k, 1000)


@given(st.lists(st.lists(st.integers(0, 9), unique=True)))
def test_fusion_loses_and_doubles_nothing(rankings: list[list[int]]) -> None:
    fused = fuse(rankings)
    assert sorted(key for key, _ in fused) == sorted({key for ranking in rankings for key in ranking})
    assert [score for _, score in fused] == sorted((score for _, score in fused), reverse=True)


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_vectors_have_length_one_and_do_not_depend_on_their_neighbours(texts: list[str]) -> None:
    embeddings = HashingEmbeddings()
    vectors = embeddings.embed_documents(texts)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1.0, atol=1e-5)
    assert np.allclose(vectors, [embeddings.embed_query(text) for text in texts], atol=1e-6)


def test_common_words_make_texts_similar() -> None:
    assert similarity(*SIMILAR) > 0.4 > similarity("the red apple tree", "quantum field theory")
    assert similarity("APPLE", "apple") > 0.99
    assert similarity("東京タワー", "東京駅") > similarity("東京タワー", "大阪城")


def test_vectors_are_the_same_in_every_process() -> None:
    code = "from langgraph_rlm.corpus.embeddings import HashingEmbeddings as H; print(H().embed_query('a red apple'))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.strip() == str(HashingEmbeddings().embed_query("a red apple"))


def test_embeddings_are_described_by_model_or_class() -> None:
    class Named(DeterministicFakeEmbedding):
        model: str = "text-embedding-3-small"

    assert describe(HashingEmbeddings()) == ("hashing-512", True)
    assert describe(Named(size=4)) == ("Named:text-embedding-3-small", False)
    assert describe(DeterministicFakeEmbedding(size=4)) == ("DeterministicFakeEmbedding", False)


@pytest.mark.parametrize("spec", ["", "chroma", "chroma:", "chroma: ", "./index", 7])
def test_a_spec_of_another_form_is_refused(spec: str) -> None:
    with pytest.raises(InvalidInput, match="chroma"):
        split_spec(spec)


def test_an_unknown_store_is_answered_with_those_installed(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match=r"'nowhere'.*\"chroma:…\""):
        open_index("nowhere:path", tmp_path)
