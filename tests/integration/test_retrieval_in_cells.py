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


@pytest.fixture(scope="module")
def filings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    texts: dict[str, Any] = {
        f"{company} {year}": (f"The gross margin of {company} in {year} was fine.", {"company": company, "year": year})
        for company in ("Apple", "Intel")
        for year in (2021, 2022, 2023)
    }
    with make_corpus(tmp_path_factory.mktemp("filings") / "index", texts) as made:
        yield made


@pytest.mark.parametrize("sandbox", ["jail", "monty"])
async def test_lists_of_queries_and_plans_are_there_in_every_repl(sandbox: Any, filings: Corpus, ask: Ask) -> None:
    written = cell(
        "found = []",
        *(f"found.append([h['metadata']['rlm_queries'] for h in {name}(['Apple 2021', 'Intel 2023'], k=2)])"
          for name in FUNCTIONS),
        "hits = planned_search(\"Compare Apple and Intel's gross margin in 2022\", k=2)",
        "found.append(sorted(h['doc_id'] for h in hits))",
        "found.append(hits[0]['metadata']['rlm_scope'])",
        "plan = plan_queries('How did the margin of Apple change over the years?')",
        "found.append([[part['query'], part['where']] for part in plan['parts']])",
        "FINAL(found)",
    )  # fmt: skip
    graph = create_rlm(scripted([written]), corpus=filings, strategy="director", sandbox=sandbox,
                       response_format={"type": "array"})  # fmt: skip
    done = await ask(graph, {"question": "?"})
    *lists, planned, scope, parts = done["structured_response"]
    assert len(lists) == len(FUNCTIONS)
    assert all(len(numbers) == 2 and all(numbers) for numbers in lists)
    assert planned == ["Apple 2022", "Intel 2022"]
    assert scope == {"$and": [{"year": 2022}, {"company": "Apple"}]}
    assert parts == [["margin", {"$and": [{"company": "Apple"}, {"year": year}]}] for year in (2021, 2022, 2023)]


async def test_a_plan_in_a_cell_stays_within_the_filter_of_the_request(filings: Corpus, ask: Ask) -> None:
    written = cell(
        "asked = 'Compare Apple and Intel in 2022'",
        "FINAL([sorted({h['metadata']['company'] for h in planned_search(asked)}), str(plan_queries(asked))])",
    )
    graph = create_rlm(scripted([written]), corpus=filings, strategy="director", response_format={"type": "array"})
    config = {"configurable": {"rlm": {"where": {"company": "Intel"}}}}
    companies, plan = (await ask(graph, {"question": "?"}, config))["structured_response"]
    assert companies == ["Intel"]
    assert "{'company': 'Apple'}" not in plan


async def test_events_tell_what_cells_retrieve(filings: Corpus) -> None:
    written = cell("bm25_search(['Apple', 'x' * 5000], k=1)", "planned_search('Intel in 2022', k=2)", "FINAL('done')")
    graph = create_rlm(scripted([written]), corpus=filings, strategy="director")
    events = [event async for event in graph.astream({"question": "?"}, stream_mode="custom")]
    told = [event for event in events if event["event"] == "retrieval"]
    assert [(event["mode"], event["queries"], event["hits"]) for event in told] == [
        ("bm25", ["Apple", "x" * 200], 1),
        ("hybrid", ["Intel in 2022"], 2),
    ]
    assert all(event["type"] == "rlm" and event["depth"] == 0 and event["path"] == [] for event in told)
