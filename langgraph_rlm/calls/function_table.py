"""An entry of the table of functions that cells may call, and the decorator that makes one of a method."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

from pydantic import ConfigDict, validate_call

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Function:
    """An entry of the table.

    Args:
        name: in a cell.
        tool: as a LangChain tool; None when it is only for cells.
        needs: ``text`` (a context or a corpus), ``texts`` (one that can be gone through), ``retrieval`` (a corpus that may be
            queried), ``ranked words`` (one that ranks by words too), ``names`` (one that knows its documents' names),
            ``model``, ``shell`` or ``own`` (a tool of the user's).
        call: the method.
        told: signature and explanation; None for those of the method.
    """

    name: str
    tool: str | None
    needs: str
    call: Callable[..., Any]
    told: str | None = None

    def describe(self) -> str:
        """Signature and explanation, as the prompt lists them."""
        return f"- `{self.name}{_described(self.call) if self.told is None else self.told}"

    def usage(self) -> str:
        """The call as it should stand: ``grep(pattern, *, max_matches=20)``."""
        signature = (_described(self.call) if self.told is None else self.told).partition("`")[0]
        return f"{self.name}{signature}"


@functools.cache  # the methods of the table are a handful, and live as long as the module
def _described(method: Callable[..., Any]) -> str:
    signature = inspect.signature(method)
    parameters = [p.replace(annotation=inspect.Parameter.empty) for p in list(signature.parameters.values())[1:]]
    plain = signature.replace(parameters=parameters, return_annotation=inspect.Signature.empty)
    text = " ".join((inspect.getdoc(method) or "").split())
    return f"{plain}` {text}"


def function(*, needs: str, tool: str | None = None) -> Callable[[F], F]:
    """Make a method an entry: its arguments are checked strictly against its annotations. Parameters as in ``Function``."""

    def register(method: F) -> F:
        checked = validate_call(config=ConfigDict(strict=True, arbitrary_types_allowed=True))(method)
        checked.__rlm_function__ = (needs, tool)  # type: ignore[attr-defined]
        return checked

    return register
