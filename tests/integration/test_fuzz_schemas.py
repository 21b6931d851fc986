"""Generated and mutated JSON schemas and replies: each is refused by name, checked, or a problem in words; none takes long."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

import pytest

from tests.mutations import ODD_VALUES, as_json, mutated, mutated_value

REPOSITORY = Path(__file__).parents[2]
SECONDS_EACH = 20.0
"""For one schema and its replies. A check gives up after a second; the rest is for a machine that is busy."""
SEEDS: tuple[Any, ...] = (
    {"type": "string"},
    {"type": "object", "properties": {"name": {"type": "string", "minLength": 1}, "n": {"type": "integer"}}, "required": ["name"]},
    {"type": "array", "items": {"type": "object", "additionalProperties": {"type": "number"}}, "uniqueItems": True},
    {"anyOf": [{"const": 1}, {"enum": ["a", None]}, {"not": {"type": "null"}}], "description": "x"},
    {"$defs": {"node": {"type": "object", "properties": {"next": {"$ref": "#/$defs/node"}}}}, "$ref": "#/$defs/node"},
    {"$id": "https://a.b/c", "$anchor": "top", "properties": {"a": {"$ref": "#top"}}, "unevaluatedProperties": False},
    {"$dynamicAnchor": "n", "items": {"$dynamicRef": "#n"}, "type": ["array", "string"], "pattern": "^(a+)+$"},
    {"patternProperties": {"^x_": {"format": "date"}}, "propertyNames": {"maxLength": 9}, "minProperties": 1, "maxProperties": 4},
    {"prefixItems": [{"type": "integer", "minimum": 0, "multipleOf": 0.1}], "contains": {"const": 3}, "maxContains": 2},
    {"if": {"required": ["a"]}, "then": {"required": ["b"]}, "else": False, "dependentSchemas": {"a": {"type": "object"}}},
    {"oneOf": [{"type": "number", "exclusiveMinimum": 1}, {"type": "array", "unevaluatedItems": False}], "$comment": "c"},
    {"allOf": [{"$ref": "#/$defs/a"}, {"$ref": "#/$defs/b"}], "$defs": {"a": {"type": "object"}, "b": {"dependentRequired": {"a": ["b"]}}}},
)  # fmt: skip
ODD_IN_SCHEMAS = (
    *ODD_VALUES, {"$ref": "#"}, {"$ref": "#/$defs/nowhere"}, {"$ref": "https://a.b/c"}, {"$ref": "file:///etc/passwd"}, {"$ref": 3},
    {"$dynamicRef": "#x"}, {"allOf": [{"$ref": "#"}, {"$ref": "#"}]}, {"pattern": "(?=a)"}, {"pattern": "(" * 300},
    {"pattern": "(a*)*" * 50}, {"uniqueItems": True}, {"$schema": "http://json-schema.org/draft-04/schema#"}, {"$id": "::not a uri"},
    {"$vocabulary": {"x": True}}, {"type": "nothing"}, {"multipleOf": 0}, {"multipleOf": 1e-300}, {"minLength": -1}, {"enum": []},
    {"format": "regex"}, {"required": "a"}, {"properties": []}, {"$anchor": "a b"},
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    {"name": "Fox", "n": 3}, [{"a": 1.5}, {"a": 1.5}], "text", 1, None, {"next": {"next": {}}}, {"a": {}, "b": [1, 2, 3]}, [0.3, 3, 3, 3],
    [{"id": number} for number in range(3_000)], {"x_1": "2020-02-30"},
)  # fmt: skip


def use(count: int) -> dict[str, int]:
    """Check so many schemas, each with some replies; what is raised and is not InvalidInput goes on."""
    from langgraph_rlm.calls.schemas import check_schema, read_json
    from langgraph_rlm.errors import InvalidInput

    random = Random("schemas 1")
    told = {"refused": 0, "taken": 0, "values": 0, "problems": 0}
    for number in range(count):
        schema: Any = mutated_value(SEEDS[number % len(SEEDS)], random, ODD_IN_SCHEMAS)
        print(
            as_json([number, schema]).decode()[:2_000], file=sys.stderr, flush=True
        )  # the last one is shown when it hangs
        try:
            check_schema(schema, "schema")
            told["taken"] += 1
        except InvalidInput as error:
            assert str(error)
            told["refused"] += 1
        for _ in range(4):  # also with a schema that was refused: of another release, from a memo
            value = mutated_value(random.choice(VALUES), random)
            text = as_json(value).decode()
            if random.random() < 0.3:
                text = f"Here it is:\n```json\n{text}\n```\n"
            if random.random() < 0.3:
                text = mutated(text.encode(), random).decode("utf-8", "replace")
            read, problem = read_json(text, schema)
            assert problem is None or (problem and read is None)
            told["values" if problem is None else "problems"] += 1
    return told


def check(count: int) -> None:
    """Do it in a process of its own, which ends by itself; both verdicts come up."""
    command = [sys.executable, "-m", "tests.integration.test_fuzz_schemas", str(count)]
    done = subprocess.run(
        command, cwd=REPOSITORY, capture_output=True, text=True, timeout=120 + SECONDS_EACH * count / 10
    )
    assert done.returncode == 0, done.stderr[-6_000:]
    assert all(json.loads(done.stdout).values())


def test_some_mutated_schemas_and_replies_are_checked_or_named() -> None:
    check(120)


@pytest.mark.slow
def test_many_mutated_schemas_and_replies_are_checked_or_named() -> None:
    check(6_000)


if __name__ == "__main__":
    print(json.dumps(use(int(sys.argv[1]))))
