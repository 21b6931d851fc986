"""Byte, character and line offsets agree with plain Python on any text."""

from __future__ import annotations

from itertools import pairwise
from unittest.mock import patch

from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.text import lines
from langgraph_rlm.text.lines import CharIndex, Cursor, count_chars, count_lines

ANY_TEXT = st.text(st.characters(exclude_categories=["Cs"])) | st.text("aé😀\n\r\x00 ")
LONG_TEXT = st.builds(
    lambda part, times: part * times, st.text("aé😀\n", min_size=1, max_size=7), st.integers(1, 40_000)
)


@given(ANY_TEXT)
def test_counts_are_those_of_the_decoded_text(text: str) -> None:
    data = text.encode()
    assert count_chars(data) == len(text)
    assert count_lines(memoryview(data)) == text.count("\n")


@given(ANY_TEXT, st.lists(st.integers(0, 200)))
def test_a_cursor_knows_character_and_line_at_each_stop(text: str, stops: list[int]) -> None:
    cursor = Cursor(text.encode())
    for stop in sorted(min(stop, len(text)) for stop in stops):
        assert cursor.to(len(text[:stop].encode())) == (stop, text.count("\n", 0, stop) + 1)


@given(LONG_TEXT, st.floats(0, 1), st.floats(0, 1))
def test_long_texts_cross_blocks_without_losing_a_character(text: str, first: float, second: float) -> None:
    start, end = sorted((int(first * len(text)), int(second * len(text))))
    index = CharIndex(memoryview(text.encode()))
    assert index.chars == len(text)
    assert index.slice(start, end) == text[start:end]
    assert Cursor(text.encode()).to(len(text[:end].encode())) == (end, text.count("\n", 0, end) + 1)
    assert count_chars(text.encode()) == len(text)


@given(ANY_TEXT)
def test_every_character_is_found_at_its_byte(text: str) -> None:
    index = CharIndex(text.encode())
    assert [index.byte_of(at) for at in range(len(text) + 1)] == [
        len(text[:at].encode()) for at in range(len(text) + 1)
    ]


@given(ANY_TEXT | LONG_TEXT, st.lists(st.floats(0, 1)), st.sampled_from([0, 3, 1 << 19]))
def test_a_cursor_that_asks_for_long_ways_knows_the_same(text: str, parts: list[float], far: int) -> None:
    data = text.encode()
    index, asked = CharIndex(data), list[int]()

    def place_of(byte: int) -> tuple[int, int]:
        asked.append(byte)
        return index.char_of(byte), data.count(b"\n", 0, byte) + 1

    stops = sorted(int(part * len(text)) for part in parts)
    with patch.object(lines, "_FAR", far):
        cursor = Cursor(memoryview(data), place_of)
        for stop in stops:
            assert cursor.to(len(text[:stop].encode())) == (stop, text.count("\n", 0, stop) + 1)
    ways = [len(text[first:last].encode()) for first, last in pairwise([0, *stops])]
    assert len(asked) == sum(way > far for way in ways), "short ways are walked"
