"""Whole runs with replies as real models write them: drafts in thoughts, invented outputs, expressions behind a cell."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from langchain_core.documents import Document

from langgraph_rlm import Corpus, Limits, SmartRouter, create_rag, create_rlm
from langgraph_rlm.testing import ScriptedModel
from tests.unit.graphs.replies_as_written import REPLIES

TEXT = "The sky is green. Total: 73"
SUBMITTED = "```repl\nFINAL('asked again')\n```"


@pytest.fixture(params=["auto", "monty"])
def sandbox(request: pytest.FixtureRequest) -> str:
    return str(request.param)


def answer_of(replies: list[Any], sandbox: str, **limits: Any) -> dict[str, Any]:
    graph = create_rlm(ScriptedModel(replies), sandbox=sandbox, limits=Limits(max_cost_usd=None, **limits))  # type: ignore[arg-type]
    done: dict[str, Any] = graph.invoke({"question": "What is the total?", "context": TEXT})
    return done


@pytest.mark.parametrize(
    ("code", "line", "answer"),
    [
        ("n = 3", "FINAL(str(n))", "3"),
        ("n = 3", 'FINAL(f"There are {n} errors")', "There are 3 errors"),
        ("n = 3", "FINAL(n + 1)", "4"),
        ("d = {'total': 3}", "FINAL(d['total'])", "3"),
        ("xs = ['a', 'b']", "FINAL(', '.join(xs))", "a, b"),
        ("n = 3", "FINAL(Paris)", "Paris"),
        ("n = 3", "FINAL(not found)", "not found"),
        ("n = 3", "FINAL(README.md)", "README.md"),
        ("n = 3", "FINAL(The answer is 42)", "The answer is 42"),
        ("n = 3", "**FINAL(n)**", "3"),
        ("n = 3", "FINAL(\n  n\n)", "3"),
        ("report = 'It is green.'", "FINAL_VAR(report)", "It is green."),
        ("report = 'It is green.'\nFINAL_VAR(report)", "Done.", "It is green."),
        ("n = 3", "FINAL(result)", "asked again"),
        ("n = 3", 'FINAL(f"{m}")', "asked again"),
        ("n = 3", "FINAL(grep)", "asked again"),
    ],
)
def test_what_is_spoken_behind_a_cell_is_evaluated(code: str, line: str, answer: str, sandbox: str) -> None:
    assert answer_of([f"```repl\n{code}\n```\n{line}", SUBMITTED], sandbox)["answer"] == answer


def test_a_missing_name_is_told(sandbox: str) -> None:
    model = ScriptedModel(["```repl\nn = 3\n```\nFINAL(result)", SUBMITTED])
    create_rlm(model, sandbox=sandbox).invoke({"question": "?", "context": TEXT})  # type: ignore[arg-type]
    assert "'result' is not defined" in model.requests[1][-1].text


IMAGINED = [
    "```repl\nprint(context[-9:])\n```\nOutput: `Total: 500`\n```repl\nFINAL('500')\n```",
    "```repl\nprint(context[-9:])\n```\nThe output shows that the total is 500.\n\nFINAL(500)",
    "```repl\nprint(context[-9:])\nFINAL('500')\n```",
    "```repl\nprint(context[-9:])\n```\n```output\nTotal: 500\n```\n```repl\ntotal = 500\nFINAL(f'It is {total}')\n```",
    "```repl\ncontext[-9:]\n```\nFINAL(The total is 500.)",
]


@pytest.mark.parametrize("reply", IMAGINED)
def test_an_imagined_answer_is_held_back_and_the_output_is_shown(reply: str, sandbox: str) -> None:
    model = ScriptedModel([reply, "```repl\nFINAL('73')\n```"])
    done = create_rlm(model, sandbox=sandbox).invoke({"question": "What is the total?", "context": TEXT})  # type: ignore[arg-type]
    assert (done["answer"], done["stop_reason"]) == ("73", "answered")
    assert "Total: 73" in model.requests[1][-1].text
    assert "was not taken yet" in model.requests[1][-1].text
    assert "Total: 500" not in model.requests[1][-2].text  # what it had made up


@pytest.mark.parametrize("reply", IMAGINED)
def test_it_is_held_back_once(reply: str, sandbox: str) -> None:
    done = answer_of([reply, reply], sandbox)
    assert "500" in done["answer"]
    assert done["usage"]["calls"] == 2


@pytest.mark.parametrize("limits", [{"max_turns": 1}, {"max_calls": 1}])
def test_it_is_not_held_back_when_no_turn_is_left(limits: dict[str, int], sandbox: str) -> None:
    assert answer_of([IMAGINED[0]], sandbox, **limits)["answer"] == "500"


def test_a_computed_answer_beside_an_output_is_taken_at_once(sandbox: str) -> None:
    done = answer_of(["```repl\ntotal = int(context[-2:])\nprint(total)\n```\nFINAL(total)"], sandbox)
    assert done["answer"] == "73"


def test_an_answer_that_an_earlier_output_showed_is_taken_at_once(sandbox: str) -> None:
    done = answer_of(["```repl\nprint(context[-9:])\n```", "```repl\nprint(len(context))\nFINAL('73')\n```"], sandbox)
    assert (done["answer"], done["usage"]["calls"]) == ("73", 2)


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, (_, cells) in REPLIES.items() if cells])
def test_every_shape_runs(name: str, sandbox: str) -> None:
    reply, cells = REPLIES[name]
    replies = [f"```repl\n{'parts, total, n, x, y = [], 4, 5, 6, 7'}\n```", reply, SUBMITTED, SUBMITTED]
    done = answer_of(replies, sandbox)
    assert done["stop_reason"] == "answered"
    assert done["turns"][1]["code"] == cells[0]


# --- thoughts, wherever a reply is taken ---

THOUGHT = "<think>\nPerhaps blue:\n```repl\nFINAL('blue')\n```\n{\"a\": 9} NOT IN THE PASSAGES, no.\n</think>\n"


@pytest.fixture
def corpus(tmp_path: Path) -> Corpus:
    corpus = Corpus.open(f"chroma:{tmp_path}")
    corpus.add(
        [
            Document(id="a.md", page_content="Parental leave is 16 weeks.\n"),
            Document(id="b.md", page_content="Trains go first.\n"),
        ]
    )
    return corpus


def test_a_draft_in_a_thought_is_not_run(sandbox: str) -> None:
    assert answer_of([f"{THOUGHT}```repl\nFINAL(context[11:16])\n```"], sandbox)["answer"] == "green"


def test_a_reply_that_is_all_thought_holds_no_cell(sandbox: str) -> None:
    model = ScriptedModel(["<think>\n```repl\nFINAL('blue')\n```\nor not", SUBMITTED])
    done = create_rlm(model, sandbox=sandbox).invoke({"question": "?", "context": TEXT})  # type: ignore[arg-type]
    assert done["answer"] == "asked again"
    assert "held no cell" in model.requests[1][-1].text


def test_a_sub_models_thoughts_reach_no_cell(sandbox: str) -> None:
    asked = "```repl\nFINAL([llm_query('colour?'), llm_query('how many?', schema={'type': 'object'})])\n```"
    assert answer_of([asked, f"{THOUGHT}Green", f'{THOUGHT}{{"a": 3}}'], sandbox)["answer"] in (
        '["Green", {"a": 3}]',
        '["Green", {"a": 3.0}]',
    )


def test_a_readers_thoughts_stand_in_no_answer(corpus: Corpus) -> None:
    reply = f'{THOUGHT}Leave is 16 weeks [1].\nQUOTES\n[1] "Parental leave is 16 weeks."'
    done = create_rag(ScriptedModel([reply]), corpus=corpus).invoke({"question": "How long is parental leave?"})
    assert done["answer"] == "Leave is 16 weeks [1]."
    assert [citation["verified"] for citation in done["citations"]] == [True]


def test_graders_and_shapes_are_read_behind_thoughts(corpus: Corpus) -> None:
    reader = 'Leave is 16 weeks [1].\nQUOTES\n[1] "Parental leave is 16 weeks."'
    grader = ScriptedModel([f'{THOUGHT}{{"supported": true}}'])
    schema = {"type": "object", "properties": {"weeks": {"type": "integer"}}, "required": ["weeks"]}
    model = ScriptedModel([reader, f'{THOUGHT}{{"weeks": 16}}'])
    graph = create_rag(model, corpus=corpus, grader=grader, response_format=schema)
    done = graph.invoke({"question": "How long is parental leave?"})
    assert done["structured_response"] == {"weeks": 16}
    assert done["grade"]["reasons"] == ["the grader finds every claim in the passages"]


def test_a_routers_verdict_is_read_behind_thoughts(corpus: Corpus) -> None:
    classifier = ScriptedModel([f'{THOUGHT}{{"route": "rlm", "confidence": 0.99, "reason": "it counts"}}'])
    router = SmartRouter(corpus=corpus, classifier=classifier)
    assert "it counts" in " ".join(router.decide("How long is parental leave, and how often is it named?")["reasons"])


def test_a_follow_up_is_condensed_without_thoughts(corpus: Corpus) -> None:
    reader = 'Leave is 16 weeks [1].\nQUOTES\n[1] "Parental leave is 16 weeks."'
    model = ScriptedModel([f"{THOUGHT}How long is parental leave?", reader])
    messages = [("human", "Hello"), ("ai", "Hello."), ("human", "And how long is it?")]
    create_rag(model, corpus=corpus).invoke({"messages": messages})
    assert "think" not in model.requests[1][-1].text.lower()


@pytest.mark.parametrize("reply", ["", "<think>hm", "I'm sorry, but I can't assist with that."])
def test_a_reader_that_answers_nothing_has_found_nothing(reply: str, corpus: Corpus) -> None:
    done = create_rag(ScriptedModel([reply] * 3), corpus=corpus).invoke({"question": "How long is parental leave?"})
    assert done["answer"]
    assert done["citations"] == []
