"""Landlock: a ruleset without rules takes away all files, TCP, abstract sockets and signals to others."""

from __future__ import annotations

import os
import struct

from .kernel import call

_VERSION = 1
"""LANDLOCK_CREATE_RULESET_VERSION, from linux/landlock.h."""
_FILES_BY_ABI = {1: 13, 2: 14, 3: 15, 4: 15, 5: 16}
"""How many kinds of access to files each version of the interface knows; they are the lowest bits."""
_TCP = 0b11  # bind, connect
_SCOPES = 0b11  # abstract unix sockets, signals


def abi() -> int:
    """Version of the kernel's Landlock interface; 0 when there is none."""
    try:
        return call("landlock_create_ruleset", None, 0, _VERSION)
    except OSError:
        return 0


def restrict(version: int) -> None:
    """Take everything away that this version can take away, for good; needs NO_NEW_PRIVS.

    Args:
        version: as :func:`abi` gives it, at least 1.

    Raises:
        OSError: the kernel refused it.
    """
    files = (1 << _FILES_BY_ABI.get(version, 16)) - 1
    ruleset = struct.pack("=QQQ", files, _TCP, _SCOPES)[: 8 if version < 4 else 16 if version < 6 else 24]
    descriptor = call("landlock_create_ruleset", ruleset, len(ruleset), 0)
    try:
        call("landlock_restrict_self", descriptor, 0)
    finally:
        os.close(descriptor)
