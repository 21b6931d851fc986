"""Where model-written code runs: REPLs outside the host's process, and what starts, keeps and rebuilds them."""

from langgraph_rlm.repl.base import FailedCall, HitList, OnCall, Repl, ReplContext, ReplFactory, ReplLimits
from langgraph_rlm.repl.factory import ProcessFactory
from langgraph_rlm.repl.interpreters.interpreter import CodeInterpreter, InterpreterFactory, InterpreterRepl
from langgraph_rlm.repl.interpreters.monty import MontyFactory, MontyRepl
from langgraph_rlm.repl.pool import ReplPool, chain
from langgraph_rlm.repl.process import ProcessRepl
from langgraph_rlm.repl.replay import replay
from langgraph_rlm.repl.shell.shell import Shell

__all__ = [
    "CodeInterpreter",
    "FailedCall",
    "HitList",
    "InterpreterFactory",
    "InterpreterRepl",
    "MontyFactory",
    "MontyRepl",
    "OnCall",
    "ProcessFactory",
    "ProcessRepl",
    "Repl",
    "ReplContext",
    "ReplFactory",
    "ReplLimits",
    "ReplPool",
    "Shell",
    "chain",
    "replay",
]
