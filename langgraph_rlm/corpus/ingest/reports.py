"""What an ``add`` tells of itself: on the way, and at its end."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AddProgress:
    """How far an ``add`` has come.

    Args:
        documents: documents looked at so far, the unchanged ones included.
        total: documents in all; None when they come from an iterator.
        chunks: chunks written so far.
        seconds: since the start.
        chars: characters of the text that is done, the unchanged and what is written of a long document included.
    """

    documents: int
    total: int | None
    chunks: int
    seconds: float
    chars: int = 0


@dataclass(frozen=True, slots=True)
class SkippedDocument:
    """A document that was left out, and why."""

    doc_id: str
    reason: str


MOST_SKIPPED = 1_000
"""Documents that a report names; ``AddReport.left_out`` counts all."""


@dataclass(frozen=True, slots=True)
class AddReport:
    """What an ``add`` did.

    Args:
        new: documents that were not there.
        changed: documents whose text, metadata or chunking differed.
        unchanged: documents that were left alone.
        superseded: documents that were removed because their parts came: release 0.1 kept one page of a file under the
            id of the whole file.
        pruned: documents removed because they were not among the given.
        resumed: documents of an earlier, interrupted change that were finished first.
        chunks: chunks written.
        seconds: time taken.
        left_out: documents whose metadata has no plain form. What was there under their ids stays.
        skipped: these documents and the reasons, the first thousand.
    """

    new: int
    changed: int
    unchanged: int
    superseded: int
    pruned: int
    resumed: int
    chunks: int
    seconds: float
    left_out: int = 0
    skipped: tuple[SkippedDocument, ...] = ()

    @property
    def replaced(self) -> int:
        """Documents that were there and whose former text or metadata is gone now: the changed and the superseded ones."""
        return self.changed + self.superseded
