"""The command ``langgraph-rlm``: checks that its packages are there, then hands over to the commands."""

from __future__ import annotations

import importlib.util
import os
import sys

NEEDED = ("typer", "rich")
INTERRUPTED = 130


def main() -> None:
    """Run the command line; ends the process with one of its exit codes."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(
            f'langgraph-rlm: the command line needs {" and ".join(missing)}: pip install "langgraph-rlm[cli]"',
            file=sys.stderr,
        )
        raise SystemExit(2)
    try:
        from langgraph_rlm.cli.commands import app
    except KeyboardInterrupt:  # the imports take a second or two
        raise SystemExit(INTERRUPTED) from None
    try:
        app(prog_name="langgraph-rlm")
    except SystemExit as end:
        if end.code != INTERRUPTED:
            raise
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(INTERRUPTED)  # threads that still wait for a model's answer would hold the process
