"""Mentions against a naive search, and the file of names: what stays in it, and what happens when it is not usable."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm.corpus.names.mentions import Mention, Style, read
from langgraph_rlm.corpus.names.name_index import Defined, NameIndex, NamesDamaged, NewNames
from langgraph_rlm.corpus.names.naming import COMMON, FILLING, Name
from langgraph_rlm.errors import IndexMismatch

VOCABULARY = [
    "Ada",
    "ada",
    "king",
    "the",
    "The",
    "King",
    "of",
    "Lotharingia",
    "II",
    "naïve",
    "Url_for",
    "url_for",
    "2017",
    "x",
    "石",
]


class Few:
    """Names in memory, looked up one by one."""

    def __init__(self, keys: Iterable[str]) -> None:
        self.keys = sorted(set(keys), key=str.encode)

    def known(self, keys: Iterable[str]) -> set[str]:
        return {key for key in keys if key in self.keys}

    def following(self, keys: Iterable[str]) -> dict[str, str]:
        after = {key: [one for one in self.keys if one.encode() >= key.encode()] for key in keys}
        return {key: found[0] for key, found in after.items() if found}


def folded(word: str) -> str:
    return word.lower().replace("ï", "i")


def naive(words: list[str], names: set[str], style: Style) -> list[str]:
    """The longest name that begins at each word, from left to right, by trying all."""

    def marked(word: str) -> bool:
        return word[0].isupper() or word[0].isdigit() or "_" in word or word == "石"

    found, at = [], 0
    while at < len(words):
        for end in range(len(words), at, -1):
            part = words[at:end]
            key = " ".join(map(folded, part))
            begins = style == "question" or marked(part[0])
            alone = marked(part[0]) and key not in COMMON and len(key) > 1
            telling = [word for word in part if folded(word) not in FILLING]
            together = len(part) > 1 and (any(map(marked, part)) or (style == "question" and len(telling) > 1))
            if key in names and begins and (alone if len(part) == 1 else together):
                found.append(key)
                at = end - 1
                break
        at += 1
    return found


words_of = st.lists(st.sampled_from(VOCABULARY), max_size=30)
names_of = st.sets(
    st.lists(st.sampled_from(VOCABULARY), min_size=1, max_size=4).map(lambda w: " ".join(map(folded, w)))
)


@given(st.lists(words_of, max_size=4), names_of, st.sampled_from(["prose", "question"]))
def test_mentions_are_those_of_a_naive_search(texts: list[list[str]], names: set[str], style: Style) -> None:
    readings = read([" ".join(words) for words in texts], Few(names), style)
    assert [[one.key for one in found.mentions] for found in readings] == [
        naive(words, names, style) for words in texts
    ]


@given(words_of, names_of)
def test_the_file_of_names_finds_what_a_list_finds(words: list[str], names: set[str]) -> None:
    keys = {" ".join(map(folded, words[at : at + 2])) for at in range(len(words))}
    with_file = NameIndex(Path(":memory:"))
    with_file.rebuild([NewNames("a", "d", [Name(key, key, "title", 0, 1) for key in names])])
    assert with_file.known(keys) == Few(names).known(keys)
    assert with_file.following(keys) == Few(names).following(keys)
    with_file.close()


def test_a_mention_tells_its_place_and_whether_it_only_begins_a_sentence() -> None:
    text = "Ada came. (Ada) saw the King of Lotharingia, Ada's."
    found = read([text], Few(["ada", "king of lotharingia"]))[0].mentions
    assert [text[one.start : one.end] for one in found] == ["Ada", "Ada", "King of Lotharingia", "Ada"]
    assert [one.opens for one in found] == [True, True, False, False]


def test_in_a_question_small_letters_name_only_what_two_words_tell() -> None:
    names = Few(["kind of", "session interface", "to json", "lord of the rings"])
    question = "what kind of session interface does the lord of the rings convert to json, or To JSON?"
    found = read([question], names, "question")[0].mentions
    assert [question[one.start : one.end] for one in found] == ["session interface", "lord of the rings", "To JSON"]


def test_code_mentions_identifiers_and_joined_modules() -> None:
    text = "from json.provider import dumps\nx = json, provider\nreturn default(url_for)"
    found = read([text], Few(["json provider", "dumps", "return", "url_for", "default"]), "code")[0].mentions
    assert found[0] == Mention("json provider", 5, 18, False)
    assert [one.key for one in found] == ["json provider", "dumps", "url_for"]


# --- the file ---------------------------------------------------------------------------------------------------------


def some(doc_id: str, *keys: str, digest: str = "d") -> NewNames:
    return NewNames(doc_id, digest, [Name(key, key.title(), "title", at, 10) for at, key in enumerate(keys)])


@pytest.fixture
def index(tmp_path: Path) -> Iterable[NameIndex]:
    made = NameIndex(tmp_path / "names.sqlite")
    assert not made.is_whole()
    made.rebuild([])
    yield made
    made.close()


documents = st.dictionaries(st.sampled_from("abcd"), st.lists(st.sampled_from(["ada", "ada ii", "king"]), max_size=3))


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from(["write", "delete"]), documents), max_size=6))
def test_writing_replacing_and_deleting_equal_building_anew(changes: list[tuple[str, dict[str, list[str]]]]) -> None:
    changed, anew = NameIndex(Path(":memory:")), NameIndex(Path(":memory:"))
    changed.rebuild([])
    there: dict[str, list[str]] = {}
    for number, (change, those) in enumerate(changes):
        if change == "write":
            changed.write([some(doc_id, *keys, digest=str(number)) for doc_id, keys in those.items()])
            there |= those
        else:
            changed.delete(those)
            there = {doc_id: keys for doc_id, keys in there.items() if doc_id not in those}
    anew.rebuild(some(doc_id, *keys) for doc_id, keys in there.items())
    content = [[one._replace(digest="") for one in which.names()] for which in (changed, anew)]
    assert content[0] == content[1]
    assert changed.count() == anew.count() == len(content[0])
    changed.close()
    anew.close()


def test_a_name_of_too_many_documents_stands_for_none(index: NameIndex) -> None:
    index.write([some(f"d{n}", "shared") for n in range(1000)] + [some("e", "rare")])
    assert index.defining(["shared", "rare", "absent"], 12) == {
        "rare": [Defined("rare", "Rare", "title", "e", "d", 0, 10)]
    }
    index.delete([f"d{n}" for n in range(990)])
    assert len(index.defining(["shared"], 12)["shared"]) == 10


def test_names_around_a_place_come_innermost_first(index: NameIndex) -> None:
    names = [
        Name("whole", "", "title", 0, 100),
        Name("outer", "", "heading", 10, 90),
        Name("inner", "", "heading", 40, 50),
    ]
    index.write([NewNames("a", "d", names)])
    assert [one.key for one in index.defined_at("a", 42, 45, 9)] == ["inner", "outer", "whole"]
    assert [one.key for one in index.defined_at("a", 60, 70, 9)] == ["outer", "whole"]
    assert index.defined_at("b", 0, 9, 9) == []


def test_names_are_listed_by_prefix(index: NameIndex) -> None:
    index.write([some("a", "ada", "adam", "bert")])
    assert [one.key for one in index.names("ada")] == ["ada", "adam"]


def test_a_newer_file_is_refused_by_name_and_an_older_one_made_again(tmp_path: Path, index: NameIndex) -> None:
    with sqlite3.connect(tmp_path / "names.sqlite") as connection:
        connection.execute("PRAGMA user_version = 99")
    with pytest.raises(IndexMismatch, match="format version 99"):
        index.is_whole()
    with sqlite3.connect(tmp_path / "names.sqlite") as connection:
        connection.execute("PRAGMA user_version = 0")
    assert not index.is_whole()
    index.rebuild([some("a", "ada")])
    assert index.is_whole() and index.count() == 1


@pytest.mark.parametrize("damage", [b"", b"not a database at all" * 500, None])
def test_a_damaged_file_is_made_again(tmp_path: Path, damage: bytes | None) -> None:
    path = tmp_path / "names.sqlite"
    first = NameIndex(path)
    first.rebuild(some(f"d{n}", f"name {n}") for n in range(2000))
    first.close()
    if damage is None:  # in the middle only
        content = bytearray(path.read_bytes())
        content[8192:-4096] = b"\xff" * (len(content) - 12288)
        damage = bytes(content)
    path.write_bytes(damage)
    index = NameIndex(path)
    if index.is_whole():
        with pytest.raises(NamesDamaged, match=r"names\.sqlite"):
            index.known([f"name {n}" for n in range(2000)])
    index.rebuild([some("a", "ada")])
    assert index.is_whole() and [one.key for one in index.names()] == ["ada"]
    index.close()


def test_two_processes_see_each_others_names(tmp_path: Path, index: NameIndex) -> None:
    other = NameIndex(tmp_path / "names.sqlite")
    assert not other.has_any()
    index.write([some("a", "ada")])
    assert other.is_whole() and other.known(["ada", "bert"]) == {"ada"}
    other.close()


def test_a_build_that_fails_leaves_the_old_names(index: NameIndex) -> None:
    index.write([some("a", "ada")])

    def documents() -> Iterable[NewNames]:
        yield some("b", "bert")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        index.rebuild(documents())
    assert [one.key for one in index.names()] == ["ada"]


BUILD = """
import sys
from pathlib import Path
from langgraph_rlm.corpus.names.definitions import definitions
from langgraph_rlm.corpus.names.name_index import NameIndex, NewNames

size = 0

def documents(count):
    global size
    for number in range(count):
        text = f"Page {number:x} Of{number % 977} (kind)\\n" + f"some words of page {number} " * 30
        size += len(text)
        yield NewNames(f"p{number}", "d", definitions(f"p{number}", text, {}))

def most():
    return 1024 * int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0])

index = NameIndex(Path(sys.argv[1]))
before = most()
index.rebuild(documents(int(sys.argv[2])))
found = index.following(["page 5", "page ff of255"])
print(most() - before, size, index.count(), *found.values(), sep="|")
"""


@pytest.mark.parametrize("count", [20_000, pytest.param(1_000_000, marks=pytest.mark.slow)])
def test_the_names_of_many_documents_take_little_memory(tmp_path: Path, count: int) -> None:
    command = [sys.executable, "-c", BUILD, str(tmp_path / "names.sqlite"), str(count)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    memory, size, names, first, second = printed.strip().split("|")
    assert int(memory) <= max(64_000_000, 0.3 * int(size))
    assert int(names) == 2 * count and (first, second) == ("page 5 of5", "page ff of255")
