"""The file of one context, plain or sealed by a serializer.

The magic word, the format version, the size of the header, the header (msgpack), the data. A plain file's data is the
UTF-8 of all parts. A sealed one's is what the serializer made of a whole description, header and parts, and its own
header says no more than the digest and the serializer's name for its type.
"""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import msgpack

from langgraph_rlm.errors import ContextMissing, IndexMismatch, InvalidInput
from langgraph_rlm.text.digest import digest_of
from langgraph_rlm.text.lines import Data
from langgraph_rlm.text.stored import Stored

if TYPE_CHECKING:
    from langgraph.checkpoint.serde.base import SerializerProtocol

FORMAT_VERSION = 1
"""Raised with each change of the file."""

_MAGIC = b"LGRLMCTX"
_NUMBER = 4
"""Bytes of a number in the header."""
_FIXED = len(_MAGIC) + 2 * _NUMBER


class _Unsealed(bytes):
    """Bytes that keep their file mapped, and so in use, for as long as anything looks at them."""

    mapped: mmap.mmap


class ContextFormat:
    """Makes and reads the bytes of context files.

    Args:
        serializer: what files go through; None leaves them plain, so that they can be mapped.

    Raises:
        InvalidInput: it lacks the methods of a LangGraph serializer.
    """

    def __init__(self, serializer: SerializerProtocol | None) -> None:
        self._serializer = serializer
        self._type = sealed_type(serializer)

    @property
    def sealed(self) -> bool:
        """Whether contexts are read into memory instead of being mapped."""
        return self._serializer is not None

    def packed(self, digest: str, stored: Stored, parts: Sequence[Data], content: str) -> list[Data]:
        """What to write for a context, piece by piece.

        Args:
            digest: what it is kept under.
            stored: says what the parts are; its own data is not looked at.
            parts: the UTF-8 of each part.
            content: the digest of the content.
        """
        header = {
            "digest": digest,
            "kind": stored.kind,
            "names": list(stored.names) if any(stored.names) else None,
            "sizes": list(stored.sizes),
            "chars": stored.chars,
        }
        if content != digest:  # a tenant's
            header["content"] = content
        if self._serializer is None:
            return [_MAGIC, FORMAT_VERSION.to_bytes(_NUMBER, "little"), *_sized(header), *parts]
        _, sealed = self._serializer.dumps_typed(b"".join((*_sized(header), *parts)))
        return [
            _MAGIC,
            FORMAT_VERSION.to_bytes(_NUMBER, "little"),
            *_sized({"digest": digest, "sealed": self._type}),
            sealed,
        ]

    def reopened(self, mapped: mmap.mmap, stored: Stored, parts: Sequence[Data]) -> Stored:
        """The context of a file that was just written from these parts."""
        data: Data
        if self._serializer is None:
            data = memoryview(mapped)[len(mapped) - sum(stored.sizes) :]
        else:
            data = _unsealed(b"".join(parts), mapped)
        return Stored(stored.kind, stored.names, stored.sizes, stored.chars, data)

    def opened(self, mapped: mmap.mmap, digest: str) -> Stored:
        """The context in a file.

        Raises:
            ContextMissing: the file is damaged, or was not written by this serializer.
            IndexMismatch: it has another format version.
        """
        version = int.from_bytes(mapped[len(_MAGIC) : len(_MAGIC) + _NUMBER], "little")
        if len(mapped) >= _FIXED and mapped[: len(_MAGIC)] == _MAGIC and version != FORMAT_VERSION:
            raise IndexMismatch(
                f"the file of context sha256:{digest[:12]}… has format version {version}, this release reads version "
                f"{FORMAT_VERSION}: use another directory, or the release that wrote it"
            )
        header, start = _header(memoryview(mapped), len(_MAGIC) + _NUMBER)
        if mapped[: len(_MAGIC)] != _MAGIC or not isinstance(header, dict) or header.get("digest") != digest:
            raise _damaged(digest)
        if header.get("sealed") != self._type:  # never taken from the file: there it might say that nothing is sealed
            raise ContextMissing(
                f"context sha256:{digest[:12]}… was written with {_named(header.get('sealed'))}, this store has "
                f"{_named(self._type)}: put it again, or give the store the same serializer="
            )
        if self._serializer is None:
            return _stored(header, memoryview(mapped)[start:], digest)
        return self._unsealed(self._serializer, mapped, start, digest)

    def _unsealed(self, serializer: SerializerProtocol, mapped: mmap.mmap, start: int, digest: str) -> Stored:
        try:
            plain = serializer.loads_typed((self._type or "", mapped[start:]))
        except Exception as error:
            raise ContextMissing(
                f"context sha256:{digest[:12]}… cannot be read with this serializer ({type(error).__name__}): was it "
                "written with another one or another key, or has somebody changed it? Put it again"
            ) from error
        header, start = _header(memoryview(plain), 0) if isinstance(plain, bytes) else (None, 0)
        if not isinstance(header, dict) or header.get("digest") != digest:
            raise _damaged(digest)
        found = _stored(header, _unsealed(memoryview(plain)[start:], mapped), digest)
        if digest_of(found.kind, found.names, [data for _, data in found.parts()]) != header.get("content", digest):
            raise _damaged(digest)  # whole, and of another context
        return found


def sealed_type(serializer: SerializerProtocol | None) -> str | None:
    """What a serializer calls the type of the bytes it has sealed; None for no serializer.

    What is read is compared with it. A type taken from a file might say that nothing is sealed, and be believed.

    Raises:
        InvalidInput: it lacks the methods of a LangGraph serializer.
    """
    if serializer is None:
        return None
    if not all(callable(getattr(serializer, name, None)) for name in ("dumps_typed", "loads_typed")):
        raise InvalidInput(
            f"serializer: expected one with dumps_typed and loads_typed, such as LangGraph's EncryptedSerializer, "
            f"got {type(serializer).__name__}"
        )
    return serializer.dumps_typed(b"")[0]


def _named(serializer: Any) -> str:
    return "no serializer" if serializer is None else f"a serializer of type {str(serializer)[:80]!r}"


def _sized(header: dict[str, Any]) -> tuple[bytes, bytes]:
    packed: bytes = msgpack.packb(header)
    return len(packed).to_bytes(_NUMBER, "little"), packed


def _header(data: memoryview, at: int) -> tuple[Any, int]:
    """A header and where it ends; None when there is none."""
    end = at + _NUMBER + int.from_bytes(data[at : at + _NUMBER], "little")
    try:
        return msgpack.unpackb(data[at + _NUMBER : end]), end
    except (ValueError, msgpack.UnpackException):
        return None, end


def _stored(header: dict[str, Any], data: Data, digest: str) -> Stored:
    try:
        sizes = tuple(header["sizes"])
        names = tuple(header["names"] or [""] * len(sizes))
        if sum(sizes) != len(data) or len(names) != len(sizes):
            raise _damaged(digest)
        return Stored(header["kind"], names, sizes, header["chars"], data)
    except (KeyError, TypeError):
        raise _damaged(digest) from None


def _unsealed(data: Data, mapped: mmap.mmap) -> Data:
    held = _Unsealed(data)
    held.mapped = mapped
    return memoryview(held)


def _damaged(digest: str) -> ContextMissing:
    return ContextMissing(f"the file of context sha256:{digest[:12]}… is damaged: put the context again")
