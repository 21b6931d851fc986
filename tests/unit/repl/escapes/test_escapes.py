"""Every attack is really attempted and denied in the jail, and the very same code gets through outside of it."""

from __future__ import annotations

import os
import platform
import re

import pytest

from langgraph_rlm.repl.jail import available
from tests.unit.repl.escapes.attacks import Attack
from tests.unit.repl.escapes.every_attack import ATTACKS

MACHINE = platform.machine()
SLOW = pytest.mark.slow


def _cases() -> list[object]:
    cases: list[object] = []
    for name, attack in ATTACKS.items():
        for user in ("self", "nobody"):
            for landlock in (True, False):
                reduced = attack.core and (user, landlock) in (("self", True), ("nobody", False))
                label = f"{name}-{user}-{'landlock' if landlock else 'seccomp-only'}"
                cases.append(pytest.param(attack, user, landlock, id=label, marks=() if reduced else SLOW))
    return cases


def _canaries() -> list[object]:
    return [
        pytest.param(attack, user, id=f"{name}-{user}", marks=() if attack.core and user == "self" else SLOW)
        for name, attack in ATTACKS.items()
        for user in ("self", "nobody")
        if not (user == "nobody" and attack.root)
    ]


@pytest.mark.skipif(available() is not None, reason="no jail on this system")
@pytest.mark.parametrize(("attack", "user", "landlock"), _cases())
def test_an_attack_is_attempted_and_denied_in_the_jail(host, attack: Attack, user: str, landlock: bool):
    _for_this_machine(attack)
    seen = host(user, landlock).ask("jail", attack.code)
    assert seen["changes"] == []
    if seen["killed"]:
        assert attack.ends != "denied", seen["error"]
        assert "\n" not in seen["error"]
        return
    assert attack.ends != "killed" and seen["error"] is None, seen["error"]
    lines = seen["stdout"].splitlines()
    assert len(lines) == 1 and lines[0].startswith("DENIED "), seen["stdout"]
    assert re.match(attack.denial, lines[0].removeprefix("DENIED ")), f"for another reason than the jail: {lines[0]}"
    assert seen["after"] == "2\n"


@pytest.mark.parametrize(("attack", "user"), _canaries())
def test_the_same_code_gets_through_outside(host, attack: Attack, user: str):
    _for_this_machine(attack)
    if attack.root and os.getuid() != 0:
        pytest.skip("outside, only root can do this")
    seen = host(user, True).ask("outside", attack.code)
    shown = seen["stdout"].strip() or f"nothing; {seen['error']}"
    if attack.optional and not shown.startswith("ESCAPED"):
        pytest.skip(f"not in this kernel or container: {shown[:100]}")
    assert re.fullmatch(r"ESCAPED .*", shown), shown


def test_the_attacks_are_many_and_no_two_are_the_same():
    assert len(ATTACKS) >= 60 and sum(attack.core for attack in ATTACKS.values()) >= 60
    assert len({attack.code for attack in ATTACKS.values()}) == len(ATTACKS)


def _for_this_machine(attack: Attack) -> None:
    if attack.machine not in (None, MACHINE):
        pytest.skip(f"machine code of {attack.machine}")
