"""Options by name: an unknown one is refused, and the nearest known one told."""

from __future__ import annotations

import copy
import inspect

import pytest

from langgraph_rlm.errors import InvalidInput, UnknownOption
from langgraph_rlm.options import named_options, refuse_unknown


class Shelf:
    @named_options
    def find(self, title: str, k: int = 8, *, where: str | None = None) -> str:
        """Find a book."""
        return f"{title} {k} {where}"


def test_an_unknown_option_is_named_with_the_nearest() -> None:
    with pytest.raises(UnknownOption, match=r"Shelf\.find: there is no option 'kk'; did you mean 'k'") as caught:
        Shelf().find("a", kk=3)  # type: ignore[call-arg]
    assert (caught.value.option, caught.value.nearest) == ("kk", "k")


def test_where_nothing_is_near_all_options_are_told() -> None:
    with pytest.raises(UnknownOption, match="'lexicographic'; there are 'title', 'k', 'where'"):
        Shelf().find("a", lexicographic=True)  # type: ignore[call-arg]
    with pytest.raises(UnknownOption, match="there are none"):
        refuse_unknown("close", ["a"], ())


def test_an_unknown_option_is_invalid_input_and_a_type_error() -> None:
    error = UnknownOption("x", option="kk", nearest="k")
    assert isinstance(error, InvalidInput) and isinstance(error, TypeError)
    again = copy.copy(error)  # by what pickle uses too
    assert (str(again), again.option, again.nearest) == ("x", "kk", "k")


def test_known_options_pass_and_the_signature_stays() -> None:
    assert Shelf().find("a", where="here") == "a 8 here"
    assert list(inspect.signature(Shelf.find).parameters) == ["self", "title", "k", "where"]
    with pytest.raises(TypeError, match="title"):
        Shelf().find()  # type: ignore[call-arg]
