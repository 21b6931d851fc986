"""A host is killed anywhere, another one goes on: the same result, and no answered call is paid twice."""

from __future__ import annotations

import json
import signal
import uuid
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from tests.killable import SCRIPTS, Job, Log, Nursery, asked_again

SAVERS = ["sqlite", "asqlite", "postgres"]
DURABILITIES = ["sync", "async"]


# --- hosts ------------------------------------------------------------------------------------------------------------


Run = Callable[..., dict[str, Any] | None]


@pytest.fixture
def run(nurseries: list[Nursery], request: pytest.FixtureRequest) -> Run:
    """``run(job)``: the result of a host that ended well, None of one that was killed; each host from the other nursery."""
    hosts = 0

    def run(job: Job) -> dict[str, Any] | None:
        nonlocal hosts
        if job.saver == "postgres" or job.memo == "postgres-store":
            job = replace(job, url=request.getfixturevalue("postgres_url"))
        ended = nurseries[hosts % 2].run(job)
        hosts += 1
        if ended == -signal.SIGKILL:
            return None
        output = Path(job.directory) / "output.txt"
        assert ended == 0, output.read_text() if output.exists() else ended
        result: dict[str, Any] = json.loads((Path(job.directory) / f"result-{job.thread}.json").read_text())
        return result

    return run


@pytest.fixture(scope="module")
def undisturbed(nurseries: list[Nursery], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """``undisturbed(script)``: the result of a run that nobody kills, and the names of its requests."""
    known: dict[str, Any] = {}

    def get(script: str) -> Any:
        if script not in known:
            job = Job(directory=str(tmp_path_factory.mktemp("undisturbed")), script=script)
            assert nurseries[0].run(job) == 0
            result = json.loads((Path(job.directory) / "result-thread.json").read_text())
            known[script] = result, Log(job.directory).names("request")
        return known[script]

    return get


def without_times(result: dict[str, Any]) -> dict[str, Any]:
    """What two runs of the same question must have in common."""
    turns = [{name: value for name, value in turn.items() if name != "seconds"} for turn in result["turns"]]
    return {**result, "turns": turns, "usage": None}


# --- the matrix -------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where a host dies.

    Args:
        script: what is asked.
        deaths: the options of ``Job``, one for each host that dies.
        lost: the requests that were in flight at the deaths, which are the ones that may be sent again.
        at_most: how many of them; all of them when None, and these exactly.
        order: in which the host that goes on gets its answers.
    """

    script: str
    deaths: Sequence[dict[str, Any]]
    lost: Sequence[str] = ()
    at_most: int | None = None
    order: Sequence[str] = ()


SECOND = [f"sub second <first text {number}>" for number in ("one", "two", "three")]

PLACES = {
    "in a cell": Place(
        script="cells", deaths=[{"die_at_request": "sub three"}], lost=["sub three <two <one>>"]
    ),
    "in a thought": Place(script="cells", deaths=[{"die_at_request": "root .* #3"}], lost=["root Which? #3"]),
    "half-way through a batch": Place(
        script="batch",
        deaths=[{"die_at_request": "sub part", "die_at_number": 21}],
        lost=[f"sub part {number}" for number in range(40)],
        at_most=4,  # max_concurrency
    ),
    "in child 2 with child 1 done": Place(
        script="children in a row", deaths=[{"die_at_request": "sub second <first text two>"}], lost=[SECOND[1]]
    ),
    "in a thought of child 2": Place(
        script="children in a row", deaths=[{"die_at_request": "root Read two #2"}], lost=["root Read two #2"]
    ),
    "with children that go on in another order": Place(
        script="children side by side",
        deaths=[{"die_at_request": "sub second <first text one>", "order": SECOND, "order_once": SECOND}],
        lost=SECOND,
        order=SECOND[::-1],
    ),
    "after start": Place(script="cells", deaths=[{"die_after": "start"}]),
    "after think": Place(script="cells", deaths=[{"die_after": "think", "die_after_number": 2}]),
    "after execute": Place(script="cells", deaths=[{"die_after": "execute", "die_after_number": 2}]),
    "after answer": Place(script="cells", deaths=[{"die_after": "answer"}]),
    "while a follow-up is made to stand alone": Place(
        script="follow-up", deaths=[{"die_at_request": "condense"}], lost=["condense"]
    ),
    "after a follow-up was made to stand alone": Place(
        script="follow-up", deaths=[{"die_at_request": "root .* #1"}], lost=["root Where does Anna live? #1"]
    ),
    "in the wrap-up": Place(script="no turns left", deaths=[{"die_at_request": "wrap-up"}], lost=["wrap-up"]),
    "in the structured answer": Place(
        script="structured", deaths=[{"die_at_request": "structure #1"}], lost=["structure #1"]
    ),
    "in the repair of the structured answer": Place(
        script="structured", deaths=[{"die_at_request": "structure #2"}], lost=["structure #2"]
    ),
    "twice": Place(
        script="cells",
        deaths=[{"die_at_request": "sub two"}, {"die_at_request": "sub three"}],
        lost=["sub two <one>", "sub three <two <one>>"],
    ),
    "twice at one place": Place(
        script="cells", deaths=[{"die_at_request": "sub two"}] * 2, lost=["sub two <one>", "sub two <one>"]
    ),
    "twice in a batch": Place(
        script="batch",
        deaths=[{"die_at_request": "sub part", "die_at_number": 11}] * 2,
        lost=[f"sub part {number}" for number in range(40)] * 2,
        at_most=8,
    ),
}  # fmt: skip

# In the normal run every place is there once, every saver with both durabilities, and the places that no single
# saver may break with two savers.
REDUCED = {
    ("in a cell", "sqlite", "sync"),
    ("in a cell", "postgres", "async"),
    ("in a thought", "asqlite", "async"),
    ("half-way through a batch", "sqlite", "sync"),
    ("half-way through a batch", "asqlite", "async"),
    ("in child 2 with child 1 done", "sqlite", "async"),
    ("in a thought of child 2", "asqlite", "sync"),
    ("with children that go on in another order", "sqlite", "sync"),
    ("with children that go on in another order", "asqlite", "async"),
    ("after start", "sqlite", "async"),
    ("after think", "sqlite", "sync"),
    ("after execute", "asqlite", "async"),
    ("after answer", "sqlite", "sync"),
    ("while a follow-up is made to stand alone", "postgres", "sync"),
    ("after a follow-up was made to stand alone", "sqlite", "async"),
    ("in the wrap-up", "sqlite", "sync"),
    ("in the structured answer", "asqlite", "sync"),
    ("in the repair of the structured answer", "sqlite", "async"),
    ("twice", "sqlite", "sync"),
    ("twice at one place", "asqlite", "sync"),
    ("twice in a batch", "postgres", "async"),
}
MATRIX = [
    pytest.param(*case, id="-".join(case).replace(" ", "_"), marks=() if case in REDUCED else pytest.mark.slow)
    for case in ((place, saver, durability) for place in PLACES for saver in SAVERS for durability in DURABILITIES)
]


@pytest.mark.parametrize(("where", "saver", "durability"), MATRIX)
def test_a_killed_run_ends_as_if_nothing_had_been_and_pays_only_for_the_missing_calls(
    where: str, saver: str, durability: str, run: Run, undisturbed: Any, tmp_path: Path
) -> None:
    place = PLACES[where]
    thread = uuid.uuid4().hex  # a server at POSTGRES_URL keeps the threads of other runs
    job = Job(directory=str(tmp_path), script=place.script, saver=saver, durability=durability, thread=thread)
    for number, death in enumerate(place.deaths):
        assert run(replace(job, resume=number > 0, **death)) is None
    result = run(replace(job, resume=True, order=place.order))
    assert result is not None
    expected, names = undisturbed(place.script)
    assert without_times(result) == without_times(expected)
    requests, again = Log(tmp_path).names("request"), asked_again(tmp_path)
    assert set(requests) == set(names)
    if place.at_most is None:
        assert again == Counter(place.lost)
    else:
        assert again <= Counter(place.lost)
        assert again.total() <= place.at_most
    # What was in flight at a death counts as spent. It may have been reserved and not yet sent.
    assert len(requests) <= result["usage"]["calls"] <= len(requests) + (place.at_most or 0)


@pytest.mark.parametrize("script", ["cells", "follow-up", "children in a row"])
@pytest.mark.parametrize("saver", ["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def test_a_run_whose_checkpoints_lag_behind_pays_no_answer_twice(
    script: str, saver: str, run: Run, undisturbed: Any, tmp_path: Path
) -> None:
    """With ``durability="async"`` nothing waits for a slow saver: it may know the question only, the memo knows more."""
    last = "sub three" if script == "cells" else "root .* #2" if script == "follow-up" else "sub second .* three"
    thread = uuid.uuid4().hex
    job = Job(directory=str(tmp_path), script=script, saver=saver, durability="async", thread=thread)
    assert run(replace(job, stuck_saver=True, die_at_request=last)) is None
    result = run(replace(job, resume=True))
    assert result is not None
    expected, _ = undisturbed(script)
    assert without_times(result) == without_times(expected)
    assert asked_again(tmp_path).total() == 1  # the one in flight
    assert result["usage"]["calls"] == len(Log(tmp_path).names("request"))


def test_no_place_is_forgotten() -> None:
    assert {place for place, _, _ in REDUCED} == set(PLACES)
    assert {place.script for place in PLACES.values()} == set(SCRIPTS)
    assert {case[1:] for case in REDUCED} == {(saver, durability) for saver in SAVERS for durability in DURABILITIES}
