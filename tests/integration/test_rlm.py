"""create_rlm alone: cells in real REPL processes, answers, contexts, requests."""

from __future__ import annotations

import dataclasses
import warnings
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.messages import AIMessage, HumanMessage
from langgraph.checkpoint.memory import InMemorySaver
from pydantic import BaseModel
from typing_extensions import TypedDict

from langgraph_rlm import ContextStore, Limits, create_rlm
from langgraph_rlm.corpus import Corpus
from langgraph_rlm.errors import (
    AuthenticationFailed,
    ContextMissing,
    EmptyCorpus,
    InvalidFilter,
    InvalidInput,
    ModelError,
    UnsafeSandboxWarning,
)
from langgraph_rlm.testing import ScriptedModel
from tests.support import Ask, WatchedFactory, cell, make_corpus, scripted, text_of

TEXT = "The dog is red.\nThe cat is blue.\n"


def make(root: Any, sub: Any = None, **options: Any) -> Any:
    given = {"sandbox": "unsafe", **options}
    if sub is not None:
        given["sub_model"] = sub if isinstance(sub, ScriptedModel) else scripted(sub)
    return create_rlm(root if isinstance(root, ScriptedModel) else scripted(root), **given)


# --- cells --------------------------------------------------------------------------------------------------------


async def test_a_cell_looks_at_the_context_and_submits(ask: Ask) -> None:
    graph = make([cell("lines = context.splitlines()", "print(len(lines))"), cell("FINAL(lines[1])")])
    done = await ask(graph, {"question": "What is the second line?", "context": TEXT})
    assert done["answer"] == "The cat is blue."
    assert done["stop_reason"] == "answered"
    assert [message.text for message in done["messages"]] == ["What is the second line?", "The cat is blue."]
    assert [type(message) for message in done["messages"]] == [HumanMessage, AIMessage]
    assert [turn["output"] for turn in done["turns"]] == ["2\n", ""]
    assert done["usage"]["calls"] == 2


async def test_the_context_never_enters_a_prompt(ask: Ask) -> None:
    model = scripted([cell("print(len(context))"), cell("FINAL('ok')")])
    await ask(make(model), {"question": "How long?", "context": "MARKER " * 10_000})
    assert "70,000 characters" in text_of(model.requests[0])
    assert all("MARKER" not in text_of(request) for request in model.requests)


async def test_variables_survive_between_cells_and_after_one_that_raised(ask: Ask) -> None:
    model = scripted([cell("x = 41"), cell("y = x + 1", "1 / 0"), cell("FINAL(y)")])
    done = await ask(make(model), {"question": "?", "context": TEXT})
    assert done["answer"] == "42"
    assert "ZeroDivisionError" in done["turns"][1]["error"]
    shown = model.requests[2][-1].text
    assert "ZeroDivisionError" in shown
    assert "1 / 0" in shown
    assert "site-packages" not in shown
    assert "/work" not in shown


async def test_several_cells_of_a_reply_run_in_order_until_one_fails(ask: Ask) -> None:
    model = scripted(
        [
            cell("a = 1\nprint('first')") + "\n" + cell("b = a + 1\n1 / 0") + "\n" + cell("c = 99"),
            cell("FINAL(SHOW_VARS())"),
        ]
    )
    done = await ask(make(model), {"question": "?", "context": TEXT})
    assert [turn["number"] for turn in done["turns"]] == [1, 1, 2]
    assert "a: int" in done["answer"]
    assert "b: int" in done["answer"]
    assert "c: int" not in done["answer"]


async def test_cells_after_a_submission_do_not_run(ask: Ask) -> None:
    done = await ask(
        make([cell("FINAL('first')") + "\n" + cell("FINAL('second')")]), {"question": "?", "context": TEXT}
    )
    assert (done["answer"], len(done["turns"])) == ("first", 1)


@pytest.mark.parametrize(
    ("reply", "answer"),
    [
        (cell("x = 'via var'", "FINAL_VAR('x')"), "via var"),
        (cell("answer['content'] = 'via dict'", "answer['ready'] = True"), "via dict"),
        (cell("x = 'spoken'") + "\nFINAL_VAR(x)", "spoken"),
        ("I know.\nFINAL(Spoken)", "Spoken"),
        (cell("FINAL({'n': 1, 'l': ['é']})"), '{"n": 1, "l": ["é"]}'),
        (cell("FINAL(0)"), "0"),
    ],
    ids=["FINAL_VAR", "answer dict", "spoken FINAL_VAR", "spoken FINAL", "dict", "zero"],
)
async def test_every_way_to_submit_is_understood(reply: str, answer: str, ask: Ask) -> None:
    done = await ask(make([reply]), {"question": "?", "context": TEXT})
    assert (done["answer"], done["stop_reason"]) == (answer, "answered")


async def test_an_empty_answer_is_refused_in_the_cell(ask: Ask) -> None:
    done = await ask(make([cell("FINAL('')"), cell("FINAL('nothing was found')")]), {"question": "?", "context": TEXT})
    assert done["answer"] == "nothing was found"
    assert "an empty text cannot be submitted" in done["turns"][0]["error"]


async def test_an_answer_of_a_cell_that_raised_is_not_taken(ask: Ask) -> None:
    done = await ask(
        make([cell("FINAL('wrong')", "1 / 0"), cell("FINAL('right')")]), {"question": "?", "context": TEXT}
    )
    assert done["answer"] == "right"


async def test_three_replies_without_a_cell_end_the_run_with_the_last_text(ask: Ask) -> None:
    model = scripted(["The answer is red.", "Really, it is red.", "Red, I say."])
    done = await ask(make(model), {"question": "?", "context": TEXT})
    assert done["stop_reason"] == "error"
    assert done["answer"].startswith("Partial answer")
    assert "Red, I say." in done["answer"]
    assert "no cell" in model.requests[1][-1].text
    assert len(model.requests) == 3


async def test_a_cell_in_between_starts_the_count_anew(ask: Ask) -> None:
    done = await ask(
        make(["hm", "hm", cell("x = 1"), "hm", "hm", cell("FINAL(x)")]), {"question": "?", "context": TEXT}
    )
    assert (done["answer"], done["stop_reason"]) == ("1", "answered")


async def test_wrong_calls_are_errors_that_a_cell_can_catch(ask: Ask) -> None:
    code = [
        "seen = []",
        "for call in (lambda: grep(5), lambda: read('nowhere'), lambda: llm_query('a', temperature=1), lambda: grep('(')):",
        "    try:",
        "        call()",
        "    except Exception as error:",
        "        seen.append(type(error).__name__)",
        "FINAL(seen)",
    ]
    done = await ask(make([cell(*code)], []), {"question": "?", "context": TEXT})
    assert done["answer"] == '["TypeError", "KeyError", "TypeError", "ValueError"]'


async def test_failing_sub_calls_are_values_in_their_places(ask: Ask) -> None:
    sub = scripted(lambda messages: ValueError("boom") if "bad" in messages[-1].text else "fine")
    code = [
        "found = llm_query_batched(['a', 'bad', 'c'])",
        "FINAL([f if isinstance(f, str) else type(f).__name__ + ' ' + str(bool(f)) for f in found])",
    ]
    done = await ask(make([cell(*code)], sub), {"question": "?", "context": TEXT})
    assert done["answer"] == '["fine", "CallError False", "fine"]'
    assert done["usage"]["by_model"]["scripted"]["calls"] == 3


async def test_threads_of_a_cell_ask_side_by_side(ask: Ask) -> None:
    code = [
        "from concurrent.futures import ThreadPoolExecutor",
        "with ThreadPoolExecutor(4) as pool:",
        "    FINAL(list(pool.map(llm_query, ['a', 'b', 'c', 'd'])))",
    ]
    sub = scripted(lambda messages: messages[-1].text.upper())
    done = await ask(make([cell(*code)], sub), {"question": "?", "context": TEXT})
    assert done["answer"] == '["A", "B", "C", "D"]'


async def test_citations_of_all_cells_come_out_once_each(ask: Ask) -> None:
    code = "hit = grep('cat')[0]\ncite(hit)\ncite('context', 0, 7)\ncite(hit)"
    done = await ask(make([cell(code), cell("cite('context', 0, 7)\nFINAL('x')")]), {"question": "?", "context": TEXT})
    assert [(c["quote"], c["line"], c["verified"]) for c in done["citations"]] == [
        ("The cat is blue.", 2, True),
        ("The dog", 1, True),
    ]
    assert all(TEXT[c["start"] : c["end"]] == c["quote"] for c in done["citations"])


async def test_what_a_cell_prints_is_cut_in_the_state_and_in_the_prompt(ask: Ask) -> None:
    model = scripted([cell("print('x' * 100_000)"), cell("FINAL('ok')")])
    done = await ask(make(model, limits=Limits(output_chars=500)), {"question": "?", "context": TEXT})
    assert len(done["turns"][0]["output"]) <= 500
    assert len(model.requests[1][-1].text) < 1_500


async def test_the_same_system_prompt_opens_every_request(ask: Ask) -> None:
    model = scripted([cell("x = 1"), "no cell", cell("1/0"), cell("FINAL(1)")])
    await ask(make(model), {"question": "?", "context": TEXT})
    assert len({request[0].text for request in model.requests}) == 1


async def test_only_functions_that_exist_are_listed(ask: Ask, tmp_path: Path) -> None:
    alone = scripted([cell("FINAL(1)")])
    await ask(make(alone, limits=Limits(max_depth=0)), {"question": "?", "context": TEXT})
    told = alone.requests[0][0].text
    assert "`grep(" in told
    assert "llm_query(" not in told
    assert "vector_retrieve" not in told


# --- contexts -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("context", "shape"),
    [
        ("text", ["str", "text"]),
        (["a", "b"], ["list", ["a", "b"]]),
        ({"k": "v"}, ["dict", {"k": "v"}]),
        ([Document("page", id="d1"), Document("leaf", id="d2")], ["dict", {"d1": "page", "d2": "leaf"}]),
    ],
    ids=["text", "list", "fields", "documents"],
)
async def test_a_context_arrives_in_its_own_shape(context: Any, shape: Any, ask: Ask) -> None:
    schema = {"type": "array"}
    graph = make([cell("FINAL([type(context).__name__, context])")], response_format=schema)
    done = await ask(graph, {"question": "?", "context": context})
    assert done["structured_response"] == shape


async def test_a_reference_of_the_graphs_own_store_is_resolved(ask: Ask) -> None:
    contexts = ContextStore()
    ref = contexts.put("stored text")
    done = await ask(make([cell("FINAL(context)")], contexts=contexts), {"question": "?", "context": ref})
    assert done["answer"] == "stored text"


async def test_a_reference_of_another_store_is_refused(ask: Ask) -> None:
    ref = ContextStore().put("stored elsewhere")
    model = scripted([])
    with pytest.raises(ContextMissing, match="not in this store"):
        await ask(make(model), {"question": "?", "context": ref})


@pytest.mark.parametrize(
    "value",
    [
        "/etc/passwd",
        "file:///etc/passwd",
        "sha256:../../../../etc/passwd",
        "sha256:" + "g" * 64,
        "sha256:" + "a" * 63,
        "SHA256:" + "a" * 64,
        "sha256:" + "a" * 64 + "\n",
        "",
        None,
        5,
        ["sha256:" + "a" * 64],
        {"context_ref": "x"},
    ],
)
@pytest.mark.parametrize("durable", [False, True], ids=["memory", "directory"])
async def test_a_hostile_reference_opens_nothing(value: Any, durable: bool, ask: Ask, tmp_path: Path) -> None:
    contexts = ContextStore(tmp_path / "contexts" if durable else None)
    graph = make(scripted([]), contexts=contexts)
    with pytest.raises((InvalidInput, ContextMissing)) as raised:
        await ask(graph, {"question": "?", "context": {"context_ref": value}})
    assert "root:" not in str(raised.value)


@pytest.mark.parametrize("context", ["", [], {}, 5, b"bytes", [1], {"a": 1}, {1: "a"}, "\ud800"], ids=repr)
async def test_an_unusable_context_is_refused_before_a_model_is_asked(context: Any, ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="context"):
        await ask(make(scripted([])), {"question": "?", "context": context})


async def test_without_context_and_corpus_there_is_nothing_to_read(ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="nothing to read"):
        await ask(make(scripted([])), {"question": "?"})


# --- questions ----------------------------------------------------------------------------------------------------


async def test_the_last_human_message_is_the_question(ask: Ask) -> None:
    model = scripted([cell("FINAL('blue')")])
    done = await ask(make(model), {"messages": [HumanMessage("Which colour?", id="q")], "context": TEXT})
    assert "QUESTION\nWhich colour?" in model.requests[0][1].text
    assert [(m.type, m.text) for m in done["messages"]] == [("human", "Which colour?"), ("ai", "blue")]


@pytest.mark.parametrize("input", [{}, {"question": ""}, {"question": " \n"}, {"messages": []}, {"question": 5}])
async def test_an_input_without_a_question_is_refused(input: dict[str, Any], ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="question"):
        await ask(make(scripted([])), {**input, "context": TEXT})


async def test_a_question_as_long_as_a_context_is_refused(ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="give long text as 'context'"):
        await ask(make(scripted([])), {"question": "x" * 100_001, "context": TEXT})


async def test_a_follow_up_is_made_to_stand_alone_by_the_sub_model_and_billed(ask: Ask) -> None:
    root, sub = scripted([cell("FINAL('blue')")]), scripted(["Which colour has the cat?"], name="sub")
    messages = [HumanMessage("Tell me of the cat."), AIMessage("It sleeps."), HumanMessage("Which colour has it?")]
    done = await ask(make(root, sub), {"messages": messages, "context": TEXT})
    assert "QUESTION\nWhich colour has the cat?" in root.requests[0][1].text
    assert "Tell me of the cat." in sub.requests[0][-1].text
    assert "It sleeps." in sub.requests[0][-1].text
    assert done["usage"]["by_model"]["sub"]["calls"] == 1
    assert done["usage"]["calls"] == 2
    assert [message.text for message in done["messages"]][-2:] == ["Which colour has it?", "blue"]


@pytest.mark.parametrize("reply", ["", "   ", "x" * 200_000])
async def test_a_useless_rewriting_leaves_the_question_as_it_was(reply: str, ask: Ask) -> None:
    root = scripted([cell("FINAL('blue')")])
    messages = [HumanMessage("Tell me of the cat."), AIMessage("It sleeps."), HumanMessage("Which colour has it?")]
    await ask(make(root, [reply]), {"messages": messages, "context": TEXT})
    assert "QUESTION\nWhich colour has it?" in root.requests[0][1].text


# --- requests -----------------------------------------------------------------------------------------------------


def request(**options: Any) -> dict[str, Any]:
    return {"configurable": {"rlm": options}}


async def test_an_unknown_option_of_a_request_is_named(ask: Ask) -> None:
    with pytest.raises(InvalidInput, match=r"'temprature'.*limits, route, k, where"):
        await ask(make(scripted([])), {"question": "?", "context": TEXT}, request(temprature=1))


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"limits": {"max_cells": 5}}, "'max_cells'"),
        ({"limits": {"max_turns": 0}}, "max_turns"),
        ({"limits": {"max_cost_usd": float("nan")}}, "max_cost_usd"),
        ({"limits": {"max_calls": "5"}}, "max_calls"),
        ({"limits": [5]}, "limits"),
        ({"route": "both"}, "route"),
        ({"k": 0}, "k"),
        ({"k": True}, "k"),
        ({"k": 1001}, "k"),
    ],
)
async def test_an_unusable_option_of_a_request_is_refused(options: dict[str, Any], told: str, ask: Ask) -> None:
    with pytest.raises(InvalidInput, match=told):
        await ask(make(scripted([])), {"question": "?", "context": TEXT}, request(**options))


async def test_an_unusable_filter_of_a_request_is_refused(ask: Ask) -> None:
    with pytest.raises(InvalidFilter):
        await ask(make(scripted([])), {"question": "?", "context": TEXT}, request(where={"$evil": 1}))


@pytest.mark.parametrize("given", ["x", 5, ["limits"]])
async def test_options_that_are_no_mapping_are_refused(given: Any, ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="must be a mapping"):
        await ask(make(scripted([])), {"question": "?", "context": TEXT}, {"configurable": {"rlm": given}})


@pytest.mark.parametrize(
    "more",
    [{"rlm_carry": {"usage": {"calls": -5}}}, {"rlm_carry": {"answer_id": 5}}, {"rlm_hits": []}, {"rlm_steps": 5}],
)
async def test_a_client_cannot_hand_over_what_is_private(more: Any, ask: Ask) -> None:
    with pytest.raises(InvalidInput, match=r"rlm_.* are private"):
        await ask(make(scripted([])), {"question": "?", "context": TEXT, **more})


# --- arguments ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"strategy": "magic", "corpus": "yes"}, "strategy"),
        ({"on_limit": "ignore"}, "on_limit"),
        ({"sandbox": "docker"}, "sandbox"),
        ({"sandbox": 5}, "sandbox"),
        ({"response_format": {"type": "nonsense"}}, "response_format"),
        ({"response_format": 5}, "response_format"),
        ({"response_format": {"$ref": "http://127.0.0.1:9/s.json"}}, "response_format"),
    ],
)
def test_unusable_arguments_are_refused_when_the_graph_is_made(
    options: dict[str, Any], told: str, tmp_path: Path
) -> None:
    if "corpus" in options:
        options = {**options, "corpus": Corpus.open(f"chroma:{tmp_path / 'i'}")}
    with pytest.raises(InvalidInput, match=told):
        make(scripted([]), **options)


def test_a_sandbox_without_a_jail_is_used_only_when_asked_for_and_warned_about() -> None:
    with pytest.warns(UnsafeSandboxWarning, match="sandbox='unsafe'"):
        create_rlm(scripted([]), sandbox="unsafe")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        create_rlm(scripted([]))


async def test_by_default_cells_run_where_they_can_open_no_file(ask: Ask) -> None:
    model = scripted([cell("open('/etc/passwd')"), cell("FINAL(len(context))")])
    done = await ask(create_rlm(model), {"question": "?", "context": TEXT})
    assert done["answer"] == str(len(TEXT))
    assert "PermissionError" in done["turns"][0]["error"]


async def test_a_rejected_key_ends_the_run_with_a_clear_error(ask: Ask) -> None:
    class Rejected(Exception):
        status_code = 401

    with pytest.raises(AuthenticationFailed, match="key was rejected"):
        await ask(make([Rejected("no")]), {"question": "?", "context": TEXT})


async def test_the_users_instructions_reach_the_root_model(ask: Ask) -> None:
    model = scripted([cell("FINAL(1)")])
    await ask(make(model, system_prompt="Answer in Dutch."), {"question": "?", "context": TEXT})
    assert "Answer in Dutch." in model.requests[0][0].text


async def test_any_repl_factory_can_be_the_sandbox_and_nothing_is_left_of_it(ask: Ask) -> None:
    factory = WatchedFactory()
    await ask(make([cell("x = 1"), cell("FINAL(x)")], sandbox=factory), {"question": "?", "context": TEXT})
    assert len(factory.started) == 1
    assert factory.alive == []


# --- structured answers -------------------------------------------------------------------------------------------


class Colour(BaseModel):
    animal: str
    colour: str


@dataclasses.dataclass
class ColourRecord:
    animal: str
    colour: str


class ColourDict(TypedDict):
    animal: str
    colour: str


FORMATS = [Colour, ColourRecord, ColourDict, Colour.model_json_schema()]


@pytest.mark.parametrize("wanted", FORMATS, ids=["pydantic", "dataclass", "TypedDict", "schema"])
async def test_an_answer_that_has_the_wanted_shape_is_taken_without_a_call(wanted: Any, ask: Ask) -> None:
    graph = make([cell("FINAL({'animal': 'cat', 'colour': 'blue'})")], [], response_format=wanted)
    done = await ask(graph, {"question": "?", "context": TEXT})
    made = wanted if isinstance(wanted, type) else dict
    assert done["structured_response"] == made(animal="cat", colour="blue")
    assert isinstance(done["structured_response"], dict if made is ColourDict else made)
    assert done["usage"]["calls"] == 1


async def test_the_state_keeps_plain_json_of_a_structured_response(ask: Ask) -> None:
    graph = make(
        [cell("FINAL({'animal': 'cat', 'colour': 'blue'})")], [], response_format=Colour, checkpointer=InMemorySaver()
    )
    await ask(graph, {"question": "?", "context": TEXT}, {"configurable": {"thread_id": "1"}})
    kept = graph.get_state({"configurable": {"thread_id": "1"}}).values
    assert kept["structured_response"] == {"animal": "cat", "colour": "blue"}


async def test_a_text_where_a_text_is_wanted_is_taken_without_a_call(ask: Ask) -> None:
    done = await ask(make([cell("FINAL('red')")], [], response_format=str), {"question": "?", "context": TEXT})
    assert done["structured_response"] == "red"


async def test_an_answer_in_prose_is_put_into_shape_by_the_sub_model(ask: Ask) -> None:
    sub = scripted(["cat, blue", '{"animal": "cat", "colour": "blue"}'])
    graph = make([cell("FINAL('The cat is blue.')")], sub, response_format=Colour)
    done = await ask(graph, {"question": "?", "context": TEXT})
    assert done["answer"] == "The cat is blue."
    assert done["structured_response"] == Colour(animal="cat", colour="blue")
    assert done["usage"]["calls"] == 3
    assert "not valid" in sub.requests[1][-1].text


async def test_an_answer_that_cannot_be_put_into_shape_is_an_error(ask: Ask) -> None:
    graph = make([cell("FINAL('The cat is blue.')")], ["no", "still no"], response_format=Colour)
    with pytest.raises(ModelError, match="response_format") as raised:
        await ask(graph, {"question": "?", "context": TEXT})
    assert raised.value.category == "invalid_output"


async def test_no_room_for_the_shape_does_not_lose_the_answer(ask: Ask) -> None:
    graph = make([cell("FINAL('The cat is blue.')")], [], response_format=Colour, limits=Limits(max_calls=1))
    done = await ask(graph, {"question": "?", "context": TEXT})
    assert (done["answer"], done["structured_response"]) == ("The cat is blue.", None)
    assert done["stop_reason"] == "budget"


# --- with a corpus ------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Any:
    texts: dict[str, Any] = {f"{name}.txt": (f"{name} lives in {town}.", {"town": town}) for name, town in
                             (("Anna", "Paris"), ("Bela", "Rome"), ("Cleo", "Paris"))}  # fmt: skip
    with make_corpus(tmp_path_factory.mktemp("rlm") / "index", texts) as made:
        yield made


@pytest.mark.parametrize(
    ("strategy", "chunks", "functions"),
    [("filter", True, False), ("director", False, True), ("hybrid", True, True)],
)
async def test_the_strategies_differ_in_what_is_retrieved_and_what_can_be(
    strategy: Any, chunks: bool, functions: bool, corpus: Corpus, ask: Ask
) -> None:
    model = scripted([cell("FINAL([n in globals() for n in ('context_chunks', 'vector_retrieve', 'grep', 'SEARCH')])")])
    graph = make(model, corpus=corpus, strategy=strategy, response_format={"type": "array"})
    done = await ask(graph, {"question": "Where does Anna live?"})
    assert done["structured_response"] == [chunks, functions, True, functions]
    told = text_of(model.requests[0])
    assert ("`vector_retrieve(" in told) == functions
    assert ("Anna.txt:1" in told) == chunks


async def test_k_and_where_of_a_request_hold_for_what_is_preloaded(corpus: Corpus, ask: Ask) -> None:
    graph = make([cell("FINAL([c['doc_id'] for c in context_chunks])")], corpus=corpus)
    done = await ask(graph, {"question": "Who lives there?"}, request(k=1, where={"town": "Paris"}))
    assert done["answer"] in ('["Anna.txt"]', '["Cleo.txt"]')


async def test_where_of_a_request_holds_in_cells_and_in_what_the_model_is_told(corpus: Corpus, ask: Ask) -> None:
    model = scripted([cell("FINAL(sorted({h['doc_id'] for h in grep('lives') + SEARCH('lives', where={})}))")])
    graph = make(model, corpus=corpus, strategy="director")
    done = await ask(graph, {"question": "Who lives where?"}, request(where={"town": "Rome"}))
    assert done["answer"] == '["Bela.txt"]'
    assert "Anna.txt" not in text_of(model.requests[0])
    assert "1 documents" in text_of(model.requests[0])


async def test_context_and_corpus_are_searched_together(corpus: Corpus, ask: Ask) -> None:
    graph = make([cell("FINAL([h['doc_id'] for h in grep('Rome')])")], corpus=corpus, strategy="director")
    done = await ask(graph, {"question": "Where is Rome named?", "context": "Rome is old."})
    assert done["answer"] == '["context", "Bela.txt"]'


async def test_an_empty_corpus_is_named_before_a_model_is_asked(tmp_path: Path, ask: Ask) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as empty:
        for strategy in ("filter", "hybrid", "director"):
            with pytest.raises(EmptyCorpus):
                await ask(make(scripted([]), corpus=empty, strategy=strategy), {"question": "Who?"})


async def test_each_tenant_gets_a_corpus_of_its_own(corpus: Corpus, tmp_path: Path, ask: Ask) -> None:
    with make_corpus(tmp_path / "other", {"Dora.txt": "Dora lives in Oslo."}) as other:

        async def later(config: Any) -> Corpus:
            return other if config["configurable"]["tenant"] == "b" else corpus

        graph = make(lambda messages: cell("FINAL([d['doc_id'] for d in list_documents()])"), corpus=later)
        mine = await ask(graph, {"question": "Which?"}, {"configurable": {"tenant": "a"}})
        theirs = await ask(graph, {"question": "Which?"}, {"configurable": {"tenant": "b"}})
    assert mine["answer"] == '["Anna.txt", "Bela.txt", "Cleo.txt"]'
    assert theirs["answer"] == '["Dora.txt"]'


async def test_a_function_that_gives_no_corpus_is_named(ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="returned NoneType, not a Corpus"):
        await ask(make(scripted([]), corpus=lambda config: None), {"question": "Which?"})


# --- what cells and clients may put into the state ----------------------------------------------------------------


async def test_an_answer_too_large_for_the_state_is_given_back_to_the_model(ask: Ask) -> None:
    graph = make([cell("FINAL('x' * 2_000_000)"), cell("FINAL('short')")])
    done = await ask(graph, {"question": "?", "context": TEXT})
    assert done["answer"] == "short"
    assert "2,000,002 characters" in done["turns"][0]["error"]


async def test_a_document_of_the_context_with_the_id_of_one_in_the_corpus_is_refused(tmp_path: Path, ask: Ask) -> None:
    with make_corpus(tmp_path / "index", {"a.md": "in the corpus"}) as corpus:
        graph = make([cell("FINAL(read('b.md'))")], corpus=corpus)
        with pytest.raises(InvalidInput, match=r"a\.md"):
            await ask(graph, {"question": "?", "context": [Document("mine", id="a.md")]})
        assert (await ask(graph, {"question": "?", "context": [Document("mine", id="b.md")]}))["answer"] == "mine"


async def test_a_question_that_is_no_text_is_refused(ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="surrogate"):
        await ask(make(scripted([])), {"question": "why \ud800?", "context": TEXT})


@pytest.mark.parametrize(
    ("submitted", "answer", "found"),
    [
        ("NOT IN THE PASSAGES", "The text does not hold the answer.", False),
        ("**NOT IN THE PASSAGES**: the year.", "The text does not hold the answer: the year", False),
        ("`not in the passages`", "The text does not hold the answer.", False),
        ("I'm sorry, but I can't assist with that.", "I'm sorry, but I can't assist with that.", False),
        ("Red. The year is NOT IN THE PASSAGES.", "Red. The year is not in the passages.", True),
        ("0", "0", True),
    ],
)
async def test_an_answer_that_is_none_is_told_in_plain_words(
    submitted: str, answer: str, found: bool, ask: Ask
) -> None:
    done = await ask(make([cell(f"x = {submitted!r}", "FINAL(x)")]), {"question": "?", "context": TEXT})
    assert (done["answer"], done["found"], done["stop_reason"]) == (answer, found, "answered")
    assert done["messages"][-1].text == answer
