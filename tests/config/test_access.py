"""The section `keys`, as people write it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.access import amount, hashed, key_of, quota, quota_text
from penstock.core.calls.key import Role
from penstock.core.calls.quota import DAY_S, Counted, Quota
from penstock.core.model import Priority
from tests.config.worlds import messages, native

HASH = hashed("sk-penstock-x")


def test_a_key_that_says_nothing_may_use_all_models_at_normal_priority_and_nothing_else() -> None:
    key = key_of("ann", native(f"keys: {{ann: {{hash: '{HASH}'}}}}").keys["ann"])
    assert (key.name, key.role, key.ceiling, key.weight) == ("ann", Role.NONE, Priority.NORMAL, 1.0)
    assert (key.models, key.max_concurrent, key.quotas, key.expires_at) == ((), None, (), None)
    assert "sha256:" + key.digest.hex() == HASH


def test_everything_that_a_key_can_say_is_understood() -> None:
    settings = native(f"""
        keys:
          ann:
            hash: {HASH.upper()}
            role: viewer
            priority: high
            weight: 2.5
            models: [qwen, "gpt-*"]
            maxConcurrent: 4
            quotas: ["100 requests per 1m", {{tokens: 1.5M, per: 1d}}, {{requests: 5, per: 90}}]
            expires: 2027-01-31
    """)
    key = key_of("ann", settings.keys["ann"])
    assert (key.role, key.ceiling, key.weight, key.max_concurrent) == (Role.VIEWER, Priority.HIGH, 2.5, 4)
    assert key.models == ("qwen", "gpt-*")
    assert key.quotas == (
        Quota(Counted.REQUESTS, 100, 60),
        Quota(Counted.TOKENS, 1_500_000, DAY_S),
        Quota(Counted.REQUESTS, 5, 90),
    )
    assert key.expires_at == 1_801_440_000  # the end of that day, UTC


@pytest.mark.parametrize(
    ("written", "moment"),
    [("2027-01-31T12:00:00Z", 1_801_396_800), ("2027-01-31 12:00", 1_801_396_800), ("20270131", 1_801_440_000)],
)
def test_a_key_may_expire_at_a_moment(written: str, moment: float) -> None:
    assert native(f"keys: {{a: {{hash: '{HASH}', expires: '{written}'}}}}").keys["a"].expires == moment


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("ann: {}", "keys.ann"),
        ("ann: sk-in-the-clear-1", "keys.ann"),
        ("ann: {hash: sk-in-the-clear-1}", "keys.ann.hash"),
        ("ann: {hash: 'sha256:12'}", "keys.ann.hash"),
        (f"ann: {{hash: '{HASH}', role: boss}}", "keys.ann.role"),
        (f"ann: {{hash: '{HASH}', priority: urgent}}", "keys.ann.priority"),
        (f"ann: {{hash: '{HASH}', weight: 0}}", "keys.ann.weight"),
        (f"ann: {{hash: '{HASH}', quotas: [10 per 1m]}}", "keys.ann.quotas"),
        (f"ann: {{hash: '{HASH}', quotas: [100 requests per 100ms]}}", "keys.ann.quotas"),
        (f"ann: {{hash: '{HASH}', quotas: [{{requests: 1, tokens: 2, per: 1m}}]}}", "keys.ann.quotas"),
        (f"ann: {{hash: '{HASH}', quotas: [{', '.join(['1 requests per 1m'] * 9)}]}}", "keys.ann.quotas"),
        (f"ann: {{hash: '{HASH}', expires: soon}}", "keys.ann.expires"),
        (f"ann: {{hash: '{HASH}', rôle: admin}}", "keys.ann.rôle"),
        (f"'a n': {{hash: '{HASH}'}}", "keys"),
        (f"ann: {{hash: '{HASH}'}}\n  bob: {{hash: '{HASH}'}}", "keys"),
    ],
)
def test_what_does_not_fit_is_told_at_its_place_and_without_the_secret(text: str, place: str) -> None:
    told = messages(f"keys:\n  {text}")
    assert any(f": {place}: found" in each for each in told)
    assert "in-the-clear" not in "".join(told)


@pytest.mark.parametrize(("written", "number"), [(7, 7), ("250k", 250_000), ("1.5M", 1_500_000), ("2g", 2 * 10**9)])
def test_amounts_may_be_written_in_thousands(written: object, number: int) -> None:
    assert amount(written) == number


@pytest.mark.parametrize("written", [0, "0", -1, "1.5", "1e6", True, None, "1 T", "9" * 16, ""])
def test_an_amount_is_a_whole_number_of_at_least_one(written: object) -> None:
    with pytest.raises(ValueError, match=r".*"):
        amount(written)


@given(st.sampled_from(Counted), st.integers(1, 2**53), st.integers(1, 366 * DAY_S))
def test_a_quota_is_read_as_it_is_written(counted: Counted, limit: int, per_s: int) -> None:
    one = Quota(counted, limit, per_s)
    assert quota(quota_text(one)) == one


@given(st.text() | st.dictionaries(st.sampled_from(["requests", "tokens", "per", ""]), st.text() | st.floats()))
def test_any_text_is_a_quota_or_is_refused(written: object) -> None:
    try:
        assert isinstance(quota(written), Quota)
    except ValueError:
        pass
