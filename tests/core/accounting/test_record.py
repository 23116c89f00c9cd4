"""What is derived from a record."""

from __future__ import annotations

import pytest

from penstock.core.accounting.record import CallRecord, uncached_tokens


@pytest.mark.parametrize(
    ("prompt", "cached", "uncached"), [(10, 4, 6), (10, 0, 10), (10, 60, 0), (None, 4, None), (10, None, None)]
)
def test_what_is_not_cached_is_the_rest_of_the_prompt_and_never_negative(
    prompt: int | None, cached: int | None, uncached: int | None
) -> None:
    record = CallRecord("c", "g", "b", "0", 1.0, "POST", "/", "openai", prompt_tokens=prompt, cached_tokens=cached)
    assert uncached_tokens(record) == uncached
