"""Who may call a server: keys from the environment or a file, each with its tenant and its limits; and what asks for them."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Collection, Iterable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, TypeAdapter, ValidationError
from typing_extensions import TypedDict

from langgraph_rlm.errors import InvalidInput
from langgraph_rlm.limits import Limits

ENVIRONMENT = "LANGGRAPH_RLM_KEYS"
"""Keys, with commas between them."""
LEAST_KEY_CHARS = 16
"""Of a key: with fewer it can be guessed over the network."""
_LOCAL = "local"
"""The tenant of a server without keys."""


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls.

    Args:
        tenant: whose contexts, runs and answers are seen.
        limits: narrow those of the graph.
    """

    tenant: str = _LOCAL
    limits: Limits | None = None

    def options(self) -> dict[str, Any]:
        """For ``configurable["rlm"]`` of what is asked."""
        return {} if self.limits is None else {"limits": self.limits}


_CALLER: ContextVar[Caller] = ContextVar("rlm_caller", default=Caller())  # noqa: B039 - it cannot be changed


class _Entry(TypedDict, total=False):
    __pydantic_config__ = ConfigDict(extra="forbid")  # type: ignore[misc]
    tenant: str
    limits: dict[str, Any]


_FILE: TypeAdapter[dict[str, _Entry]] = TypeAdapter(dict[str, _Entry])


class Keys:
    """The keys of a server. No key is kept, only its digest.

    Args:
        callers: by key.

    Raises:
        InvalidInput: a key that is too short, or limits that cannot be used.

    Example:
        >>> keys = Keys({"a-long-secret-key": Caller("anna")})
        >>> keys.find("a-long-secret-key").tenant, keys.find("another")
        ('anna', None)
    """

    def __init__(self, callers: Mapping[str, Caller]) -> None:
        for key in callers:
            if len(key) < LEAST_KEY_CHARS or not key.isascii() or not key.isprintable() or " " in key:
                raise InvalidInput(
                    f"keys: a key needs at least {LEAST_KEY_CHARS} characters (letters, digits, signs; no spaces): make one with  "
                    "python -c 'import secrets; print(secrets.token_urlsafe(32))'"
                )
        self._callers = [(_digest(key), caller) for key, caller in callers.items()]

    def __len__(self) -> int:
        return len(self._callers)

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Keys:
        """Those of ``LANGGRAPH_RLM_KEYS``, each with a tenant of its own; there may be none."""
        given = [key.strip() for key in environment.get(ENVIRONMENT, "").split(",") if key.strip()]
        return cls({key: Caller(f"key-{_digest(key).hex()[:16]}") for key in given})

    @classmethod
    def from_file(cls, path: str | Path) -> Keys:
        """Those of a JSON file: ``{"<key>": {"tenant": "anna", "limits": {"max_cost_usd": 0.5}}}``.

        Raises:
            InvalidInput: it cannot be read, others may read it, or it holds something else.
        """
        path = Path(path)
        try:
            if path.stat().st_mode & 0o077:
                raise InvalidInput(f"{path}: others may read the keys in it: run  chmod 600 {path}")
            given = _FILE.validate_json(path.read_bytes(), strict=True)
        except OSError as error:
            raise InvalidInput(f"{path} cannot be read: {error.strerror or error}") from None
        except ValidationError as error:  # its text may hold keys
            first = error.errors(include_input=False)[0]
            field = f"{first['loc'][1]}: " if len(first["loc"]) > 1 else ""  # before it stands a key
            raise InvalidInput(
                f'{path} holds no keys: expected {{"<key>": {{"tenant": "…", "limits": {{…}}}}}} ({field}{first["msg"]})'
            ) from None
        callers = {
            key: Caller(
                entry.get("tenant", f"key-{_digest(key).hex()[:16]}"),
                Limits.of(entry["limits"]) if "limits" in entry else None,
            )
            for key, entry in given.items()
        }
        return cls(callers)

    def find(self, given: str) -> Caller | None:
        """Whose a key is; takes as long for a wrong one as for a right one."""
        asked, found = _digest(given), None
        for digest, caller in self._callers:
            if hmac.compare_digest(digest, asked):
                found = caller
        return found


class RequireKey:
    """ASGI middleware: without a key of ``keys`` in ``Authorization: Bearer`` or ``X-Api-Key`` a request is answered by 401.

    With no keys at all everybody is let in, as the tenant ``local``. Handlers find the caller by :func:`caller_of`.

    Args:
        app: what is guarded.
        keys: of the server.
        open_paths: paths that need no key.
    """

    def __init__(self, app: Any, keys: Keys, open_paths: Collection[str] = ("/health",)) -> None:
        self._app, self._keys, self._open = app, keys, frozenset(open_paths)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """See ASGI."""
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        caller: Caller | None = Caller()
        if len(self._keys) and scope["path"] not in self._open:
            caller = self._keys.find(_key_in(scope["headers"]))
        if caller is None:
            await _refused(scope, send)
            return
        scope = {**scope, "state": {**scope.get("state", {}), "rlm_caller": caller}}
        token = _CALLER.set(caller)
        try:
            await self._app(scope, receive, send)
        finally:
            _CALLER.reset(token)


def caller_of(scope: Mapping[str, Any]) -> Caller:
    """Who sends a request, from its ASGI scope: of the key that came with it, else the local user."""
    found: Caller = scope.get("state", {}).get("rlm_caller", Caller())
    return found


def current_caller() -> Caller:
    """Who sends the request that is being served, for code that does not see it."""
    return _CALLER.get()


async def _refused(scope: Mapping[str, Any], send: Any) -> None:
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1008})
        return
    message = "this server wants a key: send it as  Authorization: Bearer KEY"
    body = json.dumps(
        {"error": {"message": message, "type": "invalid_request_error", "code": "invalid_api_key"}}
    ).encode()
    headers = [(b"content-type", b"application/json"), (b"www-authenticate", b"Bearer")]
    await send({"type": "http.response.start", "status": 401, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _key_in(headers: Iterable[tuple[bytes, bytes]]) -> str:
    found = {name.lower(): value.decode("latin-1") for name, value in headers}
    bearer = found.get(b"authorization", "")
    return bearer[7:].strip() if bearer[:7].lower() == "bearer " else found.get(b"x-api-key", "")


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).digest()
