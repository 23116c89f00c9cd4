"""One PostgreSQL server for the tests that start programs: making it takes longer than most of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.store.postgres_server import Server, a_postgres_server


@pytest.fixture(scope="session")
def postgres() -> Iterator[Server]:
    with a_postgres_server() as server:
        yield server
