"""LangChain's retrievers as corpora: they are searched, what they cannot do is refused by name, all graphs run over them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from langchain_classic.retrievers import EnsembleRetriever, MultiQueryRetriever, ParentDocumentRetriever
from langchain_core.callbacks import AsyncCallbackManagerForRetrieverRun, CallbackManagerForRetrieverRun
from langchain_core.documents import Document
from langchain_core.retrievers import BaseRetriever
from langchain_core.stores import InMemoryStore
from langchain_core.vectorstores import InMemoryVectorStore
from langchain_text_splitters import RecursiveCharacterTextSplitter

from langgraph_rlm import (
    Corpus,
    ExtractiveModel,
    HashingEmbeddings,
    SmartRouter,
    create_rag,
    create_rlm,
    create_rlm_tools,
    create_smart_rag,
)
from langgraph_rlm.errors import InvalidFilter, InvalidInput, StoreError
from langgraph_rlm.testing import ScriptedModel
from tests.support import Ask, scripted

DOCUMENTS = [
    Document("Parental leave is 16 weeks.", metadata={"source": "leave.md", "page": 3, "team": "hr"}),
    Document("Trains first; flights need approval.", metadata={"source": "travel.md", "team": "ops"}),
    Document("The canteen opens at noon.", metadata={"source": "food.md", "team": "ops"}),
]
QUESTION = {"question": "How long is parental leave?"}


def store() -> InMemoryVectorStore:
    made = InMemoryVectorStore(HashingEmbeddings())
    made.add_documents(DOCUMENTS)
    return made


class AsyncOnly(BaseRetriever):
    """Has no sync method."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        raise NotImplementedError

    async def _aget_relevant_documents(
        self, query: str, *, run_manager: AsyncCallbackManagerForRetrieverRun
    ) -> list[Document]:
        return list(DOCUMENTS)


class Down(BaseRetriever):
    """Fails."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        raise ConnectionError("10.0.0.1 refused")


def parents() -> BaseRetriever:
    made = ParentDocumentRetriever(
        vectorstore=InMemoryVectorStore(HashingEmbeddings()),
        docstore=InMemoryStore(),
        child_splitter=RecursiveCharacterTextSplitter(chunk_size=30, chunk_overlap=0),
    )
    made.add_documents(DOCUMENTS)
    return made


def several() -> BaseRetriever:
    model = scripted(lambda messages: "parental leave\nweeks of leave")
    return MultiQueryRetriever.from_llm(retriever=store().as_retriever(), llm=model)


OTHERS: dict[str, Callable[[], BaseRetriever]] = {
    "ensemble": lambda: EnsembleRetriever(retrievers=[store().as_retriever(), AsyncOnlyNot()], weights=[0.5, 0.5]),
    "multi query": several,
    "parent document": parents,
    "async only": AsyncOnly,
}


class AsyncOnlyNot(BaseRetriever):
    """Has a sync method alone."""

    def _get_relevant_documents(self, query: str, *, run_manager: CallbackManagerForRetrieverRun) -> list[Document]:
        return list(DOCUMENTS)


@pytest.mark.parametrize("kind", OTHERS)
async def test_all_graphs_answer_over_a_retriever(kind: str, ask: Ask) -> None:
    corpus = Corpus.open(OTHERS[kind]())
    for make in (create_rag, create_rlm, create_smart_rag):
        found = await ask(make(ExtractiveModel(), corpus=corpus), QUESTION)  # type: ignore[operator]
        assert "16 weeks" in found["answer"], make.__name__
        assert found["citations"][0]["doc_id"].startswith("leave.md#page=3")
    assert SmartRouter(corpus=corpus).decide(QUESTION["question"])["route"] == "rag"


@pytest.mark.parametrize("kind", OTHERS)
async def test_what_a_retriever_cannot_do_is_refused_by_name_before_anything_is_paid(kind: str, ask: Ask) -> None:
    retriever = OTHERS[kind]()
    corpus, model = Corpus.open(retriever), ScriptedModel(lambda messages: "never")
    assert not corpus.lists_texts and not corpus.is_empty() and corpus.overview().documents is None
    narrow = {"configurable": {"rlm": {"where": {"team": "hr"}}}}
    for make in (create_rag, create_rlm, create_smart_rag):
        with pytest.raises(InvalidFilter, match=f"{type(retriever).__name__} takes no filter"):
            await ask(make(model, corpus=corpus), QUESTION, narrow)  # type: ignore[operator]
    assert model.requests == []
    for refused in (corpus.list_documents, lambda: corpus.grep("x"), lambda: corpus.retrieve("x", mode="bm25")):
        with pytest.raises(InvalidInput, match="does not give its texts away"):
            refused()
    names = [tool.name for tool in create_rlm_tools(corpus=corpus)]
    assert "vector_retrieve" in names and "bm25_search" not in names


async def test_the_retriever_of_a_store_filters_lists_and_gives_as_many_as_are_asked_for() -> None:
    corpus = Corpus.open(store().as_retriever(search_kwargs={"k": 1}))
    assert len(corpus.retrieve("leave", 3, "vector")) == 3
    for hits in (
        corpus.retrieve("canteen trains", 3, where={"team": "ops"}),
        await corpus.aretrieve("x", 3, "vector", {"team": "ops"}),
    ):
        assert {hit["doc_id"] for hit in hits} == {"travel.md", "food.md"}
    assert corpus.grep("16 weeks")[0]["doc_id"] == "leave.md"
    hidden = Corpus.open(
        store().as_retriever(search_kwargs={"filter": lambda document: document.metadata["team"] == "ops"})
    )
    assert not hidden.lists_texts  # what the filter hides must stay hidden
    assert hidden.retrieve("leave", 3, "vector", where={"source": "leave.md"}) == []
    assert len(hidden.retrieve("leave", 3, "vector")) == 2
    spread = Corpus.open(store().as_retriever(search_type="mmr"))
    assert len(spread.retrieve("leave", 2, "vector", where={"team": "ops"})) == 2


async def test_one_that_fails_is_told_as_an_error_of_ours(ask: Ask) -> None:
    for make in (create_rag, create_smart_rag):
        with pytest.raises(StoreError, match=r"ConnectionError: 10\.0\.0\.1 refused"):
            await ask(make(ScriptedModel(lambda messages: "never"), corpus=Corpus.open(Down())), QUESTION)  # type: ignore[operator]


@pytest.mark.parametrize("given", [store(), store().as_retriever(), AsyncOnly()], ids=lambda one: type(one).__name__)
def test_a_store_that_was_not_opened_is_refused_with_what_to_write(given: Any) -> None:
    for make in (create_rag, create_rlm, create_smart_rag):
        with pytest.raises(InvalidInput, match=r"Corpus\.open\(store\)"):
            make(ExtractiveModel(), corpus=given)  # type: ignore[operator]
