"""The command ``langgraph-rlm``: checks that its packages are there, then hands over to the commands."""

from __future__ import annotations

import importlib.util
import os
import sys

NEEDED = ("typer", "rich")
USAGE, INTERRUPTED = 2, 130


def main() -> None:
    """Run the command line; ends the process with one of its exit codes."""
    if missing := [name for name in NEEDED if importlib.util.find_spec(name) is None]:
        print(
            f'langgraph-rlm: the command line needs {" and ".join(missing)}: pip install "langgraph-rlm[cli]"',
            file=sys.stderr,
        )
        raise SystemExit(USAGE)
    from langgraph_rlm.cli.streams import ReaderGone, install, silence

    install()
    try:
        if sys.argv[1:2] == ["mcp"]:  # its clients wait for it, and the other commands import a second or two
            from langgraph_rlm.cli.mcp import app
        else:
            from langgraph_rlm.cli.commands import app

        app(prog_name="langgraph-rlm")
    except ReaderGone:
        code = 0
    except KeyboardInterrupt:  # the imports take a second or two
        code = INTERRUPTED
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else 0 if end.code is None else 1
    else:
        code = 0
    try:
        sys.stdout.flush()
    except ReaderGone:
        code = 0
    except OSError as error:  # a full disk
        silence(1)
        print(f"langgraph-rlm: standard output cannot be written: {error.strerror or error}", file=sys.stderr)
        code = code or 4
    sys.stderr.flush()
    if code == INTERRUPTED:
        os._exit(INTERRUPTED)  # threads that still wait for a model's answer would hold the process
    raise SystemExit(code)
