"""Patterns are read off the structure: each on its start, and lost with it; starts for every pattern and type."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from langgraph_rlm import GraphSpec, InvalidInput, create_graph
from langgraph_rlm.specs.patterns import PATTERNS, Pattern, Wish
from langgraph_rlm.specs.starts import inputs_of, start_of
from langgraph_rlm.specs.steps import Input
from tests.specs import EXAMPLE, FULL
from tests.support import scripted

TYPES = ("policy", "rlm", "verifier")
Data = dict[str, Any]


@pytest.mark.parametrize("graph_type", TYPES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_each_pattern_is_recognised_on_its_start_and_no_other(pattern: Pattern, graph_type: Any) -> None:
    if (pattern, graph_type) == ("rlm", "policy"):
        with pytest.raises(InvalidInput, match="none of the inputs is one"):
            start_of(pattern, graph_type, model="m")
        return
    assert start_of(pattern, graph_type, model="m").patterns() == {pattern}


@pytest.mark.parametrize("graph_type", TYPES)
@pytest.mark.parametrize("pattern", PATTERNS)
def test_each_start_runs(pattern: Pattern, graph_type: Any) -> None:
    values = {
        "policy": {"question": "How many?", "documents": "one\ntwo\n"},
        "rlm": {"question": "How many ones?", "documents": "one\ntwo\n" * 100},
        "verifier": {"rubric": "It says one.", "trace": [{"event_type": "say", "text": "one"}]},
    }[graph_type]
    inputs = (
        {"question": Input(type="text"), "documents": Input(type="context")}
        if pattern == "rlm" and graph_type == "policy"
        else None
    )
    spec = start_of(pattern, graph_type, model="m", inputs=inputs)

    def reply(messages: list[Any]) -> str:
        if "JSON schema" not in messages[-1].text:
            return "noted"
        return json.dumps({"score": 0.5, "reason": "so"} if graph_type == "verifier" else {"answer": "two"})

    result = create_graph(spec, models={"m": scripted(reply)}).invoke(values)
    assert result["score" if graph_type == "verifier" else "answer"] in (0.5, "two")
    assert GraphSpec.from_yaml(spec.to_yaml()) == spec


def without_search(data: Data) -> None:
    data["steps"] = [step for step in data["steps"] if step["name"] != "find"]
    data["steps"][-1]["input"].pop("sections")


def unmapped(data: Data) -> None:
    step = next(step for step in data["steps"] if "each" in step)
    del step["each"]
    step["input"] = {"question": "{{input.question}}"}
    data["steps"][-2]["args"]["items"] = ["x"]


def unread(data: Data) -> None:
    data["steps"][-1]["input"].pop("thoughts")


def one_digest(data: Data) -> None:
    data["steps"][-1]["input"].pop("doubts")


def a_second_call(data: Data) -> None:
    data["steps"].insert(0, {"name": "first", "model": "m", "prompt": "x"})
    data["steps"][-1]["input"]["first"] = "{{first.text}}"


@pytest.mark.parametrize(
    ("pattern", "broken"),
    [
        ("rlm", without_search), ("map_reduce", unmapped), ("chain_of_thought", unread), ("digest_combine", one_digest),
        ("single_shot", a_second_call),
    ],
)  # fmt: skip
def test_a_pattern_is_lost_when_its_structure_goes(pattern: Pattern, broken: Callable[[Data], None]) -> None:
    data = start_of(pattern, "rlm", model="m").data()
    broken(data)
    assert pattern not in GraphSpec.of(data).patterns()


def test_names_and_prompts_are_not_believed() -> None:
    spec = GraphSpec.from_yaml(
        "- {name: map_reduce, model: rlm, prompt: 'digest_combine chain_of_thought {{input.rlm}}'}"
    )
    assert spec.patterns() == {"single_shot"}


def test_patterns_of_other_graphs() -> None:
    assert GraphSpec.from_yaml(EXAMPLE).patterns() == {"rlm"}
    assert GraphSpec.from_yaml(FULL).patterns() == {"rlm", "map_reduce"}
    assert GraphSpec.from_yaml("- {name: a, rlm: {question: '{{input.q}}'}}").patterns() == {"rlm"}
    unread = "- {name: s, tool: materialize_context, args: {field_name: d}}\n- {name: f, tool: count, args: {pattern: x, file: d}}\n"
    assert GraphSpec.from_yaml(unread).patterns() == set()
    other = unread + "- {name: a, model: m, prompt: '{{input.q}}'}"
    assert GraphSpec.from_yaml(other).patterns() == {"single_shot"}


def test_a_wish_says_what_is_missing_and_which_tools_come_with_it() -> None:
    wish = Wish.of({"required": ["rlm"], "optional": ["map_reduce"], "prefer": []})
    assert wish.missing(GraphSpec.from_yaml(EXAMPLE).patterns()) == []
    assert wish.missing({"single_shot"}) == ["rlm"]
    assert {"materialize_context", "local_grep", "local_search", "query_lm"} <= set(wish.tools("policy"))
    assert "codex_exec" not in wish.tools("rlm")
    assert "codex_exec" in wish.tools("rlm", shell=True)
    assert "local_grep" not in Wish().tools("policy")
    assert "vector_retrieve" in Wish().tools("policy", corpus=True)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"required": ["rml"]}, "did you mean 'rlm'"),
        ({"require": []}, "did you mean 'required'"),
        ({"prefer": "rlm"}, "a list of names"),
        (["rlm"], "a mapping"),
        ({"required": ["single_shot", "rlm"]}, "is one call"),
    ],
)  # fmt: skip
def test_wishes_that_cannot_be_are_refused(given: Any, words: str) -> None:
    with pytest.raises(InvalidInput, match=words):
        Wish.of(given)


def test_context_fields_come_by_mark_by_size_by_window_and_else_by_length() -> None:
    values = {"question": "Why?", "documents": "x" * 500}
    fields = [{"name": "question", "type": "text"}, {"name": "documents", "type": "context"}]
    for given, words in (
        ({"fields": fields}, "the schema says so"),
        ({"window_tokens": 50}, "do not fit the model's window"),
        ({"graph_type": "rlm"}, "it is the longest text"),
    ):  # fmt: skip
        inputs, told = inputs_of(values, **given)  # type: ignore[arg-type]
        assert (inputs["question"].type, inputs["documents"].type) == ("text", "context")
        assert words in told[0]
    inputs, told = inputs_of({**values, "documents": "x" * 4_000_000})
    assert inputs["documents"].type == "context"
    assert "4,000,000 are the threshold" in told[0]
    inputs, told = inputs_of({"q": "?", "log": "x" * 4_000_000}, fields=[{"name": "log", "type": "text"}])
    assert inputs["log"].type == "context"
    assert "it is named as text, but" in told[0]
    assert inputs_of(values) == ({"question": Input(type="text"), "documents": Input(type="text")}, [])
    assert inputs_of({"trace": [], "n": 1}, "verifier")[0] == {"trace": Input(type="trace"), "n": Input(type="number")}
    with pytest.raises(InvalidInput, match="none of the inputs is a text"):
        inputs_of({"n": 1}, "rlm")
