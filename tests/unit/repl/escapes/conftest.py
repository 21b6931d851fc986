"""Hosts for the attacks, started when first asked and kept for all tests."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.repl.escapes.hosts import Host, can_be_nobody


@pytest.fixture(scope="session")
def host() -> Iterator[Callable[[str, bool], Host]]:
    """``host(user, landlock)``: a host as ``"self"`` or ``"nobody"``, whose jail uses Landlock or not."""
    made: dict[tuple[str, bool], Host] = {}
    homes: list[Path] = []  # not below pytest's own directory, which every run of pytest closes to other users

    def get(user: str, landlock: bool) -> Host:
        if user == "nobody" and (reason := can_be_nobody()):
            pytest.skip(reason)
        if not homes:
            homes.append(Path(tempfile.mkdtemp(prefix="home-of-nobody-")))
        if (user, landlock) not in made:
            made[user, landlock] = Host(user, {} if landlock else {"landlock": False}, homes[0])
        return made[user, landlock]

    yield get
    for one in made.values():
        one.close()
    for home in homes:
        shutil.rmtree(home)
