"""System calls that Python has no function for, by ctypes: prctl, seccomp, Landlock, capabilities."""

from __future__ import annotations

import ctypes
import os

from .numbers import number

PR_SET_PDEATHSIG = 1
PR_SET_DUMPABLE = 4
PR_SET_NAME = 15
PR_GET_NAME = 16
PR_SET_NO_NEW_PRIVS = 38
"""From linux/prctl.h."""

_CAPABILITY_VERSION_3 = 0x20080522
"""From linux/capability.h."""

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def call(name: str, *arguments: int | bytes | None) -> int:
    """A system call by its name.

    Args:
        name: as in the table of numbers.
        arguments: numbers, bytes that the kernel reads, or None for a null pointer.

    Raises:
        OSError: the kernel refused it.
    """
    given = [one if one is None or isinstance(one, bytes) else ctypes.c_long(one) for one in arguments]
    result: int = _libc.syscall(ctypes.c_long(number(name)), *given)
    if result < 0:
        error = ctypes.get_errno()
        raise OSError(error, f"{name}: {os.strerror(error)}")
    return result


def prctl(option: int, value: int) -> None:
    """Set an attribute of this process.

    Raises:
        OSError: the kernel refused it.
    """
    call("prctl", option, value, 0, 0, 0)


def drop_capabilities() -> None:
    """Give up all capabilities for good; what was root then owns root's files, and can do nothing else of root's."""
    header = _CAPABILITY_VERSION_3.to_bytes(4, "little") + bytes(4)
    call("capset", header, bytes(24))


def trim_heap() -> None:
    """Give memory that was freed back to the system, where the C library can."""
    if hasattr(_libc, "malloc_trim"):
        _libc.malloc_trim(0)
