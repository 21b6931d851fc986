"""Several corpora in one run: ids with the corpus's name, filters that reach one, hits fused by rank."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.vectorstores import InMemoryVectorStore

from langgraph_rlm import (
    Corpus,
    ExtractiveModel,
    HashingEmbeddings,
    SmartRouter,
    create_rag,
    create_rlm,
    create_smart_rag,
)
from langgraph_rlm.corpus import JoinedCorpus
from langgraph_rlm.errors import DocumentMissing, InvalidFilter, InvalidInput
from tests.integration.test_retrievers_of_others import AsyncOnly
from tests.support import Ask, cell, scripted, text_of


@pytest.fixture
def corpora(tmp_path: Path) -> Iterator[dict[str, Corpus]]:
    store = InMemoryVectorStore(HashingEmbeddings())
    store.add_texts(
        ["The pump of line 3 is broken.", "Parental leave was refused to Ann."],
        [{"source": "t1", "team": "ops"}, {"source": "t2", "team": "hr"}],
    )
    with Corpus.open(f"chroma:{tmp_path}/docs") as docs, Corpus.open(store) as tickets:
        docs.add(
            [
                Document("# Leave\n\nParental leave is 16 weeks.", id="leave.md", metadata={"team": "hr"}),
                Document("Pumps are serviced yearly.", id="pumps.md", metadata={"team": "ops"}),
            ]
        )
        yield {"docs": docs, "tickets": tickets}


async def test_hits_of_all_are_fused_and_a_filter_reaches_one(corpora: dict[str, Corpus]) -> None:
    joined = JoinedCorpus(corpora)
    hits = joined.retrieve("parental leave", 4)
    assert [hit["doc_id"] for hit in hits[:2]] == ["docs:leave.md", "tickets:t2"]
    assert [hit["rank"] for hit in hits] == list(range(len(hits)))
    assert {hit["metadata"]["corpus"] for hit in hits} == {"docs", "tickets"}
    for hit in hits:
        assert joined.read(hit["doc_id"], hit["start"], hit["end"]) == hit["text"]
    assert hits == await joined.aretrieve("parental leave", 4)

    def ids(where: Any, mode: Any = "bm25") -> set[str]:
        return {hit["doc_id"] for hit in joined.retrieve("parental leave pump pumps", 8, mode, where)}

    assert ids({"corpus": "docs"}) == {"docs:leave.md", "docs:pumps.md"}
    assert ids({"corpus": "tickets", "team": "hr"}) == {"tickets:t2"}
    assert ids({"team": "hr"}) == {"docs:leave.md", "tickets:t2"}
    assert ids({"$or": [{"corpus": "docs", "team": "ops"}, {"corpus": "tickets"}]}) == {
        "docs:pumps.md", "tickets:t1", "tickets:t2"}  # fmt: skip
    assert ids({"corpus": {"$ne": "docs"}}) == {"tickets:t1", "tickets:t2"} and ids({"corpus": "nowhere"}) == set()
    assert {hit["doc_id"] for hit in joined.retrieve("Who is Leave?", 4, "hop")} >= {"docs:leave.md"}


def test_texts_sizes_and_names_are_those_of_all(corpora: dict[str, Corpus]) -> None:
    joined = JoinedCorpus(corpora)
    assert [one["doc_id"] for one in joined.list_documents()] == [
        "docs:leave.md",
        "docs:pumps.md",
        "tickets:t1",
        "tickets:t2",
    ]
    assert joined.totals() == tuple(map(sum, zip(*(one.totals() for one in corpora.values()), strict=True)))
    assert joined.overview().documents == 4 and joined.overview({"corpus": "docs"}).documents == 2
    assert {hit["doc_id"] for hit in joined.grep("(?i)parental leave")} == {"docs:leave.md", "tickets:t2"}
    assert joined.count_matches("leave", where={"corpus": "tickets"}).matches == 1
    assert joined.count_matches("leave", documents=["docs:leave.md"]).matches == 1
    assert [one["doc_id"] for one in joined.names("leave")] == ["docs:leave.md"]
    assert joined.holds("docs:leave.md", {"team": "hr"}) and not joined.holds("leave.md")
    assert not joined.holds("docs:leave.md", {"corpus": "tickets"})
    with pytest.raises(DocumentMissing, match=r"docs:…, tickets:…"):
        joined.read("leave.md")
    with pytest.raises(DocumentMissing):
        joined.read("docs:leave.md", where={"team": "ops"})
    with pytest.raises(InvalidInput, match="several corpora"):
        joined.delete(["docs:leave.md"])
    before = joined.version
    corpora["docs"].delete(["pumps.md"])
    assert joined.version != before


async def test_all_graphs_take_a_mapping_and_one_may_be_a_function(corpora: dict[str, Corpus], ask: Ask) -> None:
    calls: list[str] = []

    def of_tenant(config: Any) -> Corpus:
        calls.append(config["configurable"]["tenant"])
        return corpora["tickets"]

    given = {"docs": corpora["docs"], "tickets": of_tenant}
    config = {"configurable": {"tenant": "acme"}}
    for make in (create_rag, create_rlm, create_smart_rag):
        found = await ask(
            make(ExtractiveModel(), corpus=given), {"question": "How many weeks is parental leave?"}, config
        )  # type: ignore[operator]
        assert "16 weeks" in found["answer"] and found["citations"][0]["doc_id"] == "docs:leave.md"
        assert calls == ["acme"], make.__name__
        calls.clear()
        only = {"configurable": {"tenant": "acme", "rlm": {"where": {"corpus": "tickets"}}}}
        narrow = await ask(
            make(ExtractiveModel(), corpus=given), {"question": "How many weeks is parental leave?"}, only
        )  # type: ignore[operator]
        assert "16 weeks" not in narrow["answer"]
        calls.clear()
    assert SmartRouter(corpus=corpora).decide("How many weeks is parental leave?")["route"] == "direct"


async def test_a_cell_looks_into_one_of_them_by_its_name(corpora: dict[str, Corpus], ask: Ask) -> None:
    look = cell(
        "a, b = count('(?i)leave', in_='docs'), count('(?i)leave', in_='tickets')",
        "hits = grep('(?i)parental', in_='tickets')",
        "FINAL([a, b, hits[0]['doc_id'], read(hits[0]['doc_id'])[:8]])",
    )
    model = scripted([look])
    found = await ask(create_rlm(model, corpus=corpora, strategy="director"), {"question": "How many?"})
    assert found["answer"] == '[2, 1, "tickets:t2", "Parental"]'
    assert "docs:" in text_of(model.requests[0]) and "tickets:" in text_of(model.requests[0])
    refused = await ask(
        create_rlm(scripted([cell("grep('x', in_='web')"), "FINAL(1)"]), corpus=corpora, strategy="director"),
        {"question": "?"},
    )
    assert "none of 'all', 'context', 'corpus', 'docs', 'tickets'" in refused["turns"][0]["error"]


@pytest.mark.parametrize("name", ["a-b", "", "3d", "context", "all", "corpus", "a:b", 7])
def test_a_name_that_no_id_can_begin_with_is_refused(name: Any, corpora: dict[str, Corpus]) -> None:
    with pytest.raises(InvalidInput, match="cannot name a corpus"):
        create_rag(ExtractiveModel(), corpus={name: corpora["docs"]})


def test_what_is_no_mapping_of_corpora_is_refused(corpora: dict[str, Corpus]) -> None:
    for wrong, told in (
        ({}, "empty mapping"),
        ({"a": {"b": corpora["docs"]}}, "inside of a mapping"),
        ({"a": 7}, "got int"),
    ):
        with pytest.raises(InvalidInput, match=told):
            create_rlm(ExtractiveModel(), corpus=wrong)  # type: ignore[arg-type]


def test_a_retriever_among_them_is_searched_and_its_filter_refused(corpora: dict[str, Corpus]) -> None:
    joined = JoinedCorpus({**corpora, "web": Corpus.open(AsyncOnly())})
    assert {hit["metadata"]["corpus"] for hit in joined.retrieve("leave", 9, "vector")} == {"docs", "tickets", "web"}
    assert {hit["metadata"]["corpus"] for hit in joined.retrieve("leave", 9, "bm25")} == {"docs", "tickets"}
    assert joined.overview().chars is None and len(joined.list_documents()) == 4
    with pytest.raises(InvalidFilter, match=r"corpus 'web'.*takes no filter"):
        joined.retrieve("leave", where={"team": "hr"})
    assert joined.retrieve("leave", where={"team": "hr", "corpus": {"$in": ["docs", "tickets"]}})
