"""Schemas of cells: every check ends, says what is wrong, and means what jsonschema means."""

from __future__ import annotations

import json
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from langgraph_rlm.calls import schema_keywords
from langgraph_rlm.calls.schemas import ENTANGLED, check_schema, read_json
from langgraph_rlm.errors import InvalidInput

# --- the same verdicts as jsonschema's own keywords ------------------------------------------------------------------

NAMES = st.sampled_from(["a", "b", "ab", "c"])
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 2) | st.sampled_from([0.0, 1.0, 1.5]) | st.sampled_from(["", "a", "1"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)
PLAIN = st.sampled_from(
    [True, False, {}, {"type": "string"}, {"type": "integer"}, {"const": 1}, {"type": ["object", "array"]}]
)


def _combined(inner: Any) -> Any:
    named = st.dictionaries(NAMES, inner, max_size=2)
    several = st.lists(inner, min_size=1, max_size=2)
    return st.fixed_dictionaries(
        {},
        optional={
            "properties": named,
            "patternProperties": st.dictionaries(st.sampled_from(["^a", "b$"]), inner, max_size=1),
            "additionalProperties": inner,
            "unevaluatedProperties": inner,
            "unevaluatedItems": inner,
            "prefixItems": several,
            "contains": inner,
            "uniqueItems": st.booleans(),
            "allOf": several,
            "anyOf": several,
            "oneOf": several,
            "not": inner,
            "if": inner,
            "then": inner,
            "else": inner,
            "dependentSchemas": named,
            "$ref": st.just("#/$defs/d"),
        },
    )


SCHEMAS = st.recursive(PLAIN, _combined, max_leaves=6)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(SCHEMAS.filter(lambda schema: isinstance(schema, dict)), PLAIN, VALUES)
def test_a_value_is_taken_exactly_when_jsonschema_takes_it(schema: dict[str, Any], defined: Any, value: Any) -> None:
    schema = {**schema, "$defs": {"d": defined}}
    theirs = jsonschema.Draft202012Validator(schema).is_valid(value)
    found, problem = read_json(json.dumps(value), schema)
    assert (problem is None) == theirs
    assert found == (value if theirs else None)


@pytest.mark.parametrize(
    ("items", "unique"),
    [
        ([1, True], True), ([0, False], True), ([1, 1.0], False), ([[1], [True]], True), ([{"a": 1}, {"a": 1.0}], False),
        ([{"a": 1, "b": 2}, {"b": 2, "a": 1}], False), (["1", 1], True), ([None, False, 0, ""], True), ([[], {}], True),
        ([["a", 1], ["a", 1]], False),
    ],
)  # fmt: skip
def test_elements_are_equal_as_json_has_it(items: list[Any], unique: bool) -> None:
    assert (read_json(json.dumps(items), {"uniqueItems": True})[1] is None) == unique


def test_what_patterns_have_looked_at_counts_as_evaluated() -> None:
    schema = {"patternProperties": {"^(k+)+$": {}}, "unevaluatedProperties": False}
    check_schema(schema, "schema")
    assert read_json(json.dumps({"k" * 5_000: 1}), schema)[1] is None
    assert "'other' was unexpected" in str(read_json('{"other": 1}', schema)[1])


# --- checks that end ------------------------------------------------------------------------------------------------


def doubling(levels: int) -> dict[str, Any]:
    """Each level looks at the next one twice."""
    parts: dict[str, Any] = {"s0": {}}
    for i in range(1, levels + 1):
        parts[f"s{i}"] = {"dependentSchemas": {key: {"$ref": f"#/$defs/s{i - 1}"} for key in "ab"}}
    return {"unevaluatedProperties": False, "$defs": parts, "$ref": f"#/$defs/s{levels}", "properties": {"a": True}}


MANY = [{"i": i} for i in range(5_000)]


@pytest.mark.parametrize(
    ("schema", "value", "taken"),
    [
        ({"uniqueItems": True}, MANY, True),
        ({"uniqueItems": True}, [*MANY, {"i": 7}], False),
        ({"uniqueItems": True}, [[i, {}] for i in range(5_000)], True),
        ({"items": {"uniqueItems": True}}, [[{"i": i} for i in range(100)] for _ in range(100)], True),
        ({"unevaluatedItems": False, "contains": {"type": "object"}}, MANY, True),
        ({"unevaluatedProperties": False, "anyOf": [{"properties": {"k": {}}}] * 50}, {f"k{i}": 1 for i in range(500)}, False),
    ],
    ids=["unique", "all but one", "lists", "many lists", "items", "properties"],
)  # fmt: skip
def test_what_is_quadratic_elsewhere_is_checked_here(schema: dict[str, Any], value: Any, taken: bool) -> None:
    check_schema(schema, "schema")
    problem = read_json(json.dumps(value), schema)[1]
    assert problem != ENTANGLED and (problem is None) == taken


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        (doubling(40), {"a": 1, "b": 1}),
        ({"allOf": [{"items": {"allOf": [{"items": {}}] * 2_000}}] * 2_000}, [[1] * 1_000] * 1_000),
        ({"properties": {f"p{i}": {} for i in range(5_000)}, "items": {"$ref": "#"}}, [{}] * 5_000),
        ({"patternProperties": {f"^{i}": {} for i in range(3_000)}}, {f"k{i}": 1 for i in range(3_000)}),
        ({"pattern": "(.{1,300}){1,3}z"}, "a" * 4_000_000),
    ],
    ids=["doubling", "lists in lists", "properties", "patterns", "one pattern"],
)
def test_a_check_without_a_bound_of_its_own_is_given_up(
    schema: dict[str, Any], value: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(schema_keywords, "MOST_SECONDS", 600.0)  # the steps alone end it, on any machine
    monkeypatch.setattr(schema_keywords, "MOST_STEPS", 50_000)
    assert read_json(json.dumps(value), schema)[1] == ENTANGLED


def test_a_check_ends_by_its_time_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_keywords, "MOST_SECONDS", 0.0)
    assert read_json("[1]", {"items": {"type": "integer"}})[1] == ENTANGLED


def test_values_of_ordinary_size_are_within_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(schema_keywords, "MOST_SECONDS", 600.0)
    fields: dict[str, Any] = {f"f{i}": {"type": "string"} for i in range(20)}
    record = {"type": "object", "properties": fields, "required": list(fields), "additionalProperties": False}
    value = [dict.fromkeys(fields, "x")] * 1_000
    assert read_json(json.dumps(value), {"type": "array", "items": record})[1] is None


# --- what cannot be carried -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("1" + "0" * 4_000, "more than 64 bits"), ("-" + "9" * 20, "more than 64 bits"), ("1" * 5_000, "more than 64 bits"),
        ("[18446744073709551616]", "more than 64 bits"), ("1e999", "too large"), ('{"a": -1e400}', "too large"),
        ("[" * 101 + "]" * 101, "nested more than 100 deep"), ("[" * 100_000 + "]" * 100_000, "not JSON"),
        ("NaN", "no number in JSON"),
    ],
)  # fmt: skip
def test_values_that_nothing_behind_could_carry_are_problems(text: str, told: str) -> None:
    value, problem = read_json(text, {})
    assert value is None and told in str(problem) and len(str(problem)) < 600


@pytest.mark.parametrize(
    "text", ["18446744073709551615", "-9223372036854775808", "1e308", "[" * 100 + "]" * 100, '"\\ud800"']
)
def test_the_largest_that_can_be_carried_are_taken(text: str) -> None:
    assert read_json(text, {}) == (json.loads(text), None)


# --- schemas that are none ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("schema", "told"),
    [
        ({"$dynamicRef": "#nope"}, "points to nothing"),
        ({"$dynamicRef": "http://127.0.0.1:1/x"}, "points to nothing"),
        ({"$ref": "file:///etc/passwd"}, "points to nothing"),
        ({"$id": "http://[", "$ref": "#"}, "schema: "),
        ({"$ref": "#"}, "without end"),
        ({"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}, "without end"),
        ({"minimum": float("nan")}, "not a JSON schema"),
        ({"required": [{"i": i} for i in range(3_000)]}, "not a JSON schema"),
        ({"type": "text"}, "not a JSON schema"),
        ({"enum": {1, 2}}, "not a JSON schema"),
        ({"pattern": "(?=a)"}, "lookahead"),
        ({"pattern": "a{1000}{1000}"}, "linear time"),
    ],
)
def test_a_schema_that_cannot_be_used_is_refused_before_anything_is_asked(schema: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=r"^schema: ") as refused:
        check_schema(schema, "schema")
    assert told in str(refused.value)


@pytest.mark.parametrize("depth", [200, 2_000])
def test_a_schema_nested_too_deep_is_refused_or_checked(depth: int) -> None:
    schema: dict[str, Any] = {"type": "integer"}
    for _ in range(depth):
        schema = {"allOf": [schema]}
    try:
        check_schema(schema, "schema")
    except InvalidInput as refused:
        assert "nested too deep" in str(refused) or "too large" in str(refused)
    else:
        assert read_json('"x"', schema)[1] is not None


def test_dynamic_references_that_point_into_the_schema_work() -> None:
    tree = {"$dynamicAnchor": "node", "type": "object", "properties": {"kids": {"items": {"$dynamicRef": "#node"}}},
            "additionalProperties": False}  # fmt: skip
    check_schema(tree, "schema")
    assert read_json('{"kids": [{"kids": []}]}', tree)[1] is None
    assert "unexpected" in str(read_json('{"kids": [{"kid": []}]}', tree)[1])


def test_whatever_a_library_raises_is_a_problem(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumble(*_: Any) -> Any:
        raise ZeroDivisionError("inside")

    monkeypatch.setattr("langgraph_rlm.calls.schemas.problems", stumble)
    assert "ZeroDivisionError: inside" in str(read_json("1", {})[1])
