"""No expression of the package takes more than linear time on a text that somebody else wrote."""

from __future__ import annotations

import json
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.expressions import Expression, expressions, super_linear

ROOT = Path(__file__).parents[2]
CPU_SECONDS = 240


def run(*arguments: str) -> list[dict[str, Any]]:
    """What the program prints; it ends by the limit when an expression hangs."""
    limit = (CPU_SECONDS, CPU_SECONDS)
    done = subprocess.run(
        [sys.executable, "-m", "tests.expressions", *arguments],
        capture_output=True,
        text=True,
        cwd=ROOT,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_CPU, limit),
    )
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (done.returncode, done.stderr[-2_000:], lines)
    return lines


def test_every_expression_is_linear_in_a_text_made_for_it() -> None:
    *bad, last = run("quick")
    assert bad == []
    assert last["expressions"] > 100


@pytest.mark.slow
def test_every_expression_is_linear_in_a_long_text_made_for_it() -> None:
    *bad, _ = run()
    assert bad == []


@pytest.mark.parametrize(
    ("pattern", "size"),
    [
        (r"a.*?b", 16_000),
        (r"\s+$", 16_000),
        (r"/\*.*?\*/", 16_000),
        (r"^\w+[^\n=]*=", 16_000),
        (r"(\w+) (\w+)x", 16_000),
        (r"\([^;]*\)[^;]*\{", 2_000),  # cubic
        (r"“[^”]+”", 16_000),
        (r"x(?:ab)*y|(?:ab)*z", 8_000),
    ],
)
def test_an_expression_that_is_not_is_found(pattern: str, size: int) -> None:
    assert super_linear(Expression("here", re.compile(pattern, re.DOTALL)), size) is not None


def test_expressions_are_found_in_modules_classes_containers_and_calls() -> None:
    found = expressions()
    places = {expression.where for expression in found}
    assert {
        "langgraph_rlm.corpus.names.code_definitions._JAVA",
        "langgraph_rlm.corpus.periods._PATTERNS[1]",
        "langgraph_rlm.text.store._REF",
    } <= places
    assert any(where.startswith("offline/model.py:") for where in places)
    assert any(where.startswith("langgraph_rlm.graphs.signals.") for where in places)
    assert any(not isinstance(expression.compiled, re.Pattern) for expression in found), "re2's"
