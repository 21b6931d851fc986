"""Options by name: one that does not exist is refused with its name, and the nearest that does is told."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection, Iterable
from typing import ParamSpec, TypeVar

from langgraph_rlm.errors import UnknownOption, closest

P = ParamSpec("P")
T = TypeVar("T")


def refuse_unknown(of: str, given: Iterable[str], known: Collection[str]) -> None:
    """Refuse options of a name that does not exist.

    Args:
        of: whose options these are, for the message.
        given: the names given.
        known: the names that exist.

    Raises:
        UnknownOption: naming the first unknown one, and the nearest known one.

    Example:
        >>> refuse_unknown("open", ["creat"], ["create", "words"])
        Traceback (most recent call last):
        langgraph_rlm.errors.UnknownOption: open: there is no option 'creat'; did you mean 'create'?
    """
    for name in given:
        if name not in known:
            near = closest(name, known)
            advice = f"did you mean {near!r}?" if near else f"there are {', '.join(map(repr, known)) or 'none'}"
            raise UnknownOption(f"{of}: there is no option {name!r}; {advice}", option=name, nearest=near)


def named_options(function: Callable[P, T]) -> Callable[P, T]:
    """A function that refuses keyword arguments it does not have by :class:`UnknownOption`.

    Example:
        >>> @named_options
        ... def add(*, prune: bool = False) -> bool:
        ...     return prune
        >>> add(prune=True)
        True
    """
    known = tuple(name for name in inspect.signature(function).parameters if name not in ("self", "cls"))

    @functools.wraps(function)
    def checked(*args: P.args, **kwargs: P.kwargs) -> T:
        if kwargs:
            refuse_unknown(function.__qualname__, kwargs, known)
        return function(*args, **kwargs)

    return checked
