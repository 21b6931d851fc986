"""Where cells run: the contract of a REPL, and what starts one.

A cell is model-written code. It runs in a REPL outside the host's process, keeps its variables from cell to cell, and
reaches the host only by calling functions by name: each call arrives at the ``OnCall`` given to ``execute``.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from langgraph_rlm.types import CellResult, ContextKind

OnCall = Callable[[str, list[Any], dict[str, Any]], "Any | Future[Any]"]
"""The door to the host: ``(function name, positional arguments, keyword arguments)`` → the value, or a Future of it.

It is called on the thread that runs ``execute``; a value that takes time is returned as a Future, so that the calls of
several threads of one cell run side by side. An exception (raised, or set on the Future) becomes an exception of the
same kind of mistake in the cell: ``TypeError``, ``ValueError``, ``KeyError`` and ``TimeoutError`` keep their type, any other
is a ``RuntimeError``; only its message travels, never a path or a stack of the host.
"""


@dataclass(frozen=True, slots=True)
class ReplContext:
    """The context as a REPL receives it: the UTF-8 of all its parts one after the other.

    Args:
        kind: ``"text"`` becomes a ``str`` in the cell, ``"list"`` a ``list[str]``, ``"fields"`` and ``"documents"`` a
            ``dict[str, str]``.
        names: keys of the parts of a dict; empty for the other kinds.
        sizes: bytes of each part.
        data: the parts, joined.
        digest: tells contexts apart: two with the same one have the same content. ``""`` when it is not known.
    """

    kind: ContextKind
    names: Sequence[str]
    sizes: Sequence[int]
    data: bytes | memoryview
    digest: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplLimits:
    """What one REPL may use.

    Args:
        cell_timeout: seconds a cell may run, without the time it waits for host calls; then ``TimeoutError`` is raised
            in it, and its variables stay.
        grace: seconds after that until the REPL is killed.
        output_chars: characters of output kept; the head, the tail and how much was cut.
        memory_bytes: address space of the process beyond the context.
        cpu_seconds: processor time of all cells of the REPL together; then it is killed.
        frame_bytes: largest message between REPL and host.
    """

    cell_timeout: float = 60.0
    grace: float = 1.0
    output_chars: int = 8_000
    memory_bytes: int = 2 << 30
    cpu_seconds: int = 3_600
    frame_bytes: int = 64 << 20


@runtime_checkable
class Repl(Protocol):
    """One live REPL. Used by one thread at a time; whoever wants it checks it out of the pool.

    Subclass it: what has a default here need not be written again.
    """

    @abstractmethod
    def execute(self, code: str, on_call: OnCall) -> CellResult:
        """Run one cell to its end and say what came of it; blocks. Never raises for what the cell does."""

    @abstractmethod
    def close(self) -> None:
        """End it and free what it holds. Harmless when it is dead or closed already."""

    @property
    @abstractmethod
    def alive(self) -> bool:
        """Whether another cell can run in it."""

    def serve_times(self, times: Sequence[int]) -> None:
        """Let the next cell read these times first: those that it read when it ran before. Unless overridden: nothing.

        Args:
            times: nanoseconds since 1970, ``CellResult["times"]`` of the cell's first run.
        """
        return


@runtime_checkable
class ReplFactory(Protocol):
    """Starts REPLs; give one as ``sandbox=``. Subclass it and write :meth:`start`; the rest has defaults.

    Whether it does all that runs rely on is shown by :class:`langgraph_rlm.testing.ReplConformance`.

    Example:
        >>> class InAContainer(ReplFactory):
        ...     notes = ("This REPL runs PyPy.",)
        ...
        ...     def start(self, context, functions, limits, variables=None):
        ...         return ContainerRepl(context, functions, limits, variables)  # a Repl of yours
    """

    notes: Sequence[str] = ()
    """What the root model has to know of every REPL of this factory, one paragraph each; part of the system prompt."""

    @abstractmethod
    def start(
        self,
        context: ReplContext | None,
        functions: Collection[str],
        limits: ReplLimits,
        variables: Mapping[str, Any] | None = None,
    ) -> Repl:
        """A fresh REPL; blocks until it is ready for the first cell.

        Args:
            context: becomes the variable ``context`` (``""`` for None).
            functions: names that cells may call on the host.
            limits: what it may use.
            variables: further variables, JSON-like values.

        Raises:
            InvalidInput: a name that cells could not use, or a variable that cannot be sent.
            ReplError: it did not start.
        """

    def notes_for(self, context: ReplContext | None) -> Sequence[str]:
        """What the root model has to know of a REPL on this context, beside :attr:`notes`. Unless overridden: nothing."""
        return ()

    def warm(self) -> None:
        """Start ahead of time what the first :meth:`start` would wait for; blocks. Unless overridden: nothing."""
        return

    def close(self) -> None:
        """Free what is kept between REPLs. REPLs in use stay until they are closed themselves. Unless overridden: nothing."""
        return


@dataclass(frozen=True, slots=True)
class HitList:
    """Hits on their way to a cell: there a ``list`` of dicts with ``.matches``, ``.count``, ``.seen`` and ``.complete``.

    ``seen`` matches were met in all; ``complete`` says that the search looked at everything.
    """

    hits: Sequence[Mapping[str, Any]] = ()
    seen: int = 0
    complete: bool = True


@dataclass(frozen=True, slots=True)
class FailedCall:
    """A failed call on its way to a cell, where it becomes a ``CallError``: a value that is false and is no string.

    It may stand anywhere in a result, e.g. among the answers of a batch.
    """

    category: str
    message: str
    retryable: bool
