"""A spec, its YAML and its Python are the same graph."""

from __future__ import annotations

import hashlib
import json
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from langchain_core.messages import BaseMessage

from langgraph_rlm import GraphSpec, create_graph
from langgraph_rlm.errors import RLMError
from langgraph_rlm.specs.python import langgraph_json
from tests.specs import EXAMPLE, FULL
from tests.support import scripted
from tests.unit.specs.generated import VALUES, specs


def answer(messages: list[BaseMessage]) -> str:
    """A pure function of the prompt, in the shape that it asks for."""
    number = int(hashlib.sha256(messages[-1].text.encode()).hexdigest()[:4], 16)
    if "JSON schema" in messages[-1].text:
        return json.dumps({"n": number, "words": [f"w{number}"]})
    return f"answer {number}"


def outcome(graph: Any) -> tuple[Any, ...]:
    """What comes of a graph, or the error, and every prompt."""
    try:
        result = graph.invoke(VALUES)
    except RLMError as error:
        return type(error).__name__, str(error).split("\n")[0]
    usage = result.pop("usage")
    return result, usage["calls"], usage["input_tokens"]


def exported(text: str) -> Any:
    module: dict[str, Any] = {}
    exec(compile(text, "graph.py", "exec"), module)
    return module["create_graph"]


def check_same(data: dict[str, Any]) -> None:
    spec = GraphSpec.of(data)
    again = GraphSpec.from_yaml(spec.to_yaml())
    assert again == spec
    models = {"small": scripted(answer), "large": scripted(answer)}
    wanted = outcome(create_graph(spec, models=models))
    assert outcome(create_graph(again, models=models)) == wanted
    assert outcome(exported(spec.to_python())(models)) == wanted


SLOW = [HealthCheck.too_slow, HealthCheck.data_too_large]


@pytest.mark.slow
@settings(max_examples=200, suppress_health_check=SLOW)
@given(specs())
def test_a_spec_its_yaml_and_its_python_give_the_same(data: dict[str, Any]) -> None:
    check_same(data)


@settings(max_examples=40, suppress_health_check=SLOW)
@given(specs())
def test_some_specs_their_yaml_and_their_python_give_the_same(data: dict[str, Any]) -> None:
    check_same(data)


def test_the_exported_graph_has_the_same_nodes_and_edges() -> None:
    models = {"small": scripted(answer), "large": scripted(answer), "gpt-4o-mini": scripted(answer)}
    for text in (EXAMPLE, FULL):
        spec = GraphSpec.from_yaml(text)
        drawn = exported(spec.to_python())(models).get_graph().draw_mermaid()
        assert drawn == create_graph(spec, models=models).get_graph().draw_mermaid()


def test_nothing_that_a_spec_says_is_code_in_its_python() -> None:
    hostile = '"""\nimport os\nos.abort()\n"""' + "'''{__import__('os').abort()}\\"
    spec = GraphSpec.of(
        {
            "name": hostile,
            "inputs": {"q": {"type": "text", "description": hostile}},
            "steps": [
                {
                    "name": "a",
                    "model": hostile,
                    "prompt": hostile + "{{input.q}}" + hostile,
                    "input": {hostile: hostile},
                },
                {"name": "lambda", "tool": "reduce", "args": {"items": [hostile], "how": "join"}},
                {"name": "outputs_", "model": hostile, "prompt": hostile * 20, "each": "{{input.q}}"},
            ],
            "output": {"said": hostile + "{{a.text}}"},
        }
    )
    made = exported(spec.to_python({hostile: hostile}))
    assert made({hostile: scripted(lambda messages: "x")}).name == hostile
    assert list(langgraph_json(hostile)["graphs"].values()) == ["./graph.py:graph"]
