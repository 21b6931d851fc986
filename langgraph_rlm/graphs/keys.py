"""The names of a graph's keys in the state of the user: ``keys={"question": "query", "answer": "reply"}``.

Inside, all parts use our names. A node translates what it reads and writes, and the graph's schemas show the user's.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import replace
from functools import lru_cache
from typing import Any, get_type_hints

from langgraph.types import Command
from pydantic import BaseModel
from typing_extensions import TypedDict

from langgraph_rlm.errors import InvalidInput

AUTO = "auto"
"""As the name of ``context``: the fields that :func:`langgraph_rlm.detect_context_fields` finds in the input."""
PRIVATE = "rlm_"
"""With this a key begins that is nobody's but ours."""


class Keys:
    """Names of keys, ours → the user's; those that are not named keep ours.

    Args:
        given: by our name.
        known: our public names in this graph.

    Raises:
        InvalidInput: an unknown name, a name twice, or one that is private; it says which.

    Example:
        >>> Keys({"question": "query"}, ["question", "answer"]).write({"question": "Why?", "answer": "So."})
        {'query': 'Why?', 'answer': 'So.'}
    """

    def __init__(self, given: Mapping[str, str] | None = None, known: Any = ()) -> None:
        self.auto_context = False
        self._names: dict[str, str] = {}
        self._ours: dict[str, str] = {}
        if not given:
            return
        if not isinstance(given, Mapping):
            raise InvalidInput(f"keys: expected a mapping of our names to yours, got {type(given).__name__}")
        for ours, theirs in given.items():
            if ours not in known:
                raise InvalidInput(f"keys: this graph has no {ours!r}; it has {', '.join(sorted(known))}")
            if not isinstance(theirs, str) or not theirs.isidentifier() or theirs.startswith(PRIVATE):
                raise InvalidInput(
                    f"keys: {theirs!r} cannot be the name of {ours!r}: a Python name without {PRIVATE!r}"
                )
            if ours == "context" and theirs == AUTO:
                self.auto_context = True
            elif ours != theirs:
                self._names[ours] = theirs
        kept = [name for name in known if name not in self._names]
        taken = [*self._names.values(), *kept]
        if twice := sorted({name for name in taken if taken.count(name) > 1}):
            raise InvalidInput(f"keys: {twice[0]!r} would be the name of two keys; rename the other one too")
        self._ours = {theirs: ours for ours, theirs in self._names.items()}

    def name(self, ours: str) -> str:
        """The user's name of a key."""
        return self._names.get(ours, ours)

    def read(self, state: Any) -> Any:
        """A state under our names."""
        if not self._ours or not isinstance(state := plain(state), Mapping):
            return state
        return {self._ours.get(key, key): value for key, value in state.items()}

    def write(self, update: Any) -> Any:
        """An update, or a Command with one, under the user's names."""
        if not self._names:
            return update
        if isinstance(update, Command):
            return replace(update, update=self.write(update.update))
        return (
            {self._names.get(key, key): value for key, value in update.items()} if isinstance(update, dict) else update
        )

    def schema(self, kind: type) -> type:
        """A TypedDict of ours under the user's names."""
        return kind if not self._names else _renamed(kind, tuple(self._names.items()))


def plain(state: Any) -> Any:
    """A state as a mapping: that of a parent graph may be a pydantic model or a dataclass, where what is empty was not given."""
    if isinstance(state, BaseModel):
        names = list(type(state).model_fields)
    elif dataclasses.is_dataclass(state) and not isinstance(state, type):
        names = [one.name for one in dataclasses.fields(state)]
    else:
        return state
    return {name: value for name in names if not is_empty(value := getattr(state, name, None))}


def is_empty(context: Any) -> bool:
    """Whether a given context is none: None, an empty text, or nothing in a list or mapping."""
    return context is None or (isinstance(context, str | list | tuple | Mapping) and not context)


@lru_cache(maxsize=256)
def _renamed(kind: type, pairs: tuple[tuple[str, str], ...]) -> type:
    names = dict(pairs)
    return _made(kind, {names.get(key, key): hint for key, hint in get_type_hints(kind, include_extras=True).items()})


def public_of(kind: type) -> type:
    """A TypedDict without its private keys."""
    hints = get_type_hints(kind, include_extras=True)
    return _made(kind, {key: hint for key, hint in hints.items() if not key.startswith(PRIVATE)})


def public_names(kind: type) -> tuple[str, ...]:
    """Its keys that are not private."""
    return tuple(key for key in get_type_hints(kind, include_extras=True) if not key.startswith(PRIVATE))


def _made(kind: type, hints: Mapping[str, Any]) -> type:
    made: type = TypedDict(kind.__name__, dict(hints), total=False)  # type: ignore[misc]
    made.__doc__ = kind.__doc__
    return made
