"""Giving up the nodes of a sync run from outside: they run in LangGraph's threads, which nothing else can interrupt."""

from __future__ import annotations

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from typing import Any


class Stop:
    """Of one run: ``now()`` cancels the work of its nodes, also of those that start afterwards."""

    def __init__(self) -> None:
        self._works: set[Future[Any]] = set()
        self._stopped = False
        self._lock = threading.Lock()
        self._bell: _Bell | None = None

    def now(self) -> None:
        """Cancel."""
        with self._lock:
            self._stopped = True
            works = list(self._works)
        for work in works:
            work.cancel()

    @contextmanager
    def during(self, work: Future[Any]) -> Iterator[None]:
        """``work`` is what is cancelled."""
        with self._lock:
            self._works.add(work)
            late = self._stopped
        if late:
            work.cancel()
        try:
            yield
        finally:
            with self._lock:
                self._works.discard(work)

    @contextmanager
    def at_ctrl_c(self) -> Iterator[None]:
        """Ctrl-C stops the nodes, and is raised as ever. In the main thread, where nobody else handles signals.

        Whoever waits for the nodes may not hear of it: a signal that comes just before a thread begins to wait, or that
        the system gives to another thread, is not seen before the wait ends. The wake-up descriptor is told at once.
        """
        usual = signal.default_int_handler
        if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not usual:
            yield
            return
        if self._bell is None:
            self._bell = _Bell(self.now)
        self._bell.before = signal.set_wakeup_fd(self._bell.descriptor, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(self._bell.before)

    def close(self) -> None:
        """Nothing listens for Ctrl-C any more."""
        if self._bell is not None:
            self._bell.close()


class _Bell:
    """Calls ``rung``, in a thread of its own, at each Ctrl-C that is written to ``descriptor``."""

    def __init__(self, rung: Callable[[], None]) -> None:
        self._rung = rung
        self._ear, self._button = socket.socketpair()
        self._button.setblocking(False)
        self.descriptor = self._button.fileno()
        self.before = -1
        """The descriptor of whoever listened to signals before: goes on hearing of them."""
        threading.Thread(target=self._listen, name="rlm-ctrl-c", daemon=True).start()

    def _listen(self) -> None:
        with self._ear:
            while signals := self._ear.recv(64):
                if signal.SIGINT in signals:
                    self._rung()
                if self.before != -1:
                    with suppress(OSError):  # it is closed, or full
                        os.write(self.before, signals)

    def close(self) -> None:
        """End the thread."""
        self._button.close()
