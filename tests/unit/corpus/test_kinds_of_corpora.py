"""The two kinds of corpora: one public class, coroutines for all that blocks, unknown options refused."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.embeddings import DeterministicFakeEmbedding
from langchain_core.vectorstores import InMemoryVectorStore

from langgraph_rlm.corpus import AttachedCorpus, Corpus, OwnCorpus, Part, Plan
from langgraph_rlm.errors import DocumentMissing, InvalidInput, PatternError, StoreError, UnknownOption
from langgraph_rlm.threads import in_thread

TEXTS = {"a.txt": "the fox is red\nand quick", "b.txt": "the owl is grey", "c.txt": "no fox, no owl"}
TWINS = [
    name
    for name in dir(Corpus)
    if name[0] == "a" and not name.startswith("_") and callable(getattr(Corpus, name[1:], None))
]
SYNC_ONLY = {"as_retriever", "snippet", "embeds_with", "check"}  # nothing in them blocks
PROPERTIES = {"collections", "keeps_names", "keeps_texts", "lexical", "lists_texts", "version"}


def documents() -> list[Document]:
    return [Document(id=doc_id, page_content=text) for doc_id, text in TEXTS.items()]


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Corpus]:
    with Corpus.open(f"qdrant:{tmp_path / 'index'}") as corpus:
        corpus.add(documents())
        yield corpus


@pytest.fixture
def attached() -> Iterator[Corpus]:
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    store.add_documents(documents())
    with Corpus.open(store) as corpus:
        yield corpus


@pytest.fixture(params=["own", "attached"])
def corpus(request: pytest.FixtureRequest) -> Corpus:
    found: Corpus = request.getfixturevalue(request.param)
    return found


def test_both_kinds_are_corpora_and_siblings(own: Corpus, attached: Corpus) -> None:
    assert type(own) is OwnCorpus and type(attached) is AttachedCorpus
    assert isinstance(own, Corpus) and isinstance(attached, Corpus)
    assert not isinstance(attached, OwnCorpus)
    assert inspect.isabstract(Corpus)
    with pytest.raises(TypeError, match="abstract"):
        Corpus(None, None)  # type: ignore[abstract, arg-type]


def test_a_subclass_opens_itself_and_refuses_what_the_other_kind_serves(tmp_path: Path) -> None:
    class Mine(OwnCorpus):
        """A user's own."""

    with Mine.open(f"qdrant:{tmp_path}/a") as mine, Corpus.open(f"qdrant:{tmp_path}/b") as plain:
        assert type(mine) is Mine and type(plain) is OwnCorpus
    with pytest.raises(InvalidInput, match=r"use Corpus\.open"):
        AttachedCorpus.open(f"qdrant:{tmp_path}/c")


def test_every_method_that_blocks_has_a_coroutine_of_the_same_parameters() -> None:
    public = {name for name in dir(Corpus) if not name.startswith("_")} - PROPERTIES - SYNC_ONLY - set(TWINS)
    assert {f"a{name}" for name in public} == set(TWINS)
    for name in TWINS:
        twin, method = getattr(Corpus, name), getattr(Corpus, name[1:])
        assert inspect.iscoroutinefunction(twin), name
        assert inspect.signature(twin) == inspect.signature(method), name
        assert inspect.getdoc(twin), name
        for kind in (OwnCorpus, AttachedCorpus):
            assert inspect.signature(getattr(kind, name)) == inspect.signature(getattr(kind, name[1:])), name


async def test_coroutines_find_what_the_methods_find(corpus: Corpus) -> None:
    async def same(name: str, *given: Any, **options: Any) -> None:
        blocking = await in_thread(getattr(corpus, name), *given, **options)
        assert await getattr(corpus, f"a{name}")(*given, **options) == blocking, name

    some = await corpus.alist_documents(limit=1)
    assert len(some) == 1
    await same("retrieve", "fox", 2, "bm25")
    await same("retrieve", ["fox", "owl"], mode="vector", diversity=0.5)
    await same("grep", "fox", max_matches=1, before=1)
    await same("search", "owl", ignore_case=True)
    await same("count_matches", "fox|owl")
    await same("read", some[0]["doc_id"], 0, 3)
    await same("holds", some[0]["doc_id"])
    await same("plan", "Compare the fox and the owl")
    await same("totals")
    await same("names", limit=2)


async def test_a_coroutine_leaves_the_event_loop_alone(own: Corpus, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bool] = []

    def grep(*given: Any, **options: Any) -> None:
        with pytest.raises(RuntimeError):
            asyncio.get_running_loop()
        seen.append(True)

    monkeypatch.setattr(own, "grep", grep)
    await own.agrep("fox")
    assert seen == [True]


@pytest.mark.parametrize(
    ("call", "option", "nearest"),
    [
        (lambda corpus: corpus.as_retriever(kk=3), "kk", "k"),
        (lambda corpus: corpus.as_retriever(mod="bm25"), "mod", "mode"),
        (lambda corpus: corpus.as_retriever().invoke("fox", neighbors=1), "neighbors", "neighbours"),
        (lambda corpus: corpus.retrieve("fox", wher={"a": 1}), "wher", "where"),
        (lambda corpus: asyncio.run(corpus.aretrieve("fox", hop=2)), "hop", "hops"),
        (lambda corpus: corpus.grep("fox", ignorecase=True), "ignorecase", "ignore_case"),
        (lambda corpus: asyncio.run(corpus.asearch("fox", max_match=1)), "max_match", "max_matches"),
        (lambda corpus: Corpus.open("qdrant:x", direktory="y"), "direktory", "directory"),
        (lambda corpus: asyncio.run(Corpus.aopen("qdrant:x", embedding=None)), "embedding", "embeddings"),
    ],
)
def test_an_unknown_option_is_refused_and_the_nearest_told(call: Any, option: str, nearest: str, own: Corpus) -> None:
    with pytest.raises(UnknownOption) as caught:
        call(own)
    assert (caught.value.option, caught.value.nearest) == (option, nearest)
    assert repr(option) in str(caught.value) and repr(nearest) in str(caught.value)


def test_a_retriever_made_directly_refuses_unknown_fields_too(own: Corpus) -> None:
    from langgraph_rlm.corpus.retriever import CorpusRetriever

    with pytest.raises(ValueError, match="kk"):
        CorpusRetriever(corpus=own, kk=3)  # type: ignore[call-arg]


def test_len_counts_documents_and_an_empty_corpus_is_one(tmp_path: Path, corpus: Corpus) -> None:
    assert len(corpus) == corpus.count() == corpus.totals().documents == 3
    assert corpus.chunk_count() == corpus.totals().chunks == 3
    assert corpus.total_chars() == corpus.totals().chars == sum(map(len, TEXTS.values()))
    with Corpus.open(f"qdrant:{tmp_path / 'empty'}") as empty:
        assert len(empty) == 0 and bool(empty)


def test_matches_are_counted_in_all_or_some_documents(corpus: Corpus) -> None:
    assert tuple(corpus.count_matches("fox|owl")) == (4, True)
    ids = [one["doc_id"] for one in corpus.list_documents() if "grey" in corpus.read(one["doc_id"])]
    assert corpus.count_matches("FOX|OWL", documents=ids, ignore_case=True).matches == 1
    with pytest.raises(PatternError):
        corpus.count_matches("(?=fox)")


def test_repr_says_what_it_is_open_or_closed(own: Corpus, attached: Corpus) -> None:
    assert "OwnCorpus" in repr(own) and "documents=3" in repr(own) and "hashing-512" in repr(own)
    own.close()
    assert "closed" in repr(own)
    assert repr(attached) == "<AttachedCorpus over LangChainSource>"


@pytest.mark.parametrize(
    ("option", "value"), [("ttl", 5.0), ("chunk_size", 100), ("chunk_overlap", 0), ("reranker", lambda q, texts: [])]
)
def test_options_that_an_attached_corpus_has_no_use_for_are_refused(option: str, value: Any) -> None:
    store = InMemoryVectorStore(DeterministicFakeEmbedding(size=8))
    with pytest.raises(InvalidInput, match=option):
        Corpus.open(store, **{option: value})


def test_a_missing_document_is_a_field_of_its_error(corpus: Corpus) -> None:
    with pytest.raises(DocumentMissing) as caught:
        corpus.read("nowhere.txt")
    assert caught.value.doc_id == "nowhere.txt" and "nowhere.txt" in str(caught.value)


async def test_the_scopes_of_a_given_plan_narrow_an_attached_corpus(own: OwnCorpus) -> None:
    own.add([Document(id=name, page_content="the fox", metadata={"team": name}) for name in ("hr", "it")], prune=True)
    plan = Plan("fox", (Part("fox", {"team": "hr"}, "hr"),))
    with Corpus.open(own._vectors()) as attached:
        assert type(attached) is AttachedCorpus
        for hits in (attached.retrieve("fox", mode="vector", plan=plan), await attached.aretrieve("fox", plan=plan)):
            assert [(hit["doc_id"], hit["metadata"]["rlm_queries"]) for hit in hits] == [("hr", [0])]


def test_a_query_that_is_given_twice_asks_the_store_once(own: OwnCorpus, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    with Corpus.open(own._vectors()) as attached:
        near = attached._source.near  # type: ignore[attr-defined]
        monkeypatch.setattr(attached._source, "near", lambda query, *rest: asked.append(query) or near(query, *rest))  # type: ignore[attr-defined, func-returns-value]
        attached.retrieve(["fox", "owl", "fox"], mode="vector")
    assert sorted(asked) == ["fox", "owl"]


async def test_what_a_foreign_store_raises_is_an_error_of_ours() -> None:
    class Down(InMemoryVectorStore):
        def similarity_search(self, *given: Any, **options: Any) -> list[Document]:
            raise ConnectionError("no route")

        async def asimilarity_search(self, *given: Any, **options: Any) -> list[Document]:
            raise ConnectionError("no route")

    with Corpus.open(Down(DeterministicFakeEmbedding(size=8))) as corpus:
        with pytest.raises(StoreError, match="ConnectionError: no route"):
            corpus.retrieve("fox", mode="vector")
        with pytest.raises(StoreError, match="ConnectionError: no route"):
            await corpus.aretrieve("fox", mode="vector")
