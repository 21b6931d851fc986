"""A filter for a store of float64 lets nothing out that passes, and a dialect means what the filter means."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.corpus.dialects import Dialect
from langgraph_rlm.corpus.filters import ORDER, beyond_stores, inexact, matches, validate, widened
from langgraph_rlm.errors import InvalidFilter

ROOT = Path(__file__).parents[3]
NEAR_LARGE = st.sampled_from([2**53, -(2**53), 2**60, 1146520190123450001, 2**63 - 2, -(2**63) + 1, 5])
WHOLE = st.builds(lambda start, step: max(-(2**63), start + step), NEAR_LARGE, st.integers(-2, 1))
NUMBERS = st.one_of(WHOLE, WHOLE.map(float), st.sampled_from([1.5, 0.0, 1e300]))
SCALARS = st.one_of(NUMBERS, st.booleans(), st.sampled_from(["", "a", "1"]))
FIELDS = st.sampled_from(["a", "b"])
COMPARISONS = st.one_of(
    SCALARS,
    st.dictionaries(st.sampled_from(sorted(ORDER)), NUMBERS, min_size=1, max_size=2),
    st.fixed_dictionaries({"$ne": SCALARS}),
    st.fixed_dictionaries({"$in": st.lists(SCALARS, max_size=3)}),
    st.fixed_dictionaries({"$nin": st.lists(SCALARS, max_size=3)}),
)
FILTERS: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(FIELDS, COMPARISONS, max_size=2),
    lambda inner: st.dictionaries(
        st.sampled_from(["$and", "$or"]), st.lists(inner, min_size=1, max_size=3), min_size=1
    ),
    max_leaves=6,
)
METADATA = st.dictionaries(FIELDS, SCALARS)

Check = Callable[[Mapping[str, Any]], bool]


class Python(Dialect[Check]):
    """Filters as functions."""

    @staticmethod
    def nothing(metadata: Mapping[str, Any]) -> bool:
        return False

    def compared(self, key: str, operator: str, bound: Any) -> Check:
        if operator in ("$in", "$nin"):
            kinds = {str if isinstance(one, str) else bool if isinstance(one, bool) else float for one in bound}
            assert bound and len(kinds) == 1
        assert not (operator in ORDER and isinstance(bound, str))
        return lambda metadata: matches({key: {operator: bound}}, metadata)

    def joined(self, operator: str, parts: Sequence[Check]) -> Check:
        assert len(parts) > 1
        return lambda metadata: (all if operator == "$and" else any)(part(metadata) for part in parts)


@given(where=FILTERS, metadata=METADATA)
def test_a_dialect_means_what_the_filter_means(where: dict[str, Any], metadata: dict[str, Any]) -> None:
    validate(where)
    translated = Python("python").translated(where)
    assert (True if translated is None else translated(metadata)) is matches(where, metadata)


@given(where=FILTERS, metadata=METADATA)
def test_a_widened_filter_lets_pass_what_passes_also_after_rounding(
    where: dict[str, Any], metadata: dict[str, Any]
) -> None:
    wide = widened(where)
    validate(wide)
    rounded = {key: float(one) if type(one) is int else one for key, one in metadata.items()}
    if matches(where, metadata):
        assert matches(wide, metadata) and matches(wide, rounded)
    if inexact(where) is None:
        assert matches(wide, metadata) is matches(where, metadata)


def test_an_order_of_texts_is_refused_by_the_name_of_the_store() -> None:
    with pytest.raises(InvalidFilter, match=r"where\['a'\]: python cannot order texts by \$gt"):
        Python("python").translated({"$or": [{"b": 1}, {"a": {"$gt": "x"}}]})


@pytest.mark.parametrize(
    ("where", "number"),
    [
        ({"a": 2**53 - 1}, None),
        ({"a": {"$gt": -(2**53) + 1}}, None),
        ({"a": 2**53}, 2**53),
        ({"$or": [{"a": 1}, {"a": {"$nin": [3, -(2**60)]}}]}, -(2**60)),
        ({"a": 2.0**60}, 2.0**60),
        ({"a": 1e300}, None),
        ({"a": True, "b": str(2**60)}, None),
    ],
)
def test_numbers_that_a_float_does_not_hold_are_noticed(where: dict[str, Any], number: Any) -> None:
    assert inexact(where) == number and beyond_stores(where) is (number is not None)


@pytest.mark.parametrize("where", [{"a": "\ud800"}, {"a": {"$in": ["x", "\udfff"]}}, {"\udc80": 1}, {"a": {"$gt": "\ud800"}},
                                   {"$or": [{"a": {"$ne": "x\ud800"}}]}])  # fmt: skip
def test_a_lone_surrogate_is_refused_in_a_message_that_can_be_printed(where: dict[str, Any]) -> None:
    with pytest.raises(InvalidFilter, match="surrogate") as raised:
        validate(where)
    str(raised.value).encode()


@pytest.mark.parametrize(
    ("where", "near"), [({"a": {"$gtt": 1}}, r"\$gt"), ({"$ad": [{}]}, r"\$and"), ({"a": {"in": [1]}}, r"\$in")]
)
def test_an_unknown_operator_is_refused_with_the_nearest(where: dict[str, Any], near: str) -> None:
    with pytest.raises(InvalidFilter, match=rf"did you mean '{near}'"):
        validate(where)


@pytest.mark.parametrize("path", ["integrations/chroma.py", "integrations/qdrant.py", "integrations/pinecone.py",
                                  "integrations/pinecone_data.py", "integrations/qdrant_files.py",
                                  "examples/pgvector_index.py"])  # fmt: skip
def test_a_store_imports_what_stores_lists_and_nothing_else_of_the_package(path: str) -> None:
    tree = ast.parse((ROOT / path).read_text("utf-8"))
    named = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.level == 0}
    assert {name for name in named if name and name.startswith("langgraph_rlm")} == {"langgraph_rlm.stores"}
