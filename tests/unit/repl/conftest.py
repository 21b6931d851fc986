"""Real REPLs for the tests of `repl/`."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_rlm.repl import ProcessFactory, ProcessRepl, ReplContext, ReplLimits
from langgraph_rlm.types import CellResult


class Session:
    """A REPL, and functions given as plain Python ones."""

    def __init__(self, repl: ProcessRepl, functions: dict[str, Callable[..., Any]]) -> None:
        self.repl = repl
        self.functions = functions

    def run(self, code: str) -> CellResult:
        return self.repl.execute(code, lambda name, args, kwargs: self.functions[name](*args, **kwargs))

    def shows(self, code: str) -> str:
        result = self.run(code)
        assert result["error"] is None, result["error"]
        return result["stdout"].rstrip("\n")


@pytest.fixture(scope="session")
def factory() -> Iterator[ProcessFactory]:
    factory = ProcessFactory(spare=1)
    yield factory
    factory.close()


@pytest.fixture
def session(factory: ProcessFactory) -> Iterator[Callable[..., Session]]:
    """Start a session: ``session(context=None, limits={...}, variables={...}, name=function, ...)``."""
    started: list[Session] = []

    def start(
        context: ReplContext | None = None,
        limits: dict[str, Any] | None = None,
        variables: dict[str, Any] | None = None,
        **functions: Callable[..., Any],
    ) -> Session:
        repl = factory.start(context, list(functions), ReplLimits(**(limits or {})), variables)
        started.append(Session(repl, functions))
        return started[-1]

    yield start
    for one in started:
        one.repl.close()


@pytest.fixture
def gone() -> Callable[[int], bool]:
    """Whether a process ends within ten seconds (a zombie that nobody collects counts as ended)."""

    def wait(pid: int) -> bool:
        for _ in range(500):
            try:
                state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            except (FileNotFoundError, ProcessLookupError):
                return True
            if state in "ZX":
                return True
            time.sleep(0.02)
        return False

    return wait
