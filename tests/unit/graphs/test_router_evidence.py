"""What a corpus tells the router: whether one passage stands out, and how far that speaks against recursion."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langgraph_rlm import Corpus, HashingEmbeddings, SmartRouter
from langgraph_rlm.graphs.routing.evidence import evidence_of, leaning
from langgraph_rlm.graphs.routing.weights import inputs_of
from tests.support import make_corpus

FILLER = "Reports of the harbour office tell of ships, crews and cargo, and of the weather that they met. " * 12
LOOK_UP = "Which frequency does the Kessock beacon use?"
SPREAD = "What do the ships and crews of the harbour office meet?"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    texts: dict[str, Any] = {f"report{n}.txt": (f"Report {n}. {FILLER}", {"year": 2000 + n}) for n in range(40)}
    texts["beacon.txt"] = ("The Kessock beacon uses a frequency of 310 kHz.", {"year": 1999})
    with make_corpus(tmp_path_factory.mktemp("evidence") / "index", texts) as made:
        yield made


def test_a_passage_that_holds_what_is_asked_stands_out(corpus: Corpus) -> None:
    found, spread = evidence_of(corpus, LOOK_UP), evidence_of(corpus, SPREAD)
    assert found["fall_off"] > 0.9
    assert found["covered"] > 0.6 > spread["fall_off"]
    assert leaning(found) < -2.5
    assert leaning(spread) > 0
    assert spread["spread"] == 1.0


def test_what_the_corpus_does_not_hold_is_unmatched(corpus: Corpus) -> None:
    assert evidence_of(corpus, "zyxgarble qqfoo") == {"fall_off": 0.0, "covered": 0.0, "unmatched": 1.0, "spread": 0.0}
    assert 0 < evidence_of(corpus, "Kessock zyxgarble")["unmatched"] < 1


def test_a_filter_holds_for_the_evidence_as_well(corpus: Corpus) -> None:
    assert evidence_of(corpus, "Kessock beacon", {"year": {"$gte": 2000}})["unmatched"] == 1.0


def test_the_reason_tells_of_the_passage_that_stands_out(corpus: Corpus) -> None:
    decision = SmartRouter(corpus=corpus).decide(LOOK_UP)
    assert decision["route"] == "rag"
    assert decision["reasons"][0] == "one passage stands out and holds what it names"
    assert decision["features"]["documents"] == 41


def test_a_calculation_within_one_passage_needs_no_recursion(corpus: Corpus) -> None:
    question = "What is the average frequency of the Kessock beacon?"
    assert SmartRouter().decide(question)["route"] == "rlm"
    assert SmartRouter(corpus=corpus).decide(question)["route"] == "rag"


@pytest.mark.parametrize(
    "question",
    [
        "List all documents that mention the Kessock beacon.",
        "How many times does `Kessock` occur?",
    ],
)
def test_a_passage_that_stands_out_is_not_all_of_them(question: str, corpus: Corpus) -> None:
    decision = SmartRouter(corpus=corpus).decide(question)
    assert (decision["route"], decision["options"]) == ("rlm", {})


def test_the_next_step_is_taken_by_retrieval_that_reads_more(corpus: Corpus) -> None:
    question = "Where was the father of the man that built the Kessock beacon born?"
    assert SmartRouter().decide(question)["route"] == "rlm"  # without a corpus nobody knows what RAG could do
    decision = SmartRouter(corpus=corpus).decide(question)
    assert (decision["route"], decision["options"]["k"]) == ("rag", 20)
    assert decision["reasons"][0].startswith("RAG reads 20 passages for it")
    plain = SmartRouter(corpus=corpus).decide("What is the frequency of the Kessock beacon?")
    assert (plain["route"], plain["options"]) == ("rag", {"mode": "hybrid", "k": 8})


def test_in_another_language_the_corpus_decides(corpus: Corpus) -> None:
    decision = SmartRouter(corpus=corpus).decide("Welche Frequenz nutzt denn Kessock beacon frequency 310?")
    assert decision["route"] == "rag"
    assert decision["reasons"][:2] == [
        "it does not read like English, whose signs alone are known: the corpus decides",
        "one passage stands out and holds what it names",
    ]
    flat = SmartRouter(corpus=corpus).decide("Schiffe ships crews cargo harbour office weather Berichte")
    assert (flat["route"], flat["options"]["k"]) == ("rag", 20)


def test_a_very_long_question_is_looked_up_by_its_ends(corpus: Corpus) -> None:
    assert SmartRouter(corpus=corpus).decide("Kessock beacon " + "x " * 500_000)["features"]["documents"] == 41


@pytest.mark.parametrize(
    "question", ["\ud800 Kessock", "\x00", "?!", "🙂", "((", "AND OR NOT", "x" * 1_000_000, "\u200b"]
)
def test_what_is_hardly_a_question_is_looked_up_all_the_same(question: str, corpus: Corpus) -> None:
    decision = SmartRouter(corpus=corpus).decide(question)
    assert decision["route"] == "rag"
    assert set(evidence_of(corpus, question)) == {"fall_off", "covered", "unmatched", "spread"}


def test_words_that_stand_nowhere_are_a_reason(corpus: Corpus) -> None:
    decision = SmartRouter(corpus=corpus).decide("List all zyxgarbles of qqfoo")
    assert (decision["route"], decision["reasons"][-1]) == ("rlm", "no passage holds any of its words")


def test_a_store_that_keeps_no_texts_here_is_not_searched() -> None:
    store = InMemoryVectorStore(HashingEmbeddings())
    store.add_documents([Document(FILLER * 40, id="a")])
    with Corpus.open(store) as foreign:
        assert evidence_of(foreign, LOOK_UP) == {}
        decision = SmartRouter(corpus=foreign).decide(LOOK_UP)
    assert decision["route"] == "rag"
    assert "fall_off" not in decision["features"]


def test_an_empty_corpus_is_read_at_once(tmp_path_factory: pytest.TempPathFactory) -> None:
    with make_corpus(tmp_path_factory.mktemp("empty") / "index", {}) as empty:
        assert SmartRouter(corpus=empty).decide(LOOK_UP)["route"] == "direct"


shares = st.floats(0, 1)


@given(shares, shares, shares, shares)
def test_the_further_scores_fall_the_less_speaks_for_recursion(
    fall: float, more: float, cover: float, wide: float
) -> None:
    low, high = sorted((fall, more))
    assert leaning({"fall_off": high, "covered": cover}) <= leaning({"fall_off": low, "covered": cover})
    assert -3.0 <= leaning({"fall_off": fall, "covered": cover}) <= 1.0
    signs = {"enumeration": 1.0, "fall_off": fall, "covered": cover}
    assert inputs_of(signs)["evidence"] >= 0
