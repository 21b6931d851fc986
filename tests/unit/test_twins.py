"""Coroutines made of blocking methods: the method's parameters, one body, off the event loop."""

from __future__ import annotations

import inspect
import threading
from abc import ABC, abstractmethod
from typing import Any

import pytest

from langgraph_rlm.errors import UnknownOption
from langgraph_rlm.twins import async_class_twin, async_twin, twin_of


class Shelf(ABC):
    """What tests need of a class with twins."""

    books: list[str]

    @classmethod
    def open(cls, spec: str, *, create: bool = True) -> Shelf:
        """Open a shelf.

        Raises:
            ValueError: there is no such shelf.

        Example:
            >>> Shelf.open("a").find("b")
        """
        if not create:
            raise ValueError(spec)
        return cls()

    aopen = async_class_twin(open)

    @abstractmethod
    def find(self, title: str, k: int = 8, *, where: str | None = None) -> tuple[str, int, str | None, int]:
        """Find a book."""

    afind = async_twin(find)

    @twin_of(find)
    async def asearch(self, *given: Any, where: str | None) -> tuple[str, int, str | None, int]:
        return *given, where, 0  # type: ignore[return-value]


class Tall(Shelf):
    """The child that overrides."""

    def find(self, title: str, k: int = 8, *, where: str | None = None) -> tuple[str, int, str | None, int]:
        return title, k, where, threading.get_ident()


async def test_a_twin_runs_the_method_of_the_subclass_in_another_thread() -> None:
    *found, thread = await Tall().afind("a", 3, where="here")
    assert found == ["a", 3, "here"]
    assert thread != threading.get_ident()


async def test_a_class_methods_twin_makes_the_class_it_is_called_on() -> None:
    assert type(await Tall.aopen("a")) is Tall
    with pytest.raises(ValueError, match="nowhere"):
        await Tall.aopen("nowhere", create=False)


def test_a_twin_has_the_methods_parameters_and_hints() -> None:
    assert inspect.signature(Shelf.afind) == inspect.signature(Shelf.find)
    assert inspect.signature(Shelf.aopen) == inspect.signature(Shelf.open)
    assert inspect.iscoroutinefunction(Shelf.afind)
    assert Shelf.afind.__qualname__ == "Shelf.afind"


def test_a_twins_docstring_is_the_methods_without_its_example() -> None:
    described = inspect.getdoc(Shelf.aopen)
    assert described is not None
    assert described.startswith(":meth:`open` in a thread")
    assert described.endswith("Raises:\n    ValueError: there is no such shelf.")


def test_the_twin_of_an_abstract_method_needs_no_override() -> None:
    assert Shelf.__abstractmethods__ == {"find"}


async def test_a_parameter_that_the_method_does_not_have_is_refused() -> None:
    with pytest.raises(TypeError, match="lines"):
        await Tall().afind("a", lines=3)  # type: ignore[call-arg]


async def test_a_twin_with_a_body_of_its_own_gets_every_parameter_of_its_method() -> None:
    assert inspect.signature(Shelf.asearch) == inspect.signature(Shelf.find)
    assert await Tall().asearch("a") == ("a", 8, None, 0)
    assert await Tall().asearch("a", where="here", k=3) == ("a", 3, "here", 0)
    with pytest.raises(UnknownOption, match="did you mean 'where'"):
        await Tall().asearch("a", were="here")  # type: ignore[call-arg]
