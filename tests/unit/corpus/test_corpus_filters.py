"""Metadata filters mean one thing and are refused by name when they mean nothing."""

from __future__ import annotations

from typing import Any

import pytest

from langgraph_rlm.corpus.filters import beyond_stores, matches, validate
from langgraph_rlm.errors import InvalidFilter

META = {"year": 2020, "score": 0.5, "path": "src/a.py", "open": True}


@pytest.mark.parametrize(
    ("where", "passes"),
    [
        ({}, True),
        ({"year": 2020}, True),
        ({"year": 2020.0}, True),
        ({"year": "2020"}, False),
        ({"open": 1}, False),
        ({"open": True}, True),
        ({"year": {"$gte": 2020, "$lt": 2021}}, True),
        ({"year": {"$gt": 2020}}, False),
        ({"score": {"$lte": 0.5}}, True),
        ({"path": {"$gte": "src", "$lt": "srd"}}, True),
        ({"path": {"$gt": 3}}, False),
        ({"open": {"$gte": 0}}, False),
        ({"year": {"$in": [2019, 2020]}}, True),
        ({"year": {"$in": []}}, False),
        ({"year": {"$nin": []}}, True),
        ({"year": {"$nin": [2020]}}, False),
        ({"year": {"$ne": 2020}}, False),
        ({"missing": {"$ne": 1}}, True),
        ({"missing": {"$nin": [1]}}, True),
        ({"missing": {"$lt": 1}}, False),
        ({"missing": 1}, False),
        ({"$and": [{"year": 2020}, {"open": True}]}, True),
        ({"$or": [{"year": 1}, {"path": "src/a.py"}]}, True),
        ({"year": 2020, "$or": [{"open": False}, {"score": 0.1}]}, False),
    ],
)
def test_a_filter_lets_the_right_metadata_pass(where: dict[str, Any], passes: bool) -> None:
    validate(where)
    assert matches(where, META) is passes


@pytest.mark.parametrize(
    ("where", "says"),
    [
        ([], "expected a dict"),
        ({"a": {"$like": 1}}, r"where\['a'\].*'\$like'"),
        ({"$not": []}, r"'\$not'"),
        ({"$and": []}, r"\$and"),
        ({"$or": {"a": 1}}, r"\$or"),
        ({"$or": [{"a": {"b": 1}}]}, r"'b'"),
        ({"a": {}}, "empty"),
        ({"a": [1]}, r"\['a'\]"),
        ({"a": None}, r"\['a'\]"),
        ({"a": {"$in": 3}}, r"\$in"),
        ({"a": {"$in": [[1]]}}, r"\$in"),
        ({"a": {"$gt": True}}, r"\$gt"),
        ({"a": float("nan")}, r"\['a'\]"),
        ({1: 2}, "field names"),
    ],
)
def test_a_filter_that_means_nothing_is_refused_by_name(where: Any, says: str) -> None:
    with pytest.raises(InvalidFilter, match=says):
        validate(where)


def test_orders_of_texts_are_noticed_at_any_depth() -> None:
    assert beyond_stores({"$or": [{"a": 1}, {"$and": [{"b": {"$lt": "x"}}]}]})
    assert not beyond_stores({"a": "x", "b": {"$lt": 3}, "c": {"$in": ["x"]}})


def test_a_filter_has_a_greatest_depth() -> None:
    where: dict[str, Any] = {"a": 1}
    for _ in range(900):
        where = {"$and": [where]}
    with pytest.raises(InvalidFilter, match="deep"):
        validate(where)
