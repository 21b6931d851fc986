"""The zygote: a fresh Python with an empty environment that has imported what cells may import, and forks templates.

It is never imported by a user: ``processes.py`` starts it. It sees no context and runs no cell.
"""

from __future__ import annotations

import gc
import os
import sys
from _socket import socket

import msgpack

from ..wire import unpack
from . import imports, template
from .fork_server import receive, serve
from .lockdown import stay_with


def main(arguments: list[str]) -> None:
    """Load the modules, then fork a template for each request.

    Args:
        arguments: number of the socket's descriptor, pid of the host.
    """
    control = socket(fileno=int(arguments[0]))
    os.set_inheritable(control.fileno(), False)
    stay_with(int(arguments[1]))
    sys.argv = [""]
    payload, _ = receive(control)
    if not payload:
        return
    settings = unpack(payload)
    gc.disable()  # nothing that an import makes is garbage soon
    missing = imports.load(settings["modules"], settings["paths"])
    zones = imports.zones()  # held here, as long as this process and its forks live
    if missing:
        control.send("; ".join(missing).encode("utf-8", "replace")[:4096])
        return
    wanted = {name.partition(".")[0] for name in settings["modules"]}
    imports.close({__name__.partition(".")[0], msgpack.__name__} - wanted)
    gc.freeze()
    gc.enable()
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)  # it was the pipe that tells the host why a start failed
    os.close(null)
    control.send(b"ready")
    own = os.getpid()
    serve(control, lambda payload, fds: template.grow(payload, fds, own))
    del zones
