"""What goes wrong in a corpus reaches a real cell as words that a model can act on, and as nothing of the host."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm import create_rlm
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.corpus.index import Address, VectorIndex
from langgraph_rlm.errors import (
    CollectionMissing,
    CorpusError,
    DimensionMismatch,
    EmbeddingsError,
    EmptyCorpus,
    IndexMismatch,
    MissingDependency,
    RLMError,
    StoreAuthenticationFailed,
    StoreError,
    StoreUnavailable,
)
from tests.integration.test_corpus_on_stores import Meaning
from tests.qdrant_server import QdrantServer
from tests.support import Ask, cell, scripted, text_of

SECRET = "/home/op/index at db.internal:6333 (127.0.0.1), key sk-test-123, collection 'acme'"
OF_THE_HOST = re.compile(r"/home|internal|6333|127\.0\.0\.1|sk-test|acme|Traceback|site-packages|\.py\b")
STILL_WORKING = "still working: bm25_search, grep, search, count, read"
PROBE = cell(
    "try:",
    "    vector_retrieve('fox')",
    "except Exception as error:",
    "    print(type(error).__name__, error)",
    "else:",
    "    print('nothing was raised')",
)

TOLD: dict[type[RLMError], str] = {
    CorpusError: "cannot do this as it was asked",
    EmptyCorpus: "holds no document",
    IndexMismatch: "not from the embeddings of this run",
    DimensionMismatch: "differ in length",
    EmbeddingsError: "gave no usable vectors",
    StoreError: "did not do what it was asked",
    StoreUnavailable: "does not answer at present",
    CollectionMissing: "are gone from its store",
    StoreAuthenticationFailed: "refuses the key",
    MissingDependency: "not installed on the host",
}


@pytest.fixture
def index(monkeypatch: pytest.MonkeyPatch) -> QdrantIndex:
    made = QdrantIndex()
    monkeypatch.setattr(made, "close", lambda: None)  # its memory goes when it is closed
    return made


@pytest.fixture
def corpus(index: QdrantIndex, tmp_path: Path) -> Iterator[Corpus]:
    with filled(index, tmp_path) as made:
        yield made


def filled(index: VectorIndex, directory: Path) -> Corpus:
    made = Corpus.open(index, Meaning(), directory=directory / "index")
    made.add([Document("a fox sleeps in the winter forest", id="fox.txt"), Document("a dog barks", id="dog.txt")])
    return made


def failing(index: Any, error: Exception, monkeypatch: pytest.MonkeyPatch) -> None:
    def query(*args: Any) -> Any:
        raise error

    monkeypatch.setattr(index, "query", query)


async def probed(ask: Ask, corpus: Corpus, *more: str) -> str:
    """What the model is shown of a cell that searches by meaning."""
    model = scripted([PROBE, *map(cell, more), cell("FINAL('done')")])
    graph = create_rlm(model, corpus=corpus, strategy="director", sandbox="unsafe")
    done = await ask(graph, {"question": "Where is the fox?"})
    assert done["answer"] == "done"
    for request in model.requests:
        assert not OF_THE_HOST.search(text_of(request)), OF_THE_HOST.findall(text_of(request))
    return "".join(turn["output"] for turn in done["turns"])


def every_class_of(root: type[RLMError]) -> Iterator[type[RLMError]]:
    yield root
    for below in root.__subclasses__():
        if below.__module__ == root.__module__:
            yield from every_class_of(below)


def test_no_class_of_the_corpus_is_without_words_for_a_model() -> None:
    assert set(every_class_of(CorpusError)) | {MissingDependency} == set(TOLD)
    own = [kind.told for kind in TOLD]
    assert None not in own and len(set(own)) == len(own)


@pytest.mark.parametrize("kind", TOLD, ids=lambda kind: kind.__name__)
async def test_every_error_of_a_corpus_is_told_in_its_own_words(
    kind: type[RLMError], corpus: Corpus, index: QdrantIndex, monkeypatch: pytest.MonkeyPatch, ask: Ask,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    failing(index, kind(SECRET), monkeypatch)
    shown = await probed(ask, corpus)
    assert shown.startswith(f"RuntimeError vector_retrieve(): {kind.told}")
    assert TOLD[kind] in shown
    assert (STILL_WORKING in shown) == issubclass(kind, StoreError | IndexMismatch | EmbeddingsError)
    assert SECRET.partition(", key")[0] in caplog.text  # whoever runs it can see why
    assert "sk-test-123" not in caplog.text


async def test_what_is_said_to_be_still_working_works(
    corpus: Corpus, index: QdrantIndex, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    failing(index, StoreUnavailable(SECRET), monkeypatch)
    calls = (
        "print([h['doc_id'] for h in bm25_search('fox')], grep('barks')[0]['doc_id'], search('winter')[0]['doc_id'])"
    )
    shown = await probed(ask, corpus, calls, "print(read('dog.txt'))")
    assert shown.endswith("['fox.txt'] dog.txt fox.txt\na dog barks\n")


async def test_where_the_store_is_all_there_is_nothing_is_said_to_work(
    corpus: Corpus, index: QdrantIndex, monkeypatch: pytest.MonkeyPatch, ask: Ask
) -> None:
    with Corpus.open(index, Meaning()) as attached:
        for error, told in ((StoreUnavailable(SECRET), "no function finds anything"),
                            (DimensionMismatch(SECRET), STILL_WORKING)):  # fmt: skip
            failing(index, error, monkeypatch)
            assert told in await probed(ask, attached)


@pytest.mark.parametrize(
    ("status", "told"),
    [
        (503, "does not answer at present"),
        (401, "refuses the key"),
        (404, "cannot do this as it was asked"),
        (400, "cannot do this"),
    ],
)
async def test_refusals_of_a_real_client_are_told_without_its_address(
    status: int, told: str, tmp_path: Path, ask: Ask
) -> None:
    with (
        QdrantServer() as server,
        filled(QdrantIndex(address=Address("", "127.0.0.1", server.port, "acme")), tmp_path) as corpus,
    ):
        server.planned.extend([status] * 50)
        shown = await probed(ask, corpus)
        assert told in shown and str(server.port) not in shown


async def test_a_server_that_is_gone_and_an_emptied_collection_are_told(tmp_path: Path, ask: Ask) -> None:
    with QdrantServer() as server:
        index = QdrantIndex(address=Address("", "127.0.0.1", server.port, "acme"))
        corpus = filled(index, tmp_path)
        index._client.delete_collection("acme")
        assert "are gone from its store" in await probed(ask, corpus)
    shown = await probed(ask, corpus)
    assert "does not answer at present" in shown and str(server.port) not in shown
    corpus.close()


async def test_a_filter_is_refused_in_words_that_repeat_it(corpus: Corpus, ask: Ask) -> None:
    filters = ("{'year': {'$near': 1}}", "{'year': {}}", "{'$not': []}")
    for where in filters:
        written = cell("try:", f"    vector_retrieve('fox', where={where})",
                       "except Exception as error:", "    print(type(error).__name__, error)")  # fmt: skip
        model = scripted([written, cell("FINAL('done')")])
        done = await ask(create_rlm(model, corpus=corpus, sandbox="unsafe"), {"question": "?"})
        assert done["turns"][0]["output"].startswith("ValueError where")
        assert "known" in done["turns"][0]["output"] or "give a value" in done["turns"][0]["output"]
