"""What a cell finds in its namespace beside its variables: ``answer``, ``FINAL``, ``SHOW_VARS``, ``CallError``, hits."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from types import ModuleType
from typing import Any

OVERWRITABLE = frozenset({"count"})
"""Functions whose names are what models call their variables: a cell may give them another value, and it stays."""
RESERVED = ("answer", "context", "original_context", "FINAL", "FINAL_VAR", "SHOW_VARS", "CallError", "__context__")
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
    """A list of hits that also knows how much was searched: what tools tell as ``{matches, count, seen, complete}``.

    Attributes:
        matches: the hits.
        count: how many they are; the method of lists has no use here.
        seen: matches met in all.
        complete: whether the search looked at everything.
    """

    def __init__(self, hits: Iterable[Any] = (), seen: int = 0, complete: bool = True) -> None:
        super().__init__(hits)
        self.seen = seen
        self.complete = complete

    @property
    def matches(self) -> list[Any]:
        return self

    @property
    def count(self) -> int:  # type: ignore[override]
        return len(self)


class Listing(str):
    """Text that shows itself without quotes when it is the last expression of a cell."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


CONTEXT_CHANGED = "[context has another value now; what was given is original_context]\n"
"""Told after the cell that did it."""
ANSWER_IS_NOT_READY = (
    '[answer is a variable of your own now: answer["ready"] works on the dict that was given only. '
    "Submit with FINAL(value)]\n"
)
"""Told after a cell that set ``ready`` in a dict of its own."""
EMPTY_ANSWER = 'answer["content"] is empty: put the answer there, or submit it with FINAL(value)'


def not_kept(name: str) -> str:
    """Told after a cell that has overwritten what every cell needs."""
    what = "what was given as context" if name == "original_context" else "a function of this REPL"
    return f"[{name} is {what}; the value assigned to it is not kept]\n"


class Names:
    """The namespace of a session, and the answer that its cells submit.

    ``answer`` and ``context`` are variables: a cell may give them another value. Submitting by ``answer["ready"]``
    works on the dict that was given as ``answer``, and what was given as ``context`` stays ``original_context``.

    Args:
        module: the module that cells run in.
        functions: what is callable by name.
        context: the variable ``context``.
        variables: further variables.
        submission: turns a value into JSON-like data.
    """

    def __init__(
        self,
        module: ModuleType,
        functions: Mapping[str, Callable[..., Any]],
        context: Any,
        variables: Mapping[str, Any],
        submission: Callable[[Any], Any],
    ) -> None:
        self.space = vars(module)
        self._hidden = set(self.space) | {"__builtins__"}
        self._submission = submission
        self._submitted: Any = None
        self._context = context  # as it was when the last cell ended
        self._answer: dict[str, Any] = {"content": "", "ready": False}
        self._replaceable = {name: functions[name] for name in OVERWRITABLE if name in functions}
        self._kept: dict[str, Any] = {
            **{name: function for name, function in functions.items() if name not in self._replaceable},
            "original_context": context,
            "FINAL": self._final,
            "FINAL_VAR": self._final_var,
            "SHOW_VARS": self._show_vars,
            "CallError": CallError,
        }
        self.space.update(self._kept)
        self.space.update(self._replaceable)
        self.space.update(variables)
        self.space["context"] = context
        self.space["answer"] = self._answer

    @property
    def functions(self) -> list[str]:
        """Names of what is callable."""
        return [name for name in (*self._kept, *self._replaceable) if callable(self.space.get(name))]

    def restore(self) -> list[str]:
        """Put back what a cell has overwritten and every cell needs; what the model is told about it."""
        space = self.space
        notes = [not_kept(name) for name, value in self._kept.items() if space.get(name) is not value]
        if notes:
            space.update(self._kept)
        context = space.get("context")
        if context is not self._context:
            self._context = context
            if context is not self._kept["original_context"]:
                notes.append(CONTEXT_CHANGED)
        answer = space.get("answer")
        if answer is not self._answer and isinstance(answer, dict) and self._submitted is None and answer.get("ready"):
            notes.append(ANSWER_IS_NOT_READY)
        self._answer.setdefault("content", "")
        self._answer["ready"] = False
        return notes

    def collect(self) -> None:
        """Take the content of the given ``answer`` as submitted if the cell has set its ``ready``; ``FINAL`` goes before."""
        if self._submitted is None and self._answer.get("ready"):
            self._submitted = self._submission(self._content())

    def take(self) -> Any:
        """What was submitted, once; None if nothing was."""
        submitted, self._submitted = self._submitted, None
        return submitted

    def wants_to_submit(self) -> bool:
        """Whether the cell has submitted something so far."""
        return self._submitted is not None or self._answer.get("ready") is True

    def _content(self) -> Any:
        content = self._answer.get("content")
        if content is None or (isinstance(content, str) and not content.strip()):
            raise ValueError(EMPTY_ANSWER)
        return content

    def _final(self, value: Any) -> None:
        """Submit a value as the final answer. The cell runs on to its end; of several the last one counts."""
        self._submitted = self._submission(self._content() if value is self._answer else value)

    def _final_var(self, name: Any) -> None:
        """Submit the variable of this name as the final answer; one that is given without quotes as well."""
        if not isinstance(name, str):
            self._final(name)
            return
        if name not in self.space or name in self._hidden:
            if any(self.space[one] is name for one in self._users()):  # FINAL_VAR(result), and it holds a text
                self._final(name)
                return
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
            if name not in self._hidden
            and name not in self._kept
            and value is not self._replaceable.get(name, self)
            and not isinstance(value, ModuleType)
        ]
