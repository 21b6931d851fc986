"""The tests' own fence: loopback, unix sockets and asyncio pass, everything beyond the machine is refused."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from pytest_socket import SocketBlockedError, SocketConnectBlockedError

ELSEWHERE = "192.0.2.1"  # reserved for documentation (RFC 5737): nobody answers there

pytestmark = pytest.mark.filterwarnings("ignore:A test tried to")


def _echo_once(server: socket.socket) -> None:
    connection, _ = server.accept()
    with connection:
        connection.sendall(connection.recv(10))


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_loopback_connections_pass(host: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        Thread(target=_echo_once, args=(server,), daemon=True).start()
        with socket.create_connection((host, server.getsockname()[1]), timeout=5) as client:
            client.sendall(b"hello")
            assert client.recv(10) == b"hello"


def test_unix_sockets_pass(tmp_path: Path) -> None:
    left, right = socket.socketpair()
    with left, right:
        left.sendall(b"hello")
        assert right.recv(10) == b"hello"
    with socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))


async def test_asyncio_connections_pass() -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        writer.close()

    async with await asyncio.start_server(echo, "127.0.0.1", 0) as server:
        reader, writer = await asyncio.open_connection("127.0.0.1", server.sockets[0].getsockname()[1])
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        writer.close()


@pytest.mark.parametrize(
    "reach_out",
    [
        lambda: socket.create_connection((ELSEWHERE, 80), timeout=1),
        lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM).connect((ELSEWHERE, 53)),
        lambda: asyncio.run(asyncio.open_connection(ELSEWHERE, 80)),
        lambda: asyncio.run(asyncio.open_connection("example.com", 80)),
        lambda: socket.create_connection(("example.com", 80), timeout=1),
        lambda: socket.getaddrinfo("example.com", 80),
    ],
    ids=["tcp", "udp", "asyncio", "asyncio-name", "tcp-name", "look-up"],
)
def test_what_leaves_the_machine_is_refused(reach_out: Callable[[], object]) -> None:
    with pytest.raises((SocketBlockedError, SocketConnectBlockedError)):
        reach_out()
