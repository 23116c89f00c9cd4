from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from penstock.config.faults import ConfigError
from penstock.config.load import loads
from penstock.config.schema import Settings
from penstock.config.storage import StoreSettings
from penstock.config.store_address import choose_address, password_of, read_address

HERE = Path("/state")


def settings(*lines: str, **environ: str) -> Settings:
    text = "penstock: 1\nstore:\n" + "".join(f"  {line}\n" for line in lines)
    return loads(text, name="a.yaml", environ=environ).settings


def test_nothing_said_keeps_calls_for_ninety_days_in_the_state_folder() -> None:
    store = StoreSettings()
    assert (store.url, store.keep, store.keep_samples, store.keep_size) == (None, 90 * 86400, 30 * 86400, None)
    assert store.journal_full == "serve"
    assert choose_address(None, None, {}, HERE).path == HERE / "penstock.db"


def test_spans_and_sizes_are_written_as_everywhere_and_each_has_a_word_for_no_bound() -> None:
    store = settings("keep: 2w", "keep_samples: forever", "keep_size: 2GiB", "journal_full: refuse").store
    assert (store.keep, store.keep_samples, store.keep_size) == (14 * 86400, None, 2 << 30)
    assert store.journal_full == "refuse"
    assert settings("keep: forever", "keep_size: unlimited").store.keep is None


@pytest.mark.parametrize(
    "line", ["keep: 5m", "keep: soon", "keep: true", "keep_size: 1MiB", "keep_size: .inf", "url: mysql://x/y", "url: x"]
)
def test_what_makes_no_sense_is_refused_with_its_place(line: str) -> None:
    with pytest.raises(ConfigError, match=r"a\.yaml:3"):
        settings(line)


def test_a_password_comes_from_the_environment_and_is_in_no_repr_and_no_message() -> None:
    store = settings("url: postgresql://me:${env.PW}@db/calls", PW="hunter2").store
    assert store.url == "postgresql://me:hunter2@db/calls"
    address = read_address(store.url)
    assert "hunter2" not in f"{store!r} {address!r} {address}"
    with pytest.raises(ConfigError) as caught:
        settings("url: oracle://me:hunter2@db/calls")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("postgres://u:p@h:5432/d", "postgresql://u@h:5432/d"),
        ("postgresql+psycopg://u:p%40@h1,h2/d?password=p&sslmode=require", "postgresql://u@h1,h2/d"),
        ("postgresql:///d?host=/run", "postgresql:///d"),
        ("postgresql://u:p@ss@h/d", "postgresql://u@h/d"),
        ("sqlite:////var/lib/p.db", "sqlite:////var/lib/p.db"),
    ],
)
def test_what_is_shown_of_an_address_has_no_password(url: str, shown: str) -> None:
    assert str(read_address(url)) == shown


@pytest.mark.parametrize(
    ("url", "password"),
    [
        ("postgres://u:p@h:5432/d", "p"),
        ("postgresql://u:p@ss@h/d", "p@ss"),
        ("postgresql://u@h:5432/d", ""),
        ("postgresql:///d?host=/run", ""),
        ("sqlite:////var/lib/p.db", ""),
    ],
)
def test_a_password_is_found_wherever_it_may_be_written(url: str, password: str) -> None:
    assert password_of(url) == password


@given(st.text(max_size=30))
def test_anything_else_is_refused_and_not_repeated(rest: str) -> None:
    for url in (rest, f"sqlite:{rest}"):
        with pytest.raises(ValueError, match="expected sqlite:///PATH"):
            read_address(url)


def test_the_command_line_beats_the_file_beats_the_environment() -> None:
    environ = {"DATABASE_URL": "postgresql://env@h/d"}
    asked, configured = "sqlite:////asked.db", "sqlite:///kept/file.db"
    assert choose_address(asked, configured, environ, HERE).path == Path("/asked.db")
    assert choose_address(None, configured, environ, HERE, folder=Path("/etc/p")).path == Path("/etc/p/kept/file.db")
    assert str(choose_address(None, None, environ, HERE)) == "postgresql://env@h/d"


def test_a_database_url_that_is_meant_for_somebody_else_is_left_alone() -> None:
    assert choose_address(None, None, {"DATABASE_URL": "mysql://h/d"}, HERE).path == HERE / "penstock.db"
