"""The examples in docstrings are true: each runs as it stands, with no name that its reader does not have."""

from __future__ import annotations

import ast
import doctest
import importlib
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import langgraph_rlm
from langgraph_rlm.repl import jail
from tests.unit.test_layering import MODULES

PROMPT = re.compile(r"^\s*>>> ", re.MULTILINE)
WITH_EXAMPLES = [name for name, path in MODULES.items() if PROMPT.search(path.read_text("utf-8"))]
NEEDS = ("openai:", "PineconeIndex(", "dspy.")
"""What makes an example cost money, or needs a server or a package that is no dependency: only then it may be skipped."""


def names_of_a_reader(module: ModuleType) -> dict[str, Any]:
    """What somebody who reads the docstring has imported: the package's public names and those of this module."""
    package = {name: getattr(langgraph_rlm, name) for name in langgraph_rlm.__all__}
    own = {
        name: value
        for name, value in vars(module).items()
        if getattr(value, "__module__", None) == module.__name__ or name in getattr(module, "__all__", ())
    }
    return package | own


def examples_of(module: ModuleType, names: dict[str, Any]) -> Iterator[doctest.DocTest]:
    yield from doctest.DocTestFinder(exclude_empty=True).find(module, globs=names)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_the_examples_of_a_module_are_true(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    module = importlib.import_module(name)
    if ".jail." in name and (why_not := jail.available()) is not None:
        pytest.skip(f"no jail here: {why_not}")
    monkeypatch.chdir(tmp_path)
    wrong = list[str]()
    for example in examples_of(module, names_of_a_reader(module)):
        doctest.DocTestRunner(verbose=False).run(example, out=wrong.append)
    assert not wrong, "".join(wrong)


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_no_example_is_overlooked(name: str) -> None:
    """Those of a constant, or of a function inside another, would never run."""
    found = {example.name: len(example.examples) for example in examples_of(importlib.import_module(name), {})}
    assert sum(found.values()) == len(PROMPT.findall(MODULES[name].read_text("utf-8"))), found


@pytest.mark.parametrize("name", WITH_EXAMPLES)
def test_only_what_costs_money_or_needs_a_server_is_skipped(name: str) -> None:
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef | ast.Module):
            text = ast.get_docstring(node) or ""
            assert "+SKIP" not in text or any(need in text for need in NEEDS), text[text.find("Example") :]
