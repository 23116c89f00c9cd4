"""An engine gets the gateway's environment without what opens the gateway's own doors."""

from __future__ import annotations

import pytest

from penstock.launch.inheritance import inherited

OTHERS = {"PATH": "/bin", "HF_TOKEN": "hf", "CUDA_VISIBLE_DEVICES": "0", "PENSTOCK_URL": "http://there", "PGHOST": "db"}


@pytest.mark.parametrize("url", ["postgresql://u:hunter2@db/x", "postgres://db/x", "sqlite:////x.db"])
def test_the_store_and_the_keys_of_the_gateway_stay_with_it_and_all_else_is_passed_on(url: str) -> None:
    ours = {"DATABASE_URL": url, "PENSTOCK_KEY": "sk-penstock-x", "PENSTOCK_STORE": url}
    assert inherited({**ours, **OTHERS}) == OTHERS


def test_a_database_that_is_no_store_of_ours_is_for_the_engine() -> None:
    assert inherited({"DATABASE_URL": "mysql://u:p@db/x"}) == {"DATABASE_URL": "mysql://u:p@db/x"}
