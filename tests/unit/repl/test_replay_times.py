"""A replayed cell reads the times that it read the first time, and is otherwise an ordinary cell."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from langgraph_rlm.repl import ProcessFactory, ReplLimits, replay
from langgraph_rlm.repl.jail import JailFactory, available
from langgraph_rlm.repl.wire import Violation, check
from langgraph_rlm.types import Turn

READS = [
    "import time\nprint(time.time(), time.time_ns())",
    "import time\nprint(time.strftime('%c %f'), time.asctime(), time.ctime(), time.localtime(), time.gmtime())",
    "import datetime\nprint(datetime.datetime.now(), datetime.datetime.now(datetime.UTC), datetime.datetime.today())",
    "from datetime import datetime, date, timezone, timedelta\nprint(datetime.now(timezone(timedelta(hours=2))).isoformat())",
    "import datetime, warnings\nwarnings.simplefilter('ignore')\nprint(datetime.datetime.utcnow(), repr(datetime.date.today()))",
    "import uuid, time\nprint([time.time() for _ in range(150)])",
    "import logging, sys, time\nprint(logging.LogRecord('a', 1, 'p', 1, 'm', (), None).created)",
    "import threading, time\nout = []\nt = threading.Thread(target=lambda: out.append(time.time()))\nt.start(); t.join()\nprint(out)",
]


@pytest.fixture(params=["jail", "unsafe"])
def factory(request: pytest.FixtureRequest) -> Iterator[Any]:
    if request.param == "jail" and (why_not := available()) is not None:
        pytest.skip(why_not)
    made: Any = JailFactory() if request.param == "jail" else ProcessFactory(spare=0)
    yield made
    made.close()


def nothing(*_: Any) -> None:
    raise AssertionError("no cell here calls anything")


def turn_of(number: int, code: str, result: Any) -> Turn:
    return Turn(
        number=number, thought="", code=code, output=result["stdout"], error=result["error"], digest=result["digest"],
        seconds=0.0, killed=False, calls={}, times=result["times"],
    )  # fmt: skip


def run(factory: Any, *codes: str) -> list[Turn]:
    repl = factory.start(None, [], ReplLimits())
    turns = [turn_of(number, code, repl.execute(code, nothing)) for number, code in enumerate(codes)]
    repl.close()
    assert [turn["error"] for turn in turns] == [None] * len(turns)
    return turns


def test_replayed_cells_read_the_same_times(factory: Any) -> None:
    turns = run(factory, *READS)
    assert all(turn["times"] for turn in turns)
    repl, differing = replay(lambda: factory.start(None, [], ReplLimits()), turns, lambda index: nothing)
    assert differing == []
    late = repl.execute("import time\ntime.time()", nothing)
    repl.close()
    assert abs(float(late["stdout"]) - time.time()) < 60, "the next cell has the system's time again"


def test_without_what_was_written_down_they_differ(factory: Any) -> None:
    turns = run(factory, *READS[:3])
    for turn in turns:
        del turn["times"]
    repl, differing = replay(lambda: factory.start(None, [], ReplLimits()), turns, lambda index: nothing)
    repl.close()
    assert 0 in differing
    assert 2 in differing


def test_a_cell_that_waits_for_a_time_ends_and_so_does_its_replay(factory: Any) -> None:
    code = "import time\nend = time.time() + 0.05\nwhile time.time() < end: pass\nprint('over')"
    turns = run(factory, code)
    assert 0 < len(turns[0]["times"]) <= 200
    repl, differing = replay(lambda: factory.start(None, [], ReplLimits()), turns, lambda index: nothing)
    repl.close()
    assert differing == []


def test_the_modules_are_the_usual_ones_to_every_cell(factory: Any) -> None:
    [turn] = run(
        factory,
        "import datetime, time\n"
        "from datetime import datetime as dt, date, timedelta\n"
        "now = dt.now()\n"
        "assert type(now) is dt and isinstance(now, date) and isinstance(date.today(), date)\n"
        "assert (now + timedelta(days=1) - now).days == 1 and dt.fromisoformat(now.isoformat()) == now\n"
        "assert dt.strptime('2024-02-03', '%Y-%m-%d') == dt(2024, 2, 3) and dt(2024, 2, 3).strftime('%d.%m.%Y') == '03.02.2024'\n"
        "assert time.strftime('%Y', time.gmtime(0)) == '1970' and time.localtime(0).tm_year in (1969, 1970)\n"
        "assert dt.now(datetime.timezone.utc).tzinfo is datetime.timezone.utc and dt.utcfromtimestamp(0).year == 1970\n"
        "class Mine(dt): pass\n"
        "assert type(Mine.now()) is Mine and abs(time.time() - now.timestamp()) < 60\n"
        "assert time.monotonic() and time.perf_counter() and abs(time.time_ns() / 1e9 - time.time()) < 60\n"
        "print(repr(dt(2024, 1, 2)))",
    )
    assert turn["output"] == "datetime.datetime(2024, 1, 2, 0, 0)\n"


@pytest.mark.parametrize("times", [None, "x", [1.5], [True], [-1], [1 << 63], ["a"], [[1]], [0] * 201])
def test_times_that_are_none_end_the_session_not_the_host(times: Any) -> None:
    with pytest.raises(Violation):
        check(["done", 1, "", None, None, times])
