"""Closing the doors of this process for good: user, limits, the parent's death, Landlock, seccomp."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path
from typing import NamedTuple

from .kernel import PR_SET_DUMPABLE, PR_SET_NO_NEW_PRIVS, PR_SET_PDEATHSIG, drop_capabilities, prctl
from .landlock import abi, restrict
from .seccomp import install

_OWN_USERS = 0x7F000000
"""Users of sessions are this and their pid, so no two live ones are the same user; nobody else has numbers so high."""
_OWN_THREADS = 256
"""Threads of a session that is a user of its own: a pool for every batch, and a bomb that costs little."""
_SHARED_THREADS = 2048
"""Threads beyond those that the shared user has already: the kernel counts all its processes together."""
_CPU_GRACE = 5
"""Seconds between SIGXCPU, which a cell may catch, and SIGKILL."""


class Confinement(NamedTuple):
    """What a locked-down process still may.

    Attributes:
        landlock: use it where the kernel has it.
        own_user: become a user of its own; takes root.
        memory_bytes: address space; None for no limit.
        cpu_seconds: of the whole process; None for no limit.
        tasks: threads that this user has at this moment at most; counts when the user is shared.
        descriptors: open at once.
        keeps_rights: keep what root may do, to hand it to children that give it up themselves.
    """

    landlock: bool
    own_user: bool
    memory_bytes: int | None
    cpu_seconds: int | None
    tasks: int | None
    descriptors: int
    keeps_rights: bool = False


def stay_with(parent: int) -> None:
    """Die with the parent's thread that forked this process.

    Args:
        parent: its pid; when it is gone already, this process ends.
    """
    prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != parent:
        os._exit(0)


def address_space() -> int:
    """Bytes that this process has mapped."""
    pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
    return pages * resource.getpagesize()


def tasks_of_the_system() -> int:
    """Threads of all processes together."""
    return int(Path("/proc/loadavg").read_text("ascii").split()[3].partition("/")[2])


def be_the_first_to_go() -> None:
    """When the system runs out of memory, let it end this process and its children before all others."""
    try:
        Path("/proc/self/oom_score_adj").write_text("1000", "ascii")
    except OSError:
        return  # not every container mounts it writable


def lock_down(confinement: Confinement, filter_code: bytes, parent: int) -> None:
    """Close all doors. What is open now stays open, what is mapped stays mapped.

    Args:
        confinement: what it still may.
        filter_code: the program that says which system calls it still may.
        parent: pid of the process that forked it.

    Raises:
        OSError: a door could not be closed; the process must not run cells.
    """
    threads = None
    if confinement.own_user and _become(_OWN_USERS + os.getpid()):
        threads = _OWN_THREADS
    else:
        if not confinement.keeps_rights:
            drop_capabilities()
        if confinement.tasks is not None:
            threads = confinement.tasks + _SHARED_THREADS
    stay_with(parent)  # not earlier: another user loses what was asked for
    prctl(PR_SET_DUMPABLE, 0)  # nobody of the same user can trace it or look into its memory
    for what, value in (
        (resource.RLIMIT_AS, confinement.memory_bytes),
        (resource.RLIMIT_NPROC, threads),
        (resource.RLIMIT_NOFILE, confinement.descriptors),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_MSGQUEUE, 0),
        (resource.RLIMIT_MEMLOCK, 0),
    ):
        if value is not None:
            _limit(what, value, value)
    if confinement.cpu_seconds is not None:
        _limit(resource.RLIMIT_CPU, confinement.cpu_seconds, confinement.cpu_seconds + _CPU_GRACE)
    prctl(PR_SET_NO_NEW_PRIVS, 1)
    if confinement.landlock and (version := abi()):
        restrict(version)
    install(filter_code)


def _become(user: int) -> bool:
    try:
        os.setgroups([])
        os.setresgid(user, user, user)
        os.setresuid(user, user, user)
    except OSError:  # a container's root may not be allowed to, or have no such user
        return False
    return True


def _limit(what: int, soft: int, hard: int) -> None:
    _, most = resource.getrlimit(what)
    if most != resource.RLIM_INFINITY:
        soft, hard = min(soft, most), min(hard, most)
    resource.setrlimit(what, (soft, hard))
