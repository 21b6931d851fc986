"""Types that a cell writes become JSON schemas before a call leaves the cell."""

from __future__ import annotations

import collections
import dataclasses
import enum
import typing
from collections.abc import Iterator, Mapping, Sequence
from typing import (
    Annotated,
    Any,
    ClassVar,
    Final,
    Literal,
    NamedTuple,
    NewType,
    NotRequired,
    Optional,
    TypedDict,
)

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from langgraph_rlm.calls.schemas import check_schema
from langgraph_rlm.repl import ProcessFactory, ReplLimits
from langgraph_rlm.repl.jail import JailFactory, available
from langgraph_rlm.repl.worker.schema import schema_of


class Colour(enum.Enum):
    RED = "red"
    BLUE = "blue"


@dataclasses.dataclass
class Person:
    name: str
    age: int | None = None
    tags: list[str] = dataclasses.field(default_factory=list)


class Row(TypedDict):
    """One row."""

    key: str
    value: NotRequired[float]


class Part(TypedDict, total=False):
    a: int


class Point(NamedTuple):
    x: float
    y: float = 0.0


class Plain:
    title: Final[str]
    pages: int = 1


class Grade(enum.IntEnum):
    LOW = 1
    HIGH = 2


@dataclasses.dataclass
class Shared:
    name: str
    made: int = dataclasses.field(init=False)
    kind: ClassVar[str] = "shared"


@dataclasses.dataclass
class Tree:
    label: str
    children: list[Tree]


ACCEPTED: list[tuple[Any, list[Any], list[Any]]] = [
    (str, ["a"], [1, None]),
    (int, [1], [1.5, "1"]),
    (float, [1, 1.5], ["x"]),
    (bool, [True], [0]),
    (None, [None], [0]),
    (list, [[], [1]], [{}]),
    (list[str], [[], ["a"]], [[1], "a"]),
    (Sequence[int], [[1]], [["a"]]),
    (set[int], [[1, 2]], [[1, 1]]),
    (tuple[int, str], [[1, "a"]], [[1], [1, "a", 2], ["a", 1]]),
    (tuple[int, ...], [[], [1, 2]], [["a"]]),
    (tuple[()], [[]], [[1]]),
    (dict[str, float], [{"a": 1.5}], [{"a": "b"}, []]),
    (Mapping[str, list[int]], [{"a": [1]}], [{"a": 1}]),
    (Optional[str], ["a", None], [1]),  # noqa: UP045 - as models write it
    (int | str, [1, "a"], [1.5, None]),
    (Literal["a", 1], ["a", 1], ["b"]),
    (Colour, ["red"], ["green", "RED"]),
    (Any, [1, None, {}], []),
    (Annotated[int, "years"], [1], ["a"]),
    (Person, [{"name": "A"}, {"name": "A", "age": None, "tags": ["x"]}], [{}, {"name": "A", "more": 1}, {"name": 1}]),
    (list[Person], [[{"name": "A"}]], [[{"age": 1}]]),
    (Row, [{"key": "k"}, {"key": "k", "value": 1.5}], [{}, {"key": "k", "x": 1}]),
    (Part, [{}, {"a": 1}], [{"a": "x"}]),
    (Point, [{"x": 1}, {"x": 1, "y": 2}], [{"y": 2}]),
    (Plain, [{"title": "t"}, {"title": "t", "pages": 2}], [{"pages": 2}]),
    (Tree, [{"label": "a", "children": [{"label": "b", "children": []}]}], [{"label": "a", "children": [{}]}]),
    ({"type": "string"}, ["a"], [1]),
    (typing.List, [[], [1, "a"]], [{}]),  # noqa: UP006 - as models write it
    (typing.Dict, [{}, {"a": 1}], [[]]),  # noqa: UP006
    (typing.Tuple, [[], [1, "a"]], [{}]),  # noqa: UP006
    (NewType("Id", str), ["a"], [1]),
    (Shared, [{"name": "a"}], [{}, {"name": "a", "kind": "b"}, {"name": "a", "made": 1}]),
    (Grade, [1, 2], [3, "LOW"]),
    (Literal[Colour.RED], ["red"], ["blue"]),
    (dict[Literal["a", "b"], int], [{}, {"a": 1}], [{"c": 1}, {"a": "x"}]),
    (dict[Colour, int], [{"red": 1}], [{"green": 1}]),
    (collections.namedtuple("Pair", "a b"), [{"a": 1, "b": None}], [{"a": 1}, [1, 2]]),
    (dataclasses.make_dataclass("Größe", [("wert", int)]), [{"wert": 1}], [{"wert": "x"}]),
]


@pytest.mark.parametrize(("kind", "good", "bad"), ACCEPTED, ids=lambda value: str(value)[:40])
def test_a_type_accepts_its_values_and_no_others(kind: Any, good: list[Any], bad: list[Any]) -> None:
    schema = schema_of(kind)
    check_schema(schema, "schema")  # as the host does
    validator = Draft202012Validator(schema)
    assert all(validator.is_valid(value) for value in good)
    assert not any(validator.is_valid(value) for value in bad)


def test_descriptions_are_kept() -> None:
    assert schema_of(Annotated[int, "years"])["description"] == "years"
    assert schema_of(Row)["$defs"]["Row"]["description"] == "One row."
    assert "description" not in schema_of(Person)["$defs"]["Person"]
    assert schema_of(Grade)["description"] == "1 is LOW, 2 is HIGH"
    assert "description" not in schema_of(Colour)


def test_two_classes_of_one_name_stay_apart() -> None:
    def made(kind: Any) -> Any:
        return dataclasses.make_dataclass("Item", [("value", kind)])

    schema = schema_of(dataclasses.make_dataclass("Both", [("a", made(int)), ("b", made(str))]))
    validator = Draft202012Validator(schema)
    assert validator.is_valid({"a": {"value": 1}, "b": {"value": "x"}})
    assert not validator.is_valid({"a": {"value": "x"}, "b": {"value": 1}})


UNFIT = [
    *(complex, bytes, dict[int, str], "str", 5, len, type, [str], list["Nowhere"], Literal[b"x"]),  # noqa: F821
    *(enum.Enum("Pairs", [("ONE", (1, 2))]), collections.Counter[str], pytest.param(iter(()), id="iterator")),
]


@pytest.mark.parametrize("kind", UNFIT, ids=str)
def test_what_json_has_no_shape_for_is_refused_with_what_is_possible(kind: Any) -> None:
    with pytest.raises(TypeError, match="schema: "):
        schema_of(kind)


KINDS = st.recursive(
    st.sampled_from([(str, st.text()), (int, st.integers()), (bool, st.booleans()), (None, st.none())]),
    lambda inner: st.one_of(
        inner.map(lambda pair: (list[pair[0]], st.lists(pair[1], max_size=3))),  # type: ignore[name-defined]
        inner.map(lambda pair: (dict[str, pair[0]], st.dictionaries(st.text(), pair[1], max_size=3))),  # type: ignore[name-defined]
        st.tuples(inner, inner).map(lambda two: (two[0][0] | two[1][0] if two[0][0] else two[1][0], two[1][1])),
    ),
    max_leaves=6,
)


@settings(deadline=None)
@given(KINDS, st.data())
def test_values_of_a_type_are_valid(kind: Any, data: Any) -> None:
    assert Draft202012Validator(schema_of(kind[0])).is_valid(data.draw(kind[1]))


@pytest.fixture(params=["jail", "unsafe"])
def repl(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "jail" and (why_not := available()) is not None:
        pytest.skip(why_not)
    factory: Any = JailFactory() if request.param == "jail" else ProcessFactory(spare=0)
    made = factory.start(None, ["llm_query"], ReplLimits())
    yield made
    made.close()
    factory.close()


def test_a_cell_gives_a_class_that_it_has_written(repl: Any) -> None:
    seen: list[Any] = []

    def on_call(name: str, args: Any, kwargs: Any) -> Any:
        seen.append(kwargs.get("schema"))
        return [{"name": "Anna", "age": 3}]

    done = repl.execute(
        "from dataclasses import dataclass\n@dataclass\nclass Dog:\n    name: str\n    age: int\n"
        "llm_query('Which dogs?', schema=list[Dog])",
        on_call,
    )
    assert done["error"] is None
    assert Draft202012Validator(seen[0]).is_valid([{"name": "Anna", "age": 3}])
    assert not Draft202012Validator(seen[0]).is_valid([{"name": "Anna"}])
    assert "no JSON schema can be made of" in repl.execute("llm_query('x', schema=complex)", on_call)["error"]
    assert repl.execute("llm_query('x', schema={'type': 'string'})", on_call)["error"] is None
    assert seen[1:] == [{"type": "string"}]
    assert repl.execute("llm_query('x', schema=list['Dog'])", on_call)["error"] is None
    assert seen[2] == seen[0]
