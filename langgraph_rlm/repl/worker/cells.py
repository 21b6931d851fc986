"""Running one cell: the value of its last expression is shown, and an error shows the cell's own lines only."""

from __future__ import annotations

import _ast
import os
import sys
from _thread import get_ident
from collections.abc import Iterable
from os import _exit
from typing import Any

from .advice import advised
from .alarm import Alarm
from .clock import WallClock
from .names import Names
from .output import Output, clip
from .usual import supply

_BALLAST = 32 << 20
"""Bytes given back when a cell has used up its memory: room to make the error's text and to send it."""


class Cells:
    """Runs cells one after the other in one namespace, which survives cells that raise.

    Args:
        names: the namespace.
        output: takes what is printed.
        alarm: the soft time limit.
        limit: characters of an error's text.
        clock: what the cells read the time from.
    """

    def __init__(self, names: Names, output: Output, alarm: Alarm, limit: int, clock: WallClock) -> None:
        self.clock = clock
        self._names = names
        self._output = output
        self._alarm = alarm
        self._limit = limit
        self._sources: dict[str, str] = {}
        self._untold: list[str] = []
        self._pid = os.getpid()
        self._main = get_ident()
        self._ballast: bytes | None = None
        self._let_cells_leave()

    def run(self, number: int, code: str) -> tuple[str, str | None, Any]:
        """Run a cell.

        Args:
            number: shown in tracebacks as ``<cell 3>``.
            code: its source.

        Returns:
            The output, the error or None, and the submitted answer or None.
        """
        if self._ballast is None:
            self._reserve()
        filename = f"<cell {number}>"
        self._sources[filename] = code
        self._untold.append(filename)
        if "linecache" in sys.modules:  # else nobody can ask for the source of a cell's function
            self._tell_sources(self._untold)
            self._untold.clear()
        sys.stdout = sys.stderr = self._output
        self._output.begin()
        raised = self._guarded(code, filename)
        if os.getpid() != self._pid:
            _exit(0)  # a process that the cell forked ends with the cell, and must not speak for it
        if isinstance(raised, SystemExit) and raised.code in (None, 0) and self._names.wants_to_submit():
            raised = self._collected()  # FINAL(…) and exit(): the answer stands
        if isinstance(raised, MemoryError):
            self._ballast = None  # room to say what happened
        error = None if raised is None else self._explain(raised)
        for note in self._names.restore():
            self._output.write(note)
        final = self._names.take()
        if error is not None:
            final = None
        return self._output.end(), error, final

    def _guarded(self, code: str, filename: str) -> BaseException | None:
        try:
            try:
                self._alarm.arm()
                self._execute(code, filename)
                self._names.collect()
                self._alarm.disarm()
            except BaseException as error:  # noqa: BLE001 - the cell's own, SystemExit among them
                self._alarm.disarm()
                return error
        except BaseException as error:  # noqa: BLE001 - an alarm that struck just before it was disarmed
            self._alarm.disarm()
            return error
        return None

    def _collected(self) -> BaseException | None:
        try:
            self._names.collect()
        except Exception as error:  # noqa: BLE001 - what a cell has submitted may raise anything
            return error
        return None

    def _let_cells_leave(self) -> None:
        """Give cells ``exit`` and ``quit``, and let ``os._exit(0)`` after an answer end the cell, not the process."""
        import builtins
        import posix

        def leave(code: Any = None) -> None:
            raise SystemExit(code)

        def end(status: int = 0) -> None:
            if status == 0 and os.getpid() == self._pid and get_ident() == self._main and self._names.wants_to_submit():
                raise SystemExit(0)
            _exit(status)

        for name in ("exit", "quit"):
            setattr(builtins, name, leave)
        for module in (os, posix):
            setattr(module, "_exit", end)  # noqa: B010 - a checker does not know posix's

    def _execute(self, code: str, filename: str) -> None:
        tree: Any = compile(code, filename, "exec", _ast.PyCF_ONLY_AST, dont_inherit=True)
        space = self._names.space
        last = tree.body.pop() if tree.body and isinstance(tree.body[-1], _ast.Expr) else None
        if tree.body:
            body = compile(tree, filename, "exec", dont_inherit=True)
            supply(body, space)
            exec(body, space)
        if last is not None:
            shown = compile(_ast.Expression(last.value), filename, "eval", dont_inherit=True)
            supply(shown, space)
            value = eval(shown, space)
            if value is not None:
                self._output.write(repr(value) + "\n")

    def _explain(self, error: BaseException) -> str:
        from traceback import TracebackException

        self._tell_sources(self._sources)  # a cell may have cleared the cache
        shown: TracebackException | None = TracebackException.from_exception(error, compact=True)
        text = "".join(_own_lines(shown).format()).rstrip("\n")
        error.__traceback__ = None  # frees the frames of the cell
        text = advised(clip(text, self._limit), self._names.functions)
        if self._names.wants_to_submit():
            text += "\nThe answer submitted in this cell was not taken, because the cell raised."
        return text

    def _tell_sources(self, filenames: Iterable[str]) -> None:
        import linecache

        for filename in filenames:
            if filename not in linecache.cache:
                code = self._sources[filename]
                linecache.cache[filename] = (len(code), None, code.splitlines(True), filename)

    def _reserve(self) -> None:
        try:
            self._ballast = bytes(_BALLAST)  # zero pages: costs address space, not memory
        except MemoryError:
            self._ballast = None


def _own_lines(shown: Any) -> Any:
    seen, waiting = set(), [shown]
    while waiting:
        one = waiting.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        one.stack[:] = [frame for frame in one.stack if frame.filename.startswith("<cell ")]
        waiting += [one.__cause__, one.__context__, *(one.exceptions or ())]
    return shown
