"""Filters of system calls: a list of what is allowed, as a classic BPF program for the kernel."""

from __future__ import annotations

import ctypes
import errno
import struct
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from .kernel import call
from .numbers import AUDIT_ARCH, MACHINE, number, numbers

_LOAD, _AND, _EQUAL, _GREATER_EQUAL, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06
_KILL_PROCESS, _ERRNO, _ALLOW = 0x80000000, 0x00050000, 0x7FFF0000
_X32 = 0x40000000  # numbers of the x32 interface begin here: a second door to the same calls
_SET_MODE_FILTER, _TSYNC = 1, 1
_WHOLE = 0xFFFFFFFF
"""All bits of an argument. These numbers are from linux/bpf_common.h and linux/seccomp.h."""


class Test(NamedTuple):
    """What an argument of a system call must be: one of ``values`` after ``mask``.

    Attributes:
        argument: its position from 0.
        values: of its low 32 bits, or of its high ones.
        mask: applied before the comparison.
        high: look at the high 32 bits.
    """

    argument: int
    values: tuple[int, ...]
    mask: int = _WHOLE
    high: bool = False


def is_null(argument: int) -> tuple[Test, Test]:
    """The argument is a null pointer."""
    return Test(argument, (0,)), Test(argument, (0,), high=True)


class Policy(NamedTuple):
    """Which system calls are allowed. Whatever it does not name fails with ``EPERM``.

    Attributes:
        allowed: names of calls that pass with any arguments.
        tested: calls that pass when every test of their arguments holds.
        refused: calls that fail with another error number, because a library reads it.
    """

    allowed: tuple[str, ...]
    tested: Mapping[str, tuple[Test, ...]] = {}
    refused: Mapping[str, int] = {}


def program(policy: Policy, machine: str = MACHINE) -> bytes:
    """The BPF program of a policy.

    Args:
        policy: what is allowed.
        machine: architecture, as ``os.uname().machine``.
    """
    code = [
        _step(_LOAD, 4),  # the architecture: a 32-bit call has other numbers
        _step(_EQUAL, AUDIT_ARCH[machine], 1, 0),
        _step(_RETURN, _KILL_PROCESS),
        _step(_LOAD, 0),  # the number of the call
    ]
    if machine == "x86_64":
        code += [_step(_GREATER_EQUAL, _X32, 0, 1), _step(_RETURN, _KILL_PROCESS)]
    for name, tests in policy.tested.items():
        for found in numbers((name,), machine):
            block = _tested(tests)
            code += [_step(_EQUAL, found, 0, len(block)), *block]
    for name, error in policy.refused.items():
        for found in numbers((name,), machine):
            code += [_step(_EQUAL, found, 0, 1), _step(_RETURN, _ERRNO | error)]
    for found in numbers(policy.allowed, machine):
        code += [_step(_EQUAL, found, 0, 1), _step(_RETURN, _ALLOW)]
    code.append(_step(_RETURN, _ERRNO | errno.EPERM))
    return b"".join(code)


def _tested(tests: Iterable[Test]) -> list[bytes]:
    block = []
    for test in tests:
        block.append(_step(_LOAD, 16 + 8 * test.argument + 4 * test.high))
        if test.mask != _WHOLE:
            block.append(_step(_AND, test.mask))
        for left, value in zip(range(len(test.values), 0, -1), test.values, strict=True):
            block.append(_step(_EQUAL, value, left, 0))  # on to the next test, over the other values and the refusal
        block.append(_step(_RETURN, _ERRNO | errno.EPERM))
    return [*block, _step(_RETURN, _ALLOW)]


def _step(code: int, operand: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, when_true, when_false, operand & _WHOLE)


def install(code: bytes) -> None:
    """Put a program on all threads of this process, for good; needs NO_NEW_PRIVS.

    Raises:
        OSError: the kernel refused it.
    """
    steps = ctypes.create_string_buffer(code, len(code))
    described = struct.pack("HxxxxxxQ", len(code) // 8, ctypes.addressof(steps))
    call("seccomp", _SET_MODE_FILTER, _TSYNC, described)


def supported() -> bool:
    """Whether there are tables for this architecture."""
    try:
        return number("seccomp") > 0
    except KeyError:
        return False
