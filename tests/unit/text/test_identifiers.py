"""Identifiers are found by their parts and in other spellings, and whole ones come first."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.text.bm25 import BM25Index, Chunk
from langgraph_rlm.text.identifiers import MOST_PARTS, identifiers, taken_apart
from langgraph_rlm.text.words import Words


def filled(texts: list[str]) -> BM25Index:
    index = BM25Index(words=Words(code=True))
    index.add(Chunk(f"{number}", f"{number}", "", 0, len(text), text) for number, text in enumerate(texts))
    index.commit()
    return index


def found(index: BM25Index, query: str) -> list[int]:
    return [int(one.chunk_id) for one in index.search(query, 100)]


@pytest.mark.parametrize(
    ("word", "parts"),
    [
        ("snake_case", ["snake", "case"]),
        ("camelCase", ["camel", "Case"]),
        ("HTTPServer2", ["HTTP", "Server", "2"]),
        ("kebab-case", ["kebab", "case"]),
        ("os.path.join_all", ["os", "path", "join", "all"]),
        ("self._getUserIDs", ["self", "get", "User", "IDs"]),
        ("__init_subclass__", ["init", "subclass"]),
        ("SCREAMING_CASE_3", ["SCREAMING", "CASE", "3"]),
        ("iOS", ["i", "OS"]),
        ("ÉtéÀParis", ["Été", "À", "Paris"]),
        ("3.14", ["3", "14"]),
    ],
)
def test_an_identifier_is_found_by_each_part_and_as_a_whole(word: str, parts: list[str]) -> None:
    taken = taken_apart(word)
    assert taken is not None and [part.text for part in taken.parts()] == parts
    index = filled([f"x {word}() y", "nothing of it"])
    for query in (word, word.lower(), word.upper() if "_" in word else word, *parts):
        assert found(index, query) == [0], query


@pytest.mark.parametrize("word", ["plain", "CAPITALS", "_private", "__init__", "...", "2024", "取得", "日_本", ""])
def test_what_has_one_part_stays_whole(word: str) -> None:
    assert list(identifiers(word)) == []


def test_digests_are_not_taken_apart() -> None:
    assert list(identifiers("a1b2c3d4e5f6a7b8c9")) == []
    assert list(identifiers("x_" * MOST_PARTS + "end" + " " + "a" * 200 + "_b")) == []


def test_spellings_find_each_other() -> None:
    spellings = ["getUserName", "get_user_name", "GET_USER_NAME", "get-user-name", "GetUserName", "get.user.name"]
    index = filled([f"{spelling} is here" for spelling in spellings] + ["name of the user that you get here"])
    for spelling in spellings:
        assert set(found(index, spelling)[:-1]) == set(range(len(spellings))) and found(index, spelling)[-1] == 6


def test_an_identifier_within_another_counts_as_a_whole() -> None:
    index = filled(
        ["get user get name user name " * 3, "value = self.get_user_name(x) and more of the same", "nothing"]
    )
    assert found(index, "get_user_name") == [1, 0]
    assert found(index, "self.get_user_name") == [1, 0]


def test_without_the_option_camels_stay_whole() -> None:
    index = BM25Index()
    index.add([Chunk("0", "0", "", 0, 1, "getUserName snake_case")])
    index.commit()
    assert found(index, "user") == [] and found(index, "getusername") == [0] and found(index, "snake") == [0]


def test_an_identifier_of_common_words_is_found() -> None:
    index = filled(["call to_do()", "to do", "other"])
    assert found(index, "to_do") == [0, 1]
    assert found(index, "how is to_do called") == [0]


def test_other_words_of_a_question_still_count() -> None:
    index = filled(["cache of getUserName", "getUserName", "the cache", "nothing"])
    assert found(index, "how does getUserName use the cache")[0] == 0
    assert set(found(index, "how does getUserName use the cache")) == {0, 1, 2}


PARTS = ["get", "user", "name", "set", "list"]
PHRASES = st.lists(st.sampled_from(PARTS), min_size=2, max_size=4)
SPELLINGS = [
    "_".join,
    "-".join,
    ".".join,
    lambda parts: parts[0] + "".join(map(str.title, parts[1:])),
    lambda parts: "".join(map(str.title, parts)),
]
SPELLING = st.sampled_from(SPELLINGS)
FILLING = st.lists(st.sampled_from([*PARTS, "other", "words"]), max_size=30)


@given(PHRASES, SPELLING, SPELLING, FILLING, st.lists(FILLING, min_size=1, max_size=8))
def test_a_whole_identifier_comes_before_its_parts_wherever_and_however_often_they_stand(
    parts: list[str], asked: object, written: object, around: list[str], others: list[list[str]]
) -> None:
    index = filled([" ".join(other) for other in others] + [" ".join([*around, written(parts)])])  # type: ignore[operator]
    assert found(index, asked(parts))[0] == len(others)  # type: ignore[operator]


@given(
    st.lists(FILLING, min_size=1, max_size=12), PHRASES, SPELLING, st.lists(st.sampled_from(PARTS)), st.integers(1, 4)
)
def test_a_few_hits_are_the_first_of_all(
    texts: list[list[str]], parts: list[str], spelling: object, words: list[str], k: int
) -> None:
    written = spelling(parts)  # type: ignore[operator]
    index = filled([" ".join([*text, written] if at % 3 == 0 else text) for at, text in enumerate(texts)])
    query = " ".join([*words, written])
    every = index.search(query, 100)
    assert [one.score for one in index.search(query, k)] == [one.score for one in every[:k]]
    assert [one.score for one in every] == sorted((one.score for one in every), reverse=True)


@given(st.text(alphabet=st.sampled_from("aZß2é_-. 京À\u0301😀"), max_size=40))
def test_parts_stand_where_they_say(text: str) -> None:
    for at, whole in identifiers(text):
        assert text[at + whole.start : at + whole.end] == whole.text
        parts = list(whole.parts())
        assert 2 <= len(parts) <= MOST_PARTS
        for piece in (*parts, *whole.compounds()):
            assert (
                not piece.text.startswith("\u0301") or at + piece.start == 0 or text[at + piece.start - 1] in " ._-京😀"
            )
            assert text[at + piece.start : at + piece.end] == piece.text
        assert "".join(part.text for part in parts) == "".join(c for c in whole.text if c not in "._-")
