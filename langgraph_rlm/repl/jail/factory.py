"""Starts REPLs in the jail: one zygote per host, one template per context, one fork per session."""

from __future__ import annotations

import contextlib
import fcntl
import os
import threading
import time
from array import array
from collections import OrderedDict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

import msgpack

from langgraph_rlm.errors import InvalidInput, ReplError, SandboxUnavailable
from langgraph_rlm.repl.base import ReplContext, ReplFactory, ReplLimits
from langgraph_rlm.repl.factory import importable, session_settings
from langgraph_rlm.repl.jail.probe import available, may_use_other_users
from langgraph_rlm.repl.jail.processes import Gone, Template, Zygote
from langgraph_rlm.repl.lazy import MOST_CONTEXT_BYTES, LazyContext, Sizes, note_of
from langgraph_rlm.repl.process import Lost, ProcessRepl

_ATTEMPTS = 4
"""A template may be killed between two steps of a start: the next attempt makes another one."""
_FEW = 64
"""Parts whose names are compared one by one; above that the identity of the lists has to do."""


class JailFactory(ReplFactory):
    """Starts REPLs whose cells have no files, no network and no other processes: the kernel sees to it.

    A session is a fork of a template that holds the context already, so it starts in a few milliseconds and shares the
    context's memory with all others on it. A zygote, template or session that dies is replaced at the next start.

    Args:
        modules: what cells may import beside the usual modules of the standard library, e.g. ``["numpy"]``; with all
            submodules, which takes some seconds once per process for large packages.
        templates: how many contexts to hold in memory when no session uses them; the one used longest ago goes first.
        idle_seconds: how long to hold one that nobody asks for. Checked whenever a REPL is started.
        max_context_bytes: memory that the text of one context may take, as ``sys.getsizeof`` counts (four bytes a
            character with one emoji in it); a larger one is not loaded: cells get it in pieces from the host.
        landlock: use Landlock where the kernel has it; off only to test that seccomp alone suffices.

    Example:
        >>> from langgraph_rlm.repl import ReplLimits
        >>> factory = JailFactory()
        >>> repl = factory.start(None, ["double"], ReplLimits())
        >>> repl.execute("double(21)", lambda name, args, kwargs: args[0] * 2)["stdout"]
        '42\\n'
        >>> "PermissionError" in repl.execute("open('/etc/passwd')", lambda *call: None)["error"]
        True
        >>> factory.close()
    """

    def __init__(
        self,
        *,
        modules: Sequence[str] = (),
        templates: int = 4,
        idle_seconds: float = 300.0,
        max_context_bytes: int = MOST_CONTEXT_BYTES,
        landlock: bool = True,
    ) -> None:
        self._modules = tuple(modules)
        self.notes = (importable(self._modules),)
        self._most = templates
        self._idle_seconds = idle_seconds
        self._sizes = Sizes(max_context_bytes)
        self._landlock = landlock
        self._closed = False
        self._forget()

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
            SandboxUnavailable: the jail cannot run on this system.
            ReplError: it did not start.
        """
        lazy = None if context is None or self._sizes.loads(context) else LazyContext(context)
        settings = session_settings(functions, limits, variables, lazy)
        if lazy is not None or (context is not None and not len(context.data) and context.kind == "text"):
            context = None
        reason = ""
        for _ in range(_ATTEMPTS):
            try:
                session = self._template(context).session()
            except Gone as gone:
                reason = str(gone)
                continue
            repl = ProcessRepl(session, functions, limits, session.end, lazy)
            try:
                repl.start(settings, None)
                return repl
            except Lost as lost:
                repl.close()
                reason = str(lost)
            except (TypeError, ValueError, OverflowError) as error:
                repl.close()
                raise InvalidInput(f"a variable for the REPL cannot be sent: {error}") from error
            except ReplError:
                repl.close()
                if (why_not := available()) is not None:  # asked only now: it takes longer than a start
                    raise SandboxUnavailable(f"the jail cannot run here: {why_not}") from None
                raise
            except BaseException:
                repl.close()
                raise
        raise ReplError(f"the REPL did not start in {_ATTEMPTS} attempts: {reason}")

    def notes_for(self, context: ReplContext | None) -> tuple[str, ...]:
        """What the model has to know of a session on this context."""
        return () if context is None or self._sizes.loads(context) else (note_of(context),)

    def warm(self) -> None:
        """Start the zygote and the template for sessions without a context, and wait until they are started."""
        with contextlib.suppress(Gone):  # the next start tries again
            self._template(None)

    def close(self) -> None:
        """End what no REPL uses, and start no more. REPLs that are in use stay until they are closed themselves."""
        self._closed = True
        self._forget()

    def _forget(self) -> None:
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._zygote: Zygote | None = None
        self._held: OrderedDict[Any, _Slot] = OrderedDict()

    def _template(self, context: ReplContext | None) -> Template:
        if self._closed:
            raise ReplError("this factory is closed; make another one")
        if self._owner != os.getpid():
            self._forget()  # they are our parent's
        key = None if context is None else _identity(context)
        with self._lock:
            slot = self._held.pop(key, None) or _Slot(context)
            self._held[key] = slot
            slot.used = time.monotonic()
            dropped = self._stale()
        del dropped  # outside of the lock: it may end processes
        with slot.lock:
            if slot.template is None or not slot.template.running:
                slot.template = None
                slot.template = self._made(context)
            return slot.template

    def _stale(self) -> list[_Slot]:
        oldest = time.monotonic() - self._idle_seconds
        keys = [key for key, slot in self._held.items() if slot.used < oldest]
        keys += [key for key in self._held if key not in keys][: max(0, len(self._held) - len(keys) - self._most)]
        return [self._held.pop(key) for key in keys]

    def _made(self, context: ReplContext | None) -> Template:
        with self._lock:
            if self._zygote is None or not self._zygote.running:
                self._zygote = Zygote(self._modules)
            zygote = self._zygote
        settings: dict[str, Any] = {
            "landlock": self._landlock,
            "own_user": may_use_other_users(),
            "data": 0,
            "described": 0,
        }
        if context is None:
            return Template(zygote, settings, None)
        sizes = array("Q", context.sizes)
        described = msgpack.packb([context.kind, list(context.names), sizes.tobytes()])
        settings |= {"data": len(context.data), "described": len(described)}
        with _sealed(context.data, described) as file:
            return Template(zygote, settings, file)


@dataclass(eq=False, slots=True)
class _Slot:
    """A template, or the promise of one; it keeps the context's objects, so that their identity stays theirs."""

    context: ReplContext | None
    lock: Any = field(default_factory=threading.Lock)
    template: Template | None = None
    used: float = 0.0


def _identity(context: ReplContext) -> Any:
    """What tells this context apart from others, as long as they are alive: its digest, else which objects it has."""
    if context.digest:
        return context.digest
    data, names, sizes = context.data, context.names, context.sizes
    owner = data.obj if isinstance(data, memoryview) else data
    if isinstance(owner, bytes) and len(owner) == len(data):
        place: Any = id(owner)
    else:  # its owner may write to it
        place = blake2b(data).digest()
    if len(sizes) > _FEW:
        return context.kind, place, id(names), id(sizes)
    return context.kind, place, tuple(names), tuple(sizes)


@contextlib.contextmanager
def _sealed(*pieces: bytes | memoryview) -> Iterator[int]:
    """A descriptor of a file without a name that holds these bytes and can never be written again."""
    descriptor = os.memfd_create("context", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        for piece in pieces:
            left = memoryview(piece)
            while left:
                left = left[os.write(descriptor, left) :]
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)
        yield descriptor
    finally:
        os.close(descriptor)
