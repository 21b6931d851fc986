"""Texts of others fit where they are shown, and stay on their line."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.shortening import one_line, shortened


@pytest.mark.parametrize(
    "mark", ["\n", "\r", "\x0b", "\x1c", "\x85", "\u2028", "\u2029", "\u061c", "\u202e", "\u2066", "\x1b", "\x00"]
)
def test_nothing_in_a_name_ends_its_line_or_turns_it(mark: str) -> None:
    assert one_line(f"a{mark}b") == "a b"


@given(st.text(), st.integers(1, 20))
def test_a_name_is_one_short_line(name: str, most: int) -> None:
    shown = one_line(name, most)
    assert len(shown.splitlines()) <= 1 and len(shown) <= most + 1
    assert one_line(shown, most + 1) == shown


def test_other_letters_stay() -> None:
    assert one_line("Größe/東京/بيت.txt") == "Größe/東京/بيت.txt"


@given(st.text(), st.integers(1, 20))
def test_what_is_short_enough_is_not_changed(text: str, most: int) -> None:
    shown = shortened(text, most)
    assert shown == text if len(text) <= most else shown == text[:most] + "…"
