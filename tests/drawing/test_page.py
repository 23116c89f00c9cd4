from __future__ import annotations

from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from penstock.drawing.page import legend, page, table

HEAD = ("NAME", "CALLS")


@given(st.text(), st.text())
def test_whatever_names_hold_the_page_is_well_formed_and_they_are_text(name: str, title: str) -> None:
    tree = ElementTree.fromstring(page(title, table(HEAD, [(name, "1")])).removeprefix("<!DOCTYPE html>"))
    (row,) = tree.findall(".//tbody/tr")
    assert [child.tag for child in row] == ["th", "td"]
    assert len(row[0].text or "") == len(name)
    assert not list(row[0])


def test_a_name_cannot_end_an_attribute_or_begin_a_tag() -> None:
    text = page("t", table(HEAD, [("\" onmouseover='x' <script>alert(1)</script>", "1")]))
    assert "<script" not in text
    assert '" onmouseover' not in text


def test_it_asks_for_nothing_from_elsewhere_and_forbids_it() -> None:
    text = page("t", "<p>b</p>", style="p { color: red; }")
    assert "default-src 'none'" in text
    assert "url(" not in text
    assert "@import" not in text
    assert "p { color: red; }" in text


def test_a_legend_names_its_colours() -> None:
    said = legend([("good", "active"), ("wait", "queued")])
    assert said.count('class="key"') == 2
    assert "var(--wait)" in said
