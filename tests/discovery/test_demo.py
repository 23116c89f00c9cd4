"""The demo models as files; what they say is tested on the real engine, in tests/launch."""

from __future__ import annotations

from pathlib import Path

from penstock.discovery.demo import ensure_demo_models


def test_the_same_bytes_are_written_every_time(tmp_path: Path) -> None:
    first, second = ensure_demo_models(tmp_path / "one"), ensure_demo_models(tmp_path / "two")
    assert first.chat_a.read_bytes() == second.chat_a.read_bytes()
    assert first.embed.read_bytes() == second.embed.read_bytes()
    assert first.chat_a.read_bytes() != first.chat_b.read_bytes()


def test_models_that_are_there_are_left_alone_and_only_the_missing_one_is_made(tmp_path: Path) -> None:
    models = ensure_demo_models(tmp_path)
    models.chat_b.unlink()
    models.chat_a.write_bytes(b"kept")
    assert ensure_demo_models(tmp_path) == models
    assert models.chat_a.read_bytes() == b"kept"
    assert models.chat_b.stat().st_size > 1_000_000


def test_no_other_file_is_left_in_the_folder(tmp_path: Path) -> None:
    models = ensure_demo_models(tmp_path / "deep" / "folder")
    assert set(models.embed.parent.iterdir()) == {models.chat_a, models.chat_b, models.embed}
