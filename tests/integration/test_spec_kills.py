"""A host is killed in a mapped step, another one goes on: nothing that was answered is paid twice."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.spec_host import ITEMS

ROOT = Path(__file__).parents[2]


def host(directory: Path, face: str, die_at: int, at_once: int) -> int:
    command = [sys.executable, "-m", "tests.spec_host", str(directory), face, str(die_at), str(at_once)]
    return subprocess.run(command, cwd=ROOT, timeout=120, check=False, capture_output=True).returncode


def answers(directory: Path) -> Counter[str]:
    return Counter((directory / "log.txt").read_text().splitlines())


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> tuple[Counter[str], Any]:
    directory = tmp_path_factory.mktemp("undisturbed")
    assert host(directory, "invoke", 0, 1) == 0
    return answers(directory), json.loads((directory / "result.json").read_text())


@pytest.mark.parametrize(
    ("face", "at_once", "deaths"),
    [
        ("invoke", 1, [20]),
        pytest.param("invoke", 1, [3, 30], marks=pytest.mark.slow),
        pytest.param("ainvoke", 1, [30], marks=pytest.mark.slow),
        pytest.param("ainvoke", 8, [25], marks=pytest.mark.slow),
    ],
)
def test_a_kill_in_a_mapped_step_pays_nothing_twice(
    tmp_path: Path, undisturbed: tuple[Counter[str], Any], face: str, at_once: int, deaths: list[int]
) -> None:
    wanted, result = undisturbed
    assert sum(wanted.values()) > ITEMS
    for die_at in deaths:
        assert host(tmp_path, face, die_at, at_once) == -signal.SIGKILL
    assert host(tmp_path, face, 0, at_once) == 0
    again = answers(tmp_path) - wanted
    assert sum(again.values()) <= (0 if at_once == 1 else at_once)  # in flight when it died: answered, but not heard
    assert set(answers(tmp_path)) == set(wanted)
    resumed = json.loads((tmp_path / "result.json").read_text())
    for one in (result, resumed):
        one.pop("usage", None)
    assert resumed == result
