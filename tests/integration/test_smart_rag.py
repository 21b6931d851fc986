"""create_smart_rag: three routes, one escalation, one budget, one answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document
from langchain_core.runnables import RunnableLambda
from langgraph.checkpoint.memory import InMemorySaver
from langgraph.graph import START, StateGraph
from typing_extensions import TypedDict

from langgraph_rlm import ContextStore, Corpus, Limits, SmartRouter, create_rag, create_smart_rag
from langgraph_rlm.errors import ContextMissing, EmptyCorpus, InvalidInput
from tests.support import Ask, by_role, cell, make_corpus, scripted, text_of

LOOK_UP = {"question": "Where does Anna live?"}
COUNT = {"question": "How many times does `lives` occur in all documents?"}
SUPPORTED = 'Anna lives in Paris [1].\nQUOTES\n[1] "Anna lives in Paris."'
UNSUPPORTED = "NOT IN THE PASSAGES: nothing on Anna."


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Any:
    filler = "Nothing of interest happens here. " * 1_500
    texts: dict[str, Any] = {
        "anna.txt": ("Anna lives in Paris.", {"tenant": "a"}),
        "bela.txt": ("Bela lives in Rome. " + filler, {"tenant": "b"}),
    }
    with make_corpus(tmp_path_factory.mktemp("smart") / "index", texts) as made:
        yield made


def smart(model: Any, corpus: Any, **options: Any) -> Any:
    return create_smart_rag(model, corpus=corpus, rlm={"sandbox": "unsafe"}, **options)


async def test_a_look_up_takes_one_call_of_classic_rag(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader=SUPPORTED))
    done = await ask(smart(model, corpus), LOOK_UP)
    assert done["route"] == done["decision"]["route"] == "rag"
    assert done["answer"] == "Anna lives in Paris [1]."
    assert done["citations"][0]["verified"]
    assert done["grade"]["supported"]
    assert done["decision"]["escalated_from"] is None
    assert done["usage"]["calls"] == 1
    assert done["turns"] == []
    assert [m.type for m in done["messages"]] == ["human", "ai"]


async def test_counting_takes_the_recursive_route(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(root=lambda text, n: cell("FINAL(grep('lives', max_matches=1000).seen)")))
    done = await ask(smart(model, corpus), COUNT)
    assert (done["route"], done["answer"]) == ("rlm", "2")
    assert len(done["turns"]) == 1
    assert done["grade"] is None


async def test_a_context_that_fits_is_read_at_once_with_citations(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader='Oslo [1].\nQUOTES\n[1] "Dora lives in Oslo."'))
    context = "Preface.\nDora lives in Oslo.\n"
    done = await ask(smart(model, corpus), {"question": "Where does Dora live?", "context": context})
    assert (done["route"], done["answer"]) == ("direct", "Oslo [1].")
    [cited] = done["citations"]
    assert (cited["doc_id"], cited["line"], cited["verified"]) == ("context", 2, True)
    assert context[cited["start"] : cited["end"]] == cited["quote"]
    assert "Bela" not in text_of(model.requests[0])


async def test_a_small_corpus_is_read_at_once(tmp_path: Path, ask: Ask) -> None:
    model = scripted(by_role(reader=SUPPORTED))
    with make_corpus(tmp_path / "index", {"anna.txt": "Anna lives in Paris."}) as small:
        done = await ask(smart(model, small), LOOK_UP)
    assert done["route"] == "direct"
    assert done["citations"][0]["doc_id"] == "anna.txt"


async def test_where_of_a_request_holds_on_every_route(tmp_path: Path, corpus: Corpus, ask: Ask) -> None:
    texts: Any = {"a.txt": ("Anna lives in Paris.", {"t": "a"}), "b.txt": ("SECRET of Bela.", {"t": "b"})}
    roles = by_role(reader=SUPPORTED, root=lambda text, n: cell("FINAL(str(list_documents()) + str(grep('.')))"))
    model = scripted(roles)
    with make_corpus(tmp_path / "index", texts) as small:
        for route in ("direct", "rag", "rlm"):
            config = {"configurable": {"rlm": {"where": {"t": "a"}, "route": route}}}
            done = await ask(smart(model, small), LOOK_UP, config)
            assert done["route"] == route
            assert "SECRET" not in done["answer"]
    assert not any("SECRET" in text_of(request) or "b.txt" in text_of(request) for request in model.requests)


# --- escalation ---------------------------------------------------------------------------------------------------


async def test_an_answer_that_is_not_supported_goes_on_to_the_recursive_route_once(corpus: Corpus, ask: Ask) -> None:
    root = by_role(
        reader=UNSUPPORTED,
        root=lambda text, n: cell("cite(context_chunks[0])", "FINAL('Paris, says ' + context_chunks[0]['doc_id'])"),
    )
    model = scripted(root)
    done = await ask(smart(model, corpus), LOOK_UP)
    assert done["route"] == done["decision"]["route"] == "rlm"
    assert done["decision"]["escalated_from"] == "rag"
    assert any("escalated from rag" in reason for reason in done["decision"]["reasons"])
    assert "do not hold" in done["decision"]["reasons"][-1]
    assert done["answer"].startswith("Paris, says ")
    assert [m.type for m in done["messages"]] == ["human", "ai"]
    assert done["messages"][-1].text == done["answer"]
    assert done["usage"]["calls"] == 2
    assert [c["verified"] for c in done["citations"]] == [True]
    assert len(model.requests) == 2


async def test_the_usage_of_both_routes_is_added_up(corpus: Corpus, ask: Ask) -> None:
    usage = {"input_tokens": 100, "output_tokens": 10, "total_tokens": 110}
    model = scripted(by_role(reader=UNSUPPORTED, root=lambda text, n: cell("FINAL(1)")), usage=usage, cost_usd=0.01)
    done = await ask(smart(model, corpus), LOOK_UP)
    spent = done["usage"]
    assert (spent["calls"], spent["input_tokens"], spent["output_tokens"]) == (2, 200, 20)
    assert spent["cost_usd"] == pytest.approx(0.02)


async def test_the_limits_hold_over_both_routes(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader=UNSUPPORTED, root=lambda text, n: cell("x = 1")))
    done = await ask(smart(model, corpus, limits=Limits(max_calls=3)), LOOK_UP)
    assert done["stop_reason"] == "budget"
    assert done["usage"]["calls"] == 3 == len(model.requests)
    assert done["decision"]["escalated_from"] == "rag"


NOT_QUITE = 'Anna lives in Oslo [1].\nQUOTES\n[1] "Anna lives in Oslo."'


@pytest.mark.parametrize("limits", [Limits(max_calls=3), Limits(max_tokens=16_000)], ids=["calls", "tokens"])
async def test_the_answer_before_the_escalation_is_given_when_a_limit_ends_the_recursive_route(
    limits: Limits, corpus: Corpus, ask: Ask
) -> None:
    model = scripted(by_role(reader=NOT_QUITE, root=lambda text, n: cell("x = 1")))
    done = await ask(smart(model, corpus, limits=limits), LOOK_UP)
    assert (done["route"], done["stop_reason"]) == ("rlm", "budget")
    said = "Retrieved passages say, but do not fully support: Anna lives in Oslo [1]."
    assert done["answer"] == f"Partial answer (the budget is used up): {said}"
    assert [(c["quote"], c["verified"]) for c in done["citations"]] == [("Anna lives in Oslo.", False)]
    assert done["messages"][-1].text == done["answer"]


async def test_a_draft_of_the_recursive_route_comes_before_the_answer_that_was_escalated(
    corpus: Corpus, ask: Ask
) -> None:
    model = scripted(by_role(reader=NOT_QUITE, root=lambda text, n: cell("answer['content'] = 'Paris, I think'")))
    done = await ask(smart(model, corpus, limits=Limits(max_calls=3)), LOOK_UP)
    assert done["answer"] == "Partial answer (the budget is used up): Paris, I think"


async def test_nothing_of_an_escalated_answer_is_left_for_the_next_question(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader=NOT_QUITE, root=lambda text, n: cell("x = 1"), condense=COUNT["question"]))
    graph = smart(model, corpus, checkpointer=InMemorySaver(), limits=Limits(max_calls=4))
    config = {"configurable": {"thread_id": "a"}}
    assert "Oslo" in (await ask(graph, LOOK_UP, config))["answer"]
    done = await ask(graph, COUNT, config)
    assert (done["route"], done["stop_reason"]) == ("rlm", "budget")
    assert "Oslo" not in done["answer"]


async def test_nothing_is_left_for_the_recursive_route_after_an_answer_at_the_limit(corpus: Corpus, ask: Ask) -> None:
    model = scripted([])
    done = await ask(smart(model, corpus, limits=Limits(max_calls=0)), LOOK_UP)
    assert (done["route"], done["stop_reason"]) == ("rag", "budget")
    assert done["answer"].startswith("Partial answer")


async def test_an_answer_without_support_stands_when_no_call_is_left_to_go_on_with(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader="Anna lives in Oslo."))
    done = await ask(smart(model, corpus, limits=Limits(max_calls=1)), LOOK_UP)
    assert (done["route"], done["answer"]) == ("rag", "Anna lives in Oslo.")
    assert not done["grade"]["supported"]


async def test_a_model_that_never_finds_an_answer_supported_leads_to_one_escalation(corpus: Corpus, ask: Ask) -> None:
    roles = by_role(
        reader=SUPPORTED,
        grader='{"supported": false, "missing": "the street"}',
        root=lambda text, n: cell("FINAL('in Paris')"),
    )
    model = scripted(roles, usage={"input_tokens": 10, "output_tokens": 1, "total_tokens": 11}, cost_usd=0.01)
    done = await ask(smart(model, corpus, rag={"grader": model}), LOOK_UP)
    assert (done["route"], done["answer"], done["decision"]["escalated_from"]) == ("rlm", "in Paris", "rag")
    assert done["decision"]["reasons"][-1] == "escalated from rag: the grader finds it not supported: the street"
    assert done["usage"]["calls"] == 3 == len(model.requests)
    assert done["usage"]["cost_usd"] == pytest.approx(0.03)


async def test_a_classifier_of_the_grey_zone_is_billed_to_the_question(corpus: Corpus, ask: Ask) -> None:
    roles = by_role(router='{"route": "rag", "reason": "one fact"}', reader=SUPPORTED)
    model = scripted(roles, cost_usd=0.01)
    router = SmartRouter(corpus=corpus, classifier=model)
    done = await ask(
        smart(model, corpus, router=router), {"question": "Where do the father and the mother of Anna live?"}
    )
    assert done["decision"]["reasons"][0] == "the classifier scripted says rag: one fact", done["decision"]
    assert done["usage"]["calls"] == 2 == len(model.requests)
    assert done["usage"]["cost_usd"] == pytest.approx(0.02)


@pytest.mark.parametrize(("calls", "route"), [(2, "rag"), (3, "rlm")])
async def test_with_too_few_calls_for_the_recursive_route_passages_have_to_do(
    calls: int, route: str, corpus: Corpus, ask: Ask
) -> None:
    model = scripted(by_role(reader=SUPPORTED, root=lambda text, n: cell("FINAL(2)")))
    done = await ask(smart(model, corpus, limits=Limits(max_calls=calls)), COUNT)
    assert done["route"] == route
    assert (f"{calls} model calls are left" in done["decision"]["reasons"][0]) == (route == "rag")


PRICES = {"scripted": {"input": 1.0, "output": 10.0}}
"""A call of the recursive route is taken to cost 3,000 * $1e-6 + 1,024 * $1e-5 = $0.01324."""


@pytest.mark.parametrize(("usd", "route"), [(0.039, "rag"), (0.040, "rlm")])
async def test_with_too_few_usd_for_the_recursive_route_passages_have_to_do(
    usd: float, route: str, corpus: Corpus, ask: Ask
) -> None:
    model = scripted(by_role(reader=SUPPORTED, root=lambda text, n: cell("FINAL(2)")))
    done = await ask(smart(model, corpus, limits=Limits(max_cost_usd=usd), prices=PRICES), COUNT)
    assert done["route"] == route
    why = "what is left of max_cost_usd pays for 2 model calls, and the recursive route takes 3 or more"
    assert (done["decision"]["reasons"][0] == why) == (route == "rag")


async def test_an_answer_without_support_stands_when_no_usd_are_left_to_go_on_with(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader="Anna lives in Oslo."), cost_usd=0.011)
    done = await ask(smart(model, corpus, limits=Limits(max_cost_usd=0.02), prices=PRICES), LOOK_UP)
    assert (done["route"], done["answer"], done["stop_reason"]) == ("rag", "Anna lives in Oslo.", "answered")
    assert not done["grade"]["supported"]


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"rag": {"grade": None}}, "rag: there is no option 'grade'; did you mean 'grader'"),
        ({"rlm": {"strategi": "filter"}}, "did you mean 'strategy'"),
        ({"rag": {"limits": Limits()}}, "'limits' belongs to the whole graph"),
        ({"rlm": {"checkpointer": None}}, "'checkpointer' belongs to the whole graph"),
        ({"direct": {"k": 3}}, "direct: there is no option 'k'"),
        ({"rag": 5}, "rag: expected a function of the state, a Runnable or a graph, got int"),
    ],
)
def test_options_of_a_route_are_checked_by_name_when_the_graph_is_made(
    options: dict[str, Any], says: str, corpus: Corpus
) -> None:
    with pytest.raises(InvalidInput, match=re.escape(says)):
        create_smart_rag(scripted([]), corpus=corpus, **options)


@pytest.mark.parametrize(
    ("name", "place"),
    [("grader", "rag={'grader': …}"), ("sandbox", "rlm={'sandbox': …}"), ("shell", "rlm={'shell': …}")],
)
def test_a_parameter_that_moved_raises_a_type_error_that_names_its_new_place(
    name: str, place: str, corpus: Corpus
) -> None:
    with pytest.raises(TypeError, match=re.escape(place)):
        create_smart_rag(scripted([]), corpus=corpus, **{name: None})


async def test_escalation_can_be_switched_off(corpus: Corpus, ask: Ask) -> None:
    done = await ask(smart(scripted(by_role(reader=UNSUPPORTED)), corpus, escalate=False), LOOK_UP)
    assert done["route"] == "rag"
    assert not done["grade"]["supported"]
    assert done["decision"]["escalated_from"] is None


async def test_a_route_that_the_request_chose_does_not_escalate(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader=UNSUPPORTED))
    done = await ask(smart(model, corpus), COUNT, {"configurable": {"rlm": {"route": "rag"}}})
    assert done["route"] == "rag"
    assert done["decision"]["confidence"] == 1.0
    assert done["decision"]["reasons"] == ["the request asks for the rag route"]


async def test_events_tell_of_the_route_and_of_the_escalation(corpus: Corpus) -> None:
    model = scripted(by_role(reader=UNSUPPORTED, root=lambda text, n: cell("FINAL(1)")))
    events = [event async for _, event in smart(model, corpus).astream(LOOK_UP, stream_mode="custom", subgraphs=True)]
    names = [event["event"] for event in events]
    assert [name for name in names if name not in ("call_start", "call_end", "budget")] == [
        "run", "route", "retrieval", "answer", "escalate", "think", "cell_start", "cell_end", "answer"
    ]  # fmt: skip


# --- threads ------------------------------------------------------------------------------------------------------


async def test_a_thread_gets_one_question_and_one_answer_a_time(corpus: Corpus, ask: Ask) -> None:
    roles = by_role(
        reader=[SUPPORTED, UNSUPPORTED], root=lambda text, n: cell("FINAL('Rome')"), condense="Where does Bela live?"
    )
    graph = smart(scripted(roles), corpus, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "a"}}
    first = await ask(graph, LOOK_UP, config)
    second = await ask(graph, {"question": "And Bela?"}, config)
    assert (first["route"], second["route"]) == ("rag", "rlm")
    assert [m.text for m in second["messages"]] == [LOOK_UP["question"], first["answer"], "And Bela?", "Rome"]
    assert second["usage"]["calls"] == 3  # rewriting, rag, rlm: the first question's are not among them
    assert second["decision"]["escalated_from"] == "rag"


async def test_a_run_that_failed_after_rag_goes_on_without_paying_rag_again(corpus: Corpus, ask: Ask) -> None:
    roles = by_role(reader=UNSUPPORTED, root=[RuntimeError("down"), cell("FINAL('Paris')")])
    model = scripted(roles)
    graph = smart(model, corpus, checkpointer=InMemorySaver())
    config = {"configurable": {"thread_id": "a"}}
    with pytest.raises(Exception, match="down"):
        await ask(graph, LOOK_UP, config)
    done = await ask(graph, None, config)
    assert done["answer"] == "Paris"
    assert len(model.requests) == 3
    assert [m.type for m in done["messages"]] == ["human", "ai"]


# --- routes of the user's own -------------------------------------------------------------------------------------


async def test_routes_of_the_users_own_answer_in_place_of_ours(corpus: Corpus, ask: Ask) -> None:
    seen: list[Any] = []

    def rag(state: Any) -> Any:
        seen.append(("rag", state["question"]))
        return {"answer": "from my rag"}

    def rlm(state: Any) -> Any:
        seen.append(("rlm", state["question"]))
        return {"answer": "from my rlm"}

    graph = create_smart_rag(scripted([]), corpus=corpus, rag=RunnableLambda(rag), rlm=RunnableLambda(rlm))
    first, second = await ask(graph, LOOK_UP), await ask(graph, COUNT)
    assert seen == [("rag", LOOK_UP["question"]), ("rlm", COUNT["question"])]
    assert (first["answer"], first["route"]) == ("from my rag", "rag")
    assert (second["answer"], second["route"]) == ("from my rlm", "rlm")
    for done in (first, second):
        assert [m.text for m in done["messages"]][1:] == [done["answer"]]
        assert done["stop_reason"] == "answered"


async def test_a_rag_of_the_users_own_is_told_how_the_router_would_read(corpus: Corpus, ask: Ask) -> None:
    own = RunnableLambda(lambda state: {"answer": f"{state['rlm_options']}"})
    done = await ask(smart(scripted([]), corpus, rag=own), {"question": "How long is the notice period?"})
    assert done["route"] == "rag"
    assert done["answer"] == str(done["decision"]["options"])
    assert set(done["decision"]["options"]) == {"mode", "k"}


async def test_a_rag_of_the_users_own_escalates_by_its_own_grade(corpus: Corpus, ask: Ask) -> None:
    mine = RunnableLambda(lambda state: {"answer": "?", "grade": {"supported": False, "reasons": ["I am not sure"]}})
    model = scripted(by_role(root=lambda text, n: cell("FINAL('deep')")))
    done = await ask(smart(model, corpus, rag=mine), LOOK_UP)
    assert done["answer"] == "deep"
    assert done["decision"]["reasons"][-1] == "escalated from rag: I am not sure"
    assert [m.text for m in done["messages"]][1:] == ["deep"]


@pytest.mark.parametrize("returned", [None, {}, {"text": "x"}, {"answer": 5}, "just text"])
async def test_a_route_of_the_users_own_that_gives_no_answer_is_named(returned: Any, corpus: Corpus, ask: Ask) -> None:
    graph = smart(scripted([]), corpus, rag=RunnableLambda(lambda state: returned))
    with pytest.raises(InvalidInput, match=r"rag: .*'answer'"):
        await ask(graph, LOOK_UP)


async def test_a_graph_of_the_users_own_keys_can_be_a_route(corpus: Corpus, ask: Ask) -> None:
    class Own(TypedDict, total=False):
        question: str
        answer: str

    builder = StateGraph(Own)
    builder.add_node("look", lambda state: {"answer": "mine: " + state["question"]})
    builder.add_edge(START, "look")
    done = await ask(smart(scripted([]), corpus, rag=builder.compile()), LOOK_UP)
    assert done["answer"] == "mine: " + LOOK_UP["question"]
    assert [m.text for m in done["messages"]][1:] == [done["answer"]]


async def test_a_graph_of_the_users_own_settings_can_be_a_route(corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader=SUPPORTED))
    graph = smart(model, corpus, rag=create_rag(model, corpus=corpus, k=1, mode="bm25"))
    done = await ask(graph, LOOK_UP)
    assert text_of(model.requests[0]).count("[end of data ") == 2  # the rule and one passage
    assert done["grade"]["supported"]


# --- inputs -------------------------------------------------------------------------------------------------------


async def test_two_tenants_get_answers_from_their_own_corpus(corpus: Corpus, tmp_path: Path, ask: Ask) -> None:
    with make_corpus(tmp_path / "index", {"dora.txt": "Dora lives in Oslo."}) as other:

        def of(config: Any) -> Corpus:
            return other if config["configurable"]["tenant"] == "b" else corpus

        model = scripted(
            by_role(reader="NOT IN THE PASSAGES", root=lambda text, n: cell("FINAL(str(list_documents()))"))
        )
        graph = smart(model, of, escalate=False)
        mine = await ask(graph, LOOK_UP, {"configurable": {"tenant": "a"}})
        theirs = await ask(graph, LOOK_UP, {"configurable": {"tenant": "b"}})
    assert (mine["route"], theirs["route"]) == ("rag", "direct")
    assert "Paris" in text_of(model.requests[0])
    assert "Oslo" not in text_of(model.requests[0])
    assert "Oslo" in text_of(model.requests[1])
    assert "Paris" not in text_of(model.requests[1])


@pytest.mark.parametrize(
    "context",
    [
        "Dora lives in Oslo.",
        ["Dora lives in Oslo."],
        {"k": "Dora lives in Oslo."},
        [Document("Dora lives in Oslo.", id="d")],
    ],
    ids=["text", "list", "fields", "documents"],
)
async def test_a_context_of_any_shape_is_read(context: Any, corpus: Corpus, ask: Ask) -> None:
    model = scripted(by_role(reader='Oslo.\nQUOTES\n[1] "Dora lives in Oslo."'))
    done = await ask(smart(model, corpus), {"question": "Where does Dora live?", "context": context})
    assert done["citations"][0]["verified"]


async def test_an_empty_corpus_is_named(tmp_path: Path, ask: Ask) -> None:
    with Corpus.open(f"chroma:{tmp_path / 'index'}") as empty:
        graph = smart(scripted([]), empty)
        for question in (LOOK_UP, COUNT):
            with pytest.raises(EmptyCorpus, match="holds no document"):
                await ask(graph, question)


async def test_the_rag_route_with_a_context_is_refused(corpus: Corpus, ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="does not read a context"):
        await ask(smart(scripted([]), corpus), {**LOOK_UP, "context": "x"}, {"configurable": {"rlm": {"route": "rag"}}})


async def test_the_direct_route_refuses_what_no_window_holds(corpus: Corpus, ask: Ask) -> None:
    graph, config = smart(scripted([], window=2_000), corpus), {"configurable": {"rlm": {"route": "direct"}}}
    for input in (LOOK_UP, {**LOOK_UP, "context": "x" * 50_000}):
        with pytest.raises(InvalidInput, match="direct route reads everything at once"):
            await ask(graph, input, config)


async def test_a_foreign_reference_is_refused(corpus: Corpus, ask: Ask) -> None:
    with pytest.raises(ContextMissing):
        await ask(smart(scripted([]), corpus), {**LOOK_UP, "context": ContextStore().put("elsewhere")})


@pytest.mark.parametrize("input", [{}, {"question": " "}, {"messages": []}])
async def test_an_empty_question_is_refused(input: Any, corpus: Corpus, ask: Ask) -> None:
    with pytest.raises(InvalidInput, match="question"):
        await ask(smart(scripted([]), corpus), input)


@pytest.mark.parametrize("route", ["direct", "rag", "rlm"])
async def test_a_structured_answer_comes_from_every_route(route: str, tmp_path: Path, ask: Ask) -> None:
    schema = {"type": "object", "properties": {"town": {"type": "string"}}, "required": ["town"]}
    roles = by_role(reader=SUPPORTED, root=lambda text, n: cell("FINAL({'town': 'Paris'})"))

    def reply(messages: Any) -> Any:
        return '{"town": "Paris"}' if messages[0].text.startswith("You put") else roles(messages)

    with make_corpus(tmp_path / "index", {"anna.txt": "Anna lives in Paris."}) as small:
        graph = smart(scripted(reply), small, response_format=schema)
        done = await ask(graph, LOOK_UP, {"configurable": {"rlm": {"route": route}}})
    assert done["structured_response"] == {"town": "Paris"}
