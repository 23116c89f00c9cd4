"""What a key says its owner may do."""

from __future__ import annotations

import pytest

from penstock.core.calls.key import Key, Role


def test_a_key_that_names_no_models_may_use_all() -> None:
    assert Key("ann", b"d" * 32).may_use(["whatever"])


@pytest.mark.parametrize(
    ("models", "names", "may"),
    [
        (("qwen",), ["qwen"], True),
        (("qwen",), ["qwen3"], False),
        (("qwen*",), ["qwen3-8b"], True),
        (("org/*",), ["org/model:8b"], True),
        (("gpt-4?",), ["big", "gpt-4o"], True),  # an alias counts
        (("[abc]",), ["a"], False),
        (("[abc]",), ["[abc]"], True),
        (("a.c",), ["abc"], False),
        (("x", "y*"), ["yes"], True),
    ],
)
def test_models_are_names_or_patterns(models: tuple[str, ...], names: list[str], may: bool) -> None:
    assert Key("ann", b"d" * 32, models=models).may_use(names) is may


def test_a_viewer_looks_an_admin_changes_and_others_do_neither() -> None:
    can = {role: (Key("k", b"", role=role).may_look, Key("k", b"", role=role).may_change) for role in Role}
    assert can == {Role.NONE: (False, False), Role.VIEWER: (True, False), Role.ADMIN: (True, True)}


def test_a_key_expires_at_its_moment() -> None:
    key = Key("ann", bytes.fromhex("0a1b2c3d") + b"\0" * 28, expires_at=100.0)
    assert not key.is_expired(99.9)
    assert key.is_expired(100.0)
    assert key.fingerprint == "0a1b2c3d"
