"""A directory of contexts: bounded, shared by processes, killed, full, read-only; nothing in use goes, nothing half stays."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from langgraph_rlm.errors import ContextMissing, ContextStoreError
from langgraph_rlm.text.store import ContextStore
from langgraph_rlm.types import ContextRef

START = "import os, resource, signal, sys; from langgraph_rlm.text.store import ContextStore\n"


def python(code: str, *arguments: object) -> subprocess.Popen[str]:
    """Another process; it is talked to by lines."""
    command = [sys.executable, "-c", START + code, *map(str, arguments)]
    return subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, bufsize=1
    )


def said(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip() or f"nothing: {process.communicate()}"


def ended(process: subprocess.Popen[str]) -> int:
    process.communicate("go on\n", timeout=60)
    return process.returncode


def used(store: ContextStore, ref: ContextRef, at: int) -> None:
    """Let a context have been used at this time."""
    assert store.path is not None
    store.close()
    os.utime(file_of(store, ref), (at, at))


def file_of(store: ContextStore, ref: ContextRef) -> Path:
    assert store.path is not None
    return store.path / (ref["context_ref"].removeprefix("sha256:") + ".ctx")


def held(path: Path, *refs: ContextRef) -> list[bool]:
    """Whether each is there, seen by somebody else."""
    return [file_of(ContextStore(path), ref).exists() for ref in refs]


def temporary(path: Path) -> list[Path]:
    return list(path.glob(".*.tmp"))


# --- a bound ----------------------------------------------------------------------------------------------------------


def test_without_a_bound_everything_stays(tmp_path: Path) -> None:
    store = ContextStore(tmp_path)
    refs = [store.put(f"{n}" * 10_000) for n in range(1, 10)]
    assert all(held(tmp_path, *refs))


def test_beyond_the_bound_what_was_not_used_for_longest_goes(tmp_path: Path) -> None:
    store = ContextStore(tmp_path, max_bytes=35_000)
    first, second, third = (store.put(letter * 10_000) for letter in "abc")
    for at, ref in ((30, first), (10, second), (20, third)):
        used(store, ref, at)
    fourth = store.put("d" * 10_000)
    assert held(tmp_path, first, second, third, fourth) == [True, False, True, True]
    with pytest.raises(ContextMissing, match="put it again"):
        store.read(second)


@pytest.mark.parametrize("how", ["read", "put", "held"])
def test_using_a_context_keeps_it(tmp_path: Path, how: str) -> None:
    store = ContextStore(tmp_path, max_bytes=25_000)
    first, second = store.put("a" * 10_000), store.put("b" * 10_000)
    if how == "held":
        store.read(first)  # is open from now on
        os.utime(file_of(store, first), (1, 1))
        assert store.read(first)
        os.utime(file_of(store, second), (10, 10))
    else:
        used(store, first, 1)
        used(store, second, 10)
        if how == "read":
            store.read(first)
        else:
            store.put("a" * 10_000)
    third = store.put("c" * 10_000)
    assert held(tmp_path, first, second, third) == [True, False, True]


def test_the_newest_stays_however_large_it_is(tmp_path: Path) -> None:
    store = ContextStore(tmp_path, max_bytes=1_000)
    old, new = store.put("small"), store.put("x" * 10_000)
    assert held(tmp_path, old, new) == [False, True]
    assert store.read(new) == "x" * 10_000


def test_what_this_process_looks_at_stays(tmp_path: Path) -> None:
    store = ContextStore(tmp_path, max_bytes=15_000)
    first = store.put("a" * 10_000)
    view = memoryview(store.payload(first).data)[5:10]
    second = store.put("b" * 10_000)
    assert held(tmp_path, first, second) == [True, True]
    assert bytes(view) == b"aaaaa"
    del view
    third = store.put("c" * 10_000)
    assert held(tmp_path, first, second, third) == [False, False, True]


def test_what_another_process_has_open_stays_until_it_ends(tmp_path: Path) -> None:
    store = ContextStore(tmp_path, max_bytes=15_000)
    first = store.put("a" * 10_000)
    reader = python(
        "store = ContextStore(sys.argv[1]); ref = {'context_ref': sys.argv[2]}\n"
        "print(len(store.read(ref)), flush=True); sys.stdin.readline(); assert store.read(ref)",
        tmp_path, first["context_ref"],
    )  # fmt: skip
    assert said(reader) == "10000"
    second = store.put("b" * 10_000)
    assert held(tmp_path, first, second) == [True, True]
    assert store.prune(older_than=-1) == 1  # the second one, which nobody looks at
    assert ended(reader) == 0
    assert store.prune(older_than=-1) == 1


def test_a_reader_that_was_killed_holds_nothing(tmp_path: Path) -> None:
    ref = ContextStore(tmp_path).put("text")
    reader = python(
        "store = ContextStore(sys.argv[1]); print(store.read({'context_ref': sys.argv[2]}), flush=True)\n"
        "sys.stdin.readline()",
        tmp_path, ref["context_ref"],
    )  # fmt: skip
    assert said(reader) == "text"
    reader.kill()
    reader.communicate()
    assert ContextStore(tmp_path).prune(older_than=-1) == 1


def test_processes_put_and_evict_at_once(tmp_path: Path) -> None:
    """Each reads what it has just put, whatever the others remove; half of the contexts are the same for all."""
    work = [
        python(
            "me, store = sys.argv[2], ContextStore(sys.argv[1], max_bytes=100_000)\n"
            "print('ready', flush=True); sys.stdin.readline()\n"
            "for turn in range(30):\n"
            "    text = f'{me if turn % 2 else 0} {turn} é ' * 800\n"
            "    assert store.read(store.put(text)) == text\n"
            "    if turn % 10 == 5: store.prune(older_than=0)\n",
            tmp_path, number,
        )
        for number in range(1, 4)
    ]  # fmt: skip
    for process in work:
        assert said(process) == "ready"
    for process in work:
        assert process.stdin is not None
        process.stdin.write("go\n")
    for process in work:
        _, errors = process.communicate(timeout=120)
        assert process.returncode == 0, errors
    store = ContextStore(tmp_path, max_bytes=100_000)
    store.put("the last one")
    assert sum(file.stat().st_size for file in tmp_path.glob("*.ctx")) <= 100_000
    assert temporary(tmp_path) == []


def test_of_two_that_put_the_same_at_once_the_first_file_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Replacing it would take it from under those who have locked it."""
    store, other, sync = ContextStore(tmp_path, max_bytes=10), ContextStore(tmp_path), os.fsync

    def meanwhile(handle: int) -> None:
        monkeypatch.setattr(os, "fsync", sync)
        inodes.append(file_of(other, other.put("text")).stat().st_ino)
        other.close()

    inodes: list[int] = []
    monkeypatch.setattr(os, "fsync", meanwhile)
    ref = store.put("text")
    assert [file_of(store, ref).stat().st_ino] == inodes
    assert store.read(ref) == "text"
    assert temporary(tmp_path) == []


def test_a_file_system_without_locks_serves_and_removes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(descriptor: int, how: int) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", none)
    store = ContextStore(tmp_path)
    ref = store.put("text")
    assert ContextStore(tmp_path).read(ref) == "text"
    with pytest.raises(ContextStoreError, match=r"no locks.*use another directory"):
        store.prune(older_than=-1)
    assert held(tmp_path, ref) == [True]


# --- killed -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_put_that_is_killed_leaves_no_half_context(tmp_path: Path, step: str) -> None:
    killed = python(
        "store = ContextStore(sys.argv[1])\n"
        "setattr(os, sys.argv[2], lambda *_: os.kill(os.getpid(), signal.SIGKILL))\n"
        "store.put('x' * 1_000_000)",
        tmp_path, step,
    )  # fmt: skip
    assert ended(killed) == -signal.SIGKILL
    assert len(temporary(tmp_path)) == 1
    store = ContextStore(tmp_path)
    assert store.prune(older_than=3600) == 0  # it counts contexts
    assert list(tmp_path.iterdir()) == []
    ref = store.put("x" * 1_000_000)
    assert store.read(ref) == "x" * 1_000_000


def test_a_temporary_file_that_is_being_written_stays(tmp_path: Path) -> None:
    writer = python(
        "store, sync = ContextStore(sys.argv[1]), os.fsync\n"
        "def wait(handle): os.fsync = sync; print('half', flush=True); sys.stdin.readline(); sync(handle)\n"
        "os.fsync = wait; store.put('slowly')",
        tmp_path,
    )  # fmt: skip
    assert said(writer) == "half"
    store = ContextStore(tmp_path)
    store.prune(older_than=-1)
    assert len(temporary(tmp_path)) == 1
    assert ended(writer) == 0
    assert temporary(tmp_path) == []
    assert store.read(ContextStore().put("slowly")) == "slowly"


def test_a_bound_counts_out_what_killed_writers_left(tmp_path: Path) -> None:
    store = ContextStore(tmp_path, max_bytes=1_000)
    (tmp_path / ".left.tmp").write_bytes(b"x" * 5_000)
    store.put("text")
    assert temporary(tmp_path) == []


# --- no room, no permission -------------------------------------------------------------------------------------------


def test_a_file_too_large_to_write_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "from langgraph_rlm.errors import ContextStoreError\n"
        "store = ContextStore(sys.argv[1]); resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))\n"
        "try: store.put('x' * 100_000)\n"
        "except ContextStoreError as error: print(error)\n"
        "print(store.read(store.put('small')))"
    )
    output, errors = python(code, tmp_path).communicate(timeout=60)
    assert "cannot be written to: File too large" in output, errors
    assert str(tmp_path) in output
    assert "ulimit" in output
    assert output.endswith("small\n")
    assert [path.suffix for path in tmp_path.iterdir()] == [".ctx"]


def test_a_full_disk_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    mount = shutil.which("mount")
    if mount is None or subprocess.run([mount, "-t", "tmpfs", "-o", "size=64k", "none", tmp_path]).returncode:
        pytest.skip("nothing may be mounted here")
    try:
        store = ContextStore(tmp_path / "contexts")
        small = store.put("small")
        with pytest.raises(ContextStoreError, match=r"No space left.*prune\(older_than"):
            store.put("x" * 100_000)
        assert [path.suffix for path in (tmp_path / "contexts").iterdir()] == [".ctx"]
        assert store.read(small) == "small"
        assert store.read(store.put("y" * 10_000)) == "y" * 10_000
    finally:
        store.close()
        subprocess.run(["umount", "-l", tmp_path], check=True)


@contextmanager
def somebody_else() -> Iterator[None]:
    """Root may do everything; so be nobody for a while."""
    if os.geteuid() != 0:
        yield
        return
    os.seteuid(65_534)
    try:
        yield
    finally:
        os.seteuid(0)


@pytest.fixture
def open_to_all() -> Iterator[Path]:
    """A folder that other users can reach; pytest's own ones are closed to them."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    path.chmod(0o755)
    shutil.rmtree(path)


def test_a_read_only_directory_can_be_read_and_refuses_to_be_written(open_to_all: Path) -> None:
    path = open_to_all / "contexts"
    ref = ContextStore(path).put("text")
    file_of(ContextStore(path), ref).chmod(0o444)
    path.chmod(0o555)
    try:
        with somebody_else():
            store = ContextStore(path)
            assert store.read(ref) == "text"
            assert store.put("text") == ref
            with pytest.raises(ContextStoreError, match=f"{path} cannot be written to: Permission denied.*another dir"):
                store.put("more")
            with pytest.raises(ContextStoreError, match="cannot be pruned: Permission denied"):
                store.prune(older_than=-1)
            store.close()
        assert [file.suffix for file in path.iterdir()] == [".ctx"]
    finally:
        path.chmod(0o755)


def test_a_directory_that_cannot_be_made_or_looked_into_is_said(open_to_all: Path) -> None:
    closed = open_to_all / "closed"
    ref = ContextStore(closed).put("text")
    open_to_all.chmod(0o555)
    with somebody_else():
        with pytest.raises(ContextStoreError, match="new cannot be made: Permission denied"):
            ContextStore(open_to_all / "new")
        if os.geteuid() == 65_534:  # whoever made it may look into it
            with pytest.raises(ContextStoreError, match="cannot be read from: Permission denied"):
                ContextStore(closed).read(ref)


def test_a_directory_that_was_removed_is_said(tmp_path: Path) -> None:
    store = ContextStore(tmp_path / "contexts")
    shutil.rmtree(tmp_path / "contexts")
    with pytest.raises(ContextStoreError, match=r"cannot be written to: No such file.*make a new ContextStore"):
        store.put("text")


@pytest.mark.parametrize("failing", ["fsync", "replace", "mmap"])
def test_whatever_fails_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str) -> None:
    def fail(*arguments: Any, **options: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    store = ContextStore(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(f"langgraph_rlm.text.files.{'mmap.mmap' if failing == 'mmap' else 'os.' + failing}", fail)
        with pytest.raises(ContextStoreError, match="No space left"):
            store.put("text")
    assert list(tmp_path.iterdir()) == []
    assert store.read(store.put("text")) == "text"
