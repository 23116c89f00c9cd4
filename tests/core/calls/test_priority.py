"""Which class a call is given, from what it asks and what its key allows."""

from __future__ import annotations

import pytest

from penstock.core.calls.priority import Thresholds, granted
from penstock.core.model import Priority

HIGH, NORMAL, LOW = Priority


@pytest.mark.parametrize(
    ("header", "body", "expected"),
    [
        (None, None, NORMAL),
        (" High ", -5, HIGH),
        ("3", 5, LOW),
        ("soon", None, NORMAL),
        ("soon", 5, HIGH),
        (None, 1, HIGH),
        (None, 0, NORMAL),
        (None, -1, LOW),
    ],
)
def test_the_header_beats_the_body_and_what_nobody_can_read_is_not_asked(
    header: str | None, body: int | None, expected: Priority
) -> None:
    assert granted(header, body, Thresholds()) is expected


def test_nothing_exceeds_what_the_key_may_have() -> None:
    assert [granted(word, None, Thresholds(), NORMAL) for word in ("high", "normal", "low")] == [NORMAL, NORMAL, LOW]
