"""An upload on its way to the store of contexts: written to a file piece by piece, bounded in size and time, checked, then put."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import json
import mmap
import re
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from typing import IO

from langgraph_rlm.errors import InvalidInput, RLMError
from langgraph_rlm.text import ContextStore
from langgraph_rlm.threads import in_thread
from langgraph_rlm.types import ContextRef

MOST_BYTES = 512_000_000
"""Of one upload, unless told otherwise: what cells hold in memory (``JailFactory(max_context_bytes=…)``) and no more."""
IDLE_SECONDS = 30.0
"""Between two pieces: a client whose network has gone is not waited for."""
LEAST_BYTES_PER_SECOND = 1_000
"""After the first :data:`IDLE_SECONDS`: slower than any line of today, so that a trickle does not hold a place for ever."""
_WRITTEN_AT_ONCE = 1 << 20
"""Bytes: a change of thread costs some 0.1 ms, as much as writing a tenth of this."""
_TEXT_TYPES = re.compile(r"text/|application/(octet-stream|x-ndjson|jsonl|xml|yaml)\b|$")
_DIGEST = re.compile(r"(?:^|,)\s*sha-256=:([A-Za-z0-9+/=]+):", re.IGNORECASE)


class UploadRefused(RLMError):
    """An upload that is not taken.

    Args:
        message: what to do instead.
        status: of HTTP.
    """

    def __init__(self, message: str, *, status: int) -> None:
        super().__init__(message)
        self.status = status


async def received(
    pieces: AsyncIterator[bytes], headers: Mapping[str, str], contexts: ContextStore, *, most_bytes: int = MOST_BYTES
) -> ContextRef:
    """Put the body of a request into a store: text as it is; JSON as a text, a list of texts, or texts by name.

    Args:
        pieces: of the body.
        headers: ``Content-Type``; with ``Content-Digest: sha-256=:…:`` (RFC 9530) the bytes are compared with it.
        contexts: of the tenant.
        most_bytes: that are taken.

    Raises:
        UploadRefused: too large, too slow, of another type, or not what its digest says.
        InvalidInput: no UTF-8, no JSON, or no context.
        ContextStoreError: it cannot be written.
    """
    kind = headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/json" and not _TEXT_TYPES.match(kind):
        raise UploadRefused(
            f"{kind}: send text (text/plain, UTF-8), or JSON (application/json): a text, a list of texts, texts by name",
            status=415,
        )
    wanted = _wanted_digest(headers.get("content-digest"))
    _check_size(int(length) if (length := headers.get("content-length", "0")).isdecimal() else 0, most_bytes)
    with await in_thread(_temporary) as file:
        digest = await _written(pieces, file, most_bytes)
        if wanted is not None and not hmac.compare_digest(digest, wanted):
            raise UploadRefused("the body is not what its Content-Digest says: send it again", status=400)
        return await in_thread(_put, file, kind == "application/json", contexts)


def _temporary() -> IO[bytes]:
    return tempfile.TemporaryFile(prefix="rlm-upload-")


async def _written(pieces: AsyncIterator[bytes], file: IO[bytes], most_bytes: int) -> bytes:
    """Write the pieces as they come; returns the sha256 of all."""
    digest, held, size, begun = hashlib.sha256(), bytearray(), 0, time.monotonic()

    def write(data: bytes) -> None:
        digest.update(data)
        file.write(data)

    while True:
        try:
            async with asyncio.timeout(IDLE_SECONDS):
                piece = await anext(pieces, None)
        except TimeoutError:
            raise UploadRefused(f"nothing came for {IDLE_SECONDS:.0f} seconds: send it again", status=408) from None
        if piece is None:
            break
        size += len(piece)
        _check_size(size, most_bytes)
        late = time.monotonic() - begun - IDLE_SECONDS
        if late > 0 and size < late * LEAST_BYTES_PER_SECOND:
            raise UploadRefused(
                f"the upload is too slow: at least {LEAST_BYTES_PER_SECOND:,} bytes a second", status=408
            )
        held += piece
        if len(held) >= _WRITTEN_AT_ONCE:
            await in_thread(write, bytes(held))
            held.clear()
    await in_thread(write, bytes(held))
    return digest.digest()


def _put(file: IO[bytes], is_json: bool, contexts: ContextStore) -> ContextRef:
    file.flush()
    if not file.tell():
        raise InvalidInput("context: it is empty; give a text with at least one character")
    mapped = mmap.mmap(
        file.fileno(), 0, access=mmap.ACCESS_READ
    )  # unmapped with the last view, which an error may hold
    if not is_json:
        return contexts.put_utf8(memoryview(mapped))
    try:
        given = json.loads(mapped[:])
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"the body is no JSON: {error}") from None
    if isinstance(given, dict) and "context_ref" in given:
        raise InvalidInput("context: this is a reference already; send the text itself")
    return contexts.put(given)


def _check_size(size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise UploadRefused(f"the upload is larger than {most_bytes:,} bytes: send it in parts", status=413)


def _wanted_digest(header: str | None) -> bytes | None:
    if header is None or (found := _DIGEST.search(header)) is None:
        return None
    try:
        return base64.b64decode(found[1], validate=True)
    except (binascii.Error, ValueError):
        raise UploadRefused("Content-Digest: sha-256=:…: holds no base64", status=400) from None
