"""Parameters of a factory that have moved: whoever still gives one is told where it belongs now."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def moved(**places: str) -> Callable[[Callable[P, T]], Callable[P, T]]:
    """Let a function raise TypeError for each of these parameters, with its new place.

    Example:
        >>> @moved(colour="style={'colour': …}")
        ... def drawn(*, style=None): ...
        >>> drawn(colour="red")
        Traceback (most recent call last):
        TypeError: drawn() takes no 'colour' any more: write style={'colour': …}
    """

    def decorated(function: Callable[P, T]) -> Callable[P, T]:
        @functools.wraps(function)
        def checked(*args: P.args, **kwargs: P.kwargs) -> T:
            for name in kwargs:
                if name in places:
                    raise TypeError(f"{function.__name__}() takes no {name!r} any more: write {places[name]}")
            return function(*args, **kwargs)

        return checked

    return decorated
