"""All kinds of REPLs pass the public suite: jail, plain process, Monty, and an interpreter of dspy's shape."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import pytest

from langgraph_rlm.errors import MissingDependency
from langgraph_rlm.repl import (
    InterpreterFactory,
    MontyFactory,
    ProcessFactory,
    Repl,
    ReplContext,
    ReplFactory,
    ReplLimits,
)
from langgraph_rlm.repl.jail import JailFactory, available
from langgraph_rlm.testing import ReplConformance
from tests.unit.repl.test_interpreter_adapter import Interpreter


class TestJail(ReplConformance):
    @pytest.fixture(scope="class")
    def factory(self) -> Iterator[ReplFactory]:
        if (why_not := available()) is not None:
            pytest.skip(f"no jail here: {why_not}")
        factory = JailFactory()
        yield factory
        factory.close()


class TestProcess(ReplConformance):
    @pytest.fixture(scope="class")
    def factory(self) -> Iterator[ReplFactory]:
        factory = ProcessFactory(spare=1)
        yield factory
        factory.close()


class TestMonty(ReplConformance):
    failed_calls_are_false = False  # __bool__ of an own class is not asked

    @pytest.fixture(scope="class")
    def factory(self) -> ReplFactory:
        try:
            return MontyFactory()
        except MissingDependency as missing:
            pytest.skip(str(missing))


class TestInterpreterOfDspysShape(ReplConformance):
    endless = "sleep_until_shutdown()"  # a thread of the tests' own process cannot be ended from outside

    @pytest.fixture(scope="class")
    def factory(self) -> ReplFactory:
        return InterpreterFactory(Interpreter, notes=["THIS IS A SMALL ONE."])


class Smallest(ReplFactory):
    """Nothing but ``start``, as a user's own may have it."""

    def start(
        self,
        context: ReplContext | None,
        functions: Collection[str],
        limits: ReplLimits,
        variables: Mapping[str, Any] | None = None,
    ) -> Repl:
        return InterpreterFactory(Interpreter).start(context, functions, limits, variables)


def test_a_factory_needs_start_only() -> None:
    factory = Smallest()
    factory.warm()
    assert [*factory.notes, *factory.notes_for(None)] == []
    repl = factory.start(None, [], ReplLimits())
    repl.serve_times([1])
    assert repl.execute("1", lambda *_: None)["stdout"] == "1\n"
    repl.close()
    factory.close()


def test_a_factory_without_start_cannot_be_made() -> None:
    class Empty(ReplFactory):
        pass

    with pytest.raises(TypeError, match="start"):
        Empty()  # type: ignore[abstract]
