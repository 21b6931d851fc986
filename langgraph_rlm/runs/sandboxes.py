"""Where cells run: which kind of REPL ``sandbox=`` names, and what starts REPLs of that kind."""

from __future__ import annotations

import warnings
from collections.abc import Collection, Mapping
from typing import Any, get_args

from langgraph_rlm.errors import InvalidInput, SandboxUnavailable, UnsafeSandboxWarning
from langgraph_rlm.repl import Repl, ReplContext, ReplFactory, ReplLimits
from langgraph_rlm.repl.jail import available
from langgraph_rlm.runs.runtime import Engine, Runtime, Sandbox


class SharedFactory(ReplFactory):
    """Starts REPLs by the factory of whichever process it is used in: a graph may be made before a fork.

    Args:
        engine: which of the runtime's factories.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def start(
        self,
        context: ReplContext | None,
        functions: Collection[str],
        limits: ReplLimits,
        variables: Mapping[str, Any] | None = None,
    ) -> Repl:
        """A fresh REPL; see :class:`langgraph_rlm.repl.ReplFactory`."""
        return Runtime.default().factory(self._engine).start(context, functions, limits, variables)

    def notes_for(self, context: ReplContext | None) -> tuple[str, ...]:
        """What the model has to know of this kind of REPL, and of a session on this context."""
        return notes_of(Runtime.default().factory(self._engine), context)


def notes_of(factory: ReplFactory, context: ReplContext | None) -> tuple[str, ...]:
    """What the model has to know of a factory's REPLs: its ``notes``, and its ``notes_for`` this context."""
    return (*factory.notes, *factory.notes_for(context))


def factory_for(sandbox: Sandbox) -> ReplFactory:
    """What starts REPLs for ``sandbox=``.

    Raises:
        InvalidInput: not one of the known names and no ``ReplFactory``.
        SandboxUnavailable: it cannot run on this system; the message says what can be done.
    """
    if not isinstance(sandbox, str):
        if not isinstance(sandbox, ReplFactory):
            raise InvalidInput(f"sandbox: expected {_KNOWN} or a ReplFactory (subclass it), got {sandbox!r}")
        return sandbox
    if sandbox == "auto":
        return SharedFactory(Runtime.default().safest())
    if sandbox not in get_args(Engine):
        raise InvalidInput(f"sandbox: {sandbox!r} is not known; there are {_KNOWN}")
    if sandbox == "jail" and (why_not := available()) is not None:
        raise SandboxUnavailable(f"sandbox='jail' cannot run here: {why_not}")
    if sandbox == "unsafe":
        warnings.warn(
            "sandbox='unsafe': cells run in a process of their own, but without a kernel-enforced jail. A hostile cell "
            "can read this user's files and open connections; sandbox='auto' keeps it from both.",
            UnsafeSandboxWarning,
            stacklevel=3,
        )
    shared = SharedFactory(sandbox)
    if sandbox == "monty":
        Runtime.default().factory(sandbox)  # says now when it is not installed
    return shared


_KNOWN = ", ".join(repr(name) for name in ("auto", *get_args(Engine)))
