"""The door from a cell to the host: what passes, what is refused, and what is counted."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from langgraph_rlm.budget import Budget
from langgraph_rlm.calls.dispatch import Dispatcher, Door
from langgraph_rlm.calls.models import ModelCaller
from langgraph_rlm.calls.scope import Scope
from langgraph_rlm.calls.spans import MAX_CITED_CHARS
from langgraph_rlm.calls.subcalls import SubCalls
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import ReplError
from langgraph_rlm.graphs.prompts import sub_messages
from langgraph_rlm.limits import Limits
from langgraph_rlm.repl import FailedCall, HitList
from langgraph_rlm.runs.runtime import Runtime
from langgraph_rlm.testing import ScriptedModel
from langgraph_rlm.text import ContextStore
from tests.support import account_of, make_corpus, scripted

TEXT = "alpha beta\ngamma alpha\ndelta"


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Corpus]:
    texts: dict[str, Any] = {
        "one.txt": ("alpha lives in Paris", {"tenant": "a", "year": 2001}),
        "two.txt": ("alpha lives in Rome", {"tenant": "b", "year": 2002}),
        "three.txt": ("omega lives in Paris", {"tenant": "a", "year": 2003}),
    }
    with make_corpus(tmp_path_factory.mktemp("corpus") / "index", texts) as made:
        yield made


@pytest.fixture(params=[False, True], ids=["sync", "async"])
def is_async(request: pytest.FixtureRequest) -> bool:
    return bool(request.param)


Doors = Callable[..., Door]


@pytest.fixture
async def dispatcher_for(is_async: bool) -> Callable[..., Dispatcher]:
    contexts = ContextStore()

    def make(
        *,
        context: Any = TEXT,
        corpus: Corpus | None = None,
        model: ScriptedModel | None = None,
        where: Any = None,
        strategy: Any = "hybrid",
        child: Any = None,
        limits: Limits | None = None,
        memo: Any = None,
    ) -> Dispatcher:
        face = Runtime.default().face(is_async=is_async)
        subcalls = None
        if model is not None:
            subcalls = SubCalls(
                ModelCaller(model),
                render=sub_messages,
                account=account_of(limits, face=face, memo=memo),
                config=None,
                room=asyncio.Semaphore(8),
            )
        return Dispatcher(
            Scope(
                place="session",
                contexts=contexts,
                context=None if context is None else contexts.put(context),
                corpus=corpus,
                where=where,
                strategy=strategy if corpus is not None else None,
                subcalls=subcalls,
                child=child,
                face=face,
                budget=Budget(limits or Limits()),
            )
        )

    return make


@pytest.fixture
def door_for(dispatcher_for: Callable[..., Dispatcher]) -> Doors:
    return lambda **options: dispatcher_for(**options).door(0)


async def call(door: Door, name: str, *args: Any, **kwargs: Any) -> Any:
    """As a REPL's thread calls it."""

    def do() -> Any:
        value = door(name, list(args), kwargs)
        return value.result(10) if isinstance(value, Future) else value

    return await asyncio.to_thread(do)


# --- what there is ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("there", "names"),
    [
        ({}, {"grep", "search", "count", "count_matches", "read", "list_documents", "cite"}),
        ({"context": None}, set()),
        ({"context": None, "model": True}, {"llm_query", "llm_query_batched", "rlm_query", "rlm_query_batched"}),
        (
            {"context": None, "corpus": True, "strategy": "filter"},
            {"grep", "search", "count", "count_matches", "read", "list_documents", "cite"},
        ),
        (
            {"context": None, "corpus": True, "strategy": "director"},
            {
                "grep",
                "count",
                "count_matches",
                "search",
                "read",
                "list_documents",
                "cite",
                "bm25_search",
                "vector_retrieve",
                "hybrid_search",
                "planned_search",
                "plan_queries",
                "hop_search",
                "SEARCH",
            },
        ),
    ],
)
async def test_a_function_exists_when_its_engine_does(
    there: dict[str, Any], names: set[str], dispatcher_for: Callable[..., Dispatcher], corpus: Corpus
) -> None:
    given = dict(there)
    if given.pop("corpus", False):
        given["corpus"] = corpus
    if given.pop("model", False):
        given["model"] = scripted(["x"])
    dispatcher = dispatcher_for(**given)
    assert set(dispatcher.names) == names
    described = "\n".join(dispatcher.describe())
    assert all(f"`{name}(" in described for name in names - {"SEARCH", "count_matches"})
    assert ("retrieve" in described) == ("vector_retrieve" in names)


async def test_descriptions_show_a_signature_a_model_can_follow(
    dispatcher_for: Callable[..., Dispatcher], corpus: Corpus
) -> None:
    described = "\n".join(dispatcher_for(corpus=corpus, model=scripted([])).describe())
    assert (
        "`grep(pattern, *, in_='all', max_matches=20, before=0, after=0, ignore_case=False, where=None)`" in described
    )
    assert "`llm_query(prompt, *, schema=None)`" in described
    assert "`vector_retrieve(query, k=8, where=None, *, neighbours=0, diversity=0)`" in described
    assert "self" not in described.split("`")[1]


async def test_an_unknown_function_is_named_with_those_that_exist(door_for: Doors) -> None:
    door = door_for()
    with pytest.raises(ReplError, match=r"no function 'vector_retrieve'.*grep"):
        await call(door, "vector_retrieve", "x")
    assert door.record.calls == {}


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "told"),
    [
        ("grep", [], {}, "grep.*pattern"),
        ("grep", [5], {}, "grep.*pattern"),
        ("grep", ["a"], {"max_matches": "20"}, "max_matches"),
        ("grep", ["a"], {"max_matches": 0}, "max_matches"),
        ("grep", ["a"], {"max_matches": 1.0}, "max_matches"),
        ("grep", ["a"], {"max_matches": True}, "max_matches"),
        ("grep", ["a"], {"flags": 3}, "flags"),
        ("grep", ["a", "context"], {}, "grep"),
        ("grep", ["a"], {"before": -1}, "before"),
        ("read", ["context", -1], {}, "start"),
        ("read", ["context", "0"], {}, "start"),
        ("read", [None], {}, "doc_id"),
        ("cite", [["context", 0, 3]], {}, "hit"),
        ("list_documents", [], {"where": "x"}, "where"),
        ("llm_query", [], {}, "llm_query.*prompt"),
        ("llm_query", [["a", "b"]], {}, "llm_query.*prompt"),
        ("llm_query", ["a"], {"schema": "str"}, "schema"),
        ("llm_query", ["a"], {"model": "gpt-5"}, "model"),
        ("llm_query", ["a", "b"], {}, "llm_query"),
        ("llm_query_batched", ["abc"], {}, "llm_query_batched.*prompts"),
        ("llm_query_batched", [["a", 5]], {}, "prompts.1"),
        ("rlm_query", ["a", 5], {}, "rlm_query.*context"),
        ("rlm_query_batched", [["a"], "abc"], {}, "contexts"),
        ("bm25_search", [5], {}, "query"),
        ("bm25_search", ["a"], {"k": 0}, "k"),
        ("vector_retrieve", ["a"], {"k": "8"}, "vector_retrieve.*k"),
        ("hybrid_search", ["a"], {"where": [1]}, "where"),
        ("hybrid_search", ["a"], {"neighbours": 51}, "neighbours"),
        ("bm25_search", ["a"], {"neighbours": True}, "neighbours"),
        ("bm25_search", ["a", 8, None, 1], {}, "bm25_search"),
        ("vector_retrieve", ["a"], {"diversity": 1.5}, "diversity"),
        ("vector_retrieve", ["a"], {"diversity": "0.5"}, "diversity"),
        ("bm25_search", ["a"], {"diversity": float("nan")}, "diversity"),
    ],
)
async def test_wrong_arguments_are_a_type_error_that_names_them_and_nothing_runs(
    name: str, args: list[Any], kwargs: dict[str, Any], told: str, door_for: Doors, corpus: Corpus
) -> None:
    model = scripted(lambda messages: "never")
    with pytest.raises(TypeError, match=told) as raised:
        await call(door_for(corpus=corpus, model=model), name, *args, **kwargs)
    assert "\n" not in str(raised.value)
    assert "pydantic" not in str(raised.value)
    assert model.requests == []


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "told"),
    [
        ("grep", ["("], {}, r"\("),
        ("grep", ["a"], {"in_": "corpus"}, "no corpus"),
        ("grep", ["a"], {"in_": "web"}, "'web' is none of 'all', 'context'"),
        ("read", ["context", 5, 3], {}, "end"),
        ("llm_query", ["   "], {}, "prompt is empty"),
        ("llm_query_batched", [["a", ""]], {}, "number 1"),
        ("llm_query", ["a"], {"schema": {"type": "nonsense"}}, "not a JSON schema"),
        ("rlm_query_batched", [["a", "b"], ["x"]], {}, "2 prompts but 1 contexts"),
        ("cite", ["context"], {}, "start and end"),
        ("cite", [{"doc_id": "context"}], {}, "'start'"),
        ("cite", [{"doc_id": "context", "start": "0", "end": 5}], {}, "whole numbers"),
    ],
)
async def test_unusable_values_are_a_value_error_that_says_why(
    name: str, args: list[Any], kwargs: dict[str, Any], told: str, door_for: Doors
) -> None:
    model = scripted(lambda messages: "never")
    with pytest.raises(ValueError, match=told):
        await call(door_for(model=model), name, *args, **kwargs)
    assert model.requests == []


async def test_an_unknown_document_is_a_key_error_with_similar_ids(door_for: Doors) -> None:
    with pytest.raises(KeyError, match="context/0"):
        await call(door_for(context=["a", "b"]), "read", "context/00")


async def test_calls_are_counted_by_name_and_an_alias_counts_as_its_function(door_for: Doors, corpus: Corpus) -> None:
    door = door_for(corpus=corpus)
    await call(door, "grep", "a")
    await call(door, "grep", "b")
    await call(door, "SEARCH", "alpha")
    assert door.record.calls == {"grep": 2, "bm25_search": 1}


# --- text -------------------------------------------------------------------------------------------------------


async def test_grep_looks_in_the_context_and_then_in_the_corpus(door_for: Doors, corpus: Corpus) -> None:
    found = await call(door_for(corpus=corpus), "grep", "alpha")
    assert isinstance(found, HitList)
    assert [hit["doc_id"] for hit in found.hits] == ["context", "context", "one.txt", "two.txt"]
    assert [hit["rank"] for hit in found.hits] == [0, 1, 2, 3]
    assert (found.seen, found.complete) == (4, True)


async def test_a_full_first_half_leaves_the_corpus_unread_and_says_so(door_for: Doors, corpus: Corpus) -> None:
    found = await call(door_for(corpus=corpus), "grep", "alpha", max_matches=2)
    assert [hit["doc_id"] for hit in found.hits] == ["context", "context"]
    assert not found.complete


@pytest.mark.parametrize(("in_", "ids"), [("context", {"context"}), ("corpus", {"one.txt", "two.txt"})])
async def test_grep_can_be_kept_to_one_of_them(in_: str, ids: set[str], door_for: Doors, corpus: Corpus) -> None:
    found = await call(door_for(corpus=corpus), "search", "alpha", in_=in_)
    assert {hit["doc_id"] for hit in found.hits} == ids


async def test_documents_of_context_and_corpus_are_listed(door_for: Doors, corpus: Corpus) -> None:
    listed = await call(door_for(context={"k": "text"}, corpus=corpus), "list_documents")
    assert {entry["doc_id"]: entry["chars"] for entry in listed} == {
        "context/k": 4,
        "one.txt": 20,
        "two.txt": 19,
        "three.txt": 20,
    }


# --- the request's filter ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "args"),
    [
        ("bm25_search", ["alpha"]),
        ("vector_retrieve", ["alpha"]),
        ("hybrid_search", ["alpha lives"]),
        ("grep", ["lives"]),
        ("search", ["lives"]),
        ("list_documents", []),
    ],
)
@pytest.mark.parametrize("asked", [None, {}, {"tenant": "b"}, {"$or": [{"tenant": "a"}, {"tenant": "b"}]}])
async def test_a_filter_of_a_cell_cannot_widen_the_requests(
    name: str, args: list[Any], asked: Any, door_for: Doors, corpus: Corpus
) -> None:
    door = door_for(context=None, corpus=corpus, where={"tenant": "a"})
    found = await call(door, name, *args, where=asked)
    ids = {entry["doc_id"] for entry in (found.hits if isinstance(found, HitList) else found)}
    assert "two.txt" not in ids
    assert ids == set() if asked == {"tenant": "b"} else ids <= {"one.txt", "three.txt"} and ids


async def test_a_cell_may_narrow_the_requests_filter_further(door_for: Doors, corpus: Corpus) -> None:
    door = door_for(context=None, corpus=corpus, where={"tenant": "a"})
    found = await call(door, "grep", "lives", where={"year": {"$gt": 2001}})
    assert [hit["doc_id"] for hit in found.hits] == ["three.txt"]


@pytest.mark.parametrize(("name", "args"), [("read", ["two.txt"]), ("cite", ["two.txt", 0, 5])])
async def test_a_document_that_the_requests_filter_hides_cannot_be_read_by_its_id(
    name: str, args: list[Any], door_for: Doors, corpus: Corpus
) -> None:
    door = door_for(corpus=corpus, where={"tenant": "a"})
    with pytest.raises(KeyError, match=r"two\.txt"):
        await call(door, name, *args)
    assert await call(door, "read", "one.txt", 0, 5) == "alpha"


# --- citations --------------------------------------------------------------------------------------------------


async def test_a_cited_span_carries_its_quote_and_its_line(door_for: Doors) -> None:
    door = door_for()
    made = await call(door, "cite", "context", 11, 22)
    assert made == {
        "doc_id": "context",
        "start": 11,
        "end": 22,
        "quote": "gamma alpha",
        "verified": True,
        "line": 2,
    }
    assert door.record.citations == [made]


async def test_a_cited_hit_is_verified_when_its_text_is_really_there(door_for: Doors) -> None:
    door = door_for()
    hit = (await call(door, "grep", "gamma")).hits[0]
    assert (await call(door, "cite", dict(hit)))["verified"]


@pytest.mark.parametrize(
    "hit",
    [
        {"doc_id": "context", "start": 11, "end": 22, "text": "gamma ALPHA"},
        {"doc_id": "context", "start": 10, "end": 21, "text": "gamma alpha"},
        {"doc_id": "context", "start": 23, "end": 99, "text": "delta"},
        {"doc_id": "context", "start": 23, "end": 99},
    ],
)
async def test_a_hit_that_was_tampered_with_is_not_verified(hit: dict[str, Any], door_for: Doors) -> None:
    made = await call(door_for(), "cite", hit)
    assert made["verified"] is False


@pytest.mark.parametrize(
    ("span", "told"),
    [
        ((5, 5), "not a span"),
        ((7, 3), "not a span"),
        ((1000, 1001), "ends before"),
        ((0, MAX_CITED_CHARS + 1), "too many"),
    ],
)
async def test_impossible_spans_are_refused_and_not_recorded(span: tuple[int, int], told: str, door_for: Doors) -> None:
    door = door_for()
    with pytest.raises(ValueError, match=told):
        await call(door, "cite", "context", *span)
    assert door.record.citations == []


# --- models -----------------------------------------------------------------------------------------------------


async def test_a_sub_model_is_asked_and_answers(door_for: Doors) -> None:
    model = scripted(["Paris"])
    assert await call(door_for(model=model), "llm_query", "Where?") == "Paris"
    assert model.requests[0][-1].text == "Where?"


async def test_answers_of_a_batch_come_in_the_order_of_its_prompts(door_for: Doors) -> None:
    model = scripted(lambda messages: messages[-1].text.upper())
    prompts = [f"p{i}" for i in range(40)]
    assert await call(door_for(model=model), "llm_query_batched", prompts) == [p.upper() for p in prompts]


async def test_an_empty_batch_asks_nobody(door_for: Doors) -> None:
    model = scripted([])
    assert await call(door_for(model=model), "llm_query_batched", []) == []
    assert await call(door_for(model=model), "rlm_query_batched", []) == []


async def test_the_same_prompt_five_times_in_a_cell_is_five_calls(door_for: Doors) -> None:
    numbers = iter(range(100))
    model = scripted(lambda messages: f"answer {next(numbers)}")
    door = door_for(model=model)
    batch = await call(door, "llm_query_batched", ["same"] * 3)
    single = [await call(door, "llm_query", "same") for _ in range(2)]
    assert len({*batch, *single}) == 5
    assert len(model.requests) == 5


async def test_a_cell_that_runs_again_pays_nothing_and_gets_the_same_answers(
    dispatcher_for: Callable[..., Dispatcher],
) -> None:
    numbers = iter(range(100))
    model = scripted(lambda messages: f"answer {next(numbers)}")
    dispatcher = dispatcher_for(model=model)

    async def run(door: Door) -> list[Any]:
        return [await call(door, "llm_query", "a"), *await call(door, "llm_query_batched", ["a", "b", "a"])]

    first = await run(dispatcher.door(3))
    assert await run(dispatcher.door(3)) == first
    assert len(model.requests) == 4
    other = await run(dispatcher.door(4))
    assert not set(other) & set(first)
    assert len(model.requests) == 8


async def test_children_fall_back_to_the_sub_model_with_their_context_in_the_prompt(door_for: Doors) -> None:
    model = scripted(lambda messages: messages[-1].text)
    door = door_for(model=model)
    assert await call(door, "rlm_query", "Count.", "a b c") == "Count.\n\na b c"
    answers = await call(door, "rlm_query_batched", ["1", "2"], [["x", "y"], {"k": "v"}])
    assert answers == ["1\n\nx\n\ny", "2\n\nk:\nv"]


async def test_children_get_the_same_place_again_whatever_the_order_they_are_called_in(
    dispatcher_for: Callable[..., Dispatcher],
) -> None:
    async def child(prompt: str, context: Any, place: str, again: bool) -> str:
        return place

    dispatcher = dispatcher_for(model=scripted([]), child=child)
    first = await call(dispatcher.door(0), "rlm_query_batched", ["a", "b", "a"])
    again = dispatcher.door(0)
    assert [await call(again, "rlm_query", p) for p in ("b", "a", "a")] == [first[1], first[0], first[2]]
    assert len(set(first)) == 3
    assert not any("/" in place for place in first)


async def test_one_bad_context_of_a_batch_starts_no_child_at_all(door_for: Doors) -> None:
    asked = []

    async def child(prompt: str, context: Any, place: str, again: bool) -> str:
        asked.append(prompt)
        return prompt

    with pytest.raises(ValueError, match="number 1"):
        await call(door_for(model=scripted([]), child=child), "rlm_query_batched", ["a", "b"], ["text", ""])
    assert asked == []


async def test_calls_that_a_cell_left_behind_are_given_up(door_for: Doors) -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def child(prompt: str, context: Any, place: str, again: bool) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()
        return ""

    door = door_for(model=scripted([]), child=child)
    future = await asyncio.to_thread(door, "rlm_query", ["forever"], {})
    await begun.wait()
    door.close()
    await ended.wait()
    assert future.cancelled()


async def test_no_room_in_the_budget_is_a_value_in_its_place(door_for: Doors) -> None:
    model = scripted(lambda messages: "ok")
    answers = await call(door_for(model=model, limits=Limits(max_calls=2)), "llm_query_batched", ["a", "b", "c", "d"])
    failed = [answer for answer in answers if isinstance(answer, FailedCall)]
    assert len(failed) == 2
    assert {(one.category, one.retryable) for one in failed} == {("budget", False)}
    assert answers.count("ok") == len(model.requests) == 2


# --- what a hostile cell may take ---------------------------------------------------------------------------------


async def test_a_failure_of_the_store_tells_the_cell_nothing_of_the_host(
    door_for: Doors, corpus: Corpus, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*args: Any, **kwargs: Any) -> Any:
        raise FileNotFoundError(2, "No such file", "/home/secret/index")

    monkeypatch.setattr(corpus, "retrieve", fail)
    with pytest.raises(RuntimeError, match="FileNotFoundError") as raised:
        await call(door_for(corpus=corpus), "bm25_search", "x")
    assert "secret" not in str(raised.value)
    assert "/home/secret/index" in caplog.text  # whoever runs it can see why


async def test_an_empty_corpus_tells_a_cell_nothing_of_its_place(door_for: Doors, tmp_path: Path) -> None:
    with (
        Corpus.open(f"chroma:{tmp_path / 'index'}") as empty,
        pytest.raises(RuntimeError, match="holds no document") as raised,
    ):
        await call(door_for(corpus=empty), "bm25_search", "x")
    assert str(tmp_path) not in str(raised.value)


async def test_a_batch_has_an_end(door_for: Doors) -> None:
    door = door_for(model=ScriptedModel([]))
    for prompts in (["x"] * 10_001, [1] * 200_000):
        with pytest.raises((TypeError, ValueError), match="prompts"):
            await call(door, "llm_query_batched", prompts)


async def test_the_citations_of_a_cell_have_an_end(door_for: Doors) -> None:
    door = door_for(context="x" * 1_000)
    for start in range(500):
        await call(door, "cite", "context", start, start + 1)
    with pytest.raises(ValueError, match="500"):
        await call(door, "cite", "context", 0, 1)


async def test_documents_of_the_context_are_read_and_cited_also_beside_a_corpus(
    door_for: Doors, corpus: Corpus
) -> None:
    door = door_for(context=[Document("my own text", id="notes/own.md")], corpus=corpus)
    assert await call(door, "read", "notes/own.md") == "my own text"
    hit = next(iter((await call(door, "grep", "own text", in_="context")).hits))
    assert (await call(door, "cite", hit))["verified"]


async def test_a_long_list_of_wrong_things_is_refused_at_its_first(door_for: Doors) -> None:
    door = door_for(model=ScriptedModel([]))
    for name, args in (("rlm_query", ("x", [1] * 300_000)), ("rlm_query_batched", (["x"], [[1] * 300_000]))):
        started = time.perf_counter()
        with pytest.raises(TypeError, match="context"):
            await call(door, name, *args)
        assert time.perf_counter() - started < 1.0  # with an error for each it takes seconds and gigabytes


@pytest.mark.parametrize(
    ("pattern", "options", "found"),
    [
        (r"\bfox\b", {}, 3),
        ("FOX", {}, 0),
        ("FOX", {"ignore_case": True}, 3),
        ("fox", {"in_": "context"}, 2),
        ("fox", {"in_": "corpus"}, 1),
        ("fox", {"in_": "corpus", "where": {"year": 1}}, 0),
    ],
)
async def test_count_counts_every_match_of_context_and_corpus(
    pattern: str, options: dict[str, Any], found: int, door_for: Doors, tmp_path: Path
) -> None:
    with make_corpus(tmp_path / "index", {"a.txt": ("one fox", {"year": 2})}) as corpus:
        door = door_for(context="fox fox\n", corpus=corpus)
        assert await call(door, "count", pattern, **options) == found
        assert await call(door, "count_matches", pattern, **options) == found


async def test_a_count_that_takes_too_long_is_no_number(door_for: Doors, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("langgraph_rlm.calls.functions.SCAN_SECONDS", 0.0)
    with pytest.raises(ValueError, match=r"count: not done after 0 s, .* matches so far"):
        await call(door_for(context="fox " * 1_000_000), "count", "fox")


# --- how many searches --------------------------------------------------------------------------------------------


async def test_every_query_of_every_function_is_a_search_and_the_limit_is_named(
    door_for: Doors, corpus: Corpus
) -> None:
    door = door_for(corpus=corpus, limits=Limits(max_searches=6))
    await call(door, "bm25_search", ["alpha", "omega"])
    await call(door, "vector_retrieve", "alpha")
    await call(door, "hybrid_search", ["alpha", "omega"])
    await call(door, "planned_search", "Where does alpha live?")
    for name in ("bm25_search", "vector_retrieve", "hybrid_search", "planned_search"):
        with pytest.raises(ValueError, match=r"6 of 6 searches \(max_searches\) are used"):
            await call(door, name, "alpha")


async def test_reading_and_grepping_are_no_searches(door_for: Doors, corpus: Corpus) -> None:
    door = door_for(corpus=corpus, limits=Limits(max_searches=0))
    assert await call(door, "grep", "alpha")
    assert await call(door, "search", "alpha")
    assert await call(door, "read", "one.txt")
    with pytest.raises(ValueError, match="max_searches"):
        await call(door, "bm25_search", "alpha")


async def test_a_replayed_cell_searches_again_and_is_not_counted_again(
    dispatcher_for: Callable[..., Dispatcher], corpus: Corpus
) -> None:
    dispatcher = dispatcher_for(corpus=corpus, limits=Limits(max_searches=1))
    await call(dispatcher.door(0), "bm25_search", "alpha")
    replayed = dispatcher.door(0, replayed=True)
    assert await call(replayed, "bm25_search", "alpha")
    with pytest.raises(ValueError, match="max_searches"):
        await call(dispatcher.door(1), "bm25_search", "alpha")


async def test_a_search_that_case_has_left_empty_says_so(door_for: Doors) -> None:
    door = door_for(context="Error one\nError two\nüber")
    assert await call(door, "count", "ERROR") == 0
    await call(door, "grep", "^ERROR")
    await call(door, "search", "error o")
    await call(door, "grep", "Error")
    await call(door, "grep", "nothing")
    await call(door, "grep", "ERROR", ignore_case=True)
    assert door.record.notes == [
        "count: no match in this case, but 2 with ignore_case=True",
        "grep: no match in this case, but 2 with ignore_case=True",
        "search: no match in this case, but 1 with ignore_case=True",
    ]


@pytest.mark.parametrize(
    ("name", "args", "kwargs", "says"),
    [
        ("llm_query", ["q"], {"context": "x" * 5_000}, "put a piece into it"),
        ("llm_query_batched", [["q"]], {"documents": ["x"]}, "put a piece into it"),
        ("llm_query", [], {}, "prompt is missing. Write llm_query(prompt, *, schema=None)"),
        ("grep", ["a", "context"], {}, "given by its name. Write grep(pattern, *, "),
        ("grep", ["a"], {"flags": 3}, "there is no argument 'flags'. Write grep(pattern"),
        ("read", ["context", "0"], {}, "Write read(doc_id, start=0, end=None)"),
    ],
)
async def test_wrong_arguments_are_answered_by_the_call_as_it_should_stand(
    name: str, args: list[Any], kwargs: dict[str, Any], says: str, door_for: Doors, corpus: Corpus
) -> None:
    with pytest.raises(TypeError) as told:
        await call(door_for(model=scripted([]), corpus=corpus), name, *args, **kwargs)
    assert says in str(told.value)
    assert len(str(told.value)) < 600  # the text that was given is not printed back


@pytest.mark.parametrize("name", ["vector_retrieve", "bm25_search", "hybrid_search", "hop_search"])
async def test_a_number_before_the_query_is_how_many(name: str, door_for: Doors, corpus: Corpus) -> None:
    door = door_for(corpus=corpus)
    assert await call(door, name, 1, "alpha Rome") == await call(door, name, "alpha Rome", 1)


async def test_a_prompt_without_a_text_is_told_what_a_sub_model_sees(door_for: Doors) -> None:
    door = door_for(model=scripted(["?", "yes", "{}"]))
    await call(door, "llm_query", "What does the text above say about alpha?")
    await call(door, "llm_query", f"What does this say about alpha?\n\n{TEXT * 5}")
    assert door.record.notes == [
        "llm_query: this prompt held 41 characters; a sub-model sees nothing else, no variable either"
    ]
