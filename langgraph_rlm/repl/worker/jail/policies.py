"""What a session may ask of the kernel, and what a template may: the two allowlists."""

from __future__ import annotations

import errno
import os

from .kernel import PR_GET_NAME, PR_SET_NAME
from .seccomp import Policy, Test, is_null

_PROT_EXEC = 4
"""From sys/mman.h; the numbers below from sys/socket.h and asm-generic."""
_AF_UNIX, _SOCK_STREAM, _SOCK_FLAGS = 1, 1, os.O_CLOEXEC | os.O_NONBLOCK
_MSG_FLAGS = 0x02 | 0x40 | 0x100 | 0x4000
"""PEEK, DONTWAIT, WAITALL, NOSIGNAL; not OOB, by which cells of other sandboxes have got out."""
_MMAP_FLAGS = 0x100 | 0x2000 | 0x40000
"""GROWSDOWN, LOCKED, HUGETLB: a mapping that moves, or takes memory that others need."""
_SOL_SOCKET = 1
_SOCKET_OPTIONS = (3, 4, 7, 8, 30, 38, 39)
"""TYPE, ERROR, SNDBUF, RCVBUF, ACCEPTCONN, PROTOCOL, DOMAIN; none that tells of the process at the other end."""
_CLOCKS = 0x0F
"""The clocks of the system and of the caller; other numbers are clocks of other processes."""
_BY_PID = ("kill", "tgkill", "getpgid", "getsid", "sched_getaffinity")
_WHOLE = 0xFFFFFFFF
"""All bits of an argument: filters see 32 at once."""
_THREADS = (0x3D0F00, 0x7D0F00)
"""Flags with which glibc and musl make a thread: CLONE_THREAD and all that belongs to it, no namespace, no process."""
_FUTEX = (0, 1, 3, 4, 5, 9, 10)
"""Waiting and waking; none of the operations with priority inheritance."""
_FUTEX_COMMAND = 0x7F
"""The bits of a futex operation that are no flags."""
_IOCTL = (0x5401, 0x5421, 0x541B, 0x5450, 0x5451)
"""TCGETS (isatty), FIONBIO, FIONREAD, FIONCLEX, FIOCLEX."""
_FCNTL = (0, 1, 2, 3, 4, 1030)
"""F_DUPFD, F_GETFD, F_SETFD, F_GETFL, F_SETFL, F_DUPFD_CLOEXEC."""
_MADVISE = (0, 1, 2, 3, 4, 8, 14, 15, 16, 17)
"""NORMAL to DONTNEED, FREE, HUGEPAGE, NOHUGEPAGE, DONTDUMP, DODUMP; not KSM, which would tell what others hold."""

_SESSION = (
    *("read", "write", "readv", "writev", "close", "lseek", "fstat", "dup", "dup2", "dup3", "pipe"),
    *("shutdown", "getsockname", "getpeername"),
    *("poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2"),
    *("munmap", "mremap", "brk"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "pause", "alarm", "setitimer", "getitimer"),
    *("nanosleep", "gettimeofday", "time", "times"),
    *("set_robust_list", "rseq", "set_tid_address", "membarrier", "sched_yield", "getcpu"),
    *("gettid", "getpid", "getppid", "getuid", "geteuid", "getgid", "getegid"),
    *("exit", "exit_group", "restart_syscall", "getrandom", "uname", "getrusage", "getrlimit", "getcwd"),
)
_TEMPLATE = (
    *("clone", "wait4", "waitid", "pidfd_open", "close_range", "recvmsg", "sendmsg"),
    *("prctl", "prlimit64", "capset", "setresuid", "setresgid", "setgroups"),
    *("seccomp", "landlock_create_ruleset", "landlock_restrict_self"),
)
_FILES = (
    *("open", "openat", "openat2", "creat", "access", "faccessat", "faccessat2", "readlink", "readlinkat"),
    *("stat", "lstat", "newfstatat", "statx", "statfs", "getdents", "getdents64", "chdir"),
    *("mkdir", "mkdirat", "rmdir", "unlink", "unlinkat", "rename", "renameat", "renameat2", "link", "linkat"),
    *("symlink", "symlinkat", "truncate", "chmod", "fchmodat", "chown", "utime", "utimensat"),
)
_REFUSED = {
    "clone3": errno.ENOSYS,  # its flags are out of a filter's reach; the C library then uses clone
    **dict.fromkeys(_FILES, errno.EACCES),
}


NO_PID = 0x7FFFFF17
"""Stands for a pid that is not known yet; no process has one so high."""


def for_process(code: bytes, pid: int) -> bytes:
    """The program of a policy for ``NO_PID``, with this pid instead."""
    return code.replace(NO_PID.to_bytes(4, "little"), pid.to_bytes(4, "little"))


def session_policy(pid: int) -> Policy:
    """Of a process that runs cells: memory, time, threads and its own descriptors.

    Args:
        pid: of the process, the only one that it may signal.
    """
    return Policy(
        allowed=_SESSION,
        tested={
            "futex": (Test(1, _FUTEX, _FUTEX_COMMAND),),
            "mmap": (Test(2, (0,), _PROT_EXEC), Test(3, (0,), _MMAP_FLAGS)),
            "mprotect": (Test(2, (0,), _PROT_EXEC),),
            "madvise": (Test(2, _MADVISE),),
            "clone": (Test(0, _THREADS),),
            "pipe2": (Test(1, (0,), ~_SOCK_FLAGS & _WHOLE),),
            "sendto": (Test(3, (0,), ~_MSG_FLAGS & _WHOLE), *is_null(4)),
            "recvfrom": (Test(3, (0,), ~_MSG_FLAGS & _WHOLE),),
            "ioctl": (Test(1, _IOCTL),),
            "fcntl": (Test(1, _FCNTL),),
            "socketpair": (Test(0, (_AF_UNIX,)), Test(1, (_SOCK_STREAM,), ~_SOCK_FLAGS & _WHOLE)),
            "prlimit64": (Test(0, (0, pid)), *is_null(2)),
            "prctl": (Test(0, (PR_SET_NAME, PR_GET_NAME)),),
            "getsockopt": (Test(1, (_SOL_SOCKET,)), Test(2, _SOCKET_OPTIONS)),
            **dict.fromkeys(("clock_gettime", "clock_getres", "clock_nanosleep"), (Test(0, (0,), ~_CLOCKS & _WHOLE),)),
            **dict.fromkeys(("kill", "tgkill"), (Test(0, (pid,)),)),
            **dict.fromkeys(("getpgid", "getsid", "sched_getaffinity"), (Test(0, (0, pid)),)),
        },
        refused=_REFUSED,
    )


def template_policy(pid: int) -> Policy:
    """Of a process that forks sessions: the same, and what making and locking down a child takes."""
    session = session_policy(pid)
    tested = {name: tests for name, tests in session.tested.items() if name not in (*_TEMPLATE, *_BY_PID)}
    return Policy(allowed=(*_SESSION, *_TEMPLATE, *_BY_PID), tested=tested, refused=_REFUSED)
