"""``codex_exec``: shell commands in a jail of their own."""

from langgraph_rlm.repl.shell.shell import Shell

__all__ = ["Shell"]
