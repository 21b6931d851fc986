"""Data sets that are made here: the same from the same seed, and right by counting again what stands in the texts."""

from __future__ import annotations

import re
from collections import Counter
from itertools import combinations
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.evaluation.generated import GENERATED, LABELS, Generated, counting, mixed, needle, pairs


def texts(made: Generated) -> dict[str, str]:
    return {name: text for held in made.data.collections.values() for name, text in held.documents()}


def entries(made: Generated) -> list[tuple[int, str]]:
    """User and label of every line."""
    lines = [line for text in texts(made).values() for line in text.splitlines() if line.startswith("User: ")]
    split = [line.removeprefix("User: ").split(" || Entry: ") for line in lines]
    return [(int(user), made.labels[text]) for user, text in split]


def kinds_in(question: str) -> set[str]:
    asked = question.partition(". ")[2]
    return {label for label in LABELS if re.search(rf"\ba {label}\b", asked)}


@pytest.mark.parametrize("name", GENERATED)
def test_the_same_seed_makes_the_same_set_and_another_one_another(name: str) -> None:
    first, again, other = (GENERATED[name](tasks=6, chars=8_000, seed=seed).data for seed in (1, 1, 2))
    assert first.digest() == again.digest() != other.digest()
    assert first.tasks == again.tasks
    assert len({task.question for task in first.tasks}) == len({task.id for task in first.tasks}) == 6


@settings(max_examples=10, deadline=None)
@given(st.integers(0, 1_000), st.integers(1, 60))
def test_counts_are_those_of_the_entries(seed: int, tasks: int) -> None:
    made = counting(tasks=tasks, chars=9_000, seed=seed)
    found = entries(made)
    labels = Counter(label for _, label in found)
    for task in made.data.tasks:
        kinds = kinds_in(task.question)
        if "do more ask" in task.question:
            one, other = (labels[kind] for kind in sorted(kinds))
            expected = "equally many" if one == other else max(kinds, key=lambda kind: labels[kind])
        else:
            user = re.search(r"of user (\d+)", task.question)
            own = [label for name, label in found if user is None or name == int(user[1])]
            expected = str(sum(label in kinds for label in own))
        assert task.answers == (expected,), task.question


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1_000))
def test_pairs_are_all_users_that_have_what_is_asked(seed: int) -> None:
    made = pairs(tasks=20, chars=5_000, seed=seed)
    counts = Counter(entries(made))
    users = {user for user, _ in counts}
    for task in made.data.tasks:
        kinds, least = kinds_in(task.question), int(re.search(r"at least (\d+)", task.question)[1])  # type: ignore[index]
        able = sorted(user for user in users if max(counts[user, kind] for kind in kinds) >= least)
        assert list(task.answers) == ([f"{a}-{b}" for a, b in combinations(able, 2)] or ["none"])


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 1_000))
def test_the_evidence_of_a_needle_is_the_needle(seed: int) -> None:
    made = needle(tasks=8, chars=5_000, seed=seed)
    for task in made.data.tasks:
        spans = [texts(made)[doc_id][start:end] for doc_id, start, end in task.evidence]
        assert sorted(re.findall(r"\d{7}", " ".join(spans))) == sorted(task.answers)
    assert 5_000 <= len(texts(made)["filler.txt"]) < 5_200


@pytest.mark.parametrize(("share", "simple"), [(0.0, 0), (0.3, 6), (0.7, 14), (1.0, 20)])
def test_a_mixture_has_the_wanted_share_of_look_ups(share: float, simple: int) -> None:
    made = mixed(tasks=20, chars=5_000, simple_share=share)
    kinds = Counter(task.label for task in made.data.tasks)
    assert (kinds["simple"], kinds["complex"]) == (simple, 20 - simple)
    for task in made.data.tasks:
        for doc_id, start, end in task.evidence:
            assert task.answers[0] in texts(made)[doc_id][start:end]


def test_a_label_stands_in_no_entry() -> None:
    made = counting(chars=20_000)
    assert not [text for text in made.labels if any(re.search(rf"\b{label}\b", text) for label in LABELS)]
    assert set(made.labels.values()) == set(LABELS)


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("needle", {"tasks": 0}, "tasks must be a whole number from 1"),
        ("needle", {"chars": 10}, "chars must be a whole number from 2,000"),
        ("counting", {"seed": -1}, "seed must be"),
        ("counting", {"tasks": True}, "tasks must be"),
        ("counting", {"tasks": 5_000, "chars": 1_000}, "different questions can be made"),
        ("needle", {"tasks": 10_000}, "needles can be made"),
        ("mixed", {"simple_share": 1.5}, "simple_share must be from 0 to 1"),
        ("mixed", {"simple_share": float("nan")}, "simple_share must be from 0 to 1"),
        ("mixed", {"tasks": 2_000, "simple_share": 1.0}, "look-ups can be made"),
    ],
)
def test_what_cannot_be_made_is_said(name: str, options: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        GENERATED[name](**options)
