"""Lists on a terminal."""

from __future__ import annotations

import pytest

from penstock.cli.said import in_words
from penstock.cli.shapes import Call
from penstock.cli.tables import show_table, waiting_row


def test_what_a_name_is_made_of_does_not_act_on_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["NAME"], [["\x1b[2Jcleared"], ["\u202eturned"], ["[bold]big[/bold]"]])
    said = capsys.readouterr().out
    assert "\ufffd[2Jcleared" in said
    assert "\ufffdturned" in said
    assert "[bold]big[/bold]" in said
    assert not {"\x1b", "\u202e"} & {*said}


def test_where_there_are_no_rows_that_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    show_table(["NAME"], [], nothing="no models")
    assert capsys.readouterr().out == "no models\n"


@pytest.mark.parametrize(
    ("path", "phase", "said"),
    [
        ("/api/v1/models/load", "stopped", "a: stopped, loaded as soon as there is room"),
        ("/api/v1/models/load", "starting", "a: starting"),
        ("/api/v1/models/unload", "stopped", "a: stopped"),
    ],
)
def test_a_load_that_waits_for_room_is_not_said_to_have_come_to_nothing(path: str, phase: str, said: str) -> None:
    assert in_words(path, {"model": "a", "phase": phase, "pinned": False}) == said


@pytest.mark.parametrize(("seconds", "said"), [(0.004, "< 0.1 s"), (0.3, "0.3 s"), (75.0, "1 min 15 s")])
def test_a_wait_that_is_short_is_not_said_to_be_none(seconds: float, said: str) -> None:
    call: Call = {
        "id": "1", "model": "a", "key": None, "priority": "normal", "phase": "queued", "received_at": 0.0,
        "position": 0, "wait_reason": "model_cap", "wait_for": None, "estimate_s": seconds, "bound_s": None,
    }  # fmt: skip
    assert waiting_row(call)[-2:] == [said, "-"]
