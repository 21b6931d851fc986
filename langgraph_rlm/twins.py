"""Coroutines made of blocking methods: one list of parameters, one body, one docstring."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar, cast

from langgraph_rlm.options import refuse_unknown
from langgraph_rlm.threads import in_thread

P = ParamSpec("P")
S = TypeVar("S")
T = TypeVar("T")

_EXAMPLE = "\nExample:"
"""How the section of a method's docstring begins that calls the method itself, not its twin."""


def async_twin(method: Callable[Concatenate[S, P], T]) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
    """A coroutine that runs a blocking method in a thread, with the method's parameters, hints and docstring.

    The method is looked up by its name when the coroutine is called: where a subclass overrides it, its twin follows.
    What the method returns must not block when it is used: a list, not an iterator that reads a file.

    Args:
        method: a method, from the body of its class.

    Returns:
        The coroutine function, to be named after the method with an ``a`` in front.

    Example:
        >>> import asyncio
        >>> class Shelf:
        ...     def count(self, of: str = "books") -> str:
        ...         return f"2 {of}"
        ...     acount = async_twin(count)
        >>> asyncio.run(Shelf().acount(of="maps"))
        '2 maps'
    """
    name = method.__name__

    async def twin(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
        call: Callable[P, T] = getattr(self, name)
        return await in_thread(call, *args, **kwargs)

    _describe(twin, method, f":meth:`{name}` in a thread, so that the event loop is not blocked.")
    return twin


def twin_of(
    method: Callable[Concatenate[S, P], Any],
) -> Callable[[Callable[..., Coroutine[Any, Any, T]]], Callable[Concatenate[S, P], Coroutine[Any, Any, T]]]:
    """For a coroutine with a body of its own: it gets the parameters, hints and docstring of the blocking method.

    The body receives every parameter, defaults included, by position or, where it is keyword-only, by name.

    Args:
        method: the blocking method, from the body of its class.

    Example:
        >>> import asyncio
        >>> class Shelf:
        ...     def count(self, of: str = "books") -> str:
        ...         return f"2 {of}"
        ...     @twin_of(count)
        ...     async def acount(self, *given):
        ...         return self.count(*given)
        >>> asyncio.run(Shelf().acount())
        '2 books'
    """
    signature = inspect.signature(method)
    known = tuple(signature.parameters)[1:]

    def decorate(
        body: Callable[..., Coroutine[Any, Any, T]],
    ) -> Callable[Concatenate[S, P], Coroutine[Any, Any, T]]:
        async def twin(self: S, /, *args: P.args, **kwargs: P.kwargs) -> T:
            refuse_unknown(twin.__qualname__, kwargs, known)
            bound = signature.bind(self, *args, **kwargs)
            bound.apply_defaults()
            return await body(*bound.args, **bound.kwargs)

        _describe(twin, method, f":meth:`{method.__name__}` without blocking the event loop.")
        return twin

    return decorate


def async_class_twin(
    method: Callable[Concatenate[type[S], P], T],
) -> classmethod[S, P, Coroutine[Any, Any, T]]:
    """As :func:`async_twin`, for what ``@classmethod`` has made, such as ``open``."""
    made = cast("classmethod[S, P, T]", method)  # in the body of its class it is one, whatever a type checker says
    return classmethod(async_twin(made.__func__))


def _describe(twin: Callable[..., Any], method: Callable[..., Any], first_line: str) -> None:
    """Give a twin the face of its method."""
    name = method.__name__
    functools.update_wrapper(twin, method)
    twin.__dict__.pop("__isabstractmethod__", None)  # its method is the one to override
    twin.__name__ = f"a{name}"
    twin.__qualname__ = f"{method.__qualname__.removesuffix(name)}a{name}"
    described = inspect.cleandoc(method.__doc__ or "").partition(_EXAMPLE)[0]
    twin.__doc__ = f"{first_line}\n\n{described}".rstrip()
