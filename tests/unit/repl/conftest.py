"""Real REPLs for the tests of `repl/`."""

import contextlib
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from langgraph_rlm.repl import ProcessFactory, ReplContext, ReplFactory, ReplLimits
from langgraph_rlm.repl.jail import JailFactory, available
from langgraph_rlm.types import CellResult


class Session:
    """A REPL, and functions given as plain Python ones."""

    def __init__(self, repl: Any, functions: dict[str, Callable[..., Any]]) -> None:
        self.repl = repl
        self.functions = functions

    def run(self, code: str) -> CellResult:
        return self.repl.execute(code, lambda name, args, kwargs: self.functions[name](*args, **kwargs))

    def shows(self, code: str) -> str:
        result = self.run(code)
        assert result["error"] is None, result["error"]
        return result["stdout"].rstrip("\n")


@pytest.fixture(scope="session")
def processes() -> Iterator[ProcessFactory]:
    factory = ProcessFactory(spare=1)
    yield factory
    factory.close()


@pytest.fixture(scope="session")
def jail() -> Iterator[JailFactory]:
    if (why_not := available()) is not None:
        pytest.skip(f"no jail here: {why_not}")
    factory = JailFactory()
    yield factory
    factory.close()


@pytest.fixture(params=["processes", "jail"])
def factory(request: pytest.FixtureRequest) -> ProcessFactory | JailFactory:
    """Whatever starts REPLs: what cells see is the same in all of them."""
    found: ProcessFactory | JailFactory = request.getfixturevalue(request.param)
    return found


@pytest.fixture
def session(factory: ProcessFactory | JailFactory) -> Iterator[Callable[..., Session]]:
    """Start a session: ``session(context=None, limits={...}, variables={...}, name=function, ...)``."""
    with started_by(factory) as start:
        yield start


@pytest.fixture
def plain_session(processes: ProcessFactory) -> Iterator[Callable[..., Session]]:
    """The same without a jail, for what a jail does not allow."""
    with started_by(processes) as start:
        yield start


@pytest.fixture
def jailed(jail: JailFactory) -> Iterator[Callable[..., Session]]:
    """The same in the jail, for what only a jail does."""
    with started_by(jail) as start:
        yield start


@contextlib.contextmanager
def started_by(factory: ReplFactory) -> Iterator[Callable[..., Session]]:
    """Starts sessions, and ends them all."""
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

    try:
        yield start
    finally:
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
