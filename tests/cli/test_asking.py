"""Which call is meant by the end of its id."""

from __future__ import annotations

import pytest
import typer

from penstock.cli.asking import whole_id
from penstock.cli.client import GatewayClient

ONE, TWO = "01a1feae-b32b-773b-92d8-7b65346829c6", "01a1feae-b326-7d32-991f-b9aa0b9ab9c6"


class Lists(GatewayClient):
    """A gateway with two calls."""

    def get(self, path: str) -> list[dict[str, str]]:
        assert path == "/api/v1/calls"
        return [{"id": ONE}, {"id": TWO}]


@pytest.mark.parametrize(
    ("given", "meant"),
    [("7b65346829c6", ONE), ("29c6", ONE), (TWO, TWO), ("", ""), ("9c6", "9c6"), ("0000", "0000")],
)
def test_the_end_of_an_id_names_a_call_if_it_is_long_enough_and_some_call_has_it(given: str, meant: str) -> None:
    assert whole_id(Lists("http://127.0.0.1:1", None), given) == meant


def test_the_end_of_several_ids_names_none_of_them() -> None:
    class Alike(Lists):
        def get(self, path: str) -> list[dict[str, str]]:
            return [{"id": ONE}, {"id": "x" + ONE[1:]}]

    with pytest.raises(typer.BadParameter, match="the end of 2 calls"):
        whole_id(Alike("http://127.0.0.1:1", None), "7b65346829c6")
