from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine

from penstock.store.base import Checkpoint, Kind, StoreAway
from penstock.store.migrations import HEAD
from penstock.store.schema import metadata
from penstock.store.sqlite import GIVE_BACK_PAGES, SqliteStore
from tests.store.some_calls import an_open_call, rows

HERE = Checkpoint("g", "s", 1)


def a_store(folder: Path) -> SqliteStore:
    store = SqliteStore(folder / "penstock.db")
    store.prepare()
    return store


def test_the_store_is_readable_by_its_owner_only_and_readers_do_not_block_it(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)) as reader:
        reader.execute("BEGIN")
        assert reader.execute("SELECT count(*) FROM calls").fetchone() == (0,)
        store.upsert(rows(an_open_call()), [], HERE)
        assert {path.stat().st_mode & 0o777 for path in tmp_path.iterdir()} == {0o600}
    store.close()


def test_the_migrations_build_exactly_the_tables_of_the_schema(tmp_path: Path) -> None:
    a_store(tmp_path).close()
    engine = create_engine(f"sqlite:///{tmp_path / 'penstock.db'}")
    with engine.connect() as connection:
        options: dict[str, object] = {"compare_type": True, "compare_server_default": True}
        assert compare_metadata(MigrationContext.configure(connection, opts=options), metadata) == []
        built = connection.exec_driver_sql("SELECT sql FROM sqlite_master WHERE name = 'calls'").scalar_one()
    engine.dispose()
    for constraint in metadata.tables["calls"].constraints:
        assert constraint.name is None or str(constraint.name) in built


def test_the_newest_migration_is_the_one_that_saves_the_import_of_alembic() -> None:
    config = Config()
    config.set_main_option("script_location", "penstock.store:migrations")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def test_tables_newer_than_the_program_are_left_alone(tmp_path: Path) -> None:
    a_store(tmp_path).close()
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as database, database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    store = SqliteStore(tmp_path / "penstock.db")
    with pytest.raises(StoreAway, match="do not fit this version"):
        store.prepare()
    store.close()


def test_a_store_that_somebody_else_writes_is_locked_and_takes_the_batch_later(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "penstock.db", isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreAway) as caught:
            store.upsert(rows(an_open_call()), [], HERE)
        assert caught.value.is_locked
    store.upsert(rows(an_open_call()), [], HERE)
    assert (store.count(), store.checkpoints("g")) == (1, {"s": 1})
    store.close()


def test_preparing_again_does_not_let_others_drop_what_is_not_yet_in_the_main_file(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    store.prepare()
    somebody = "import sqlite3, sys; c = sqlite3.connect(sys.argv[1]); c.execute('SELECT * FROM calls'); c.close()"
    subprocess.run([sys.executable, "-c", somebody, str(tmp_path / "penstock.db")], check=True)
    store.upsert(rows(an_open_call()), [], HERE)
    with closing(sqlite3.connect(tmp_path / "penstock.db")) as reader:
        assert reader.execute("SELECT id FROM calls").fetchall() == [("c1",)]
    store.close()


def test_freed_space_is_given_back_a_mebibyte_at_a_time(tmp_path: Path) -> None:
    store = a_store(tmp_path)
    calls = [an_open_call(f"c{number}") for number in range(4000)]
    for call in calls:
        call.error_detail = "x" * 3000
    store.upsert(rows(*calls), [], HERE)
    full = (tmp_path / "penstock.db").stat().st_size
    store.shed(Kind.CALLS, before=None, limit=4000)
    steps = 1
    while store.give_back():
        steps += 1
    store.close()
    freed = full - (tmp_path / "penstock.db").stat().st_size
    assert freed > 6 << 20
    assert steps <= freed / (GIVE_BACK_PAGES * 4096) + 1


def test_a_store_without_its_folder_is_away_and_not_locked(tmp_path: Path) -> None:
    store = SqliteStore(tmp_path / "nowhere" / "penstock.db")
    with pytest.raises(StoreAway) as caught:
        store.prepare()
    assert not caught.value.is_locked
    store.close()


def test_a_file_that_is_no_database_is_away_and_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "penstock.db").write_bytes(b"a letter to a friend" * 100)
    store = SqliteStore(tmp_path / "penstock.db")
    with pytest.raises(StoreAway, match="not a database"):
        store.prepare()
    store.close()
    assert (tmp_path / "penstock.db").read_bytes() == b"a letter to a friend" * 100


def test_what_the_gateway_imports_brings_no_database_along() -> None:
    program = (
        "import sys, penstock.store.journal, penstock.store.segments, penstock.store.status,"
        " penstock.runtime.records.bookkeeping;"
        " print({'sqlalchemy', 'alembic', 'sqlite3'} & sys.modules.keys() or 'none')"
    )
    said = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert said.stdout == "none\n"
