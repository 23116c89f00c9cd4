"""Paths of filters: where each step leads."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.core.calls.dotted import LAST, MAX_INDEX, Step, steps


@pytest.mark.parametrize(
    ("path", "read"),
    [
        ("top_p", [Step("top_p", None)]),
        ("a.b.c", [Step("a", None), Step("b", None), Step("c", None)]),
        (r"a\.b", [Step("a.b", None)]),
        (r"a\\.b", [Step("a\\", None), Step("b", None)]),
        (r"fav\.movie.0", [Step("fav.movie", None), Step("0", 0)]),
        (r"a\*\?\#\|\@", [Step("a*?#|@", None)]),
        ("a.12.b", [Step("a", None), Step("12", 12), Step("b", None)]),
        ("a.-1", [Step("a", None), Step("-1", LAST)]),
        ("a.:12", [Step("a", None), Step("12", None)]),
        ("a.:-1", [Step("a", None), Step("-1", None)]),
        (r"\:12", [Step(":12", None)]),
        ("a:b", [Step("a:b", None)]),
        ("::a", [Step(":a", None)]),
        ("a.٣", [Step("a", None), Step("٣", None)]),
        ("é. ", [Step("é", None), Step(" ", None)]),
    ],
)
def test_a_path_is_read_as_llama_swap_reads_it(path: str, read: list[Step]) -> None:
    assert steps(path) == tuple(read)


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", ":", "a.:", "\\", "a.*", "#", "a|b", "@this", "a?"])
def test_a_path_that_leads_nowhere_or_everywhere_is_refused(path: str) -> None:
    with pytest.raises(ValueError, match=r"^with"):
        steps(path)


def test_an_index_is_bounded() -> None:
    assert steps(f"a.{MAX_INDEX}")[1].index == MAX_INDEX
    for digits in (str(MAX_INDEX + 1), "9" * 5000):
        with pytest.raises(ValueError, match="index"):
            steps(f"a.{digits}")
        assert steps(f"a.:{digits}")[1] == Step(digits, None)


@given(st.lists(st.text(min_size=1), min_size=1))
def test_any_names_can_be_written_with_escapes(names: list[str]) -> None:
    path = ".".join("".join(f"\\{character}" for character in name) for name in names if not name.isdigit())
    wanted = [name for name in names if not name.isdigit()]
    assert not wanted or [step.name for step in steps(path)] == wanted
