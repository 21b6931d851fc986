"""TenantIndex: the records of one tenant in a collection that several share, and nothing beside them."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import quote

from langgraph_rlm.corpus.filters import Where, is_text, validate
from langgraph_rlm.corpus.index import TENANT, Capability, Found, Record, VectorIndex
from langgraph_rlm.errors import InvalidInput

MOST_CHARS = 200
"""Of a tenant's name: it stands in every record, and names a folder."""
_NAMESPACE = uuid.UUID("1f0e7a54-9a44-4d0c-8f6e-0d6b3f3f6a11")


class TenantIndex:
    """What one tenant may see of an index.

    The tenant stands in each record and in each filter, joined to the caller's by ``$and``; ids are drawn from its name,
    so that equal documents of two tenants do not replace each other; and what a store returns is looked at once more.

    Args:
        index: the shared one.
        tenant: its name.
    """

    def __init__(self, index: VectorIndex, tenant: str) -> None:
        self._index = index
        self._tenant = tenant
        self._ids = uuid.uuid5(_NAMESPACE, tenant)

    @property
    def capabilities(self) -> frozenset[Capability]:
        """Those of the shared index."""
        return self._index.capabilities

    def claim(self, embeddings: str, dimension: int) -> None:
        """As in the shared index."""
        self._index.claim(embeddings, dimension)

    def check(self, metadata: Mapping[str, Any]) -> None:
        """As in the shared index."""
        self._index.check({**metadata, TENANT: self._tenant})

    def upsert(
        self,
        ids: Sequence[str],
        vectors: Sequence[Sequence[float]],
        texts: Sequence[str],
        metadatas: Sequence[Mapping[str, Any]],
    ) -> None:
        """Add or replace records of the tenant."""
        self._index.upsert(
            [self._own(id_) for id_ in ids], vectors, texts, [{**one, TENANT: self._tenant} for one in metadatas]
        )

    def query(self, vector: Sequence[float], k: int, where: Where | None = None) -> list[Found]:
        """The nearest of the tenant's records."""
        return self._mine(self._index.query(vector, k, self._narrowed(where)))

    def bm25(self, text: str, k: int, where: Where | None = None) -> list[Found]:
        """The best of the tenant's records by words."""
        return self._mine(self._index.bm25(text, k, self._narrowed(where)))

    def hybrid(self, text: str, vector: Sequence[float], k: int, where: Where | None = None) -> list[Found]:
        """The best of the tenant's records by words and by vector."""
        return self._mine(self._index.hybrid(text, vector, k, self._narrowed(where)))

    def delete(self, ids: Sequence[str]) -> None:
        """Remove records of the tenant."""
        self._index.delete([self._own(id_) for id_ in ids])

    def existing(self, ids: Sequence[str]) -> set[str]:
        """Which of these ids the tenant has."""
        own = {self._own(id_): id_ for id_ in ids}
        return {own[id_] for id_ in self._index.existing(list(own))}

    def get(self, ids: Sequence[str]) -> list[Record]:
        """The tenant's records of these ids, which may also be those that the store has for them."""
        own = {stored: id_ for id_ in ids for stored in (id_, self._own(id_))}
        return [one._replace(id=own[one.id]) for one in self._records(self._index.get(list(own)))]

    def scroll(self, where: Where | None = None) -> Iterator[Record]:
        """All records of the tenant that pass the filter, by the ids that the store has for them."""
        return self._records(self._index.scroll(self._narrowed(where)))

    def candidates(
        self, literals: Sequence[str], where: Where | None = None, *, ignore_case: bool = False
    ) -> Iterator[Record]:
        """The tenant's records that may hold one of these strings."""
        return self._records(self._index.candidates(literals, self._narrowed(where), ignore_case=ignore_case))

    def count(self) -> int:
        """Records of the tenant; they are counted one by one."""
        return sum(1 for _ in self.scroll())

    def close(self) -> None:
        """Close the shared index."""
        self._index.close()

    def _own(self, id_: str) -> str:
        return str(uuid.uuid5(self._ids, id_))

    def _narrowed(self, where: Where | None) -> dict[str, Any]:
        mine = {TENANT: {"$eq": self._tenant}}
        if not where:
            return mine
        validate(where)
        return {"$and": [mine, where]}

    def _mine(self, found: list[Found]) -> list[Found]:
        return [
            one._replace(metadata=_without(one.metadata)) for one in found if one.metadata.get(TENANT) == self._tenant
        ]

    def _records(self, records: Iterable[Record]) -> Iterator[Record]:
        for one in records:
            if one.metadata.get(TENANT) == self._tenant:
                yield one._replace(metadata=_without(one.metadata))


def check_tenant(tenant: Any) -> str:
    """A tenant's name, or InvalidInput."""
    usable = isinstance(tenant, str) and tenant.strip() and "\x00" not in tenant and is_text(tenant)
    if not usable or len(tenant) > MOST_CHARS:
        raise InvalidInput(f"corpus: tenant must be a str of 1 to {MOST_CHARS} characters, not {tenant!a}"[:300])
    return tenant


def folder_of(tenant: str) -> str:
    """A name for the tenant's directory that is its alone and leads nowhere else.

    Example:
        >>> folder_of("acme corp")
        'tenant-acme%20corp'
    """
    name = quote(tenant, safe="")
    digest = hashlib.sha256(tenant.encode()).hexdigest()[:16]
    # file systems that know no upper case, and lengths that none knows, must not make two tenants one
    return f"tenant-{name}" if name == name.lower() and len(name) < 150 else f"tenant-{name[:100].lower()}~{digest}"


def _without(metadata: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in metadata.items() if key != TENANT}
