"""`penstock profiles` against a running gateway."""

from __future__ import annotations

import json
from collections.abc import Iterator
from subprocess import CompletedProcess

import pytest

from tests.e2e.program import Program, run

CONFIG = """
penstock: 1
models: {a: {upstream: "http://127.0.0.1:9"}, b: {upstream: "http://127.0.0.1:9"}}
profiles:
  day: {description: By day., pins: {a: b, b: ""}}
  none: {pins: {c: a}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("profiles"), CONFIG) as program:
        yield program


def tell(program: Program, *argv: str) -> CompletedProcess[str]:
    return run("profiles", *argv, home=program.folder, PENSTOCK_URL=program.url, COLUMNS="200")


def test_profiles_are_listed_and_switched(program: Program) -> None:
    assert tell(program, "use", "day").stdout == "active: day\n"
    listed = tell(program).stdout
    assert "a = b, b = off" in listed
    assert [line.split()[:2] for line in listed.splitlines() if "*" in line] == [["*", "day"]]
    assert json.loads(tell(program, "--json").stdout)["active"] == "day"
    assert tell(program, "use", "none").stdout == "active: none\n", "a profile may be called so"
    assert json.loads(tell(program, "none", "--json").stdout) == {"active": None}


def test_what_cannot_be_switched_is_said(program: Program) -> None:
    unknown = tell(program, "use", "night")
    assert (unknown.returncode, unknown.stdout) == (1, "")
    assert "The profile `night` does not exist." in unknown.stderr
    for argv in (["use"], ["none", "day"], ["switch"]):
        assert tell(program, *argv).returncode == 2
    assert run("profiles", home=program.folder, PENSTOCK_URL="http://127.0.0.1:9").returncode == 4
