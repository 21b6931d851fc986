"""A process that forks children when the host asks for them, and tells the host how each of them ends.

Nothing is answered on the socket that requests come on. Each request brings its own socket, on which the host learns
the child's pid and gets its pidfd at once, and its exit status in the end; so threads of the host need no lock.
"""

from __future__ import annotations

import os
import select
from _socket import CMSG_SPACE, SCM_RIGHTS, SOL_SOCKET, socket
from array import array
from collections.abc import Callable
from contextlib import suppress

_MOST_FDS = 8
"""Descriptors with one request: a status socket, a wire, a file; some to spare."""
_BYTES = 1 << 16
"""Of one request: settings only, texts come in files."""

Grow = Callable[[bytes, list[int]], None]


def receive(sock: socket) -> tuple[bytes, list[int]]:
    """One message and the descriptors that came with it; ``b""`` when the other end is gone."""
    fds = array("i")
    payload, ancillary, _, _ = sock.recvmsg(_BYTES, CMSG_SPACE(_MOST_FDS * fds.itemsize))
    for level, kind, data in ancillary:
        if level == SOL_SOCKET and kind == SCM_RIGHTS:
            fds.frombytes(data)
    return payload, list(fds)


def serve(control: socket, grow: Grow) -> None:
    """Fork a child for each request, until the host closes the socket; then all children are killed by the kernel.

    Args:
        control: a socket that keeps messages apart. Each brings the child's status socket as its first descriptor.
        grow: what a child does, with the request's payload and its other descriptors; it never returns.
    """
    poll = select.poll()
    poll.register(control, select.POLLIN)
    children: dict[int, tuple[int, int]] = {}  # pidfd → pid, status socket
    while True:
        for descriptor, _ in poll.poll():
            if descriptor in children:
                poll.unregister(descriptor)
                _bury(descriptor, *children.pop(descriptor))
                continue
            payload, fds = receive(control)
            if not payload:
                os._exit(0)
            status, *rest = fds
            pid = os.fork()
            if pid == 0:
                control.detach()  # a socket object that is collected later would close somebody else's descriptor
                _close_all_but(rest)
                grow(payload, rest)
                os._exit(70)
            pidfd = os.pidfd_open(pid)
            children[pidfd] = (pid, status)
            poll.register(pidfd, select.POLLIN)
            for one in rest:
                os.close(one)
            _announce(status, pid, pidfd)


def _close_all_but(kept: list[int]) -> None:
    start = 3
    for one in sorted(kept):
        os.closerange(start, one)
        start = one + 1
    os.closerange(start, 1 << 20)


def _announce(status: int, pid: int, pidfd: int) -> None:
    sock = socket(fileno=status)
    try:
        sock.sendmsg([b"%d" % pid], [(SOL_SOCKET, SCM_RIGHTS, array("i", [pidfd]))])
    except OSError:
        pass  # the host does not want it any more, and will not talk to it
    finally:
        sock.detach()


def _bury(pidfd: int, pid: int, status: int) -> None:
    _, code = os.waitpid(pid, 0)
    with suppress(OSError):  # nobody asks any more
        os.write(status, b"%d" % os.waitstatus_to_exitcode(code))
    os.close(status)
    os.close(pidfd)
