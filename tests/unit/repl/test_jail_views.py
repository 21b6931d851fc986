"""The lazy list and dict over one long text behave as a list and a dict do."""
# ruff: noqa: SIM300, RUF005, RUF017, S301, UP031 - which operator is asked, in which order, is what is tested

import copy
import heapq
import json
import operator
import pickle
import random
from array import array
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm.repl.worker.context import views
from langgraph_rlm.repl.worker.context.fields import Fields
from langgraph_rlm.repl.worker.context.lines import Lines
from langgraph_rlm.repl.worker.context.texts import Texts

PARTS = ["one\n", "", "two é\n", "🦜", "one\n"]
NAMES = ["a", "b", "c/d", "é", "z"]


def texts_of(parts):
    return Texts([len(part.encode()) for part in parts], "".join(parts).encode())


def lines(parts=PARTS):
    return Lines(texts_of(parts))


def fields(parts=PARTS, names=NAMES):
    return Fields(texts_of(parts), names)


LIST_READS = [
    len, list, tuple, set, sorted, repr, str, bool, Counter, "".join, json.dumps, max, enumerate, iter,
    lambda x: x[0], lambda x: x[-1], lambda x: x[1:4], lambda x: x[::-2], lambda x: x[9:], lambda x: "one\n" in x,
    lambda x: "none" in x, lambda x: x == PARTS, lambda x: PARTS == x, lambda x: x != PARTS, lambda x: x == PARTS[1:],
    lambda x: x == tuple(PARTS), lambda x: x + ["more"], lambda x: ["more"] + x, lambda x: x * 2, lambda x: 2 * x,
    lambda x: x + x, lambda x: list(reversed(x)), lambda x: x.index("two é\n"), lambda x: x.index("one\n", 1),
    lambda x: x.count("one\n"), lambda x: x.copy(), lambda x: [*x, 1], lambda x: (lambda *a: a)(*x),
    lambda x: x < ["z"], lambda x: ["z"] < x, lambda x: x <= x, lambda x: x >= ["a"], lambda x: x > PARTS[:2],
    lambda x: json.dumps({"a": x}, indent=1), lambda x: pickle.loads(pickle.dumps(x)), copy.copy, copy.deepcopy,
    lambda x: heapq.nlargest(2, x), lambda x: random.Random(1).sample(x, 3), lambda x: random.Random(1).choice(x),
    lambda x: dict(enumerate(x)), lambda x: list(zip(x, x, strict=True)), lambda x: "%s" % (x,), lambda x: f"{x}",
    lambda x: isinstance(x, list), lambda x: [a for a, *_ in [x]], lambda x: x[True],
    lambda x: ["head", *x].index("🦜"), lambda x: sum(([part] for part in x), []), lambda x: dict.fromkeys(x),
]  # fmt: skip


def plain(value):
    return list(value) if hasattr(value, "__next__") else value


@pytest.mark.parametrize("read", LIST_READS)
def test_a_list_view_reads_as_the_list_of_its_parts(read):
    assert plain(read(lines())) == plain(read(PARTS))


@pytest.mark.parametrize("wrong", [
    lambda x: x[5], lambda x: x[-6], lambda x: x["a"], lambda x: x.index("none"), lambda x: hash(x), lambda x: x + (1,),
    lambda x: x < 5,
])  # fmt: skip
def test_a_list_view_refuses_what_a_list_refuses(wrong):
    with pytest.raises(Exception) as ours:
        wrong(lines())
    with pytest.raises(Exception) as theirs:
        wrong(list(PARTS))
    assert ours.type is theirs.type and str(ours.value) == str(theirs.value)


def extend_in_place(x):
    x += ["more"]


LIST_CHANGES = [
    lambda x: x.append("more"), lambda x: x.sort(), lambda x: x.pop(), lambda x: x.pop(0), lambda x: x.reverse(),
    lambda x: x.insert(1, "new"), lambda x: x.remove("one\n"), lambda x: x.extend(["a", "b"]), lambda x: x.clear(),
    lambda x: operator.setitem(x, 0, "new"), lambda x: operator.setitem(x, slice(1, 3), []),
    lambda x: operator.delitem(x, 0), extend_in_place, lambda x: random.Random(2).shuffle(x), lambda x: x.extend(x),
]  # fmt: skip


@pytest.mark.parametrize("change", LIST_CHANGES)
def test_a_list_view_that_is_changed_is_an_ordinary_list_from_then_on(change):
    ours, theirs = lines(), list(PARTS)
    assert change(ours) == change(theirs)
    assert ours == theirs and json.dumps(ours) == json.dumps(theirs) and len(ours) == len(theirs)
    ours.append("more")
    assert [*ours] == [*theirs, "more"]


DICT_READS = [
    len, list, dict, repr, str, bool, json.dumps, sorted, Counter, lambda x: x["é"], lambda x: x.get("a"),
    lambda x: x.get("none"), lambda x: x.get("none", 1), lambda x: "a" in x, lambda x: "none" in x, lambda x: 5 in x,
    lambda x: list(x.keys()), lambda x: list(x.values()), lambda x: list(x.items()), lambda x: repr(x.items()),
    lambda x: repr(x.values()), lambda x: "one\n" in x.values(), lambda x: ("a", "one\n") in x.items(),
    lambda x: len(x.values()), lambda x: {**x}, lambda x: {"q": 1, **x}, lambda x: x | {"a": 1}, lambda x: {"a": 1} | x,
    lambda x: x == dict(zip(NAMES, PARTS, strict=True)), lambda x: dict(zip(NAMES, PARTS, strict=True)) == x,
    lambda x: x != {}, lambda x: x == {}, lambda x: x.copy(), copy.copy, copy.deepcopy,
    lambda x: pickle.loads(pickle.dumps(x)), lambda x: json.dumps([x], indent=2, sort_keys=True),
    lambda x: list(reversed(x)), lambda x: isinstance(x, dict), lambda x: max(x, key=lambda name: len(x[name])),
    lambda x: [name for name, text in x.items() if "one" in text], lambda x: (lambda **a: a)(**x),
    lambda x: list(reversed(x.keys())), lambda x: set(x) & {"a", "q"}, lambda x: x.keys() & {"a", "q"},
    lambda x: list(reversed(x.items())), lambda x: list(reversed(x.values())),
]  # fmt: skip


@pytest.mark.parametrize("read", DICT_READS)
def test_a_dict_view_reads_as_the_dict_of_its_parts(read):
    assert plain(read(fields())) == plain(read(dict(zip(NAMES, PARTS, strict=True))))


def update_in_place(x):
    x |= {"a": "new"}


@pytest.mark.parametrize("change", [
    lambda x: operator.setitem(x, "a", "new"), lambda x: operator.delitem(x, "a"), lambda x: x.pop("a"),
    lambda x: x.pop("none", 3), lambda x: x.popitem(), lambda x: x.setdefault("a", "new"), lambda x: x.clear(),
    lambda x: x.setdefault("new", "text"), lambda x: x.update(new="text"), update_in_place,
])  # fmt: skip
def test_a_dict_view_that_is_changed_is_an_ordinary_dict_from_then_on(change):
    ours, theirs = fields(), dict(zip(NAMES, PARTS, strict=True))
    assert change(ours) == change(theirs)
    assert ours == theirs and json.dumps(ours) == json.dumps(theirs) and list(ours.items()) == list(theirs.items())
    ours["more"] = "text"
    assert {**ours} == {**theirs, "more": "text"}


def test_a_dict_view_refuses_an_unknown_name_as_a_dict_does():
    with pytest.raises(KeyError, match="none"):
        fields()["none"]


@settings(deadline=None)
@given(st.lists(st.text(max_size=20), max_size=20), st.integers(-25, 25), st.integers(-25, 25))
def test_any_parts_come_back(parts, start, stop):
    view = lines(parts)
    assert list(view) == parts and view == parts and view[start:stop] == parts[start:stop]
    assert list(reversed(view)) == parts[::-1]


@pytest.mark.parametrize("letter", ["x", "é", "🦜"])
def test_many_small_parts_are_a_view_and_few_large_ones_are_strings(letter):
    small = [letter * 20 + str(number) for number in range(100_000)]
    large = [letter * 400_000, letter, letter * 500_000]
    for parts, kind in ((small, Lines), (large, list), (["a", letter], list)):
        joined = memoryview("".join(parts).encode())
        sizes = array("Q", [len(part.encode()) for part in parts]).tobytes()
        found = views.decoded("list", [], sizes, joined)
        assert type(found) is kind and found == parts
        names = [f"n{number}" for number in range(len(parts))]
        found = views.decoded("fields", names, sizes, joined)
        assert type(found) is (Fields if kind is Lines else dict) and found == dict(zip(names, parts, strict=True))


def test_one_emoji_widens_its_own_stretch_of_text_only():
    parts = ["x" * 1000] * 20_000
    narrow = texts_of(parts).size
    parts[500] = "🦜" * 3
    assert texts_of(parts).size < 2 * narrow
    assert lines(parts) == parts and lines(parts)[500] == "🦜🦜🦜" and lines(parts)[-1] == parts[-1]
