"""Where model-written code runs: REPLs outside the host's process, and what starts, keeps and rebuilds them."""

from langgraph_rlm.repl.base import FailedCall, HitList, OnCall, Repl, ReplContext, ReplFactory, ReplLimits
from langgraph_rlm.repl.factory import ProcessFactory
from langgraph_rlm.repl.pool import ReplPool, chain
from langgraph_rlm.repl.process import ProcessRepl
from langgraph_rlm.repl.replay import replay

__all__ = [
    "FailedCall",
    "HitList",
    "OnCall",
    "ProcessFactory",
    "ProcessRepl",
    "Repl",
    "ReplContext",
    "ReplFactory",
    "ReplLimits",
    "ReplPool",
    "chain",
    "replay",
]
