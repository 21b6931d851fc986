"""Of all numbers of system calls, only those that were looked at one by one pass the filter, in fact and by its program."""

from __future__ import annotations

import platform
import struct

import pytest

from langgraph_rlm.repl import ReplLimits
from langgraph_rlm.repl.jail import JailFactory
from langgraph_rlm.repl.worker.jail import policies, seccomp
from langgraph_rlm.repl.worker.jail.numbers import NUMBERS
from tests.unit.repl.escapes.call_numbers import X32, numbers

MACHINE = platform.machine()
HARMLESS = {
    # its own descriptors, of which it has the wire and what it makes
    *("read", "write", "readv", "writev", "close", "lseek", "fstat", "dup", "dup2", "dup3", "pipe", "pipe2"),
    *("sendto", "recvfrom", "shutdown", "getsockname", "getpeername", "getsockopt", "socketpair", "ioctl", "fcntl"),
    *("poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait", "epoll_pwait", "eventfd2"),
    # its own memory, without execution
    *("mmap", "mprotect", "munmap", "mremap", "madvise", "brk"),
    # its own threads, signals and time
    *("clone", "futex", "set_robust_list", "rseq", "set_tid_address", "membarrier", "sched_yield", "kill", "tgkill"),
    *("rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "pause", "alarm", "setitimer", "getitimer"),
    *("nanosleep", "clock_nanosleep", "clock_gettime", "clock_getres", "gettimeofday", "time", "times"),
    *("exit", "exit_group", "restart_syscall", "prctl"),
    # what it may know
    *("sched_getaffinity", "getcpu", "gettid", "getpid", "getppid", "getpgid", "getsid", "getuid", "geteuid", "getgid"),
    *("getegid", "getrandom", "uname", "getrusage", "getrlimit", "prlimit64", "getcwd"),
}
"""Looked at one by one; a call that is not here must be refused whatever its arguments."""

PASS_SOME_ARGUMENTS_ONLY = {
    *("clone", "mmap", "mprotect", "ioctl", "fcntl", "socketpair", "prctl", "kill", "tgkill", "prlimit64", "futex"),
    *("sendto", "recvfrom", "getsockopt", "clock_gettime", "getpgid", "getsid", "sched_getaffinity"),
}
"""Those of them that are harmful with some arguments."""

_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
SWEEP = """
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long
def attempt(number):
    ctypes.set_errno(0)
    result = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(0)] * 6)
    return (result, ctypes.get_errno())
"""
REFUSED = (1, 13, 38)
UPROBES = {335, 336} if MACHINE == "x86_64" else set()
"""The kernel never shows them to a filter; outside of its own trampolines they end the process or fail."""


def _allowed_numbers() -> set[int]:
    column = {"x86_64": 0, "aarch64": 1}[MACHINE]
    return {NUMBERS[name][column] for name in HARMLESS if name in NUMBERS and NUMBERS[name][column] is not None}


def _attempt(jail: JailFactory, wanted: list[int]) -> dict[int, tuple[int, int] | str]:
    repl = jail.start(None, ["tell"], ReplLimits(cell_timeout=20.0))
    seen: dict[int, tuple[int, int] | str] = {}

    def tell(name: str, args: list[object], kwargs: dict[str, object]) -> None:
        number, result, error = args
        seen[number] = (result, error)

    try:
        result = repl.execute(f"{SWEEP}\nfor n in {wanted}: tell(n, *attempt(n))", tell)
    finally:
        repl.close()
    for number in wanted:
        if number not in seen:
            seen[number] = result["error"] or "nothing"
            break
    return seen


@pytest.mark.parametrize(
    "highest", [pytest.param(600, marks=pytest.mark.slow), 0], ids=["all-numbers", "those-of-the-attacks"]
)
def test_every_number_that_is_not_known_to_be_harmless_is_refused(jail, highest):
    allowed = _allowed_numbers()
    wanted = [n for n in (range(highest + 1) if highest else sorted(numbers().values())) if n not in allowed | UPROBES]
    assert len(wanted) > 100
    seen = _attempt(jail, wanted)
    passed = {n: seen.get(n) for n in wanted if not (isinstance(seen.get(n), tuple) and seen[n][1] in REFUSED)}
    assert passed == {}


@pytest.mark.parametrize("number", sorted(UPROBES))
def test_calls_that_no_filter_sees_cost_the_session_at_most(jail, number):
    (seen,) = _attempt(jail, [number]).values()
    assert (isinstance(seen, tuple) and seen[0] == -1) or "SIGILL" in seen or "SIGSYS" in seen


def _x32() -> list[object]:
    core = {0, 1, 2, 9, 39, 41, 56, 57, 59, 62, 101, 257, 435, 512, 520, 545}
    return [pytest.param(n, marks=() if n in core else pytest.mark.slow) for n in range(601)]


@pytest.mark.skipif(MACHINE != "x86_64", reason="x32 belongs to x86-64")
@pytest.mark.parametrize("number", _x32())
def test_no_number_of_the_x32_interface_gets_through(jail, number):
    (seen,) = _attempt(jail, [X32 | number]).values()
    refused = isinstance(seen, tuple) and seen[1] in REFUSED
    assert refused or (isinstance(seen, str) and "SIGSYS" in seen), seen


def _outcomes(code: bytes, number: int, arch: int) -> set[int]:
    """All that a filter can answer to a call of this number, whatever its arguments are."""
    steps = [struct.unpack_from("<HBBI", code, at) for at in range(0, len(code), 8)]
    outcomes, waiting, known = set(), [(0, None)], set()
    while waiting:
        at, value = waiting.pop()
        if (at, value) in known:
            continue
        known.add((at, value))
        operation, when_true, when_false, operand = steps[at]
        match operation:
            case 0x20:
                waiting.append((at + 1, {0: number, 4: arch}.get(operand)))
            case 0x54:
                waiting.append((at + 1, None if value is None else value & operand))
            case 0x06:
                outcomes.add(operand)
            case 0x15 | 0x35 | 0x25 | 0x45:
                if value is None:
                    waiting += [(at + 1 + when_true, None), (at + 1 + when_false, None)]
                else:
                    holds = {
                        0x15: value == operand,
                        0x35: value >= operand,
                        0x25: value > operand,
                        0x45: bool(value & operand),
                    }[operation]
                    waiting.append((at + 1 + (when_true if holds else when_false), value))
            case _:
                raise AssertionError(f"an instruction that this test does not know: {operation:#x}")
    return outcomes


@pytest.mark.parametrize("machine", ["x86_64", "aarch64"])
def test_the_program_of_the_filter_refuses_all_but_the_harmless_calls(machine):
    code = seccomp.program(policies.session_policy(4711), machine)
    arch, column = seccomp.AUDIT_ARCH[machine], {"x86_64": 0, "aarch64": 1}[machine]
    by_number = {both[column]: name for name, both in NUMBERS.items() if both[column] is not None}
    checked = [*range(2_000), *range(X32, X32 + 2_000), 2**31 - 1, 2**31, 2**32 - 1]
    for number in checked:
        outcomes, name = _outcomes(code, number, arch), by_number.get(number)
        if _ALLOW in outcomes:
            assert name in HARMLESS, f"{number} ({name}) may pass"
            if name in PASS_SOME_ARGUMENTS_ONLY:
                assert len(outcomes) > 1, f"{name} passes with any arguments"
        else:
            assert all(one & 0xFFFF0000 in (_ERRNO, _KILL) and one not in (0, _ERRNO) for one in outcomes), number
        assert _outcomes(code, number, 0x40000003) == {_KILL}, "a call of another architecture"
        if machine == "x86_64" and number >= X32:
            assert outcomes == {_KILL}
