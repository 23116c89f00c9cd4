"""Which call is meant by the end of its id."""

from __future__ import annotations

import json

import pytest
import typer

from penstock.cli.asking import whole_id
from penstock.cli.client import GatewayClient
from tests.cli.strangers import answer_of, stranger

ONE, TWO = "01a1feae-b32b-773b-92d8-7b65346829c6", "01a1feae-b326-7d32-991f-b9aa0b9ab9c6"
UNSAID = ("model", "key", "priority", "position", "wait_reason", "wait_for", "estimate_s", "bound_s")


def calls(*call_ids: str) -> bytes:
    """The answer of a gateway with these calls."""
    rest = {**dict.fromkeys(UNSAID), "phase": "queued", "received_at": 0.0}
    return answer_of(json.dumps([{"id": call_id, **rest} for call_id in call_ids]).encode())


@pytest.mark.parametrize(
    ("given", "meant"),
    [("7b65346829c6", ONE), ("29c6", ONE), (TWO, TWO), ("", ""), ("9c6", "9c6"), ("0000", "0000")],
)
def test_the_end_of_an_id_names_a_call_if_it_is_long_enough_and_some_call_has_it(given: str, meant: str) -> None:
    with stranger(calls(ONE, TWO)) as server:
        assert whole_id(GatewayClient(server.url, None), given) == meant


def test_the_end_of_several_ids_names_none_of_them() -> None:
    with stranger(calls(ONE, "x" + ONE[1:])) as server, pytest.raises(typer.BadParameter, match="the end of 2 calls"):
        whole_id(GatewayClient(server.url, None), "7b65346829c6")
