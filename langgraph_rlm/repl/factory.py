"""Starts REPLs in processes of their own: checks what they get, and hands the context over without copying it twice."""

from __future__ import annotations

import contextlib
import keyword
import os
import tempfile
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

from langgraph_rlm.errors import InvalidInput, ReplError
from langgraph_rlm.repl.base import ReplContext, ReplFactory, ReplLimits
from langgraph_rlm.repl.lazy import MOST_CONTEXT_BYTES, LazyContext, Sizes, note_of
from langgraph_rlm.repl.process import Lost, ProcessRepl, timeout_message
from langgraph_rlm.repl.spawn import Spawner
from langgraph_rlm.repl.worker.names import RESERVED


class ProcessFactory(ReplFactory):
    """Starts REPLs, each in a fresh Python process with an empty environment.

    Args:
        spare: processes kept started ahead of their use, in the background. With one ready, a start takes a few
            milliseconds.
        max_context_bytes: memory that the text of one context may take, as ``sys.getsizeof`` counts; a larger one is
            not loaded: cells get it in pieces from the host.

    Example:
        >>> from langgraph_rlm.repl import ReplLimits
        >>> factory = ProcessFactory(spare=0)
        >>> repl = factory.start(None, ["double"], ReplLimits())
        >>> repl.execute("double(21)", lambda name, args, kwargs: args[0] * 2)["stdout"]
        '42\\n'
        >>> factory.close()
    """

    def __init__(self, spare: int = 1, *, max_context_bytes: int = MOST_CONTEXT_BYTES) -> None:
        self.notes = (importable(),)
        self._spare = spare
        self._sizes = Sizes(max_context_bytes)
        self._current: Spawner | None = None
        self._closed = False

    def start(
        self,
        context: ReplContext | None,
        functions: Collection[str],
        limits: ReplLimits,
        variables: Mapping[str, Any] | None = None,
    ) -> ProcessRepl:
        """A fresh REPL; see :class:`langgraph_rlm.repl.base.ReplFactory`.

        Raises:
            InvalidInput: a name that is no identifier or is reserved, or a variable that cannot be sent.
            ReplError: it did not start.
        """
        lazy = None if context is None or self._sizes.loads(context) else LazyContext(context)
        if lazy is not None:
            context = None
        settings = {
            **session_settings(functions, limits, variables, lazy),
            "kind": context.kind if context else "text",
            "names": list(context.names) if context else [],
            "sizes": list(context.sizes) if context else [],
        }
        spawner = self._spawner()
        with _in_file(context) as descriptor:
            while True:
                worker = spawner.take()
                repl = ProcessRepl(worker, functions, limits, partial(spawner.bury, worker), lazy)
                try:
                    repl.start(settings, descriptor)
                    break
                except Lost as lost:
                    repl.close()
                    if not worker.warm:  # else it had died while it was a spare; the next one is another
                        raise ReplError(str(lost)) from None
                except (TypeError, ValueError, OverflowError) as error:
                    repl.close()
                    raise InvalidInput(f"a variable for the REPL cannot be sent: {error}") from error
                except BaseException:
                    repl.close()
                    raise
        spawner.refill()  # not earlier: it would compete with this start
        return repl

    def notes_for(self, context: ReplContext | None) -> tuple[str, ...]:
        """What the model has to know of a session on this context."""
        return () if context is None or self._sizes.loads(context) else (note_of(context),)

    def warm(self) -> None:
        """Start the spare processes now, and wait until they are started."""
        spawner = self._spawner()
        spawner.refill()
        spawner.settle()

    def close(self) -> None:
        """End the spare processes and start no more. REPLs that are in use stay until they are closed themselves."""
        self._closed = True
        if self._current is not None and self._current.pid == os.getpid():
            self._current.drop_spares()
        self._current = None

    def _spawner(self) -> Spawner:
        if self._closed:
            raise ReplError("this factory is closed; make another one")
        if self._current is None or self._current.pid != os.getpid():  # threads do not survive a fork
            self._current = Spawner(self._spare)
        return self._current


def importable(modules: Sequence[str] = ()) -> str:
    """What the root model is told about imports.

    Args:
        modules: what there is beside the standard library.
    """
    further = f"beside them: {', '.join(modules)}; nothing else" if modules else "no other package"
    return (
        "Cells can import the usual modules of Python's standard library (json, re, math, collections, itertools, "
        f"datetime and the like are there without an import statement), and {further}."
    )


def session_settings(
    functions: Collection[str], limits: ReplLimits, variables: Mapping[str, Any] | None, lazy: LazyContext | None = None
) -> dict[str, Any]:
    """What a session is told at its start, beside its context.

    Raises:
        InvalidInput: a name that is no identifier or is reserved.
    """
    check_names(functions, variables or {})
    return {
        "functions": list(functions),
        "variables": dict(variables or {}),
        "output_chars": limits.output_chars,
        "frame_bytes": limits.frame_bytes,
        "memory_bytes": limits.memory_bytes,
        "cpu_seconds": limits.cpu_seconds,
        "timeout_message": timeout_message(limits),
        "lazy": None if lazy is None else lazy.description,
    }


def check_names(functions: Collection[str], variables: Mapping[str, Any]) -> None:
    """Refuse names that cells could not use, or that are ours.

    Raises:
        InvalidInput: a name is no identifier, reserved, or given twice.
    """
    seen: set[str] = set()
    for name in (*functions, *variables):
        if not name.isidentifier() or keyword.iskeyword(name) or name in RESERVED or name in seen:
            raise InvalidInput(
                f"{name!r} cannot be the name of a function or variable of a REPL: it must be an "
                f"identifier, used once, and none of {', '.join(RESERVED)}"
            )
        seen.add(name)


@contextlib.contextmanager
def _in_file(context: ReplContext | None) -> Iterator[int | None]:
    """A descriptor of a file without a name that holds the context."""
    if context is None or not len(context.data):
        yield None
        return
    with contextlib.ExitStack() as stack:
        if hasattr(os, "memfd_create"):
            descriptor = os.memfd_create("context")
            stack.callback(os.close, descriptor)
        else:
            descriptor = stack.enter_context(tempfile.TemporaryFile()).fileno()
        left = memoryview(context.data)
        while left:
            left = left[os.write(descriptor, left) :]
        yield descriptor
