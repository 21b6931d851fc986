"""The jail: cells run in CPython behind seccomp, Landlock and resource limits. The default sandbox on Linux.

Three kinds of processes, each forked from the one before: the *zygote* (a fresh Python that has imported what cells may
import), a *template* per context (has decoded it), and *sessions* (locked down before their first cell).
"""

from langgraph_rlm.repl.jail.factory import JailFactory
from langgraph_rlm.repl.jail.probe import available

__all__ = ["JailFactory", "available"]
