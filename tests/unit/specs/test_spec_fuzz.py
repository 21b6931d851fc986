"""Whatever a stranger writes is a spec or an ``InvalidSpec``, and whatever it fills in stays data."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm import GraphSpec, InvalidInput, InvalidSpec, create_graph
from langgraph_rlm.specs.templates import filled, look_up, paths_in
from tests.specs import EXAMPLE, FULL
from tests.support import scripted

PIECES = st.sampled_from(
    ["{{", "}}", "{{input.documents}}", "{{store.__class__}}", "!!python/name:os.system", "&a ", "*a", "[", "]", "{", "}", ":", "\n", "  ",
     "- ", "'", '"', "\t", "\x00", "\ud800", "|", ">", "#", "?", "%YAML 9.9\n", "---\n", "...\n", "<<: ", "1e999", "null", "each: ", "when: ",
     "tool: codex_exec\n", "file: /etc/passwd\n", "é", "\u2028", "\U0001f600", "0" * 30],
)  # fmt: skip


@st.composite
def mutated(draw: Any) -> str:
    """A spec with some pieces put in and some parts taken out."""
    text = draw(st.sampled_from([EXAMPLE, FULL]))
    for _ in range(draw(st.integers(1, 6))):
        at = draw(st.integers(0, len(text)))
        end = min(len(text), at + draw(st.integers(0, 12)))
        text = text[:at] + draw(PIECES) + text[end:]
    return text


@given(st.one_of(mutated(), st.text(max_size=300)))
def test_any_text_is_a_spec_or_says_why_it_is_none(text: str) -> None:
    try:
        spec = GraphSpec.from_yaml(text)
    except InvalidSpec as error:
        assert error.problems
        assert all(one.message for one in error.problems)
        return
    assert GraphSpec.from_yaml(spec.to_yaml()) == spec
    compile(spec.to_python(), "graph.py", "exec")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(JSON)
def test_any_data_is_a_spec_or_says_why_it_is_none(data: Any) -> None:
    for given_data in (
        data,
        {"steps": data},
        [{"name": "a", "model": "m", "input": data, "prompt": "{{input.q}}"}],
        [{"name": "a", "tool": "count", "args": data}],
    ):
        try:
            spec = GraphSpec.of(given_data)
        except InvalidSpec:
            continue
        assert GraphSpec.from_yaml(spec.to_yaml()) == spec


@given(JSON, st.text(max_size=40))
def test_values_are_filled_in_once_and_never_read(value: Any, text: str) -> None:
    values = {"a": {"b": value, "c": "{{a.b}}"}}
    assert filled("{{a.b}}", values) == value
    assert filled("{{a.c}}", values) == "{{a.b}}"
    assert filled(f"{text} {{{{a.c}}}}", {"a": {"b": "", "c": "{{a.b}}"}}).endswith("{{a.b}}")


@pytest.mark.parametrize(
    "path", ["a.__class__", "a.b.__dict__", "a._x", "a.b()", "a['b']", "a.b.c.d.e.f.g.h.i.j.k.l", "a . b", "__import__"]
)
def test_paths_reach_nothing_but_data(path: str) -> None:
    assert list(paths_in(f"{{{{{path}}}}}")) == []


def test_attributes_of_values_cannot_be_looked_up() -> None:
    for path in ("a.real", "a.keys", "a.format"):
        with pytest.raises(InvalidInput):
            look_up(path, {"a": "text" if path.endswith("format") else 3 if path.endswith("real") else {}})


@pytest.mark.parametrize(
    "file", ["../x", "/etc/passwd", "store/../../etc/passwd", "~/.ssh/id_rsa", "file:///etc/passwd", "docs.txt/../../x"]
)
def test_no_step_opens_a_file_of_the_host(file: str) -> None:
    spec = (
        "- {name: store, tool: materialize_context, args: {field_name: documents, filename: docs.txt}}\n"
        f"- {{name: r, tool: read, args: {{file: '{file}'}}}}"
    )
    try:
        graph = create_graph(spec, models={"m": scripted([])})
    except InvalidSpec as error:
        assert "no step above stores a file" in str(error)
        return
    with pytest.raises(InvalidInput, match="there is no"):
        graph.invoke({"documents": "a text"})
