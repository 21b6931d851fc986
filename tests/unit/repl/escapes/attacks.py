"""The form of an attack, and what the code of all of them begins and ends with.

An attack is the body of a function that does what it must not and returns a proof, or raises. As a cell it prints one
line: ``ESCAPED <proof>`` or ``DENIED <type> <errno> <text>``. The very same text runs outside the jail as a canary.
Before it stands ``T = {...}``: the live targets of :mod:`stage`, with the number of every system call under ``nr``.
"""

from __future__ import annotations

import textwrap
from dataclasses import dataclass
from typing import Literal

Ends = Literal["denied", "killed", "either"]

BEFORE = '''\
import ctypes, errno, os, sys
LIBC = ctypes.CDLL(None, use_errno=True)
LIBC.syscall.restype = ctypes.c_long
NR = T["nr"]
def raw(number, *args):
    """A system call by number."""
    ctypes.set_errno(0)
    given = [ctypes.c_long(a) if isinstance(a, int) else a for a in args]
    result = LIBC.syscall(ctypes.c_long(number), *given)
    if result == -1 and ctypes.get_errno():
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return result
def call(name, *args):
    """A system call by name."""
    return raw(NR[name], *args)
def reach(name, *args):
    """Whether the kernel looks at the arguments of a call, which are such that they do no harm to the machine."""
    try:
        return f"{name} = {call(name, *args)}"
    except OSError as e:
        if e.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS): raise
        return f"{name} = {errno.errorcode[e.errno]}"
def attack():
'''

AFTER = """
try:
    _proof = attack()
except BaseException as _e:
    print("DENIED", type(_e).__name__, errno.errorcode.get(getattr(_e, "errno", None), "-"), str(_e).replace("\\n", " ")[:200])
else:
    print("ESCAPED", str(_proof).replace("\\n", " ")[:200])
"""

DENIALS = r"(PermissionError (EPERM|EACCES)|OSError ENOSYS) "
"""What a denial by the kernel looks like."""


@dataclass(frozen=True)
class Attack:
    """One attack.

    Args:
        name: what is attempted.
        body: the body of a function that returns a proof.
        denial: pattern of what the line says after ``DENIED``.
        ends: whether the session may or must be lost by it.
        root: outside, it gets through only as root.
        optional: outside, it is denied as well where the kernel lacks the feature.
        machine: the processor that its code is for.
        core: in the reduced set.
    """

    name: str
    body: str
    denial: str = DENIALS
    ends: Ends = "denied"
    root: bool = False
    optional: bool = False
    machine: str | None = None
    core: bool = False

    @property
    def code(self) -> str:
        """The attack as a cell or a program."""
        body = textwrap.dedent(self.body).strip("\n")
        return BEFORE + textwrap.indent(body, "    ") + "\n" + AFTER
