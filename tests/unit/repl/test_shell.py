"""`codex_exec`: what a command may do, what it may not, and that it is off unless the user turns it on."""

import os
import socket
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from langgraph_rlm.errors import InvalidInput, SandboxUnavailable
from langgraph_rlm.graphs.rlm import create_rlm
from langgraph_rlm.repl import Shell
from langgraph_rlm.repl.shell import engines
from langgraph_rlm.repl.shell import shell as shell_module
from langgraph_rlm.repl.shell.engines import Engine, bubblewrap, sandlock
from langgraph_rlm.testing import ScriptedModel

pytestmark = pytest.mark.filterwarnings("ignore::langgraph_rlm.errors.UnsafeSandboxWarning")

Run = Callable[..., dict[str, Any]]
ENGINES = {"sandlock": sandlock, "bubblewrap": bubblewrap}


@pytest.fixture(params=ENGINES)
def run(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command in each engine that works here."""
    engine = ENGINES[request.param]()
    if engine.lacks is not None:
        pytest.skip(f"{engine.name} cannot run here: {engine.lacks}")
    monkeypatch.setattr(shell_module, "engine", lambda: engine)

    def run(command: str, timeout: float | None = None, **settings: Any) -> dict[str, Any]:
        return Shell(**{"seconds": 20.0, **settings}).run(command, timeout)

    return run


def outside(command: str) -> str:
    """The same command without a jail: the canary that shows that it would have worked."""
    return subprocess.run(["/bin/sh", "-c", command], capture_output=True, text=True, timeout=20).stdout


def test_output_keeps_its_order_and_the_exit_code_is_told(run: Run) -> None:
    result = run("echo a; echo b >&2; echo c; exit 3")
    assert result == {"output": "a\nb\nc\n", "exit_code": 3, "ended": None}


def test_a_command_starts_in_an_empty_directory_that_is_gone_afterwards(run: Run) -> None:
    place = run("pwd; ls -A; echo x > f; cat f")["output"].splitlines()
    assert place[1:] == ["x"] and not Path(place[0]).exists()


def test_the_environment_is_empty(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    assert "sk-secret" in outside("env")
    names = {line.split("=")[0] for line in run("env")["output"].splitlines()}
    assert names <= {"PATH", "PWD", "SHLVL", "_", "OLDPWD"}


def test_chosen_paths_can_be_read_and_not_written(run: Run, tmp_path: Path) -> None:
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "a.txt").write_text("alpha")
    result = run(f"cat {tmp_path}/notes/a.txt; echo more > {tmp_path}/notes/b.txt", read=[tmp_path / "notes"])
    assert result["output"].startswith("alpha") and result["exit_code"] != 0
    assert [path.name for path in (tmp_path / "notes").iterdir()] == ["a.txt"]


def test_nothing_else_can_be_read(run: Run, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("s3cr3t")
    command = f"cat {secret}; cat /etc/passwd; cat /proc/{os.getpid()}/environ"
    assert "s3cr3t" in outside(command) and "root:" in outside(command)
    result = run(command)
    assert "s3cr3t" not in result["output"] and "root:" not in result["output"] and result["exit_code"] != 0


def test_nothing_can_be_written_outside_of_the_scratch_directory(run: Run, tmp_path: Path) -> None:
    target = tmp_path / "written"
    run(f"echo x > {target}; mkdir {tmp_path}/made; echo x > /usr/langgraph-rlm-test; ln {target} f")
    assert list(tmp_path.iterdir()) == [] and not Path("/usr/langgraph-rlm-test").exists()
    outside(f"echo x > {target}")
    assert target.exists()


def test_there_is_no_network(run: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 3); print('connected')"
        assert "connected" in outside(f'python3 -c "{code}"')
        assert "connected" not in run(f'python3 -c "{code}"')["output"]
        udp = f"import socket; socket.socket(2, 2).sendto(b'x', ('127.0.0.1', {port})); print('sent')"
        assert "sent" in outside(f'python3 -c "{udp}"')
        assert "sent" not in run(f'python3 -c "{udp}"')["output"]


def test_other_processes_cannot_be_killed(run: Run) -> None:
    sleeper = subprocess.Popen(["/bin/sleep", "60"])
    try:
        run(f"kill -9 {sleeper.pid}; kill -9 {os.getpid()}")
        time.sleep(0.1)
        assert sleeper.poll() is None
    finally:
        sleeper.kill()
        sleeper.wait()


@pytest.mark.parametrize("command", ["sleep 60", "sleep 4711 & setsid sleep 4711 & wait", "while :; do :; done"])
def test_a_command_that_takes_too_long_is_ended_with_all_it_started(run: Run, command: str) -> None:
    began = time.monotonic()
    result = run(f"echo kept; {command}", 0.5)
    assert time.monotonic() - began < 5
    assert result == {"output": "kept\n", "exit_code": None, "ended": "it ran longer than 0.5 s"}
    assert "sleep 4711" not in outside("cat /proc/[0-9]*/cmdline | tr '\\0' ' ' | sed s/cat//")


def test_the_timeout_of_a_call_narrows_the_limit_and_never_widens_it(run: Run) -> None:
    assert "0.3 s" in run("sleep 60", 100.0, seconds=0.3)["ended"]


def test_a_job_left_in_the_background_ends_with_the_command(run: Run) -> None:
    began = time.monotonic()
    assert run("sleep 60 & setsid sleep 60 & echo done")["output"] == "done\n"
    assert time.monotonic() - began < 5


def test_output_keeps_its_head_and_tail_and_an_endless_one_is_ended(run: Run) -> None:
    shown = run("seq 100000", output_chars=200)["output"]
    assert len(shown) <= 200 and shown.startswith("1\n2\n") and shown.endswith("99999\n100000\n")
    endless = run("yes")
    assert "printed more than 16 MB" in endless["ended"] and len(endless["output"]) <= 8_000


def test_memory_is_limited(run: Run) -> None:
    code = "python3 -c \"print('held', len(bytearray(400 << 20)))\""
    assert "held" in run(code, memory_bytes=1 << 30)["output"]
    assert "held" not in run(code, memory_bytes=200 << 20)["output"]


def test_processes_are_limited(run: Run) -> None:
    command = "for i in $(seq 30); do sleep 1 & done; jobs | wc -l; echo all"
    assert "all" in run(command, processes=60)["output"]
    assert "all" not in run(command, processes=8)["output"]


def test_what_is_written_is_limited(run: Run) -> None:
    assert run("head -c 9000000 /dev/zero > f; wc -c < f", scratch_bytes=1 << 20)["output"].endswith("1048576\n")
    many = "while :; do i=$((i+1)); head -c 900000 /dev/zero > f$i; sleep 0.02; done"
    assert "wrote more than 4 MB" in run(many, scratch_bytes=4 << 20)["ended"]


def test_the_command_is_never_part_of_the_text_around_it(run: Run) -> None:
    assert run("echo \"'; echo $0\"; echo '$1 \"'")["output"].endswith('$1 "\n')
    with pytest.raises(InvalidInput, match="NUL"):
        run("echo \0")


def test_without_an_engine_it_is_refused_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    def none(name: str) -> Callable[[], Engine]:
        return lambda: Engine(name, f"{name} is not here", None)  # type: ignore[arg-type]

    monkeypatch.setattr(shell_module, "sandlock", none("sandlock"))
    monkeypatch.setattr(shell_module, "bubblewrap", none("bubblewrap"))
    with pytest.raises(SandboxUnavailable, match=r"sandlock is not here.*bubblewrap is not here"):
        create_rlm(ScriptedModel([]), shell=Shell())


def test_bubblewrap_is_refused_for_root(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engines.shutil, "which", lambda _: "/usr/bin/bwrap")
    monkeypatch.setattr(engines.os, "geteuid", lambda: 0)
    engines._bubblewrap_lacks.cache_clear()
    try:
        assert "root" in (bubblewrap().lacks or "")
    finally:
        engines._bubblewrap_lacks.cache_clear()


@pytest.mark.parametrize("settings", [{"read": ["/not/there"]}, {"seconds": 0}, {"processes": -1}])
def test_settings_that_make_no_sense_are_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidInput, match=next(iter(settings))):
        Shell(**settings).checked()


def cell(code: str) -> ScriptedModel:
    return ScriptedModel([f"```repl\n{code}\n```"])


def test_it_is_off_by_default() -> None:
    model = cell("try:\n    codex_exec('echo hi')\nexcept NameError:\n    FINAL('off')")
    assert create_rlm(model, sandbox="unsafe").invoke({"question": "q", "context": "c"})["answer"] == "off"
    assert "codex_exec" not in str(model.requests[0][0].content)


def test_a_cell_runs_commands_when_it_is_on(run: Run, tmp_path: Path) -> None:
    model = cell("r = codex_exec('echo hi', timeout=5)\nFINAL(r['output'].strip())")
    graph = create_rlm(model, sandbox="unsafe", shell=Shell(read=[tmp_path]))
    assert graph.invoke({"question": "q", "context": "c"})["answer"] == "hi"
    system = str(model.requests[0][0].content)
    assert "`codex_exec(command, timeout=None)`" in system and str(tmp_path) in system


def test_a_wrong_argument_is_refused_at_the_door(run: Run) -> None:
    model = cell("try:\n    codex_exec('echo', timeout=-1)\nexcept TypeError as e:\n    FINAL(str(e))")
    graph = create_rlm(model, sandbox="unsafe", shell=Shell())
    assert "timeout" in graph.invoke({"question": "q", "context": "c"})["answer"]
