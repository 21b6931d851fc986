"""What the retrieval functions of cells can be asked for, in every kind of REPL."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langgraph_rlm.integrations.qdrant import QdrantIndex

from langgraph_rlm import create_rlm
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.repl import InterpreterFactory
from tests.support import Ask, cell, make_corpus, scripted
from tests.unit.repl.test_interpreter_adapter import Interpreter

LONG = "\n".join(f"paragraph {n} " + "of many words " * 40 for n in range(12))
FUNCTIONS = ("bm25_search", "vector_retrieve", "hybrid_search")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    copies = {f"copy{n}": f"the red fox jumps over the dog, copy {n}" for n in "abcdefgh"}
    texts: dict[str, Any] = {"long.txt": LONG, **copies, "other": "a fox sleeps in the winter forest"}
    with make_corpus(tmp_path_factory.mktemp("corpus") / "index", texts) as made:
        yield made


@pytest.mark.parametrize("sandbox", ["jail", "unsafe", "monty", "interpreter"])
async def test_neighbours_and_diversity_are_there_in_every_repl(sandbox: str, corpus: Corpus, ask: Ask) -> None:
    lines = ["found = []"]
    for name in FUNCTIONS:
        lines += [
            f"alone = {name}('paragraph 5', k=1)[0]",
            f"wide = {name}('paragraph 5', k=1, neighbours=1)[0]",
            f"varied = {name}('red fox', k=3, diversity=0.7)",
            "found.append([wide['start'] < alone['start'], alone['end'] < wide['end'], alone['text'] in wide['text']])",
            "found.append(sorted(hit['doc_id'] for hit in varied))",
        ]
    given: Any = InterpreterFactory(Interpreter) if sandbox == "interpreter" else sandbox
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "unsafe" warns
        graph = create_rlm(scripted([cell(*lines, "FINAL(found)")]), corpus=corpus, strategy="director", sandbox=given,
                           response_format={"type": "array"})  # fmt: skip
    done = await ask(graph, {"question": "?"})
    found = done["structured_response"]
    for name, wide, varied in zip(FUNCTIONS, found[::2], found[1::2], strict=True):
        assert wide == [True, True, True], name
        assert "other" in varied and len(varied) == 3, name


async def test_a_cell_follows_names_and_sees_the_path(tmp_path: Path, ask: Ask) -> None:
    texts = {
        "a": "Rakka (film)\nA film by Neill Blomkamp.",
        "b": "Neill Blomkamp\nHe lives in Cape Town.",
        "c": "Noise\nA film.",
    }
    lines = ["hits = hop_search('Where does the maker of Rakka live?', k=2, hops=1)",
             "FINAL([[hit['doc_id'] for hit in hits], [step['by'] for step in hits[0]['metadata']['rlm_path']]])"]  # fmt: skip
    with make_corpus(tmp_path / "index", texts) as films:
        graph = create_rlm(
            scripted([cell(*lines)]), corpus=films, strategy="director", response_format={"type": "array"}
        )
        done = await ask(graph, {"question": "?"})
    found, steps = done["structured_response"]
    assert sorted(found) == ["a", "b"] and steps[0] == "question"


async def test_hop_search_keeps_to_the_filter_of_the_request_and_is_there_only_with_names(
    tmp_path: Path, ask: Ask
) -> None:
    index = QdrantIndex()
    texts = {"a": "Rakka (film)\nA film by Neill Blomkamp.", "b": "Neill Blomkamp\nHe lives in Cape Town."}
    written = cell("FINAL([hit['doc_id'] for hit in hop_search('Where does the maker of Rakka live?')])")
    asked = {"question": "?"}
    with Corpus.open(index, directory=tmp_path / "index") as full, Corpus.open(index) as attached:
        full.add([Document(text, id=doc_id, metadata={"open": doc_id == "a"}) for doc_id, text in texts.items()])
        graph = create_rlm(scripted([written]), corpus=full, strategy="director", response_format={"type": "array"})
        options = {"configurable": {"rlm": {"where": {"open": True}}}}
        assert (await ask(graph, asked, options))["structured_response"] == ["a"]
        model = scripted(["FINAL(1)", "FINAL(1)"])
        await ask(create_rlm(model, corpus=attached, strategy="director"), asked)
        await ask(create_rlm(model, corpus=full, strategy="director"), asked)
        shown = ["hop_search" in str(messages) for messages in model.requests]
        assert shown == [False, True]


async def test_a_corpus_without_neighbours_tells_a_cell_what_to_do_instead(tmp_path: Path, ask: Ask) -> None:
    index = QdrantIndex()
    with Corpus.open(index, directory=tmp_path / "index") as full, Corpus.open(index) as attached:
        full.add([Document("a fox sleeps", id="fox.txt")])
        written = cell(
            "try:", "    bm25_search('fox', neighbours=1)", "except ValueError as error:", "    print(error)"
        )
        graph = create_rlm(scripted([written, cell("FINAL(1)")]), corpus=attached, strategy="director", sandbox="jail")
        done = await ask(graph, {"question": "?"})
    assert "read() gives more text" in done["turns"][0]["output"]
