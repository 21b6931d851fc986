"""Attacks through sockets: every family, servers that really listen, descriptors sent away, and the wire to the host."""

from __future__ import annotations

from tests.unit.repl.escapes.attacks import Attack

_TCP = "import socket\nwith socket.create_connection(('127.0.0.1', T['tcp']), 5) as s: return s.getpeername()"
_SOCKETS = "import socket\ns = socket.socket({})\nreturn s.fileno()"

NETWORK = [
    Attack("connect_to_a_tcp_server", _TCP, core=True),
    Attack("connect_to_a_tcp_server_by_ipv6", """
        import socket
        with socket.socket(socket.AF_INET6) as s:
            s.connect(('::1', T['tcp6'] or 9)); return s.getpeername()
        """, optional=True),
    Attack("send_a_datagram", """
        import socket
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s: return s.sendto(b'x', ('127.0.0.1', T['udp']))
        """, core=True),
    Attack("send_with_fast_open", """
        import socket
        with socket.socket() as s: return s.sendto(b'x', 0x20000000, ('127.0.0.1', T['tcp']))
        """),
    Attack("listen_for_connections", """
        import socket
        with socket.create_server(('127.0.0.1', 0)) as s: return s.getsockname()
        """, core=True),
    Attack("connect_to_a_unix_socket", """
        import socket
        with socket.socket(socket.AF_UNIX) as s: s.connect(T['stream']); return s.getpeername()
        """, core=True),
    Attack("connect_to_an_abstract_unix_socket", """
        import socket
        with socket.socket(socket.AF_UNIX) as s: s.connect(T['abstract']); return s.getpeername()
        """, core=True),
    Attack("send_to_a_unix_datagram_socket", """
        import socket
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as s: return s.sendto(b'x', T['datagrams'])
        """),
    Attack("send_from_a_datagram_pair_to_another_socket", """
        import socket
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        return a.sendto(b'x', T['datagrams'])
        """, core=True),
    Attack("connect_an_end_of_a_datagram_pair_elsewhere", """
        import socket
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        a.connect(T['datagrams'])
        return a.send(b'x')
        """),
    Attack("connect_a_socket_of_a_pair_by_number", """
        import socket, struct
        a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        address = struct.pack('H', 1) + T['datagrams'].encode() + b'\\0'
        return call('connect', a.fileno(), address, len(address))
        """),
    Attack("sequenced_packets_in_a_pair", "import socket\nreturn socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)[0].fileno()"),
    Attack("send_a_descriptor", """
        import socket
        a, b = socket.socketpair()
        socket.send_fds(a, [b'x'], [0])
        _, fds, _, _ = socket.recv_fds(b, 10, 1)
        return fds[0]
        """, core=True),
    Attack("send_a_descriptor_on_every_socket", """
        import array, socket
        extra = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array('i', [0]))]
        pair = socket.socketpair()
        denied = None
        for fd in [*range(3, 64), pair[0].fileno()]:
            try: os.write(fd, b'')
            except OSError: continue
            try:
                s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd)
                try: s.sendmsg([b''], extra)
                finally: s.detach()
            except OSError as e:
                denied = denied or e
                continue
            return fd
        raise denied
        """, ends="either"),
    Attack("send_many_messages_by_number", "return reach('sendmmsg', -1, 0, 0, 0)"),
    Attack("receive_many_messages_by_number", "return reach('recvmmsg', -1, 0, 0, 0, 0)"),
    Attack("accept_by_number", "return reach('accept4', -1, 0, 0, 0)"),
    Attack("bind_by_number", "return reach('bind', -1, 0, 0)"),
    Attack("connect_by_number", "return reach('connect', -1, 0, 0)", core=True),
    Attack("raw_socket", _SOCKETS.format("socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP"), root=True, core=True),
    Attack("packet_socket", _SOCKETS.format("17, socket.SOCK_RAW, 0"), root=True, optional=True),
    Attack("netlink_socket", _SOCKETS.format("16, socket.SOCK_RAW, 0"), core=True),
    Attack("vsock_socket", _SOCKETS.format("40, socket.SOCK_STREAM, 0"), optional=True, core=True),
    Attack("crypto_socket", _SOCKETS.format("38, socket.SOCK_SEQPACKET, 0"), optional=True),
    Attack("bluetooth_socket", _SOCKETS.format("31, socket.SOCK_RAW, 0"), optional=True),
    Attack("can_socket", _SOCKETS.format("29, socket.SOCK_RAW, 1"), optional=True),
    Attack("express_data_path_socket", _SOCKETS.format("44, socket.SOCK_RAW, 0"), root=True, optional=True),
    Attack("unix_socket", _SOCKETS.format("socket.AF_UNIX, socket.SOCK_STREAM, 0")),
    Attack("socket_of_a_family_beyond_32_bits", "return call('socket', (1 << 32) | 2, 1, 0)"),
    Attack("pair_of_a_family_beyond_32_bits", """
        pair = (ctypes.c_int * 2)()
        call('socketpair', (1 << 32) | 1, (1 << 32) | 2, 0, pair)
        return pair[0]
        """),
    Attack("multipath_tcp_socket", _SOCKETS.format("socket.AF_INET, socket.SOCK_STREAM, 262"), optional=True),
    Attack("ask_a_name_server", "import socket\nreturn socket.getaddrinfo('localhost', 80)",
           denial=r"(gaierror|PermissionError|OSError|ModuleNotFoundError) "),
    Attack("fetch_a_page", """
        import urllib.request
        browser = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        try: browser.open(f"http://127.0.0.1:{T['tcp']}/x", timeout=0.2)
        except TimeoutError: return 'the server was asked, and keeps silent'
        """, denial=r"(URLError|PermissionError) .*(not permitted|denied|EPERM|EACCES|implemented)|ModuleNotFoundError .*'urllib.request'"),
    Attack("asynchronous_connection", """
        import asyncio
        async def connect():
            r, w = await asyncio.open_connection('127.0.0.1', T['tcp'])
            w.close()
            return 'connected'
        return asyncio.run(connect())
        """),
    Attack("switch_a_socket_option", """
        import socket
        a, b = socket.socketpair()
        a.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 20)
        return call('setsockopt', a.fileno(), 1, 26, b'x' * 16, 16)  # SO_ATTACH_FILTER
        """, denial=r"(PermissionError|OSError) (EPERM|EACCES|ENOSYS) ", optional=True),
    Attack("list_the_interfaces_by_a_local_socket", """
        import fcntl, struct, socket
        a, b = socket.socketpair()
        buffer = ctypes.create_string_buffer(4096)
        return fcntl.ioctl(a.fileno(), 0x8912, struct.pack('iP', 4096, ctypes.addressof(buffer)))  # SIOCGIFCONF
        """, core=True),
    Attack("pair_of_another_family", """
        pair = (ctypes.c_int * 2)()
        return call('socketpair', 30, 4, 0, pair) or pair[0]  # AF_TIPC
        """, optional=True),
    Attack("send_a_byte_out_of_band", """
        import socket
        a, b = socket.socketpair()
        return a.send(b'x', socket.MSG_OOB)
        """, core=True),
    Attack("receive_a_byte_out_of_band", """
        import socket
        a, b = socket.socketpair()
        try: return b.recv(1, socket.MSG_OOB | socket.MSG_DONTWAIT)
        except OSError as e:
            if e.errno in (errno.EPERM, errno.EACCES, errno.ENOSYS): raise
            return f'looked at it: {e}'
        """),
    Attack("take_the_process_at_the_other_end_of_a_socket", """
        import socket
        pair, denied = socket.socketpair(), None
        for fd in [*range(3, 64), pair[0].fileno()]:
            try: s = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0, fd)
            except OSError: continue
            try: return s.getsockopt(socket.SOL_SOCKET, 77)  # SO_PEERPIDFD
            except OSError as e: denied = e
            finally: s.detach()
        raise denied
        """, core=True, optional=True),
    Attack("ask_who_is_at_the_other_end_of_a_socket", """
        import socket
        a, b = socket.socketpair()
        return a.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        """),
    Attack("ask_for_the_memory_of_a_socket", """
        import socket
        a, b = socket.socketpair()
        return a.getsockopt(socket.SOL_SOCKET, 55, 36)  # SO_MEMINFO
        """),
    Attack("own_signals_of_a_socket_to_a_child_of_the_host", """
        import fcntl, signal, socket, time
        a, b = socket.socketpair()
        fcntl.fcntl(a.fileno(), fcntl.F_SETOWN, T['victim'])
        fcntl.fcntl(a.fileno(), 10, signal.SIGKILL)  # F_SETSIG
        fcntl.fcntl(a.fileno(), fcntl.F_SETFL, fcntl.fcntl(a.fileno(), fcntl.F_GETFL) | os.O_ASYNC)
        b.send(b'x')
        return 'a signal was sent in the kernel\\'s name'
        """, core=True),
    Attack("own_signals_of_a_socket_by_the_extended_call", """
        import fcntl, struct, socket
        a, b = socket.socketpair()
        return fcntl.fcntl(a.fileno(), 15, struct.pack('ii', 1, T['victim']))  # F_SETOWN_EX
        """),
    Attack("own_signals_of_a_socket_by_ioctl", """
        import fcntl, struct, socket
        a, b = socket.socketpair()
        fcntl.ioctl(a.fileno(), 0x8901, struct.pack('i', T['victim']))  # FIOSETOWN
        fcntl.ioctl(a.fileno(), 0x5452, struct.pack('i', 1))  # FIOASYNC
        b.send(b'x')
        return 'owned'
        """, core=True),
]  # fmt: skip
