"""The host's side of the prelude: answers what its ``_rlm_host`` asks, within bounds, and keeps what was submitted."""

from __future__ import annotations

import builtins
import difflib
import re
import threading
from collections.abc import Collection
from concurrent.futures import CancelledError, Future
from typing import Any

from langgraph_rlm.repl.base import OnCall, ReplLimits
from langgraph_rlm.repl.interpreters.last_expression import assigned_last
from langgraph_rlm.repl.interpreters.prelude import LAST, LEAVE, OWN, RESERVED, ending, importing
from langgraph_rlm.repl.interpreters.prelude_values import Unfit, into, out_of
from langgraph_rlm.repl.process import Lost
from langgraph_rlm.repl.results import mistake
from langgraph_rlm.repl.worker.advice import advised
from langgraph_rlm.repl.worker.names import ANSWER_IS_NOT_READY, CONTEXT_CHANGED, OVERWRITABLE, not_kept
from langgraph_rlm.repl.worker.names import RESERVED as GIVEN
from langgraph_rlm.repl.worker.usual import IMPORTS

_LEFT = re.compile(
    r"SystemExit(?:: ?[\[(]?(?:0|None)?,?[\])]?)?|AttributeError: module '(?:sys|os)' has no attribute '_?exit'"
)
"""What ``sys.exit()``, ``sys.exit(0)`` and ``raise SystemExit`` look like; the second where ``sys`` has no ``exit``."""
_NO_NUMBER = "exceptions can only be called with zero or one string argument"
"""What Monty says to ``SystemExit(0)``."""


class Refused(Exception):
    """An exception for the cell: the name of its type, and its message."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class PreludeHost:
    """Serves one session.

    Args:
        functions: names that cells may call.
        limits: of the session.
        ended: settled with the reason when the session is interrupted; a call that waits is given up then.
    """

    def __init__(self, functions: Collection[str], limits: ReplLimits, ended: Future[str]) -> None:
        self._functions = frozenset(functions)
        self._kept = (self._functions - OVERWRITABLE) | {*GIVEN} - {"context", "answer"}
        self._own = self._kept | {*RESERVED, *LEAVE}
        self._frame = limits.frame_bytes
        self._ended = ended
        self._bells: set[threading.Event] = set()
        ended.add_done_callback(self._ring)
        self._names: dict[str, None] = {}
        self._submitted: list[Any] = []
        self._notes: list[str] = []
        self._ready = self._leaves = False

    def open(self, variables: Collection[str]) -> None:
        """The session has its context and these variables."""
        self._names = dict.fromkeys(["context", *variables, "answer"])

    def begin(self, code: str) -> tuple[str, str]:
        """A cell starts: what is to run before it (``""`` for nothing), and what is to run for it."""
        self._submitted.clear()
        assigned, names = assigned_last(code, LAST)
        self._notes, self._ready, self._leaves = [], False, "SystemExit" in names
        unknown = [name for name in names if name in IMPORTS and name not in self._names and name not in self._own]
        self._names.update(dict.fromkeys(name for name in names if not name.startswith(OWN)))
        return importing(unknown), ending(assigned)

    def left(self, error: str) -> bool:
        """Whether a cell that came to this end has left by ``exit()`` or its like."""
        last = error.strip().rpartition("\n")[2]
        return _LEFT.fullmatch(last) is not None or (self._leaves and last.endswith(_NO_NUMBER))

    @property
    def submitted(self) -> bool:
        """Whether the cell has submitted an answer."""
        return bool(self._submitted)

    def outcome(self, error: str | None) -> tuple[list[str], str | None, Any]:
        """The cell has ended: what the model is told beside its output, its error, and what it submitted."""
        if error is None:
            return self._notes, None, self._submitted[-1] if self._submitted else None
        error = advised(error, self._functions)
        if self._submitted or self._ready:
            error += "\nThe answer submitted in this cell was not taken, because the cell raised."
        return self._notes, error, None

    def answer(self, message: tuple[Any, ...], on_call: OnCall | None) -> Any:
        """What ``_rlm_host(*message)`` returns.

        Raises:
            Refused: an exception for the cell.
            Lost: the session is interrupted, or sends what its prelude never sends.
        """
        try:
            match message:
                case ("call", str() as name, list() as args, dict() as kwargs) if name in self._functions and on_call:
                    return self._call(on_call, name, args, kwargs)
                case ("final" | "answer" as how, value):
                    return self._submit(how, value)
                case ("names",):
                    return [(name, hasattr(builtins, name)) for name in self._names if name not in self._own]
                case ("unknown", str() as name, list() as users):
                    return _unknown(name, [user for user in users if isinstance(user, str)])
                case ("after", list() as lost, bool() as ready, bool() as of_its_own, bool() as changed):
                    self._ready = ready
                    self._notes = [not_kept(one) for one in lost if isinstance(one, str) and one in self._kept]
                    self._notes += [CONTEXT_CHANGED] * changed
                    self._notes += [ANSWER_IS_NOT_READY] * (of_its_own and not self._submitted)
                    return None
        except Unfit as unfit:
            raise disturbed(str(unfit)) from None
        raise disturbed("a call that it cannot make")

    def check_not_ended(self) -> None:
        """Raise Lost if the session was interrupted."""
        if self._ended.done():
            raise Lost(self._ended.result())

    def _call(self, on_call: OnCall, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        size = out_of(args, self._frame) + out_of(kwargs, self._frame)
        if size > self._frame:
            raise Refused(
                "ValueError",
                f"the arguments of {name}() are {size:,} bytes, more than the {self._frame:,} that one call may "
                "carry; pass less at a time",
            )
        try:
            value = on_call(name, args, kwargs)
            if isinstance(value, Future):
                value = self._waited(value)
            return into(value, self._frame)
        except Lost:
            raise
        except CancelledError:
            raise Refused("RuntimeError", "the call was cancelled") from None
        except Exception as error:  # noqa: BLE001 - whatever the host's function raises is the cell's to handle
            raise Refused(*mistake(error)) from None

    def _waited(self, value: Future[Any]) -> Any:
        # Not concurrent.futures.wait(): it does not see a Future that was cancelled before it ran.
        bell = threading.Event()
        self._bells.add(bell)
        value.add_done_callback(lambda _: bell.set())
        try:
            if not self._ended.done():
                bell.wait()
        finally:
            self._bells.discard(bell)
        if not value.done():
            value.cancel()
            self.check_not_ended()
        return value.result()

    def _ring(self, _ended: Future[str]) -> None:
        for bell in tuple(self._bells):
            bell.set()

    def _submit(self, how: str, value: Any) -> None:
        if out_of(value, self._frame) > self._frame:
            raise Refused("ValueError", "the submitted answer is larger than a message to the host may be; submit less")
        if how == "final" or not self._submitted:  # FINAL goes before answer["ready"]
            self._submitted.append(value)


def disturbed(how: str) -> Lost:
    """The session has sent what its prelude never sends."""
    return Lost(f"The cell disturbed the connection to the host ({how}); its session was ended.")


def in_a_line(error: BaseException) -> str:
    """The text of an error, short and on one line."""
    return " ".join(str(error).split())[:300] or type(error).__name__


def _unknown(name: str, users: list[str]) -> str:
    close = difflib.get_close_matches(name, users, n=3)
    hint = f"; did you mean {' or '.join(map(repr, close))}?" if close else "; SHOW_VARS() lists what there is"
    return f"FINAL_VAR takes the name of a variable in quotes, and {name[:80]!r} is none{hint}"
