"""``--where``: what is written, and what it means."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.cli.where import where_of
from langgraph_rlm.corpus.filters import matches
from langgraph_rlm.errors import InvalidFilter


@pytest.mark.parametrize(
    ("given_filters", "metadata", "passes"),
    [
        ([], {}, True),
        (["team=hr"], {"team": "hr"}, True),
        (["team=hr"], {"team": "ops"}, False),
        (["year=2024"], {"year": 2024}, True),
        (["year=2024"], {"year": "2024"}, True),
        (['year="2024"'], {"year": 2024}, False),
        (["open=true"], {"open": True}, True),
        (["open=true"], {"open": 1}, False),
        (["name=NaN"], {"name": "NaN"}, True),
        (["zip=0123"], {"zip": "0123"}, True),
        (["size=1e999"], {"size": "1e999"}, True),
        (["formula=a=b"], {"formula": "a=b"}, True),
        (["empty="], {"empty": ""}, True),
        (["team=hr", "year=2024"], {"team": "hr", "year": 2024}, True),
        (["team=hr", '{"year": {"$gt": 2024}}'], {"team": "hr", "year": 2024}, False),
        (['{"$or": [{"a": 1}, {"b": 2}]}'], {"b": 2}, True),
    ],
)
def test_a_filter_means_what_it_says(given_filters: list[str], metadata: dict[str, Any], passes: bool) -> None:
    assert matches(where_of(given_filters), metadata) is passes


@pytest.mark.parametrize(
    "wrong",
    ["", "=", "=x", "team", "{", "{]", "[]", '"x"', "year>=1", "year<=1", "year!=1", "year==1", "$or=1", "[" * 99_999,
     '{"a": NaN}', '{"a": 1e999}', '{"a": null}', '{"a": {"b": 1}}', '{"a":' * 100 + "1" + "}" * 100, '{"a": ' + "9" * 5000 + "}"],
)  # fmt: skip
def test_what_is_no_filter_is_refused_in_the_words_of_the_command_line(wrong: str) -> None:
    with pytest.raises(InvalidFilter, match="--where"):
        where_of([wrong])


@given(
    st.text(st.characters(exclude_characters="=<>!~:{[$", exclude_categories=["Cs"]), min_size=1),
    st.text().filter(lambda text: not re.fullmatch(r"\s*[-+]?\d{19,}\s*", text)),  # whole numbers have 64 bits
)
def test_any_field_and_text_make_a_filter_that_finds_them(field: str, text: str) -> None:
    if not field.strip() or text.startswith("=") or text.strip().startswith('"'):
        return
    assert matches(where_of([f"{field}={text}"]), {field.strip(): text})
