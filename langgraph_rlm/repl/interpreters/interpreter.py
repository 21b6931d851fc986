"""REPLs on interpreters of others: anything that has the shape of dspy's ``CodeInterpreter``.

Such an interpreter runs code with ``execute`` and lets it call the functions in ``tools``. One tool is given to it; the
prelude, which runs in it before the first cell, makes of that the functions that cells know. How well cells are locked
in, and what memory they may use, is the interpreter's affair; so is the Python that it understands.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future, InvalidStateError
from typing import Any, Protocol

from langgraph_rlm.errors import InvalidInput, ReplError
from langgraph_rlm.repl.base import OnCall, Repl, ReplContext, ReplFactory, ReplLimits
from langgraph_rlm.repl.clock import CellClock
from langgraph_rlm.repl.factory import check_names
from langgraph_rlm.repl.interpreters.prelude import COLLECTING, HOST, OWN, RECEIVED, RESERVED, opening, restoring
from langgraph_rlm.repl.interpreters.prelude_host import PreludeHost, Refused, in_a_line
from langgraph_rlm.repl.interpreters.prelude_values import into
from langgraph_rlm.repl.process import Lost
from langgraph_rlm.repl.results import cell_result
from langgraph_rlm.repl.worker.output import clip
from langgraph_rlm.repl.worker.values import submission
from langgraph_rlm.types import CellResult

_TOOL = "rlm_host"
_MARK = "_rlm_"
# Strings are the only values that all interpreters carry alike, so a call is one string each way.
_BRIDGE = f'''\
import json as _rlm_json


def _rlm_mend(_rlm_object):
    return tuple(_rlm_object["{_MARK}"]) if "{_MARK}" in _rlm_object else _rlm_object


def {HOST}(*message):
    kind, value = _rlm_json.loads({_TOOL}(payload=_rlm_json.dumps(message)), object_hook=_rlm_mend)
    if kind == "ok":
        return value
    for known in (TypeError, ValueError, KeyError, TimeoutError):
        if known.__name__ == kind:
            raise known(value)
    raise RuntimeError(value)


'''


class CodeInterpreter(Protocol):
    """The shape, as dspy has it."""

    @property
    def tools(self) -> dict[str, Callable[..., Any]]:
        """Functions that the code may call, by name."""
        ...

    def start(self) -> None:
        """Make it ready."""
        ...

    def execute(self, code: str, variables: dict[str, Any] | None = None) -> Any:
        """Run code in a namespace that stays; what it printed, or an object with ``output`` that was submitted."""
        ...

    def shutdown(self) -> None:
        """End it."""
        ...


class InterpreterFactory(ReplFactory):
    """Starts REPLs on interpreters of dspy's shape; give it as ``sandbox=``.

    Args:
        make: makes a fresh interpreter for each REPL.
        notes: what the root model is told about it.

    A cell that raises shows its error, but not what it had printed before, since ``execute`` does not tell. A cell that
    runs too long is ended by ``shutdown()`` from another thread, and its session is rebuilt by replay.

    Example:
        >>> create_rlm(model, sandbox=InterpreterFactory(dspy.PythonInterpreter))  # doctest: +SKIP
    """

    def __init__(self, make: Callable[[], CodeInterpreter], *, notes: Sequence[str] = ()) -> None:
        self._make = make
        self.notes: tuple[str, ...] = (
            "Lists of hits are plain lists here, without .seen and .complete; after a search the variable `searched` "
            'holds {"seen": …, "complete": …} of it. A cell that raises shows its error only. `schema=` takes a JSON '
            "schema (dict) here, no type.",
            *notes,
        )

    def start(
        self,
        context: ReplContext | None,
        functions: Collection[str],
        limits: ReplLimits,
        variables: Mapping[str, Any] | None = None,
    ) -> InterpreterRepl:
        """A fresh REPL; see :class:`langgraph_rlm.repl.base.ReplFactory`.

        Raises:
            InvalidInput: a name that is no identifier or is reserved, or a variable that cannot be sent.
            ReplError: the interpreter did not start.
        """
        given = dict(variables or {})
        check_names(functions, given)
        for name in (*functions, *given):
            if name.startswith(OWN) or name in (*RESERVED, _TOOL):
                raise InvalidInput(f"{name!r} cannot be the name of a function or variable: the REPL uses it")
        try:
            given = {name: into(value, limits.frame_bytes)[1] for name, value in given.items()}
        except ValueError as error:
            raise InvalidInput(f"a variable for the REPL cannot be sent: {error}") from None
        repl = InterpreterRepl(self._make(), list(functions), limits)
        try:
            repl.prepare(context, given)
        except BaseException:
            repl.close()
            raise
        return repl


class InterpreterRepl(Repl):
    """One session in one interpreter; made by :class:`InterpreterFactory`.

    If ``on_call`` raises something that is no ``Exception``, the REPL is ended and :meth:`execute` raises it, at the
    latest when the cell has ended.
    """

    def __init__(self, interpreter: CodeInterpreter, functions: list[str], limits: ReplLimits) -> None:
        self._interpreter = interpreter
        self._limits = limits
        self._opening, self._restoring = _BRIDGE + opening(functions), restoring(functions)
        self._ended: Future[str] = Future()
        self._host = PreludeHost(functions, limits, self._ended)
        self._busy = threading.Lock()
        self._cell: _Cell | None = None

    @property
    def alive(self) -> bool:
        """Whether another cell can run in it."""
        return not self._ended.done()

    def prepare(self, context: ReplContext | None, variables: Mapping[str, Any]) -> None:
        """Give the session its functions, its context and its variables; called by the factory.

        Raises:
            ReplError: it cannot take them.
        """
        try:
            text = _decoded(context)
        except UnicodeDecodeError as undecoded:
            raise ReplError(f"the context is not UTF-8: {undecoded.reason} at byte {undecoded.start:,}") from None
        try:
            self._interpreter.tools[_TOOL] = self._tool
            self._interpreter.start()
            self._interpreter.execute(self._opening)
            self._interpreter.execute(RECEIVED, {"context": text, **variables})
        except Exception as error:  # each interpreter has errors of its own
            raise ReplError(f"the interpreter did not start: {in_a_line(error)}") from error
        self._host.open(variables)

    def execute(self, code: str, on_call: OnCall) -> CellResult:
        """Run one cell to its end; see :class:`langgraph_rlm.repl.base.Repl`.

        Raises:
            ReplError: it is closed, dead, or running a cell already.
        """
        if not self._busy.acquire(blocking=False):
            raise ReplError("this REPL is running another cell; a REPL serves one thread at a time")
        started = time.monotonic()
        try:
            if not self.alive:
                raise ReplError("this REPL has ended; start another one")
            cell = self._cell = _Cell(on_call, self._limits, self.interrupt)
            with cell:
                stdout, error, final = self._run(code, cell)
            return cell_result(stdout, error, final, time.monotonic() - started)
        except Lost as lost:
            self.interrupt(str(lost))
            return cell_result("", str(lost), None, time.monotonic() - started, killed=True)
        except BaseException:
            self.interrupt()
            raise
        finally:
            self._cell = None
            self._busy.release()

    def interrupt(self, reason: str = "The run was cancelled, and its REPL was ended.") -> None:
        """End it, from any thread; a cell that runs comes back as killed with ``reason`` as its error."""
        with contextlib.suppress(InvalidStateError):  # the first reason counts, and ends it
            self._ended.set_result(reason)
            with contextlib.suppress(Exception):  # it may be dead already, each in a way of its own
                self._interpreter.shutdown()

    def close(self) -> None:
        """End it and free what it holds; from any thread, any number of times."""
        self.interrupt("The REPL was closed while the cell ran.")

    def _run(self, code: str, cell: _Cell) -> tuple[str, str | None, Any]:
        error: str | None = None
        shown: Any = None
        try:
            before, whole = self._host.begin(code)
            if before:
                self._interpreter.execute(before)
            shown = self._interpreter.execute(whole)
            cell.check()
        except (Exception, SystemExit) as raised:  # noqa: BLE001 - each interpreter has errors of its own
            cell.check()
            error = clip(_error_of(raised), self._limits.output_chars)
            if self._host.left(error):
                error = self._collected(error)
        self._host.check_not_ended()
        try:
            self._interpreter.execute(self._restoring)
        except Exception as gone:  # noqa: BLE001 - as above
            self._host.check_not_ended()
            raise Lost(f"The cell's session ended ({error or in_a_line(gone)}).") from None
        notes, error, final = self._host.outcome(error)
        if error is None and final is None and hasattr(shown, "output"):
            return "".join(notes), None, submission(shown.output)  # submitted in the interpreter's own way
        return clip(_text_of(shown) + "".join(notes), self._limits.output_chars), error, final

    def _collected(self, error: str) -> str | None:
        """The error of a cell that has left by ``exit()`` or its like: None when it had submitted an answer."""
        try:
            self._interpreter.execute(COLLECTING)
        except Exception as raised:  # noqa: BLE001 - as above
            return _error_of(raised)
        return None if self._host.submitted else error

    def _tool(self, payload: str) -> str:
        cell = self._cell
        try:
            message = tuple(json.loads(payload))
            with contextlib.nullcontext() if cell is None else cell.waiting():
                value = self._host.answer(message, None if cell is None else cell.on_call)
            return json.dumps(["ok", _marked(value)])
        except Refused as refused:
            return json.dumps([refused.kind, refused.message])
        except Lost as lost:
            self.interrupt(str(lost))
            return json.dumps(["RuntimeError", str(lost)])
        except Exception as error:  # noqa: BLE001 - a payload that is no message; the interpreter must go on
            return json.dumps(["RuntimeError", f"the host cannot read this call: {in_a_line(error)}"])
        except BaseException as unwinding:
            if cell is None:
                raise
            cell.unwinding = unwinding
            return json.dumps(["RuntimeError", "the run was stopped"])


class _Cell:
    """A cell that runs: its time, and what unwinds it."""

    def __init__(self, on_call: OnCall, limits: ReplLimits, interrupt: Callable[[str], None]) -> None:
        self.unwinding: BaseException | None = None
        self._on_call = on_call
        self._limit = limits.cell_timeout
        self._interrupt = interrupt
        self._clock = CellClock(cpu=lambda: None)
        self._lock = threading.Lock()
        self._calls = 0
        self._over = threading.Event()

    def __enter__(self) -> _Cell:
        threading.Thread(target=self._watch, name="interpreter-cell", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    @contextlib.contextmanager
    def waiting(self) -> Any:
        """While a call is answered, no time passes for the cell."""
        with self._lock:
            self._calls += 1
            if self._calls == 1:
                self._clock.pause()
        try:
            yield
        finally:
            with self._lock:
                self._calls -= 1
                if not self._calls:
                    self._clock.resume()

    def on_call(self, name: str, args: list[Any], kwargs: dict[str, Any]) -> Any:
        """The run's own, unless the run is being unwound."""
        self.check()
        return self._on_call(name, args, kwargs)

    def check(self) -> None:
        """Raise what unwinds the cell."""
        if self.unwinding is not None:
            raise self.unwinding

    def _watch(self) -> None:
        while True:
            with self._lock:
                left = self._limit - self._clock.used()
            if left <= 0:
                self._interrupt(
                    f"The cell ran longer than {self._limit:g} s (waiting for calls not counted) and was ended; what it "
                    "has set is lost, what earlier cells have set stays. Do less in one cell."
                )
                return
            if self._over.wait(max(left / 2, 0.005)):
                return


def _decoded(context: ReplContext | None) -> str | list[str] | dict[str, str]:
    if context is None:
        return ""
    view, parts, start = memoryview(context.data), list[str](), 0
    for size in context.sizes:
        parts.append(str(view[start : start + size], "utf-8"))
        start += size
    if context.kind == "text":
        return "".join(parts)
    return parts if context.kind == "list" else dict(zip(context.names, parts, strict=True))


def _marked(value: Any) -> Any:
    """Tuples marked, which JSON would turn into lists; the pairs of a call's result and of names are read as either."""
    if isinstance(value, tuple) and value and value[0] in ("hits", "failed"):
        return {_MARK: [_marked(item) for item in value]}
    if isinstance(value, (list, tuple)):
        return [_marked(item) for item in value]
    return {key: _marked(item) for key, item in value.items()} if isinstance(value, dict) else value


def _error_of(raised: BaseException) -> str:
    if isinstance(raised, (SystemExit, SyntaxError)):  # other errors of cells come as text that names their type
        return f"{type(raised).__name__}: {raised}"
    return str(raised) or type(raised).__name__


def _text_of(shown: Any) -> str:
    text = "" if shown is None else "\n".join(map(str, shown)) if isinstance(shown, list) else str(shown)
    return text if not text or text.endswith("\n") else text + "\n"
