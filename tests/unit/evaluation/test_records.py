"""Answers on disk: what a kill leaves is cut off, other settings are refused by name, one writer at a time."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.evaluation.records import ANSWERS, SETTINGS, Answered, Records

PLAIN = {
    "chosen": "rag", "answered_by": "rag", "answer": "x", "citations": [["a", 0, 1]], "stop_reason": "answered", "error": "",
    "calls": 1, "input_tokens": 10, "cached_tokens": 0, "output_tokens": 2, "cost_usd": 0.5, "estimated": False,
    "seconds": 0.1, "largest_prompt": 10, "judged": None, "judge_cost_usd": None,
}  # fmt: skip


def answer(task: str, route: str = "rag", **more: Any) -> Answered:
    return cast(Answered, {**PLAIN, "task": task, "route": route, **more})


def held(folder: Path, *tasks: str) -> list[str]:
    with Records.opened(folder, {"model": "m"}) as records:
        return [task for task in tasks if records.get(task, "rag") is not None]


def test_answers_are_there_the_next_time(tmp_path: Path) -> None:
    with Records.opened(tmp_path / "new", {"model": "m"}) as records:
        records.add(answer("1"))
        records.add(answer("2", stop_reason="failed", cost_usd=0.25))
        records.add(answer("3", judge_cost_usd=0.125))
        assert records.get("1", "rlm") is None
    with Records.opened(tmp_path / "new", {"model": "m"}) as records:
        assert records.get("1", "rag") == answer("1")
        assert records.get("2", "rag") is None
        assert records.last("2", "rag") is not None
        assert records.spent_usd == 0.5 + 0.25 + 0.625


@given(st.integers(0, 900))
def test_a_file_that_was_cut_anywhere_gives_its_whole_lines_and_goes_on(
    tmp_path_factory: pytest.TempPathFactory, cut: int
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    with Records.opened(folder, {"model": "m"}) as records:
        for task in "123":
            records.add(answer(task))
    whole = (folder / ANSWERS).read_bytes()
    (folder / ANSWERS).write_bytes(whole[:cut])
    there = held(folder, *"123")
    assert there == list("123")[: whole[:cut].count(b"\n")]
    with Records.opened(folder, {"model": "m"}) as records:
        for task in "123"[len(there) :]:
            records.add(answer(task))
    assert (folder / ANSWERS).read_bytes() == whole


def test_other_settings_are_refused_by_name(tmp_path: Path) -> None:
    with Records.opened(tmp_path, {"model": "one", "judge": None}):
        pass
    with (
        pytest.raises(InvalidInput, match=r"other settings .model was 'one' and is now 'two'.: choose another folder"),
        Records.opened(tmp_path, {"model": "two", "judge": None}),
    ):
        pass


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    with (
        Records.opened(tmp_path, {}),
        pytest.raises(InvalidInput, match="in use by another evaluation"),
        Records.opened(tmp_path, {}),
    ):
        pass


@pytest.mark.parametrize("line", ["{", "5", "{}", json.dumps({**answer("1"), "more": 1}), "\ud800"])
def test_a_line_that_is_no_answer_is_named(tmp_path: Path, line: str) -> None:
    with Records.opened(tmp_path, {}) as records:
        records.add(answer("1"))
    with (tmp_path / ANSWERS).open("ab") as file:
        file.write(line.encode("utf-8", "surrogatepass") + b"\n")
    with pytest.raises(InvalidInput, match="line 2 is no answer"), Records.opened(tmp_path, {}):
        pass


def test_settings_that_are_none_and_folders_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    (tmp_path / SETTINGS).write_text("nonsense")
    with pytest.raises(InvalidInput, match="is no record of settings"), Records.opened(tmp_path, {}):
        pass
    (tmp_path / "file").write_text("x")
    with pytest.raises(InvalidInput, match="cannot be written"), Records.opened(tmp_path / "file" / "out", {}):
        pass
