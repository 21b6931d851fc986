"""The digest that names a context."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from langgraph_rlm.text.lines import Data
from langgraph_rlm.types import ContextKind


def digest_of(kind: ContextKind, names: Sequence[str], parts: Sequence[Data]) -> str:
    """sha256 over kind, names, sizes and bytes, each preceded by its length so that no two contexts look alike.

    Args:
        kind: what the context is.
        names: keys of the parts; empty strings where the kind has none.
        parts: their UTF-8.
    """
    digest = hashlib.sha256(f"{kind}\n{len(parts)}\n".encode())
    for name, part in zip(names, parts, strict=True):
        encoded = name.encode()
        digest.update(b"%d %d\n" % (len(encoded), len(part)))
        digest.update(encoded)
    for part in parts:
        digest.update(part)
    return digest.hexdigest()


def tenants_digest(tenant: str, what: str, digest: str) -> str:
    """A digest that is another one for each tenant: nobody can tell from it whether two hold the same.

    Args:
        tenant: its name.
        what: what it names, ``reference`` or ``place``: who knows a reference does not know where it lies.
        digest: of the content, or of the reference.
    """
    name = tenant.encode()
    return hashlib.sha256(b"%s of a tenant\n%d\n%s\n%s" % (what.encode(), len(name), name, digest.encode())).hexdigest()
