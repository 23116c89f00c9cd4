from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.drawing.names import shown_name


@pytest.mark.parametrize("name", ["qwen3:14b", "Größe 大 ü", "a b", ""])
def test_a_name_is_shown_as_it_is(name: str) -> None:
    assert shown_name(name) == name


@pytest.mark.parametrize("name", ["\x1b[2Jgone", "bell\x07", "two\nlines", "left\u202eright", "\x9bcontrol", "\ud800"])
def test_what_would_act_on_a_terminal_becomes_a_visible_character(name: str) -> None:
    assert "\ufffd" in shown_name(name)
    assert len(shown_name(name)) == len(name)


@given(st.text())
def test_whatever_it_was_it_can_be_printed_on_one_line(name: str) -> None:
    assert shown_name(name).isprintable() or not name
    assert len(shown_name(name).splitlines()) <= 1
