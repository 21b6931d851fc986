"""All attacks, by name."""

from __future__ import annotations

from tests.unit.repl.escapes.attacks_on_files import FILES
from tests.unit.repl.escapes.attacks_on_processes import PROCESSES
from tests.unit.repl.escapes.attacks_on_the_kernel import KERNEL, LOCK, MEMORY
from tests.unit.repl.escapes.attacks_on_the_network import NETWORK

ATTACKS = {attack.name: attack for attack in (*FILES, *NETWORK, *PROCESSES, *MEMORY, *KERNEL, *LOCK)}
assert len(ATTACKS) == len(FILES) + len(NETWORK) + len(PROCESSES) + len(MEMORY) + len(KERNEL) + len(LOCK)
