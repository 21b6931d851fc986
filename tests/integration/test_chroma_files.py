"""Files of Chroma's vectors that are damaged: an error by name before the engine, which would end the process, reads them."""

from __future__ import annotations

import os
import random
import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("chromadb")

from langgraph_rlm.integrations.chroma import ChromaIndex
from langgraph_rlm.integrations.chroma_vectors import Damaged, check_vectors

from langgraph_rlm.errors import StoreUnavailable

DIMENSION = 16
RECORDS = 1_500
"""From 1,000 on Chroma writes vectors to files."""


def _fill(path: Path, start: int, count: int) -> None:
    drawn = np.random.default_rng(start).normal(size=(count, DIMENSION)).tolist()
    index = ChromaIndex(path)
    index.upsert([f"id{n}" for n in range(start, start + count)], drawn, ["text"] * count, [{"path": "a"}] * count)
    index.query(drawn[0], k=1)
    index.close()


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("chroma") / "index"
    _fill(path, 0, RECORDS)
    return path


@pytest.fixture
def copy(sound: Path, tmp_path: Path) -> Path:
    return shutil.copytree(sound, tmp_path / "copy")


def _segment(index: Path) -> Path:
    return next(path for path in index.iterdir() if path.is_dir())


def _written(at: float, piece: Callable[[int], bytes]) -> Callable[[Path], None]:
    def damage(path: Path) -> None:
        data = path.read_bytes()
        start = min(len(data) - 1, int(len(data) * at))
        size = min(4_096, len(data) - start)
        path.write_bytes(data[:start] + piece(size)[:size] + data[start + size :])

    return damage


def _cut(share: float) -> Callable[[Path], None]:
    return lambda path: path.write_bytes(path.read_bytes()[: int(path.stat().st_size * share)])


def _pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


GARBAGE = random.Random(0).randbytes
DAMAGES: dict[str, Callable[[Path], None]] = {
    "garbage at its start": _written(0, GARBAGE),
    "garbage in the middle": _written(0.5, GARBAGE),
    "ones in the middle": _written(0.5, lambda size: b"\xff" * size),
    "empty": _cut(0),
    "cut in the middle": _cut(0.5),
    "last byte gone": lambda path: path.write_bytes(path.read_bytes()[:-1]),
    "gone": Path.unlink,
    "a pipe": _pipe,
    "a folder": _folder,
}


@pytest.mark.parametrize("name", ["header.bin", "data_level0.bin", "link_lists.bin", "length.bin"])
@pytest.mark.parametrize("how", DAMAGES)
def test_a_damaged_file_of_vectors_is_named_each_time_and_a_copy_put_back_is_opened(
    how: str, name: str, copy: Path
) -> None:
    path = _segment(copy) / name
    kept = path.read_bytes()
    DAMAGES[how](path)
    for _ in range(2):
        with pytest.raises(StoreUnavailable, match=r"\.bin"):
            ChromaIndex(copy)
    path.rmdir() if path.is_dir() else path.unlink(missing_ok=True)
    path.write_bytes(kept)
    index = ChromaIndex(copy)
    assert len(index.query([1.0] * DIMENSION, k=3)) == 3
    index.close()


@pytest.mark.parametrize("number", [0, 1, 0x7FFFFFFF, 0xFFFFFFFF])
def test_no_number_of_a_header_reaches_the_engine_that_does_not_fit_the_files(number: int, copy: Path) -> None:
    folder = _segment(copy)
    sound = (folder / "header.bin").read_bytes()
    unchecked = set()
    for at in range(4, len(sound), 4):
        changed = sound[:at] + struct.pack("<I", number) + sound[at + 4 :]
        (folder / "header.bin").write_bytes(changed)
        try:
            check_vectors(folder, DIMENSION)
        except Damaged:
            continue
        if changed != sound:
            unchecked.add(at)
    # room for vectors to come, last digits of a factor, candidates of an insertion, and where searches begin: on the top level
    assert unchecked <= {12, 16, 56, 84, 92}


def test_all_files_of_vectors_gone_is_told_and_no_empty_answer(copy: Path) -> None:
    shutil.rmtree(_segment(copy))
    with pytest.raises(StoreUnavailable, match=r"header\.bin is missing"):
        ChromaIndex(copy)


def test_a_second_client_of_an_open_directory_looks_at_the_vectors_too(copy: Path) -> None:
    first = ChromaIndex(copy)
    path = _segment(copy) / "data_level0.bin"
    _written(0.5, GARBAGE)(path)
    with pytest.raises(StoreUnavailable, match="data_level0"):
        ChromaIndex(copy)
    first.close()


def test_vectors_that_were_added_replaced_and_deleted_in_any_order_pass(tmp_path: Path) -> None:
    drawn, draw = random.Random(3), np.random.default_rng(3)
    path, ids = tmp_path / "index", set[str]()
    for _ in range(6):
        index = ChromaIndex(path)
        new = sorted({f"id{drawn.randrange(3_000)}" for _ in range(900)})
        vectors = draw.normal(size=(len(new), DIMENSION))
        vectors[0] = 0
        index.upsert(new, vectors.tolist(), ["text"] * len(new), [{"path": "a"}] * len(new))
        ids |= set(new)
        gone = drawn.sample(sorted(ids), len(ids) // 3)
        index.delete(gone)
        ids -= set(gone)
        index.query([1.0] * DIMENSION, k=3)
        index.close()
    check_vectors(_segment(path), DIMENSION)
