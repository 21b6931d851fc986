"""What a cell finds in its namespace beside the context: ``answer``, ``FINAL``, ``SHOW_VARS``, ``CallError``, hits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

RESERVED = ("answer", "context", "FINAL", "FINAL_VAR", "SHOW_VARS", "CallError", "__context__")
"""Names that no function and no variable of a host may have."""


class CallError:
    """A call that failed, as a value: false, and not a string.

    Attributes:
        category: kind of failure, e.g. ``"timeout"``.
        message: what happened.
        retryable: whether the same call may succeed later.
    """

    __slots__ = ("category", "message", "retryable")

    def __init__(self, category: str, message: str, retryable: bool = False) -> None:
        self.category = category
        self.message = message
        self.retryable = retryable

    def __bool__(self) -> bool:
        return False

    def __repr__(self) -> str:
        return f"CallError({self.category!r}, {self.message!r})"


class Hits(list[Any]):
    """A list of hits that also knows how much was searched.

    Attributes:
        seen: matches met in all.
        complete: whether the search looked at everything.
    """

    def __init__(self, hits: Iterable[Any] = (), seen: int = 0, complete: bool = True) -> None:
        super().__init__(hits)
        self.seen = seen
        self.complete = complete


class Listing(str):
    """Text that shows itself without quotes when it is the last expression of a cell."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


class Names:
    """The namespace of a session, and the answer that its cells submit.

    Args:
        module: the module that cells run in.
        functions: what is callable by name.
        variables: further variables.
        submission: turns a value into JSON-like data.
    """

    def __init__(
        self,
        module: ModuleType,
        functions: Mapping[str, Callable[..., Any]],
        variables: Mapping[str, Any],
        submission: Callable[[Any], Any],
    ) -> None:
        self.space = vars(module)
        self._hidden = set(self.space) | {"__builtins__"}
        self._submission = submission
        self._submitted: Any = None
        self._functions: dict[str, Any] = {
            **functions,
            "FINAL": self._final,
            "FINAL_VAR": self._final_var,
            "SHOW_VARS": self._show_vars,
            "CallError": CallError,
        }
        self.space.update(self._functions)
        self.space.update(variables)
        self.space["answer"] = {"content": "", "ready": False}

    def restore(self) -> list[str]:
        """Put back what a cell has overwritten; the names of the functions among it."""
        space = self.space
        lost = [name for name, value in self._functions.items() if space.get(name) is not value]
        for name in lost:
            space[name] = self._functions[name]
        answer = space.get("answer")
        if not isinstance(answer, dict):
            answer = space["answer"] = {}
        answer.setdefault("content", "")
        answer["ready"] = False
        return lost

    def collect(self) -> None:
        """Take ``answer["content"]`` as submitted if the cell has set ``answer["ready"]``; ``FINAL`` goes before it."""
        answer = self.space.get("answer")
        if self._submitted is None and isinstance(answer, dict) and answer.get("ready"):
            if answer.get("content") is None:
                raise ValueError('answer["ready"] is set, but answer["content"] is None')
            self._submitted = self._submission(answer["content"])

    def take(self) -> Any:
        """What was submitted, once; None if nothing was."""
        submitted, self._submitted = self._submitted, None
        return submitted

    def wants_to_submit(self) -> bool:
        """Whether a cell that raised had submitted something."""
        answer = self.space.get("answer")
        return self._submitted is not None or (isinstance(answer, dict) and answer.get("ready") is True)

    def _final(self, value: Any) -> None:
        """Submit a value as the final answer. The cell runs on to its end; of several the last one counts."""
        self._submitted = self._submission(value)

    def _final_var(self, name: Any) -> None:
        """Submit the variable of this name as the final answer."""
        if not isinstance(name, str):
            self._final(name)
            return
        if name not in self.space or name in self._hidden:
            from difflib import get_close_matches

            close = get_close_matches(name, self._users(), n=3)
            hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "; SHOW_VARS() lists what there is"
            raise NameError(f"FINAL_VAR takes the name of a variable in quotes, and {name[:80]!r} is none{hint}")
        self._final(self.space[name])

    def _show_vars(self) -> str:
        """The variables of this session: name, type, size and the beginning of the value."""
        from reprlib import Repr

        short = Repr()
        short.maxstring = short.maxother = 70
        short.maxlist = short.maxtuple = short.maxset = short.maxdict = 3
        short.maxlevel = 2
        lines = []
        for name in self._users():
            value = self.space[name]
            kind = type(value).__name__
            size = f"[{len(value):,}]" if isinstance(value, (str, bytes, list, tuple, dict, set, frozenset)) else ""
            lines.append(f"{name}: {kind}{size} = {short.repr(value)}")
        return Listing("\n".join(lines) or "(no variables)")

    def _users(self) -> list[str]:
        return [
            name
            for name, value in self.space.items()
            if name not in self._hidden and name not in self._functions and not isinstance(value, ModuleType)
        ]
