"""A session in the jail: a fork of a template that locks itself down and then runs cells."""

from __future__ import annotations

import gc
import os
import random
import sys
from _socket import socket
from typing import Any, NamedTuple

from ..alarm import Alarm
from ..main import prepare, receive_start, run_cells
from ..wire import Wire
from .lockdown import Confinement, lock_down
from .policies import for_process

_WIRE = 3
"""The descriptor after the standard three."""
_DESCRIPTORS = 64
"""Open at once in a session: pipes and event loops of a cell, nothing that lasts."""


class Inherited(NamedTuple):
    """What a session has from its template.

    Attributes:
        context: the variable ``context``.
        address_space: bytes that the template had mapped.
        tasks: threads of the whole system when the template started.
        landlock: whether to use it.
        own_user: whether to become a user of its own.
        template: pid of the template.
        filter_code: program of its system calls, for ``NO_PID``; making it takes half a millisecond.
    """

    context: Any
    address_space: int
    tasks: int
    landlock: bool
    own_user: bool
    template: int
    filter_code: bytes


def live(inherited: Inherited, wire: int) -> None:
    """Run cells until the host closes the wire; never returns.

    Args:
        inherited: from the template.
        wire: descriptor of the socket to the host.
    """
    if wire != _WIRE:  # nothing else is open beside the standard three
        os.dup2(wire, _WIRE)
        os.close(wire)
    sock = socket(fileno=_WIRE)
    settings, _, rest = receive_start(sock)
    alarm = Alarm(settings["timeout_message"])
    host = Wire(sock, rest, settings["frame_bytes"], alarm)
    random.seed(0)  # the fork has seeded it anew, and a replay must draw the same numbers
    if "numpy.random" in sys.modules:
        sys.modules["numpy.random"].seed(0)
        # Where default_rng() without a seed gets one from.
        sys.modules["numpy.random.bit_generator"].__dict__["randbits"] = random.Random(0).getrandbits
    cells = prepare(settings, inherited.context, host, alarm)
    confinement = Confinement(
        landlock=inherited.landlock,
        own_user=inherited.own_user,
        memory_bytes=inherited.address_space + settings["memory_bytes"],
        cpu_seconds=settings["cpu_seconds"],
        tasks=inherited.tasks,
        descriptors=_DESCRIPTORS,
        keeps_rights=False,
    )
    try:
        lock_down(confinement, for_process(inherited.filter_code, os.getpid()), inherited.template)
    except OSError as error:
        host.next_cell(["failed", f"the session could not be locked down: {error}"])
        os._exit(0)
    gc.freeze()
    run_cells(host, cells)
