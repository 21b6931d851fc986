"""The limits of a run: it stops there, says so, and leaves nothing running."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from langgraph_rlm import Limits, create_rlm
from langgraph_rlm.errors import LimitReached
from langgraph_rlm.testing import ScriptedModel
from tests.support import Ask, WatchedFactory, by_role, cell, make_corpus, scripted, text_of

ASK = {"question": "Which?", "context": "some text"}


def make(root: Any, sub: Any = None, **options: Any) -> Any:
    given = {"sandbox": "unsafe", **options}
    if sub is not None:
        given["sub_model"] = sub if isinstance(sub, ScriptedModel) else scripted(sub)
    return create_rlm(root if isinstance(root, ScriptedModel) else scripted(root), **given)


def endless(messages: Any) -> str:
    """A root model that never submits."""
    return cell("x = globals().get('x', 0) + 1", "print('step', x)")


async def test_at_the_last_turn_the_model_is_told_and_then_asked_for_its_best(ask: Ask) -> None:
    model = scripted([cell("print(1)"), cell("print(2)"), "My best guess is seven."])
    done = await ask(make(model, limits=Limits(max_turns=2)), ASK)
    assert done["stop_reason"] == "turns"
    assert done["answer"].startswith("Partial answer (all turns are used): ")
    assert "My best guess is seven." in done["answer"]
    assert "last turn" not in model.requests[0][-1].text
    assert "last turn" in model.requests[1][-1].text
    assert len(done["turns"]) == 2
    assert done["usage"]["calls"] == 3


async def test_a_draft_in_the_answer_variable_is_the_best_there_is(ask: Ask) -> None:
    model = scripted([cell("answer['content'] = 'so far: five'"), cell("x = 1")])
    done = await ask(make(model, limits=Limits(max_turns=2)), ASK)
    assert done["answer"] == "Partial answer (all turns are used): so far: five"
    assert len(model.requests) == 2


async def test_the_calls_of_root_and_sub_model_count_together(ask: Ask) -> None:
    sub = scripted(lambda messages: "ok")
    model = scripted([cell("r = llm_query_batched(['a'] * 10)", "print(sum(1 for x in r if x))"), cell("FINAL(1)")])
    done = await ask(make(model, sub, limits=Limits(max_calls=6)), ASK)
    assert done["turns"][0]["output"] == "5\n(llm_query: 5 of 10 answered; failed: 5 budget)\n"
    assert done["stop_reason"] == "budget"
    assert done["usage"]["calls"] == 6 == len(model.requests) + len(sub.requests)


async def test_tokens_are_limited(ask: Ask) -> None:
    model = scripted(endless, usage={"input_tokens": 900, "output_tokens": 100, "total_tokens": 1000})
    done = await ask(make(model, limits=Limits(max_tokens=20_000)), ASK)
    assert done["stop_reason"] == "budget"
    assert 8_000 <= done["usage"]["input_tokens"] + done["usage"]["output_tokens"] <= 20_000
    assert "step" in done["answer"]


async def test_money_is_limited_where_a_price_is_known(ask: Ask) -> None:
    usage = {"input_tokens": 100_000, "output_tokens": 10_000, "total_tokens": 110_000}
    model = ScriptedModel(endless, name="gpt-4o-mini", usage=usage)  # 0.021 USD a call
    done = await ask(make(model, limits=Limits(max_cost_usd=0.05)), ASK)
    assert done["stop_reason"] == "budget"
    # This server bills more tokens than the prompt has bytes, which no bound can foresee: one call goes over.
    assert done["usage"]["calls"] == 3
    assert done["usage"]["cost_usd"] == pytest.approx(0.063)


async def test_a_budget_of_nothing_asks_nobody(ask: Ask) -> None:
    model = scripted([])
    done = await ask(make(model, limits=Limits(max_calls=0)), ASK)
    assert done["stop_reason"] == "budget"
    assert done["answer"] == "No answer was found (the budget is used up)."
    assert model.requests == []


@pytest.mark.parametrize(
    "loop", ["while True: pass", "try:\n    while True: pass\nexcept BaseException:\n    while True: pass"]
)
async def test_an_endless_cell_ends_with_the_runs_time_and_leaves_no_process(loop: str, ask: Ask) -> None:
    factory = WatchedFactory()
    model = scripted([cell(loop)])
    done = await ask(make(model, limits=Limits(max_seconds=1.0), sandbox=factory), ASK)
    assert done["stop_reason"] == "deadline"
    assert done["answer"].startswith("No answer was found (the time is over)")
    assert done["turns"][-1]["killed"]
    assert len(factory.started) == 1
    assert factory.alive == []


async def test_an_endless_cell_alone_is_told_to_the_model_and_its_variables_stay(ask: Ask) -> None:
    model = scripted([cell("x = 5", "while True: pass"), cell("FINAL(x)")])
    done = await ask(make(model, limits=Limits(cell_timeout=0.5)), ASK)
    assert (done["answer"], done["stop_reason"]) == ("5", "answered")
    assert "TimeoutError" in done["turns"][0]["error"]


async def test_a_cell_that_kills_its_repl_loses_only_itself(ask: Ask) -> None:
    model = scripted(
        [cell("x = llm_query('paid')"), cell("import os", "os._exit(3)"), cell("FINAL([x, 'y' in globals()])")]
    )
    sub = scripted(["answer"])
    done = await ask(make(model, sub), ASK)
    assert done["answer"] == '["answer", false]'
    assert [turn["killed"] for turn in done["turns"]] == [False, True, False]
    assert len(sub.requests) == 1


@pytest.mark.parametrize(
    ("limits", "reason", "told"),
    [
        (Limits(max_turns=1), "turns", "max_turns"),
        (Limits(max_calls=1), "budget", "max_calls"),
        (Limits(max_seconds=0.4), "deadline", "max_seconds"),
    ],
)
async def test_a_run_can_be_made_to_raise_at_its_limit(limits: Limits, reason: str, told: str, ask: Ask) -> None:
    factory = WatchedFactory()
    slow = cell("import time", "time.sleep(30)") if reason == "deadline" else cell("x = 1")
    graph = make(lambda messages: slow, limits=limits, on_limit="raise", sandbox=factory)
    with pytest.raises(LimitReached) as raised:
        await ask(graph, ASK)
    assert raised.value.stop_reason == reason
    assert told in raised.value.limit
    assert factory.alive == []


async def test_a_request_may_narrow_the_limits(ask: Ask) -> None:
    graph = make(endless, limits=Limits(max_turns=10, max_calls=None))
    done = await ask(graph, ASK, {"configurable": {"rlm": {"limits": {"max_turns": 2, "max_calls": 2}}}})
    assert len(done["turns"]) == 2


async def test_a_request_cannot_widen_the_limits(ask: Ask) -> None:
    graph = make(endless, limits=Limits(max_turns=2, max_calls=3))
    wide = {"limits": {"max_turns": 100, "max_calls": None, "max_cost_usd": None, "max_seconds": None}}
    done = await ask(graph, ASK, {"configurable": {"rlm": wide}})
    assert len(done["turns"]) == 2
    assert done["usage"]["calls"] == 3


async def test_what_is_left_is_shown_each_turn(ask: Ask) -> None:
    model = scripted([cell("x = 1"), cell("FINAL(x)")])
    await ask(make(model, limits=Limits(max_turns=7, max_calls=9)), ASK)
    assert "turn 1 of 7" in model.requests[0][-1].text
    assert "calls 9 of 9" in model.requests[0][-1].text
    assert "calls 8 of 9" in model.requests[1][-1].text


async def test_a_failing_root_model_after_its_turns_still_gives_the_best_there_is(ask: Ask) -> None:
    model = scripted([cell("print('found: 3')"), ValueError("down")])
    done = await ask(make(model, limits=Limits(max_turns=1)), ASK)
    assert done["stop_reason"] == "turns"
    assert "found: 3" in done["answer"]


# --- children -----------------------------------------------------------------------------------------------------

DEEP = Limits(max_depth=2)


def task_in(messages: Any) -> str:
    """QUESTION of the first message to a root model."""
    return messages[1].text.split("\n")[1]


async def test_children_have_a_repl_and_a_context_of_their_own_and_answer_in_order(ask: Ask) -> None:
    factory = WatchedFactory()

    def root(messages: Any) -> str:
        if task_in(messages) == "Which?":
            return cell(
                "secret = 'parent'",
                "FINAL(rlm_query_batched(['first', 'second', 'third'], ['aaa', ['b', 'b'], {'k': 'c'}]))",
            )
        return cell("FINAL([str(context), 'secret' in globals()])")

    done = await ask(make(root, [], limits=DEEP, sandbox=factory), ASK)
    assert done["answer"] == """[["aaa", false], ["['b', 'b']", false], ["{'k': 'c'}", false]]"""
    assert len(factory.started) == 4
    assert factory.alive == []
    assert done["usage"]["calls"] == 4


async def test_a_child_without_context_has_its_prompt_as_context(ask: Ask) -> None:
    prompt = "Count the words. " + "word " * 5_000

    model = scripted(
        lambda messages: (
            cell(f"FINAL(rlm_query({prompt!r}))") if task_in(messages) == "Which?" else cell("FINAL(len(context))")
        )
    )
    done = await ask(make(model, limits=DEEP), ASK)
    assert done["answer"] == str(len(prompt))
    assert len(text_of(model.requests[1])) < 15_000


async def test_a_child_asks_the_sub_model_where_no_deeper_child_is_allowed(ask: Ask) -> None:
    def root(messages: Any) -> str:
        if task_in(messages) == "Which?":
            return cell("FINAL(rlm_query('deeper', 'text'))")
        return cell("FINAL('child got ' + rlm_query('deepest', 'more text'))")

    sub = scripted(["sub-model's answer"])
    done = await ask(make(root, sub, limits=DEEP), ASK)
    assert done["answer"] == "child got sub-model's answer"
    assert sub.requests[0][-1].text == "deepest\n\nmore text"


async def test_without_depth_rlm_query_is_answered_by_the_sub_model(ask: Ask) -> None:
    sub = scripted(["direct"])
    done = await ask(make([cell("FINAL(rlm_query('task', 'text'))")], sub), ASK)
    assert done["answer"] == "direct"


async def test_children_share_the_budget_of_the_run(ask: Ask) -> None:
    def root(messages: Any) -> str:
        if task_in(messages) == "Which?":
            return cell("found = rlm_query_batched(['a', 'b'])", "print([type(f).__name__ for f in found])", "FINAL(1)")
        return cell("x = 1")  # never submits

    done = await ask(make(root, [], limits=Limits(max_depth=2, max_calls=7)), ASK)
    assert done["answer"] == "1"
    assert done["turns"][0]["output"] == "['CallError', 'CallError']\n(rlm_query: 0 of 2 answered; failed: 2 budget)\n"
    assert done["usage"]["calls"] == 7


async def test_a_child_that_fails_is_a_value_and_its_siblings_answers_stay(ask: Ask) -> None:
    def root(messages: Any) -> Any:
        task = task_in(messages)
        if task == "Which?":
            return cell(
                "FINAL([str(x) if x else type(x).__name__ for x in rlm_query_batched(['good', 'bad', 'mute'])])"
            )
        return {"good": cell("FINAL('fine')"), "bad": ValueError("model down"), "mute": "just words"}[task]

    done = await ask(make(root, [], limits=DEEP), ASK)
    assert done["answer"] == '["fine", "CallError", "CallError"]'


async def test_an_endless_child_ends_with_the_runs_time(ask: Ask) -> None:
    factory = WatchedFactory()

    def root(messages: Any) -> str:
        return cell("FINAL(rlm_query('loop'))") if task_in(messages) == "Which?" else cell("while True: pass")

    graph = make(root, [], limits=Limits(max_depth=2, max_seconds=1.5), sandbox=factory)
    done = await ask(graph, ASK)
    assert done["stop_reason"] == "deadline"
    assert len(factory.started) == 2
    assert factory.alive == []


async def test_a_child_is_not_paid_again_when_its_parents_cells_run_again(ask: Ask) -> None:
    factory = WatchedFactory()

    def root(messages: Any) -> Any:
        if task_in(messages) != "Which?":
            return cell("import random", "print(random.random())") if len(messages) == 2 else cell("FINAL('child')")
        if len(messages) == 2:
            return cell("a = rlm_query('task')")
        factory.lose_all()
        return cell("FINAL(a)")

    model = scripted(root)
    done = await ask(make(model, [], limits=DEEP, sandbox=factory), ASK)
    assert done["answer"] == "child"
    assert len(model.requests) == 4
    assert len(factory.started) == 3


async def test_events_of_children_carry_their_depth_and_path() -> None:
    def root(messages: Any) -> str:
        return cell("FINAL(rlm_query('t'))") if task_in(messages) == "Which?" else cell("FINAL('c')")

    graph = make(root, [], limits=DEEP)
    events = [event async for event in graph.astream(ASK, stream_mode="custom")]
    assert all(event["type"] == "rlm" for event in events)
    kinds = ("child_start", "child_end", "think", "call_start", "cell_start", "cell_end", "answer")
    seen = [(e["event"], e["depth"], len(e["path"]), e["turn"]) for e in events if e["event"] in kinds]
    assert seen == [
        ("think", 0, 0, 1),
        ("call_start", 0, 0, 1),
        ("cell_start", 0, 0, 1),
        ("child_start", 1, 1, 0),
        ("think", 1, 1, 1),
        ("call_start", 1, 1, 1),
        ("cell_start", 1, 1, 1),
        ("cell_end", 1, 1, 1),
        ("child_end", 1, 1, 0),
        ("cell_end", 0, 0, 1),
        ("answer", 0, 0, 0),
    ]


async def test_no_more_children_are_alive_at_once_than_calls_may_be_in_flight(ask: Ask) -> None:
    alive, most = 0, 0
    lock = threading.Lock()

    class Counting(WatchedFactory):
        def start(self, *args: Any) -> Any:
            nonlocal alive, most
            with lock:
                alive += 1
                most = max(most, alive)
            repl = super().start(*args)
            close = repl.close

            def closed() -> None:
                nonlocal alive
                with lock:
                    alive -= repl.alive
                close()

            repl.close = closed  # type: ignore[method-assign]
            return repl

    def reply(messages: Any) -> str:
        if "top" in messages[1].text:
            return cell("FINAL(rlm_query_batched(['child'] * 12, [str(i) for i in range(12)]))")
        return cell("FINAL(context)")

    factory = Counting()
    graph = make(reply, sandbox=factory, limits=Limits(max_depth=2, max_concurrency=3))
    done = await ask(graph, {"question": "top", "context": "t"})
    assert done["answer"] == str([str(i) for i in range(12)]).replace("'", '"')
    assert len(factory.started) == 13
    assert most <= 1 + 3


async def test_a_fork_with_another_filter_is_not_given_the_answers_of_its_children_under_the_first(
    tmp_path: Path, ask: Ask
) -> None:
    def reply(messages: Any) -> str:
        if "top" in messages[1].text:
            return cell("FINAL(rlm_query('child'))")
        return cell("FINAL([d['doc_id'] for d in list_documents() if d['doc_id'] != 'context'])")

    texts: dict[str, Any] = {"a.md": ("alpha", {"t": 1}), "b.md": ("beta", {"t": 2})}
    with make_corpus(tmp_path / "index", texts) as corpus:
        graph = make(
            reply, corpus=corpus, limits=Limits(max_depth=2), checkpointer=InMemorySaver(), strategy="director"
        )

        def asked(tenant: int, **more: Any) -> Any:
            return {"configurable": {"thread_id": "x", "rlm": {"where": {"t": tenant}}, **more}}

        assert (await ask(graph, {"question": "top"}, asked(1)))["answer"] == '["a.md"]'
        before = next(s for s in graph.get_state_history(asked(1)) if s.next == ("execute",))
        place = before.config["configurable"]["checkpoint_id"]
        assert (await ask(graph, None, asked(2, checkpoint_id=place)))["answer"] == '["b.md"]'


NOTHING = [
    "I'm sorry, but I can't assist with that.",
    "1",
    "```python\nprint(grep('x'))\n```",
    "Es tut mir leid, aber dabei kann ich nicht helfen.",
    "I could not find the answer.",
    "",
]


@pytest.mark.parametrize("said", NOTHING)
async def test_what_answers_nothing_is_never_given_as_a_partial_answer(said: str, ask: Ask) -> None:
    def reply(text: str, number: int) -> str:
        return said if "No turns are left" in text else f"Perhaps so.\n{cell(f'print(len(context) + {number})')}"

    graph = create_rlm(scripted(by_role(root=reply)), sandbox="unsafe", limits=Limits(max_turns=2))
    done = await ask(graph, {"question": "What is the sky?", "context": "The sky is green."})
    assert done["answer"] == "No answer was found (all turns are used).\nThe best evidence so far:\n- 18"
    assert (done["found"], done["stop_reason"], done["structured_response"]) == (False, "turns", None)


@pytest.mark.parametrize("said", NOTHING[:1] + NOTHING[3:5])
async def test_refusals_again_and_again_are_no_answer(said: str, ask: Ask) -> None:
    graph = create_rlm(scripted(lambda messages: said), sandbox="unsafe")
    done = await ask(graph, {"question": "What is the sky?", "context": "The sky is green."})
    assert done["answer"].startswith("No answer was found")
    assert (done["found"], done["stop_reason"]) == (False, "error")


async def test_a_run_without_an_answer_shows_what_it_has_cited(ask: Ask) -> None:
    model = scripted(lambda messages: cell("cite('context', 4, 16)"))
    graph = create_rlm(model, sandbox="unsafe", limits=Limits(max_calls=1))
    done = await ask(graph, {"question": "What is the sky?", "context": "The sky is green."})
    assert (
        done["answer"]
        == "No answer was found (the budget is used up).\nThe best evidence so far:\n- context:1: sky is green"
    )
    assert done["citations"][0]["verified"]
