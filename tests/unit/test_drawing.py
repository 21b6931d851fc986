"""What drawings of steps hold to, whatever is drawn."""

from __future__ import annotations

import re
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from langgraph_rlm.cli.drawing import Edge, drawing

ROOT = "the question"


@st.composite
def steps(draw: st.DrawFn) -> list[Edge]:
    """Each from the root or from a node that was reached before; some lead back to one that is there already."""
    nodes, edges = [ROOT], list[Edge]()
    for number in range(draw(st.integers(0, 12))):
        source = draw(st.sampled_from(nodes))
        again = [one for one in nodes if one not in (ROOT, source)]
        target = draw(st.sampled_from(again)) if again and draw(st.booleans()) else f"n{number}<&\">'"
        edges.append(Edge(source, target, draw(st.text(max_size=60)), near=draw(st.booleans())))
        nodes.append(target)
    return edges


@given(steps())
def test_every_node_has_a_place_of_its_own_to_the_right_of_what_first_led_to_it(edges: list[Edge]) -> None:
    picture = ElementTree.fromstring(drawing(ROOT, edges))
    space = "{http://www.w3.org/2000/svg}"
    places = {}
    for group in picture.iter(f"{space}g"):
        circle = group.find(f"{space}circle")
        assert circle is not None
        places[group.findtext(f"{space}title")] = int(circle.attrib["cx"]), int(circle.attrib["cy"])
    assert places.keys() == {ROOT} | {edge.target for edge in edges}
    assert len(set(places.values())) == len(places)
    first: dict[str, str] = {}
    for edge in edges:
        first.setdefault(edge.target, edge.source)
    assert all(places[node][0] > places[source][0] for node, source in first.items())
    assert len(list(picture.iter(f"{space}path"))) == len(edges)
    width, height = (int(picture.attrib[name]) for name in ("width", "height"))
    assert all(0 < x < width and 0 < y < height for x, y in places.values())


def test_long_names_are_shortened_and_whole_in_the_tip() -> None:
    name = "a very long name of a document that nobody would want to read twice.txt"
    text = drawing(ROOT, [Edge(ROOT, name, "mentions " + "x" * 90)])
    assert f"<title>{name}</title>" in text
    assert max(map(len, re.findall(r"<text[^>]*>([^<]*)</text>", text))) <= 34
