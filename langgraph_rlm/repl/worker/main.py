"""The process that cells run in: started fresh with an empty environment, it knows the host by one socket only.

It is never imported by a user: ``spawn.py`` starts it. It uses the standard library and msgpack, nothing else.
"""

from __future__ import annotations

import gc
import os
import sys
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET, socket
from _thread import start_new_thread
from os import _exit
from types import ModuleType
from typing import Any

import msgpack

from .alarm import Alarm
from .cells import Cells
from .clock import WallClock
from .lazy import CALL, lazy_context
from .names import Names
from .output import Output
from .schema import schema_of
from .values import submission
from .wire import Wire, unpack

_PR_SET_PDEATHSIG = 1
_SIGKILL = 9
"""Both from the kernel's headers; the module signal takes 3 ms to import."""
_WIRE = 3  # the descriptor after the standard three
_WARM = (
    *("mmap", "resource", "select"),  # of our own
    *("collections", "concurrent.futures", "datetime", "itertools", "json", "math", "re", "reprlib", "statistics"),
    *("threading", "traceback"),
)


def main(arguments: list[str]) -> None:
    """Serve one session until the host closes the socket.

    Args:
        arguments: number of the socket's descriptor, pid of the host, ``"1"`` to import what cells often use before
            the session is known.
    """
    given, host = int(arguments[0]), int(arguments[1])
    if given != _WIRE:  # it came under the host's number, which may be any
        os.dup2(given, _WIRE)
        os.close(given)
    os.set_inheritable(_WIRE, False)
    _die_with(host)
    sys.argv = [""]
    import random

    random.seed(0)  # a replay must draw the same numbers
    if arguments[2] == "1":
        for module in _WARM:
            __import__(module)
    serve(socket(fileno=_WIRE))


def serve(sock: socket) -> None:
    """Receive the session's settings and its context, then run cell after cell."""
    settings, context_fd, rest = receive_start(sock)
    alarm = Alarm(settings["timeout_message"])
    wire = Wire(sock, rest, settings["frame_bytes"], alarm)
    start_new_thread(_exit_when_alone, (sock.fileno(),))
    try:
        context = _decode(settings, context_fd)
    except UnicodeDecodeError as undecoded:
        wire.next_cell(["failed", f"the context is not UTF-8: {undecoded.reason} at byte {undecoded.start:,}"])
        return
    _limit(settings["memory_bytes"] + 6 * sum(settings["sizes"]), settings["cpu_seconds"])
    cells = prepare(settings, context, wire, alarm)
    _silence()
    _forget_own_modules()
    gc.freeze()
    run_cells(wire, cells)


def prepare(settings: dict[str, Any], context: Any, wire: Wire, alarm: Alarm) -> Cells:
    """The namespace of a session, and what runs cells in it.

    Args:
        settings: from the host.
        context: the variable ``context``, unless the settings describe one that is not loaded.
        wire: to the host.
        alarm: the soft time limit.
    """
    if settings["lazy"] is not None:
        context = lazy_context(settings["lazy"], lambda *request: wire.call(CALL, request, {}))
    output = Output(settings["output_chars"])
    module = ModuleType("__main__")
    sys.modules["__main__"] = module
    functions = {name: _function(name, wire) for name in settings["functions"]}
    names = Names(module, functions, context, settings["variables"], submission)
    clock = WallClock()
    clock.install()
    return Cells(names, output, alarm, settings["output_chars"], clock)


def run_cells(wire: Wire, cells: Cells) -> None:
    """Tell the host that the session is ready, and run what it sends; never returns."""
    outcome: list[Any] = ["ready"]
    while True:
        _, number, code, times = wire.next_cell(outcome)
        cells.clock.begin(times)
        stdout, error, final = cells.run(number, code)
        outcome = ["done", number, stdout, error, final, cells.clock.end()]
        if final is not None and not wire.fits(outcome):
            error = "ValueError: the submitted answer is larger than a message to the host may be; submit less"
            outcome = ["done", number, stdout, error, None, cells.clock.end()]


def receive_start(sock: socket) -> tuple[dict[str, Any], int | None, bytearray]:
    """The session's settings, the descriptor that came with them, and what was read beyond them."""
    chunk, ancillary, _, _ = sock.recvmsg(1 << 16, CMSG_SPACE(4))
    if not chunk:
        _exit(0)  # a spare that was never used
    context_fd = None
    for level, kind, data in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            context_fd = int.from_bytes(data[:4], sys.byteorder)
    received = bytearray(chunk)
    while len(received) < 4 or len(received) < 4 + int.from_bytes(received[:4], "big"):
        chunk = sock.recv(1 << 18)
        if not chunk:
            _exit(0)
        received += chunk
    size = int.from_bytes(received[:4], "big")
    settings = unpack(bytes(received[4 : 4 + size]))
    return settings, context_fd, received[4 + size :]


def _decode(settings: dict[str, Any], context_fd: int | None) -> str | list[str] | dict[str, str]:
    kind, names, sizes = settings["kind"], settings["names"], settings["sizes"]
    total = sum(sizes)
    parts: list[str] = []
    if total and context_fd is not None:
        from mmap import ACCESS_READ, mmap

        with mmap(context_fd, total, access=ACCESS_READ) as data, memoryview(data) as view:
            start = 0
            for size in sizes:
                parts.append(str(view[start : start + size], "utf-8"))
                start += size
    else:
        parts = [""] * len(sizes)
    if context_fd is not None:
        os.close(context_fd)
    if kind == "text":
        return parts[0] if len(parts) == 1 else "".join(parts)
    return parts if kind == "list" else dict(zip(names, parts, strict=True))


def _function(name: str, wire: Wire) -> Any:
    def call(*args: Any, **kwargs: Any) -> Any:
        if not isinstance(kwargs.get("schema", {}), (dict, type(None))):
            kwargs["schema"] = schema_of(kwargs["schema"])
        return wire.call(name, args, kwargs)

    call.__name__ = call.__qualname__ = name
    call.__module__ = "__main__"
    return call


def _die_with(host: int) -> None:
    if sys.platform == "linux":
        import ctypes

        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, _SIGKILL, 0, 0, 0)
    if os.getppid() != host:
        _exit(0)  # it was gone before we asked to be told


def _exit_when_alone(descriptor: int) -> None:
    # PDEATHSIG exists on Linux only, and does not fire when the host merely drops the socket while a cell runs.
    import select

    poll = select.poll()
    poll.register(descriptor, 0)  # hang-ups only: what arrives is for those who wait for it
    poll.poll()
    _exit(0)


def _limit(memory_bytes: int, cpu_seconds: int) -> None:
    import resource

    for what, value in (
        (resource.RLIMIT_AS, memory_bytes),
        (resource.RLIMIT_CPU, cpu_seconds),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_NOFILE, 64),
    ):
        _, most = resource.getrlimit(what)
        value = value if most == resource.RLIM_INFINITY else min(value, most)
        resource.setrlimit(what, (value, value))


def _silence() -> None:
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 2)  # it was the pipe that tells the host why a start failed
    os.close(null)


def _forget_own_modules() -> None:
    package = __name__.partition(".")[0]
    for name in list(sys.modules):
        if name.partition(".")[0] in (package, msgpack.__name__):
            del sys.modules[name]
