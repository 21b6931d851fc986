"""The numbers of system calls agree with the kernel's headers, and a filter decides as its policy says."""

import errno
import re
import struct
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm.repl.worker.jail.numbers import AUDIT_ARCH, NUMBERS
from langgraph_rlm.repl.worker.jail.policies import NO_PID, for_process, session_policy, template_policy
from langgraph_rlm.repl.worker.jail.seccomp import program

ALLOW, KILL = 0x7FFF0000, 0x80000000
EPERM, EACCES = 0x50000 | errno.EPERM, 0x50000 | errno.EACCES
PID = 4711
HEADERS = {
    "x86_64": Path("/usr/include/x86_64-linux-gnu/asm/unistd_64.h"),
    "aarch64": Path("/usr/include/asm-generic/unistd.h"),
}
MACHINES = ["x86_64", "aarch64"]


@pytest.mark.parametrize("machine", MACHINES)
def test_the_numbers_are_those_of_the_kernels_headers(machine):
    if not HEADERS[machine].exists():
        pytest.skip("no kernel headers here")
    found = re.findall(r"^#define __NR(?:3264)?_(\w+)\s+(\d+)", HEADERS[machine].read_text(), re.MULTILINE)
    header = {name: int(number) for name, number in found}
    header.setdefault("newfstatat", header.get("fstatat", -1))  # generic: one number, two names by word size
    column = MACHINES.index(machine)
    ours = {name: numbers[column] for name, numbers in NUMBERS.items() if numbers[column] is not None}
    assert {name: header.get(name) for name in ours} == ours
    missing = {name for name, numbers in NUMBERS.items() if numbers[column] is None} & set(header)
    # Behind `#ifdef __ARCH_WANT_…` or for 32 bits: aarch64 does not have them.
    assert missing <= {"time", "utime", "alarm", "pause", "open", "link", "unlink", "mkdir", "rmdir", "rename", "stat"}


def decide(machine, policy, call, *arguments, arch=None):
    """Run a filter as the kernel does."""
    code = program(policy, machine)
    steps = [struct.unpack_from("<HBBI", code, at) for at in range(0, len(code), 8)]
    number = NUMBERS[call][MACHINES.index(machine)] if isinstance(call, str) else call
    padded = [value & (1 << 64) - 1 for value in (*arguments, *[0] * (6 - len(arguments)))]
    data = struct.pack("<IIQ6Q", number, AUDIT_ARCH[machine] if arch is None else arch, 0, *padded)
    at = register = 0
    while True:
        kind, when_true, when_false, operand = steps[at]
        at += 1
        if kind == 0x06:
            return operand
        if kind == 0x20:
            register = struct.unpack_from("<I", data, operand)[0]
        elif kind == 0x54:
            register &= operand
        else:
            holds = register == operand if kind == 0x15 else register >= operand
            at += when_true if holds else when_false


READ, WRITE, EXEC = 1, 2, 4
CASES = [
    ("read", (0,), ALLOW), ("getpid", (), ALLOW), ("futex", (0, 128), ALLOW), ("futex", (0, 137), ALLOW),
    ("futex", (0, 6), EPERM), ("futex", (0, 128 + 11), EPERM), ("mmap", (0, 4096, READ | WRITE), ALLOW),
    ("mmap", (0, 4096, READ | EXEC), EPERM), ("mprotect", (0, 4096, EXEC), EPERM), ("mprotect", (0, 4096, 0), ALLOW),
    ("clone", (0x3D0F00,), ALLOW), ("clone", (0x7D0F00,), ALLOW), ("clone", (17,), EPERM), ("clone", (0x10000,), EPERM),
    ("clone", (0x3D0F00 | 0x10000000,), EPERM), ("clone3", (), 0x50000 | errno.ENOSYS), ("openat", (), EACCES),
    ("newfstatat", (), EACCES), ("socketpair", (1, 1), ALLOW), ("socketpair", (1, 1 | 0x80800), ALLOW),
    ("socketpair", (1, 2), EPERM), ("socketpair", (2, 1), EPERM), ("prlimit64", (0, 7, 0), ALLOW),
    ("prlimit64", (PID, 7, 0), ALLOW), ("prlimit64", (PID + 1, 7, 0), EPERM), ("prlimit64", (0, 7, 1 << 40), EPERM),
    ("prlimit64", (0, 7, 8), EPERM), ("kill", (PID,), ALLOW), ("kill", (PID + 1,), EPERM), ("kill", (-1,), EPERM),
    ("kill", (0,), EPERM), ("tgkill", (PID, 5, 14), ALLOW), ("tgkill", (1, 1, 9), EPERM), ("prctl", (15,), ALLOW),
    ("prctl", (4, 1), EPERM), ("prctl", (38, 0), EPERM), ("ioctl", (0, 0x5421), ALLOW), ("ioctl", (0, 0x5412), EPERM),
    ("fcntl", (0, 3), ALLOW), ("fcntl", (0, 8), EPERM), ("fcntl", (0, 1031), EPERM), ("madvise", (0, 0, 4), ALLOW),
    ("madvise", (0, 0, 12), EPERM), ("getsockopt", (3, 1, 3), ALLOW), ("getsockopt", (3, 1, 17), EPERM), ("getsockopt", (3, 1, 77), EPERM),
    ("getsockopt", (3, 6, 3), EPERM), ("clock_gettime", (3,), ALLOW), ("clock_gettime", (-6,), EPERM),
    ("clock_nanosleep", (1,), ALLOW), ("getpgid", (0,), ALLOW), ("getsid", (PID,), ALLOW), ("getsid", (1,), EPERM),
    ("getpgid", (1,), EPERM), ("sched_getaffinity", (0,), ALLOW), ("sched_getaffinity", (1,), EPERM),
    ("sendto", (3, 0, 1, 0x4000), ALLOW), ("sendto", (3, 0, 1, 1), EPERM),
    ("sendto", (3, 0, 1, 0, 1 << 40), EPERM), ("recvfrom", (3, 0, 1, 0, 1 << 40), ALLOW), ("pipe2", (0, 0x80800), ALLOW),
    ("recvfrom", (3, 0, 1, 1), EPERM), ("pipe2", (0, 0x80), EPERM), ("mmap", (0, 1, READ, 0x22), ALLOW),
    ("mmap", (0, 1, READ, 0x122), EPERM), ("mmap", (0, 1, READ, 0x40022), EPERM), ("mmap", (0, 1, READ, 0x2022), EPERM),
    ("recvmsg", (), EPERM), ("sendmsg", (), EPERM), ("seccomp", (), EPERM),
    ("pidfd_open", (), EPERM), ("setresuid", (), EPERM), ("wait4", (), EPERM), ("capset", (), EPERM),
]  # fmt: skip


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(("call", "arguments", "verdict"), CASES)
def test_a_session_may_do_this_and_not_that(machine, call, arguments, verdict):
    assert decide(machine, session_policy(PID), call, *arguments) == verdict


@pytest.mark.parametrize("machine", MACHINES)
def test_another_architecture_and_the_x32_interface_are_killed(machine):
    assert decide(machine, session_policy(PID), "read", arch=0x40000003) == KILL
    assert decide("x86_64", session_policy(PID), 0x40000000) == KILL


@pytest.mark.parametrize("machine", MACHINES)
@settings(deadline=None)
@given(number=st.integers(0, 1023))
def test_every_other_number_is_refused(machine, number):
    known = {numbers[MACHINES.index(machine)] for numbers in NUMBERS.values()}
    if number not in known:
        assert decide(machine, session_policy(PID), number) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_a_template_may_all_that_its_sessions_may(machine):
    for call, arguments, verdict in CASES:
        if verdict == ALLOW:
            assert decide(machine, template_policy(PID), call, *arguments) == ALLOW
    for call, arguments in (("openat", ()), ("mmap", (0, 4096, EXEC)), ("socketpair", (2, 1))):
        assert decide(machine, template_policy(PID), call, *arguments) in (EPERM, EACCES)


@pytest.mark.parametrize("machine", MACHINES)
def test_a_program_made_ahead_becomes_that_of_a_process(machine):
    ahead = program(session_policy(NO_PID), machine)
    assert for_process(ahead, PID) == program(session_policy(PID), machine)
    assert decide(machine, session_policy(NO_PID), "kill", PID) == EPERM
