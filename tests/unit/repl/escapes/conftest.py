"""Hosts for the attacks, started when first asked and kept for all tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.unit.repl.escapes.hosts import Host, can_be_nobody


@pytest.fixture(scope="session")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str, bool], Host]]:
    """``host(user, landlock)``: a host as ``"self"`` or ``"nobody"``, whose jail uses Landlock or not."""
    made: dict[tuple[str, bool], Host] = {}
    homes: list[Path] = []

    def get(user: str, landlock: bool) -> Host:
        if user == "nobody" and (reason := can_be_nobody()):
            pytest.skip(reason)
        if not homes:
            homes.append(tmp_path_factory.mktemp("home"))
        if (user, landlock) not in made:
            made[user, landlock] = Host(user, {} if landlock else {"landlock": False}, homes[0])
        return made[user, landlock]

    yield get
    for one in made.values():
        one.close()
