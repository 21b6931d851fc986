"""What tests over several engines share: the engines by name, and sessions with functions given as plain Python ones."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest

from langgraph_rlm.repl import ProcessFactory, Repl, ReplFactory
from langgraph_rlm.types import CellResult

try:
    from langgraph_rlm.repl.jail import JailFactory
except ImportError:  # not on this system
    JailFactory = None  # type: ignore[assignment,misc]

needs_jail = pytest.mark.skipif(JailFactory is None, reason="no jail on this system")
ENGINES = ["process", pytest.param("jail", marks=needs_jail)]


class Session:
    """A REPL, and functions given as plain Python ones."""

    def __init__(self, repl: Repl, functions: Mapping[str, Callable[..., Any]]) -> None:
        self.repl = repl
        self.functions = functions

    def run(self, code: str) -> CellResult:
        return self.repl.execute(code, lambda name, args, kwargs: self.functions[name](*args, **kwargs))

    def shows(self, code: str) -> str:
        result = self.run(code)
        assert result["error"] is None, result["error"]
        return result["stdout"].rstrip("\n")


@contextlib.contextmanager
def engine(name: str) -> Iterator[ReplFactory]:
    """The factory of this name, closed at the end."""
    factory = ProcessFactory(spare=1) if name == "process" else JailFactory()
    try:
        yield factory
    finally:
        factory.close()
