"""The host takes from a worker what the protocol knows, and nothing else can hurt it."""

import contextlib

import msgpack
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from langgraph_rlm.repl.wire import Frames, Violation, check, decode, encode

json_like = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(), inner, max_size=5),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.binary(max_size=400))
def test_any_bytes_are_messages_or_a_violation(data):
    frames = Frames(1 << 16)
    frames.feed(data)
    try:
        while frames.next() is not None:
            pass
    except Violation:
        pass


@settings(deadline=None)
@given(st.binary(max_size=200))
def test_any_body_is_plain_data_or_a_violation(data):
    with contextlib.suppress(Violation):
        check(decode(data))


@settings(deadline=None)
@given(st.lists(json_like, max_size=4), st.dictionaries(st.text(), json_like, max_size=4), st.data())
def test_messages_survive_however_they_are_cut(args, kwargs, data):
    messages = [["call", 1, "f", args, kwargs], ["done", 1, "out", None, args, [5]], ["ready"]]
    stream = b"".join(encode(message) for message in messages)
    frames, seen = Frames(1 << 20), []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        frames.feed(stream[:size])
        stream = stream[size:]
        while (message := frames.next()) is not None:
            seen.append(message)
    assert seen == messages


@pytest.mark.parametrize(
    "message",
    [
        {},
        [],
        ["call"],
        ["call", "1", "f", [], {}],
        ["call", 1, "f", {}, {}],
        ["call", 1, "f", [b"x"], {}],
        ["call", 1, "f", [], {"a": msgpack.ExtType(5, b"")}],
        ["call", 1, "f", [msgpack.Timestamp(1)], {}],
        ["call", 1, "f", [], {1: 2}],
        ["done", 1, b"x", None, None, []],
        ["done", 1, "", 3, None, []],
        ["ready", 1],
        ["exec", 1],
        "ready",
    ],
)
def test_messages_of_no_known_shape_are_refused(message):
    with pytest.raises(Violation):
        check(decode(msgpack.packb(message)))


def test_a_frame_is_refused_by_its_length_alone():
    frames = Frames(1000)
    frames.feed((1001).to_bytes(4, "big"))
    with pytest.raises(Violation, match="1,001 bytes"):
        frames.next()


@pytest.mark.parametrize(
    "body", [b"\xdd" + (2_500_000).to_bytes(4, "big") + b"\x90" * 2_500_000, b"\x91" * 5000 + b"\xc0"]
)
def test_frames_that_would_grow_in_memory_or_nest_too_deep_are_refused(body):
    with pytest.raises(Violation):
        check(decode(body))


def test_many_small_containers_are_refused():
    inner = b"\xdc\xff\xff" + b"\x90" * 65_535
    with pytest.raises(Violation, match="elements"):
        decode(b"\xdc\x00\x40" + inner * 64)


WIRE = "import socket\ns = socket.socket(fileno=3)\n"


@pytest.mark.parametrize(
    "attack",
    [
        r"s.send(b'\xff\xff\xff\xff')",
        r"s.send(b'\0\0\0\1\xc1')",
        r"s.send(b'\0\0\0\0')",
        r"s.send(b'\0\0\0\1\x80')",
        r"s.send(b'garbage' * 1000)",
        r"s.send(b'\0\0\0\x0a\x95\xa4call\1\xa1f\x90\x80')",
        r"s.send(b'\0\0\0\x0b\x95\xa4call\1\xa1x\x90\x80')",
        r"s.send(b'\0\0\0\x09\x95\xa4done\x63\xa0\xc0\xc0')",
        r"s.send(b'\0\0\0\7\x91\xa5ready')",
        r"s.send(b'\0\0\0\x0bcut'); s.shutdown(socket.SHUT_WR)",
        r"s.shutdown(socket.SHUT_RDWR)",
        r"s.close()",
    ],
)
def test_a_cell_that_writes_on_the_wire_loses_its_process_only(session, attack):
    s = session(f=lambda: 1, limits={"cell_timeout": 2.0, "grace": 1.0})
    result = s.run(f"{WIRE}{attack}\nimport time\ntime.sleep(1)\nf()")
    assert result["killed"] and "\n" not in result["error"] and result["final"] is None
    assert session().shows("1") == "1"


def test_a_cell_that_asks_and_does_not_listen_cannot_fill_the_hosts_memory(session):
    s = session(big=lambda: "x" * 60_000, limits={"frame_bytes": 1 << 16, "cell_timeout": 1.0, "grace": 0.2})
    code = (
        "for number in range(100_000):\n"
        r"    s.sendall(b'\0\0\0\x11\x95\xa4call\xce' + (1000 + number).to_bytes(4, 'big') + b'\xa3big\x90\x80')"
    )
    result = s.run(WIRE + code)
    assert result["error"]
    assert len(s.repl._out) < 1 << 20
