"""Giving up the nodes of a sync run from outside: they run in LangGraph's threads, which nothing else can interrupt."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from concurrent.futures import Future
from contextlib import contextmanager
from typing import Any

from langchain_core.runnables import RunnableConfig
from langchain_core.runnables.config import ensure_config

_KEY = "__rlm_stop"
"""In ``configurable``: with these marks LangGraph keeps it out of checkpoints and traces."""


class Stop:
    """Of one run: ``now()`` cancels the work of its nodes, also of those that start afterwards."""

    def __init__(self) -> None:
        self._works: set[Future[Any]] = set()
        self._stopped = False
        self._lock = threading.RLock()  # a signal handler may come in between

    @staticmethod
    def of(config: RunnableConfig) -> Stop:
        """The one of the run that a node belongs to."""
        found: Stop = config.get("configurable", {}).get(_KEY) or Stop()
        return found

    def within(self, config: RunnableConfig | None) -> RunnableConfig:
        """The config for a run that this stops; what stops a run stops the runs inside of it."""
        inherited = ensure_config(config).get("configurable", {})  # no more of it: its defaults are not LangGraph's
        return {**(config or {}), "configurable": {_KEY: self, **inherited}}

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
        """Ctrl-C stops the nodes before it is raised. As in ``asyncio.run``: in the main thread, where nobody else handles it."""
        usual = signal.default_int_handler
        if threading.current_thread() is not threading.main_thread() or signal.getsignal(signal.SIGINT) is not usual:
            yield
            return

        def handler(number: int, frame: Any) -> None:
            self.now()
            usual(number, frame)

        signal.signal(signal.SIGINT, handler)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, usual)
