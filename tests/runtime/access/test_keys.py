"""The keyring: who is let in, to what, and how much of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from penstock.config.access import KeySettings, hashed
from penstock.config.faults import ConfigError
from penstock.config.schema import ModelSettings
from penstock.core.accounting.record import CallRecord
from penstock.core.calls.key import Key, Role
from penstock.core.calls.message import Head
from penstock.errors import ExpiredKey, GatewayError, MissingKey, QuotaExceeded, QuotaSpent, UnknownKey
from penstock.runtime.access.key_file import KeyFile
from penstock.runtime.access.keys import Keyring
from tests.fakes import in_loop

NOON = 1_790_000_000.0 // 86_400 * 86_400 + 43_200
MODEL = ModelSettings(upstream="http://h", aliases=("gpt-4o",))


def settings(secret: str, **members: object) -> KeySettings:
    return KeySettings.model_validate({"hash": hashed(secret), **members})


class Clock:
    """A wall clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> float:
        return self.now


def ring(folder: Path, clock: Clock | None = None, **keys: KeySettings) -> Keyring:
    return Keyring(keys, folder, "01234567-89ab", wall_clock=clock or Clock())


def asks(**headers: str) -> Head:
    fields = {name.replace("_", "-").encode(): value.encode() for name, value in headers.items()}
    return Head(b"POST", b"/v1/chat/completions", list(fields.items()), "1.1", "127.0.0.1", fields)


def record(**members: object) -> CallRecord:
    made = CallRecord("id", "g", "b", "0", NOON, "POST", "/", "openai")
    for name, value in members.items():
        setattr(made, name, value)
    return made


def let_in(answer: Key | GatewayError | None) -> Key:
    assert isinstance(answer, Key), answer
    return answer


# Who.


def test_without_keys_nobody_is_refused_whatever_they_show(tmp_path: Path) -> None:
    keyring = ring(tmp_path)
    assert keyring.is_open
    assert keyring.judge(asks()) is None
    assert keyring.judge(asks(authorization="Bearer whatever")) is None
    assert keyring.may_use(None, "m", MODEL) is None
    assert keyring.quota_refusal(None) is None
    assert keyring.charge(None, 10) is None


def test_with_a_key_no_key_and_an_unknown_one_are_told_apart_and_never_repeated(tmp_path: Path) -> None:
    keyring = ring(tmp_path, ann=settings("sk-ann"))
    assert isinstance(keyring.judge(asks()), MissingKey)
    refused = keyring.judge(asks(authorization="Bearer sk-eve"))
    assert isinstance(refused, UnknownKey)
    assert (refused.status, refused.outcome) == (401, "rejected_auth")
    assert "sk-eve" not in refused.message
    key = let_in(keyring.judge(asks(x_api_key="sk-ann")))
    assert (key.name, key.fingerprint) == ("ann", hashed("sk-ann")[7:15])


def test_the_hash_of_a_key_is_not_a_key(tmp_path: Path) -> None:
    keyring = ring(tmp_path, ann=settings("sk-ann"))
    for shown in (hashed("sk-ann"), hashed("sk-ann").removeprefix("sha256:"), "ann"):
        assert isinstance(keyring.judge(asks(authorization=f"Bearer {shown}")), UnknownKey)


def test_a_key_is_good_until_it_expires(tmp_path: Path) -> None:
    clock = Clock()
    keyring = ring(tmp_path, clock, ann=settings("sk-ann", expires="2026-09-21T13:00:00Z"))
    clock.now = let_in(keyring.judge(asks(api_key="sk-ann"))).expires_at or 0.0
    assert isinstance(keyring.judge(asks(api_key="sk-ann")), ExpiredKey)
    assert not keyring.is_open


def test_a_key_may_use_the_models_it_names_by_name_or_alias(tmp_path: Path) -> None:
    keyring = ring(tmp_path, ann=settings("sk-ann", models=["gpt-*"]))
    key = let_in(keyring.judge(asks(api_key="sk-ann")))
    assert keyring.may_use(key, "qwen", MODEL) is None
    refused = keyring.may_use(key, "llama", ModelSettings(upstream="http://h"))
    assert refused is not None
    assert (refused.status, refused.outcome) == (403, "rejected_forbidden")
    assert "`llama`" in refused.message


def test_only_an_admin_is_an_admin(tmp_path: Path) -> None:
    keyring = ring(tmp_path)
    roles = {role: keyring.is_admin(Key("k", b"", role=role)) for role in Role}
    assert roles == {Role.NONE: False, Role.VIEWER: False, Role.ADMIN: True}
    assert not keyring.is_admin(None)


# How much.


def test_a_refused_request_consumes_nothing_and_is_told_which_quota_and_until_when(tmp_path: Path) -> None:
    clock = Clock()
    keyring = ring(tmp_path, clock, ann=settings("sk-ann", quotas=["2 requests per 1m", "1k tokens per 1d"]))
    key = let_in(keyring.judge(asks(api_key="sk-ann")))
    for _ in range(2):
        assert keyring.quota_refusal(key) is None
        assert keyring.charge(key, 10) is not None
    clock.now = NOON + 30
    for _ in range(5):
        refused = keyring.quota_refusal(key)
    assert isinstance(refused, QuotaExceeded)
    assert (refused.status, refused.outcome, refused.retry_after_s, refused.is_retry_useful) == (
        429, "rejected_quota", 30, True,
    )  # fmt: skip
    assert "2 requests per 1m" in refused.message
    assert "12:01:00 UTC" in refused.message
    assert keyring.used(key) == (2, 20)
    clock.now = NOON + 60
    assert keyring.quota_refusal(key) is None


def test_who_must_wait_longer_than_a_client_does_is_told_not_to_try_again(tmp_path: Path) -> None:
    keyring = ring(tmp_path, ann=settings("sk-ann", quotas=["10 tokens per 1d"]))
    key = let_in(keyring.judge(asks(api_key="sk-ann")))
    keyring.charge(key, 10)
    refused = keyring.quota_refusal(key)
    assert isinstance(refused, QuotaSpent)
    assert (refused.code, refused.is_retry_useful, refused.retry_after_s) == ("quota_exceeded", False, 120)


@pytest.mark.parametrize(
    ("ended", "used"),
    [
        ({"sent_s": None, "outcome": "rejected_queue_full"}, (0, 0)),
        ({"sent_s": None, "outcome": "client_abandoned"}, (0, 0)),
        ({"sent_s": 0.1, "prompt_tokens": 7, "completion_tokens": 5}, (1, 12)),
        ({"sent_s": 0.1, "prompt_tokens_estimated": 10}, (1, 10)),
    ],
)
def test_at_its_end_a_call_is_charged_what_it_used(
    tmp_path: Path, ended: dict[str, object], used: tuple[int, int]
) -> None:
    keyring = ring(tmp_path, ann=settings("sk-ann", quotas=["9 requests per 1h", "999 tokens per 1d"]))
    key = let_in(keyring.judge(asks(api_key="sk-ann")))
    charge = keyring.charge(key, 10)
    assert charge is not None
    assert keyring.used(key) == (1, 10)
    keyring.settle(charge, record(**ended))
    assert keyring.used(key) == used


def test_what_was_used_is_known_after_a_restart_and_under_another_limit(tmp_path: Path) -> None:
    before = ring(tmp_path, ann=settings("sk-ann", quotas=["5 requests per 1d"]))
    before.charge(let_in(before.judge(asks(api_key="sk-ann"))), 10)
    # not closed: the file is as a killed process leaves it
    after = ring(tmp_path, bob=settings("sk-bob", quotas=["5 requests per 1d"]),
                 ann=settings("sk-ann", quotas=["10 tokens per 1h", "1 requests per 1d"]))  # fmt: skip
    ann = let_in(after.judge(asks(api_key="sk-ann")))
    assert after.used(ann) == (0, 1)
    assert after.quota_refusal(ann) is not None
    assert after.used(let_in(after.judge(asks(api_key="sk-bob")))) == (0,)


# Changes.


@in_loop
async def test_made_keys_count_beside_written_ones_and_changes_are_taken(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    keyring = ring(tmp_path)
    assert not keyring.has_changed()
    with file.changing() as keys:
        keys["bob"] = settings("sk-bob", role="viewer")
    assert keyring.has_changed()
    assert not keyring.has_changed()
    await keyring.read_again()
    assert let_in(keyring.judge(asks(api_key="sk-bob"))).role is Role.VIEWER
    keyring.configure({"ann": settings("sk-ann")})
    assert sorted(key.name for key in keyring.keys) == ["ann", "bob"]
    with file.changing() as keys:
        del keys["bob"]
    await keyring.read_again()
    assert isinstance(keyring.judge(asks(api_key="sk-bob")), UnknownKey)


@in_loop
async def test_revoking_the_last_key_leaves_the_gate_shut_and_removing_the_file_opens_it(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    with file.changing() as keys:
        keys.clear()
    keyring = ring(tmp_path)
    assert not keyring.is_open
    assert isinstance(keyring.judge(asks()), MissingKey)
    file.path.unlink()
    assert keyring.has_changed()
    await keyring.read_again()
    assert keyring.is_open


@in_loop
async def test_a_file_with_faults_changes_nothing_and_no_gateway_starts_on_it(tmp_path: Path) -> None:
    keyring = ring(tmp_path, ann=settings("sk-ann"))
    (tmp_path / "keys.yaml").write_text("penstock: 1\nkeys: {bob: {hash: sk-in-the-clear}}\n")
    assert keyring.has_changed()
    await keyring.read_again()
    assert keyring.fault is not None
    assert "keys.bob.hash" in keyring.fault or "keys.bob" in keyring.fault
    assert "in-the-clear" not in keyring.fault
    assert let_in(keyring.judge(asks(api_key="sk-ann"))).name == "ann"
    with pytest.raises(ConfigError):
        ring(tmp_path)


def test_the_configuration_wins_over_a_made_key_of_the_same_name_or_secret(tmp_path: Path) -> None:
    with KeyFile(tmp_path).changing() as keys:
        keys["ann"] = settings("sk-other")
        keys["eve"] = settings("sk-ann", role="admin")
    keyring = ring(tmp_path, ann=settings("sk-ann"))
    assert let_in(keyring.judge(asks(api_key="sk-ann"))).role is Role.NONE
    assert isinstance(keyring.judge(asks(api_key="sk-other")), UnknownKey)


def test_the_file_is_private_and_reads_as_it_was_written(tmp_path: Path) -> None:
    file = KeyFile(tmp_path / "state")
    key = settings(
        "sk-1", role="admin", priority="high", weight=2.5, models=["a b", "ü*"], max_concurrent=3,
        quotas=["5 requests per 1m"], expires="2027-01-31",
    )  # fmt: skip
    with file.changing() as keys:
        keys["ann"] = key
    assert file.read() == {"ann": key}
    assert file.path.stat().st_mode & 0o777 == 0o600
    assert "sk-1" not in file.path.read_text()
    assert [path.name for path in file.path.parent.iterdir() if path.suffix == ".new"] == []


def test_a_change_that_could_not_be_read_again_is_not_written(tmp_path: Path) -> None:
    file = KeyFile(tmp_path)
    with pytest.raises(ConfigError), file.changing() as keys:
        keys["ann"] = settings("sk-1", models=["${nothing}"])
    assert file.read() is None


# Sessions.


def test_a_session_is_good_for_half_a_day_and_no_longer_than_its_key(tmp_path: Path) -> None:
    clock = Clock()
    keyring = ring(tmp_path, clock, ann=settings("sk-ann", role="admin"))
    key = let_in(keyring.judge(asks(api_key="sk-ann")))
    cookie = f"theme=dark; {keyring.sessions.cookie_name}={keyring.sessions.open(key.digest)}"
    assert keyring.in_session({b"cookie": cookie.encode()}) is key
    assert let_in(keyring.judge(asks(cookie=cookie, x_penstock_page="1"))) is key
    assert isinstance(keyring.judge(asks(cookie=cookie)), MissingKey)  # a foreign page can send no such header
    clock.now += 12 * 3600 - 1
    assert keyring.in_session({b"cookie": cookie.encode()}) is key
    clock.now += 1
    assert keyring.in_session({b"cookie": cookie.encode()}) is None
    clock.now = NOON
    keyring.configure({"bob": settings("sk-bob")})
    assert keyring.in_session({b"cookie": cookie.encode()}) is None


@pytest.mark.parametrize("value", ["", ";;;", "=", "penstock_01234567", "penstock_01234567=", "penstock_01234567=\0"])
def test_a_cookie_that_is_none_is_no_session(tmp_path: Path, value: str) -> None:
    keyring = ring(tmp_path, ann=settings("sk-ann"))
    assert keyring.in_session({b"cookie": value.encode()}) is None
    keyring.sessions.close(value.encode())


def test_sessions_are_bounded_and_the_oldest_goes(tmp_path: Path) -> None:
    sessions = ring(tmp_path).sessions
    tokens = [sessions.open(b"k" * 32) for _ in range(1001)]
    found = [sessions.find(f"{sessions.cookie_name}={token}".encode()) for token in tokens]
    assert found == [None, *[b"k" * 32] * 1000]
    assert json.dumps(tokens[0]) not in repr(vars(sessions))
