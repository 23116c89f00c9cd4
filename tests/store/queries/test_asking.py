"""The window that is asked for: lengths of time are those of the configuration and the commands."""

from __future__ import annotations

import pytest

from penstock.config.quantities import seconds
from penstock.store.queries.asking import BadQuestion, span_s


@pytest.mark.parametrize("text", ["90s", "30m", "24h", "90d", "2w"])
def test_a_length_of_time_is_read_as_everywhere(text: str) -> None:
    assert span_s(text) == seconds(text)


@pytest.mark.parametrize("text", ["", "1", "w", "0h", "-1h", "1.5h", "1y", "367d", "53w", "9999999999s", "1h "])
def test_what_is_no_length_or_too_long_is_refused(text: str) -> None:
    with pytest.raises(BadQuestion, match="write 30m, 24h or 90d, at most 366d"):
        span_s(text)
