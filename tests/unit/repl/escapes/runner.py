"""Plays the host in a process of its own: what an attack kills or changes, the tests survive and report.

It reads requests and writes answers, one JSON value a line. ``{"where": "jail", "code": …}`` runs an attack in a fresh
session, ``"outside"`` runs it as a plain program of the same user. It takes its place from the command line: what to
import from, and the keyword arguments of the factory.
"""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from typing import Any


def main() -> None:
    """Serve until stdin ends."""
    packages, options = json.loads(sys.argv[1]), json.loads(sys.argv[2])
    sys.path[:0] = packages
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
    factory: Any = None
    answers.write(json.dumps({"pid": os.getpid(), "uid": os.getuid()}) + "\n")
    answers.flush()
    for line in sys.stdin:
        request = json.loads(line)
        if request["where"] == "jail" and factory is None:
            from langgraph_rlm.repl.jail import JailFactory

            factory = JailFactory(**options)
        answers.write(json.dumps(_serve(factory, request)) + "\n")
        answers.flush()
    if factory is not None:
        factory.close()


def _serve(factory: Any, request: dict[str, Any]) -> dict[str, Any]:
    from stage import Stage

    stage = Stage()
    try:
        code = f"T = {stage.targets()!r}\n{request['code']}"
        answer = _inside(factory, code, request) if request["where"] == "jail" else _outside(code)
        return {**answer, "changes": stage.changes()}
    finally:
        stage.close()


def _inside(factory: Any, code: str, request: dict[str, Any]) -> dict[str, Any]:
    from langgraph_rlm.repl import ReplLimits

    calls: list[str] = []
    limits = ReplLimits(**{"cell_timeout": 10.0, "grace": 1.0, **request.get("limits", {})})
    repl = factory.start(None, ["tell"], limits)
    try:
        result = repl.execute(code, lambda name, args, kwargs: calls.append(name))
        after = None
        if not result["killed"]:
            after = repl.execute("1 + 1", lambda name, args, kwargs: None)["stdout"]
        return {"stdout": result["stdout"], "error": result["error"], "killed": result["killed"], "after": after}
    finally:
        repl.close()


def _outside(code: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "-c", code],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        cwd="/",
        timeout=60,
        check=False,
    )
    return {"stdout": done.stdout, "error": done.stderr[-2000:] or None, "killed": done.returncode < 0, "after": None}


if __name__ == "__main__":
    main()
