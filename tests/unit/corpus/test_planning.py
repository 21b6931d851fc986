"""Questions and what they become: queries and scopes, in several languages, hostile ones, and on corpora of all kinds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from langchain_core.documents import Document

from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.filters import matches
from langgraph_rlm.corpus.planning.plans import MOST_CHARS, MOST_PARTS, Part, Plan, focused
from langgraph_rlm.corpus.planning.scope import words_of
from langgraph_rlm.errors import InvalidFilter, InvalidInput

QUARTERS = ("2022 Q3", "2022 Q4", "2023 Q1", "2023 Q2")
COMPANIES = ("Apple Inc.", "Intel Corporation", "Amazon.com, Inc.")
WHOLE = None


def of(company: str | None = None, quarter: Any = None, **other: Any) -> dict[str, Any]:
    """A scope as plain conditions."""
    given = {"company": company, "quarter": quarter} | other
    return {field: value for field, value in given.items() if value is not None}


def plain(where: dict[str, Any] | None) -> dict[str, Any] | None:
    """A filter of equalities that are joined by ``$and``, as one dict."""
    if where is None:
        return None
    if set(where) != {"$and"}:
        return where
    return {field: value for one in where["$and"] for field, value in (plain(one) or {}).items()}


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    documents = [
        Document(
            f"{company} and its gross margin in {quarter}. Net sales, inventories, research.",
            id=f"{company} {quarter}",
            metadata={
                "company": company,
                "quarter": quarter,
                "team": "hr" if quarter == "2022 Q3" else "ops",
                "status": "open" if quarter < "2023" else "final",
                "pages": 40 + number,
            },
        )
        for number, company in enumerate(COMPANIES)
        for quarter in QUARTERS
    ]
    with Corpus.open(f"chroma:{tmp_path_factory.mktemp('plans') / 'index'}") as made:
        made.add(documents)
        yield made


APPLE, INTEL, AMAZON = COMPANIES
FIRST, LAST = {"$in": ["2022 Q3", "2022 Q4"]}, {"$in": ["2023 Q1", "2023 Q2"]}

TABLE: list[tuple[str, list[tuple[str | None, dict[str, Any] | None]]]] = [
    # comparisons: each with each
    (
        "Compare Apple and Intel's gross margin in 2022 and 2023",
        [("gross margin", of(company, years)) for company in (APPLE, INTEL) for years in (FIRST, LAST)],
    ),
    (
        "How does Intel's margin in Q3 2022 compare with Apple's?",
        [("margin", of(company, "2022 Q3")) for company in (INTEL, APPLE)],
    ),
    (
        "Vergleiche die Marge von Apple und Intel im dritten Quartal 2022",
        [("Marge", of(company, "2022 Q3")) for company in (APPLE, INTEL)],
    ),
    ("Compare the margins of all teams", [("margins", of(team=team)) for team in ("hr", "ops")]),
    # enumerations: one for each
    ("How has Apple's total net sales changed over time?", [("total net sales", of(APPLE, one)) for one in QUARTERS]),
    ("Intel's inventories across these quarters", [("inventories", of(INTEL, one)) for one in QUARTERS]),
    ("What risks are named in Intel's reports?", [("risks named", of(INTEL, one)) for one in QUARTERS]),
    ("Apple margin by quarter", [("margin", of(APPLE, one)) for one in QUARTERS]),
    ("margin for each company", [("margin", of(company)) for company in sorted(COMPANIES)]),
    ("Wie hat sich die Marge von Apple in jedem Quartal entwickelt?", [("Marge", of(APPLE, one)) for one in QUARTERS]),
    ("Comment la marge d'Apple a évolué chaque trimestre ?", [("marge", of(APPLE, one)) for one in QUARTERS]),
    ("Cuál fue el margen de Intel en todos los trimestres?", [(None, of(INTEL, one)) for one in QUARTERS]),
    (
        "gross margin from Q3 2022 to Q1 2023 at Apple",
        [("gross margin", of(APPLE, one)) for one in QUARTERS[:3]],
    ),
    # one scope: asked in the question's own words
    ("What was Apple's gross margin in Q1 2023?", [(WHOLE, of(APPLE, "2023 Q1"))]),
    ("In the second quarter of 2023, what drove Intel's sales?", [(WHOLE, of(INTEL, "2023 Q2"))]),
    ("Quelle était la marge d'Apple au troisième trimestre 2022 ?", [(WHOLE, of(APPLE, "2022 Q3"))]),
    ("What did Amazon.com, Inc. sell?", [(WHOLE, of(AMAZON))]),
    ("What was Apple's margin in the latest quarter?", [(WHOLE, of(APPLE, "2023 Q2"))]),
    ("Which inventories does Intel's most recent 10-Q report?", [(WHOLE, of(INTEL, "2023 Q2"))]),
    ("What did the hr team decide?", [(WHOLE, of(team="hr"))]),
    ("the document with pages 41", [(WHOLE, of(pages=41))]),
    # the same words, but not the value
    ("How open is it, and what is final?", [(WHOLE, None)]),
    ("Are there 41 ways to do it?", [(WHOLE, None)]),
    ("What will happen?", [(WHOLE, None)]),
    # in lower case a name is a hint: the question is asked without it as well
    ("what was apple selling", [("what was apple selling", of(APPLE)), (WHOLE, None)]),
    # names that no metadata knows
    (
        "Who is older, Ada Lovelace or Alan Turing?",
        [("older Ada Lovelace", None), ("older Alan Turing", None), (WHOLE, None)],
    ),
    (
        "Compare the populations of Paris, Lyon and Marseille",
        [(f"populations {city}", None) for city in ("Paris", "Lyon", "Marseille")] + [(WHOLE, None)],
    ),
    ("Johnson and Johnson's revenue", [(WHOLE, None)]),
    # nothing of the kind
    ("(((.*)+)+ [a-z]{1000} $ne '\"; DROP TABLE facets; --", [(WHOLE, None)]),
    ("苹果的毛利率是多少", [(WHOLE, None)]),
    ("?", [(WHOLE, None)]),
]


@pytest.mark.parametrize(("question", "expected"), TABLE, ids=[question[:60] for question, _ in TABLE])
def test_a_question_becomes_these_queries(
    question: str, expected: list[tuple[str | None, dict[str, Any] | None]], corpus: Corpus
) -> None:
    plan = corpus.plan(question)
    assert [plain(part.where) for part in plan.parts] == [scope for _, scope in expected]
    for part, (query, _) in zip(plan.parts, expected, strict=True):
        if query is not None:
            assert part.query == query
        elif len(expected) == 1:
            assert part.query == question
    assert all(part.why for part in plan.parts)


def test_a_plan_finds_each_of_the_things_compared(corpus: Corpus) -> None:
    hits = corpus.retrieve("Compare Apple and Intel's gross margin in Q3 2022 and Q1 2023", k=4, plan=True)
    assert {hit["doc_id"] for hit in hits} == {f"{one} {of}" for one in (APPLE, INTEL) for of in ("2022 Q3", "2023 Q1")}
    for hit in hits:
        told = hit["metadata"]
        assert matches(told["rlm_scope"], told)
        assert told["rlm_queries"] == [hits.index(hit)] or len(told["rlm_queries"]) == 1
        assert told["company"].split()[0] in told["rlm_why"]


def test_what_a_scope_does_not_fill_comes_from_beyond_it_and_says_so(corpus: Corpus) -> None:
    hits = corpus.retrieve("What was Apple's gross margin in Q1 2023?", k=5, plan=True)
    assert hits[0]["doc_id"] == f"{APPLE} 2023 Q1"
    assert [hit["metadata"]["rlm_scope"] is None for hit in hits] == [False, True, True, True, True]
    assert all("beyond the scope" in hit["metadata"]["rlm_why"] for hit in hits[1:])
    assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)


def test_a_scope_that_no_document_passes_is_dropped_and_said(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        corpus.add(
            Document(f"margin {number}", id=f"d{number}", metadata={"company": company, "quarter": quarter})
            for number, (company, quarter) in enumerate(
                [(APPLE, "2022 Q3"), (APPLE, "2022 Q3"), (INTEL, "2023 Q1")] * 2
            )
        )
        plan = corpus.plan("What was Apple's margin in Q1 2023?")
        hits = corpus.retrieve("What was Apple's margin in Q1 2023?", plan=True)
    assert [part.where for part in plan.parts] == [None]
    assert "no document" in plan.parts[0].why and "Apple" in plan.notes[0]
    assert len(hits) == 6


def test_a_value_of_two_fields_means_either(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        corpus.add(
            Document(f"Kafka, texts {number}", id=f"d{number}", metadata={"author": author, "about": about})
            for number, (author, about) in enumerate([("Kafka", "Prague"), ("Brod", "Kafka"), ("Brod", "Vienna")] * 2)
        )
        hits = corpus.retrieve("Which texts has Kafka to do with?", plan=True, k=4)
    assert {hit["doc_id"] for hit in hits} == {"d0", "d1", "d3", "d4"}


def test_a_field_that_most_documents_lack_is_no_scope(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        corpus.add(
            Document(f"Kafka wrote {number}", id=f"d{number}", metadata={"author": "Kafka"} if number < 2 else {})
            for number in range(8)
        )
        assert [part.where for part in corpus.plan("What did Kafka write?").parts] == [None]


def test_a_value_of_one_document_is_a_hint_and_the_question_is_asked_as_well(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        corpus.add(
            Document(f"about film {title}", id=title, metadata={"title": title}) for title in ("Alien", "Brazil")
        )
        parts = corpus.plan("Who directed Alien?").parts
    assert [part.where for part in parts] == [{"title": "Alien"}, None]
    assert parts[1].query == "Who directed Alien?"


def test_a_corpus_without_metadata_is_asked_the_question_itself(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        corpus.add(Document(f"the year {year} was good", id=f"d{year}") for year in range(2000, 2010))
        asked = "What was good in 2003?"
        assert [part[:2] for part in corpus.plan(asked).parts] == [(asked, None)]
        flat, planned = corpus.retrieve(asked, k=3), corpus.retrieve(asked, k=3, plan=True)
    assert [hit["doc_id"] for hit in flat] == [hit["doc_id"] for hit in planned]


def test_more_values_than_queries_are_said_and_the_latest_are_asked_about(tmp_path: Path) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        corpus.add(Document(f"sales {year}", id=f"d{year}", metadata={"year": year}) for year in range(1990, 2020))
        plan = corpus.plan("How did sales change over the years?")
    scopes = [part.where["year"] for part in plan.parts if part.where]
    assert scopes == list(range(2020 - MOST_PARTS, 2020))
    assert plan.parts[-1].where is None
    assert "30 values" in plan.notes[0]


def test_long_and_hostile_values_are_neither_named_nor_in_the_way(tmp_path: Path) -> None:
    hostile = ["(a+)+$", "' OR 1=1 --", "%_*", "\\", "x" * 5_000, "\u202egnp.exe", "   ", "🙂", "a\x1fb"]
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as corpus:
        corpus.add(
            Document(f"text {number}", id=f"d{number}-{copy}", metadata={"name": value, f"f{number}": value})
            for number, value in enumerate(hostile)
            for copy in range(2)
        )
        for value in hostile:
            plan = corpus.plan(f"What is {value[:3_000]}?")
            assert 1 <= len(plan.parts) <= MOST_PARTS + 1
            assert corpus.retrieve(f"What is {value[:3_000]}?", k=2, mode="vector", plan=True)


@pytest.mark.parametrize("chars", [MOST_CHARS + 1, 1_000_000])
def test_a_question_too_long_to_be_taken_apart_is_asked_as_it_is(chars: int, corpus: Corpus) -> None:
    asked = ("Compare Apple and Intel in 2022. " * (chars // 33 + 1))[:chars]
    plan = corpus.plan(asked)
    assert [part.query for part in plan.parts] == [asked]
    assert "too long" in plan.parts[0].why


@pytest.mark.parametrize("question", ["", "   ", None, 7, ["a"]])
def test_an_empty_question_is_refused(question: Any, corpus: Corpus) -> None:
    with pytest.raises(InvalidInput, match="plan: question must be a str and not empty"):
        corpus.plan(question)


def test_a_wrong_filter_is_refused(corpus: Corpus) -> None:
    with pytest.raises(InvalidFilter):
        corpus.plan("x", where={"$bad": 1})


def test_a_plan_is_made_for_one_question(corpus: Corpus) -> None:
    with pytest.raises(InvalidInput, match="a plan is made for one question, not for 2 queries"):
        corpus.retrieve(["a", "b"], plan=True)


# --- what the caller's filter leaves out stays out ----------------------------------------------------------------


def test_values_of_documents_beyond_the_filter_are_not_known(corpus: Corpus) -> None:
    within = {"company": INTEL}
    plan = corpus.plan("Compare Apple and Intel over all quarters", where=within)
    assert "Apple" not in str([part.where for part in plan.parts]) + str(plan.notes)
    absent = corpus.plan("Compare Nobody and Intel over all quarters", where=within)
    assert [part.where for part in absent.parts] == [part.where for part in plan.parts]


@settings(max_examples=60, deadline=None)
@given(
    question=st.one_of(
        st.sampled_from([question for question, _ in TABLE]),
        st.lists(
            st.sampled_from(
                [*COMPANIES, *QUARTERS, "2022", "and", "Compare", "latest quarter", "all teams", "hr team", "'s"]
            ),
            min_size=1,
            max_size=8,
        ).map(" ".join),
    ),
    where=st.one_of(
        st.builds(lambda company: {"company": company}, st.sampled_from([*COMPANIES, "nobody"])),
        st.builds(lambda quarter: {"quarter": {"$gte": quarter}}, st.sampled_from(QUARTERS)),
        st.builds(lambda team: {"$or": [{"team": team}, {"pages": 41}]}, st.sampled_from(["hr", "ops"])),
    ),
    k=st.integers(1, 12),
)
def test_a_plan_never_leaves_the_filter_of_the_caller(
    question: str, where: dict[str, Any], k: int, corpus: Corpus
) -> None:
    hits = corpus.retrieve(question, k=k, mode="bm25", where=where, plan=True)
    assert all(matches(where, hit["metadata"]) for hit in hits)
    assert len(hits) <= k
    assert len({(hit["doc_id"], hit["start"]) for hit in hits}) == len(hits)


def test_a_tenant_plans_with_its_own_values_alone(tmp_path: Path) -> None:
    for tenant, company in (("one", "Apple Inc."), ("two", "Intel Corporation")):
        with Corpus.open(f"chroma:{tmp_path / 'index'}", tenant=tenant) as corpus:
            corpus.add(
                Document(f"margin {number} of {company}", id=f"d{number}", metadata={"company": company})
                for number in range(3)
            )
    with Corpus.open(f"chroma:{tmp_path / 'index'}", tenant="one") as corpus:
        plan = corpus.plan("Compare Apple and Intel's margin")
        hits = corpus.retrieve("Compare Apple and Intel's margin", plan=True)
    assert "Intel Corporation" not in str(plan)
    assert {hit["metadata"]["company"] for hit in hits} == {"Apple Inc."}


# --- parts --------------------------------------------------------------------------------------------------------


@given(st.text(max_size=200))
def test_the_focus_of_any_text_is_made_of_its_words(text: str) -> None:
    words = words_of(text)
    assert all(text[word.start : word.end] for word in words)
    found = focused(text, words, [])
    assert found == text or {word.text for word in words_of(found)} <= {word.text for word in words}


# --- plans that somebody changed ----------------------------------------------------------------------------------


def test_a_changed_plan_is_asked_within_the_filter_of_the_caller(corpus: Corpus) -> None:
    plan = Plan("margins", (Part("gross margin", {"company": APPLE}, "mine"), Part("inventories", None, "all")))
    hits = corpus.retrieve("margins", k=8, where={"quarter": "2022 Q3"}, plan=plan)
    assert {hit["metadata"]["quarter"] for hit in hits} == {"2022 Q3"}
    assert {hit["metadata"]["rlm_why"] for hit in hits} == {"mine", "all"}


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (Plan("x", ()), "a plan has 1 to 100 queries"),
        (Plan("x", (Part("x", None, ""),) * 101), "a plan has 1 to 100 queries"),
        (Plan("x", (Part(" ", None, ""),)), "none of them is empty"),
        ("yes", "plan must be True, False or a Plan"),
        (None, "plan must be True, False or a Plan"),
    ],
)
def test_what_is_no_plan_is_refused(plan: Any, message: str, corpus: Corpus) -> None:
    with pytest.raises(InvalidInput, match=message):
        corpus.retrieve("x", plan=plan)


def test_a_plan_with_a_wrong_scope_is_refused(corpus: Corpus) -> None:
    with pytest.raises(InvalidFilter):
        corpus.retrieve("x", plan=Plan("x", (Part("x", {"a": {"$bad": 1}}, ""),)))


def test_a_plan_goes_into_json_for_events_and_cells(corpus: Corpus) -> None:
    plan = corpus.plan("Compare Apple and Intel in 2022")
    assert json.loads(json.dumps(plan.as_dict())) == plan.as_dict()
    assert plan.as_dict()["parts"][0]["where"] == plan.parts[0].where


def test_documents_beyond_the_filter_change_nothing_of_a_plan(tmp_path: Path) -> None:
    """Neither their values, nor how many of them there are, nor which fields they have."""
    mine = [
        Document(f"text {n}", id=f"mine{n}", metadata={"owner": "me", "author": f"Author Nr{n}", "year": 2000 + n % 3})
        for n in range(250)  # more values than a survey keeps
    ]
    others = [
        Document(f"text {n}", id=f"other{n}", metadata={"owner": "them", "author": "Author Nr7", "year": 1950 + n})
        for n in range(40)
    ] + [Document(f"text {n}", id=f"bare{n}", metadata={"owner": "them"}) for n in range(400)]
    asked = [
        "What did Author Nr7 write?",
        "What did Author Nr249 write?",
        "the latest year",
        "each year",
        "1950 and 2001",
    ]
    plans = []
    for name, documents in (("alone", mine), ("shared", mine + others)):
        with Corpus.open(f"chroma:{tmp_path / name}") as corpus:
            corpus.add(documents)
            plans.append([corpus.plan(question, where={"owner": "me"}) for question in asked])
    assert plans[0] == plans[1]
    assert [part.where for part in plans[0][0].parts] == [{"author": "Author Nr7"}, None]
    assert [part.where for part in plans[0][1].parts] == [{"author": "Author Nr249"}, None]
    assert [part.where for part in plans[0][2].parts] == [{"year": 2002}]
    assert [part.where for part in plans[0][4].parts] == [{"year": 2001}]
