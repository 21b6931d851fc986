"""Values on their way into a Monty session and out of it, each within its bounds."""

from __future__ import annotations

from typing import Any

import msgpack

from langgraph_rlm.repl.wire import DEPTH, ELEMENTS, encode
from langgraph_rlm.repl.worker.wire import HITS


class Unfit(Exception):
    """What a session has sent is not what its prelude sends; the message says what."""


def into(value: Any, frame_bytes: int) -> tuple[bool, Any]:
    """A host function's result as the prelude takes it: plain data, and tuples for hits and failed calls.

    It takes the way over the wire's own format, so that it arrives exactly as it would in another REPL.

    Returns:
        Whether there are tuples in it, and the value.

    Raises:
        ValueError: it cannot be sent, or is larger than a message may be.
    """
    try:
        frame = encode([value])
    except (TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"the result cannot be sent to the cell: {error}") from None
    if len(frame) > frame_bytes:
        raise ValueError(f"the result is {len(frame):,} bytes, more than one message may carry; ask for less at a time")
    special = False

    def open_extension(code: int, data: bytes) -> Any:
        nonlocal special
        special = True
        parts = msgpack.unpackb(data, ext_hook=open_extension, strict_map_key=False)
        return ("hits" if code == HITS else "failed", *parts)

    found = msgpack.unpackb(frame[4:], ext_hook=open_extension, strict_map_key=False)[0]
    return special, found


def out_of(value: Any, frame_bytes: int) -> int:
    """About how many bytes a value from a session is, if it is plain data with str keys.

    A session may share parts of a value with itself: what is small there can be endless to whoever walks over it. So
    the walk counts what it meets and stops.

    Raises:
        Unfit: it is anything else, or more than ``frame_bytes`` or some million elements.
    """
    size = count = 0
    waiting = [(value, 0)]
    while waiting:
        one, depth = waiting.pop()
        count += 1
        size += 9
        if isinstance(one, str):
            size += len(one)
        elif isinstance(one, list):
            size += len(one)
            waiting += [(item, depth + 1) for item in one]
        elif isinstance(one, dict):
            for key in one:
                if not isinstance(key, str):
                    raise Unfit(f"a key of type {type(key).__name__}")
                size += len(key)
            waiting += [(item, depth + 1) for item in one.values()]
        elif one is not None and not isinstance(one, (int, float)):
            raise Unfit(f"a value of type {type(one).__name__}")
        if depth > DEPTH or count > ELEMENTS or len(waiting) > ELEMENTS:
            raise Unfit(f"a value of more than {ELEMENTS:,} elements or {DEPTH} levels")
        if size > 4 * frame_bytes:
            break
    return size
