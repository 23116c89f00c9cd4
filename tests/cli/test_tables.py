"""Lists on a terminal."""

from __future__ import annotations

import pytest

from penstock.cli.tables import show_table


def test_what_a_name_is_made_of_does_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["NAME"], [["\x1b[2Jcleared"], ["\u202eturned"], ["[bold]big[/bold]"]])
    said = capsys.readouterr().out
    assert "\ufffd[2Jcleared" in said
    assert "\ufffdturned" in said
    assert "[bold]big[/bold]" in said
    assert not {"\x1b", "\u202e"} & {*said}
