"""A template: it has decoded one context, has locked itself down, and forks sessions that share what it holds.

It never runs a cell. Sessions share its memory until somebody writes to it, and nobody does: the text is one object,
and the objects of the interpreter are kept out of garbage collection.
"""

from __future__ import annotations

import gc
import os
from _socket import socket
from mmap import ACCESS_READ, mmap
from typing import Any

from ..context import views
from ..wire import unpack
from .fork_server import serve
from .kernel import trim_heap
from .lockdown import Confinement, address_space, be_the_first_to_go, lock_down, tasks_of_the_system
from .policies import NO_PID, session_policy, template_policy
from .seccomp import program
from .session import Inherited, live

_DESCRIPTORS = 4096
"""Open at once in a template: two for each session that it has forked."""


def grow(payload: bytes, fds: list[int], zygote: int) -> None:
    """Become a template; never returns.

    Args:
        payload: its settings, msgpack.
        fds: the socket for requests, and the context's file if there is one.
        zygote: pid of the parent.
    """
    settings = unpack(payload)
    control = socket(fileno=fds[0])
    try:
        context = _context(settings, fds[1]) if len(fds) > 1 else ""
        inherited = _prepare(settings, context, zygote)
    except UnicodeDecodeError as error:
        control.send(f"the context is not UTF-8: {error.reason} at byte {error.start:,}".encode())
        os._exit(1)
    except (OSError, MemoryError) as error:
        control.send((str(error) or "there is not enough memory for the context").encode("utf-8", "replace"))
        os._exit(1)
    control.send(b"ready")
    serve(control, lambda _payload, given: live(inherited, given[0]))


def _context(settings: dict[str, Any], descriptor: int) -> Any:
    """The context from its file: first the parts' bytes, then a description of them."""
    size, described = settings["data"], settings["described"]
    file = mmap(descriptor, size + described, access=ACCESS_READ)
    view = memoryview(file)
    kind, names, sizes = unpack(bytes(view[size:]))
    context = views.decoded(kind, names, sizes, view[:size])
    view.release()  # no `with`: an error would hold parts of the view, and this process ends with it
    file.close()
    os.close(descriptor)
    return context


def _prepare(settings: dict[str, Any], context: Any, zygote: int) -> Inherited:
    be_the_first_to_go()
    gc.collect()
    gc.freeze()
    trim_heap()
    inherited = Inherited(
        context=context,
        address_space=address_space(),
        tasks=tasks_of_the_system(),
        landlock=settings["landlock"],
        own_user=settings["own_user"],
        template=os.getpid(),
        filter_code=program(session_policy(NO_PID)),
    )
    confinement = Confinement(
        landlock=settings["landlock"], own_user=False, memory_bytes=None, cpu_seconds=None, tasks=None,
        descriptors=_DESCRIPTORS, keeps_rights=settings["own_user"],
    )  # fmt: skip
    lock_down(confinement, program(template_policy(os.getpid())), zygote)
    return inherited
