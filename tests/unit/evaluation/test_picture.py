"""The picture: well-formed whatever the names, self-contained, and with each point where its figures are."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.evaluation.bootstrap import Interval
from langgraph_rlm.evaluation.picture import Point, draw

SVG = "{http://www.w3.org/2000/svg}"
shares = st.tuples(st.floats(0, 1), st.floats(0, 1), st.floats(0, 1)).map(sorted)
points = st.lists(
    st.builds(
        lambda name, cost, share: Point(name, cost, Interval(share[1], share[0], share[2], 7)),
        st.text(max_size=8),
        st.floats(0, allow_infinity=False),
        shares,
    ),
    max_size=4,
)


@given(points, st.text(max_size=30), st.text(max_size=30), st.text(max_size=10))
def test_any_text_is_shown_and_none_is_markup(given_points: list[Point], title: str, subtitle: str, unit: str) -> None:
    root = ET.fromstring(draw(given_points, title=title, subtitle=subtitle, unit=unit))
    assert {child.tag.removeprefix(SVG) for child in root.iter()} <= {
        "svg",
        "title",
        "desc",
        "rect",
        "text",
        "g",
        "path",
        "circle",
    }
    assert len(root.findall(f"{SVG}circle")) == len(given_points)
    for circle in root.findall(f"{SVG}circle"):
        assert 70 <= float(circle.attrib["cx"]) <= 690
        assert 80 <= float(circle.attrib["cy"]) <= 400


@pytest.mark.parametrize("cost", [5e-324, 1e-310, 1e-299, 1e-12, 1e150, 1e301, 1.7e308])
def test_a_cost_of_any_size_has_a_place(cost: float) -> None:
    drawn = draw([Point("rag", cost, Interval(0.5, 0.4, 0.6, 9))], title="t", subtitle="s", unit="USD")
    [circle] = ET.fromstring(drawn).findall(f"{SVG}circle")
    assert 70 <= float(circle.attrib["cx"]) <= 690
    assert not {"inf", "nan"} & set(drawn.replace("<", " ").replace('"', " ").replace(">", " ").split())


@pytest.mark.parametrize("cost", [float("nan"), float("inf"), -float("inf")])
def test_a_cost_that_is_no_number_is_left_out(cost: float) -> None:
    even = Interval(0.5, 0.4, 0.6, 9)
    drawn = draw([Point("rag", cost, even), Point("rlm", 1.0, even)], title="t", subtitle="s", unit="USD")
    assert len(ET.fromstring(drawn).findall(f"{SVG}circle")) == 1


def test_hostile_names_stay_text() -> None:
    hostile = '</text><script>alert(1)</script><image href="http://example.org/x"/>&'
    drawn = draw([Point(hostile, 1.0, Interval(0.5, 0.4, 0.6, 3))], title=hostile, subtitle=hostile, unit=hostile)
    assert "<script" not in drawn
    assert "<image" not in drawn
    assert hostile[:60] in "".join(ET.fromstring(drawn).itertext())


def test_dearer_is_further_right_and_better_is_higher() -> None:
    drawn = draw(
        [Point("rag", 1.0, Interval(0.5, 0.4, 0.6, 9)), Point("rlm", 8.0, Interval(1.0, 1.0, 1.0, 9))],
        title="t", subtitle="s", unit="USD",
    )  # fmt: skip
    rag, rlm = ET.fromstring(drawn).findall(f"{SVG}circle")
    assert float(rag.attrib["cx"]) < float(rlm.attrib["cx"])
    assert float(rag.attrib["cy"]) == pytest.approx(240)
    assert float(rlm.attrib["cy"]) == pytest.approx(80)
    assert "rlm 100.0 %, n=9" in drawn


def test_labels_of_near_points_do_not_cover_each_other() -> None:
    near = [Point(name, cost, Interval(0.8, 0.5, 1.0, 9)) for name, cost in (("rag", 1.0), ("auto", 1.1), ("rlm", 1.2))]
    root = ET.fromstring(
        draw([*near, Point("direct", 50.0, Interval(0.8, 0.5, 1.0, 9))], title="t", subtitle="s", unit="USD")
    )
    labels = [text for text in root.findall(f"{SVG}text") if "n=9" in (text.text or "")]
    heights = [float(label.attrib["y"]) for label in labels]
    assert len({*heights[:3]}) == 3
    assert min(abs(a - b) for a, b in pairwise(heights[:3])) >= 16


def test_without_points_it_says_so() -> None:
    assert "nothing was scored" in draw([], title="t", subtitle="s", unit="USD")
