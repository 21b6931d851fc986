"""Whether the jail can run on this system, tried out in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_CAP_KILL, _CAP_SETGID, _CAP_SETUID = 5, 6, 7
"""From linux/capability.h."""
_SECONDS = 30.0
"""For a trial start, on a machine that is busy with other things."""

# Locks itself down as a session does and tries a file; prints what went wrong, or nothing.
_TRIAL = """\
import sys
for name in ('', '.jail', '.context'):
    package = type(sys)('cellside' + name)
    package.__path__ = [sys.argv[1] + name.replace('.', '/')]
    sys.modules['cellside' + name] = package
import os
os.close(os.pidfd_open(os.getpid()))
from cellside.jail.kernel import PR_SET_NO_NEW_PRIVS, prctl
from cellside.jail.policies import session_policy
from cellside.jail.seccomp import install, program
prctl(PR_SET_NO_NEW_PRIVS, 1)
install(program(session_policy(os.getpid())))
try:
    os.close(os.open('/', os.O_RDONLY))
except PermissionError:
    os._exit(0)
os._exit(1)
"""


def available() -> str | None:
    """None when the jail can run here, else why it cannot. Takes a few dozen milliseconds."""
    if sys.platform != "linux":
        return f"it needs Linux's seccomp, and this is {sys.platform}"
    from langgraph_rlm.repl.worker.jail.seccomp import supported

    if not supported():
        return f"it knows x86_64 and aarch64, and this is {os.uname().machine}"
    if not hasattr(os, "pidfd_open"):
        return "this Python has no os.pidfd_open"
    if not sys.executable:
        return "sys.executable is empty, so the Python to start is not known"
    files = str(Path(__file__).parents[1] / "worker")
    command = [sys.executable, "-I", "-B", "-S", "-c", _TRIAL, files]
    try:
        trial = subprocess.run(command, env={}, cwd="/", capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"a trial process could not be run: {error}"
    if trial.returncode == 0:
        return None
    said = trial.stderr.decode("utf-8", "replace").strip().splitlines()
    return said[-1][:300] if said else f"a filter of system calls had no effect (exit status {trial.returncode})"


def may_use_other_users() -> bool:
    """Whether sessions can each be a user of their own: for root that may also signal other users' processes."""
    if os.geteuid() != 0:
        return False
    status = Path("/proc/self/status").read_text("ascii", "replace")
    held = next((int(line.split()[1], 16) for line in status.splitlines() if line.startswith("CapEff:")), 0)
    return all(held >> capability & 1 for capability in (_CAP_KILL, _CAP_SETGID, _CAP_SETUID))
