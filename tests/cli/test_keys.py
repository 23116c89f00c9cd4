"""`penstock keys`, as people and scripts use it, with and without a gateway."""

from __future__ import annotations

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest

from penstock.config.access import hashed
from penstock.runtime.access.key_file import KeyFile
from tests.e2e.program import Program, run, until
from tests.fakes import in_loop

CONFIG = 'penstock: 1\nmodels: {m: {upstream: "http://127.0.0.1:9"}}\n'


def keys(home: Path, *argv: str) -> CompletedProcess[str]:
    return run("keys", *argv, home=home)


def state(home: Path) -> Path:
    return home / ".local" / "state" / "penstock"


def listed(home: Path) -> Any:
    return json.loads(keys(home, "list", "--json").stdout)


def test_a_key_is_printed_once_has_256_bits_and_is_kept_as_its_hash(tmp_path: Path) -> None:
    made = keys(tmp_path, "add", "ann", "--role", "viewer")
    secret = made.stdout.strip()
    assert made.returncode == 0
    assert re.fullmatch(r"sk-penstock-[\w-]{43}", secret)
    assert len(base64.urlsafe_b64decode(secret.removeprefix("sk-penstock-") + "=")) == 32
    kept = "".join(path.read_text() for path in state(tmp_path).iterdir())
    assert hashed(secret) in kept
    assert secret not in kept + made.stderr
    assert secret not in keys(tmp_path, "list").stdout
    assert KeyFile(state(tmp_path)).path.stat().st_mode & 0o777 == 0o600


def test_all_that_was_asked_for_is_listed(tmp_path: Path) -> None:
    made = keys(
        tmp_path, "add", "bob", "--priority", "low", "--weight", "0.5", "--models", "qwen*", "--models", "gemma",
        "--max-concurrent", "3", "--quota", "100 requests per 1m", "--quota", "1M tokens per 1d",
        "--expires", "2027-01-31", "--json",
    )  # fmt: skip
    secret = json.loads(made.stdout)["key"]
    assert listed(tmp_path) == [
        {
            "name": "bob", "fingerprint": hashed(secret)[7:15], "role": "none", "priority": "low", "weight": 0.5,
            "models": ["qwen*", "gemma"], "max_concurrent": 3, "expires_at": 1_801_440_000.0,
            "quotas": [{"quota": "100 requests per 1m", "used": None}, {"quota": "1M tokens per 1d", "used": None}],
        }
    ]  # fmt: skip
    shown = keys(tmp_path, "list").stdout
    assert "? of 1M tokens per 1d" in shown
    assert "until 2027-02-01" in shown


@pytest.mark.parametrize(
    ("argv", "words"),
    [
        (["a b"], "a name of at most 64"),
        (["ann", "--role", "boss"], "--role"),
        (["ann", "--weight", "-1"], "--weight"),
        (["ann", "--quota", "soon"], "100 requests per 1m"),
        (["ann", "--max-concurrent", "0"], "--max-concurrent"),
        (["ann", "--expires", "never"], "--expires: expected a day such as 2027-01-31"),
    ],
)
def test_what_cannot_be_understood_is_told_and_makes_no_key(tmp_path: Path, argv: list[str], words: str) -> None:
    ended = keys(tmp_path, "add", *argv)
    assert ended.returncode == 2
    assert words in ended.stderr
    assert ended.stdout == ""
    assert listed(tmp_path) == []


def test_a_name_is_used_once_and_what_is_not_there_cannot_be_revoked(tmp_path: Path) -> None:
    assert keys(tmp_path, "revoke", "ann").returncode == 1
    assert keys(tmp_path, "add", "ann").returncode == 0
    again = keys(tmp_path, "add", "ann")
    assert (again.returncode, again.stdout) == (2, "")
    wrong = keys(tmp_path, "revoke", "eve")
    assert wrong.returncode == 1
    assert "there are: ann" in wrong.stderr
    assert keys(tmp_path, "revoke", "ann").returncode == 0
    assert listed(tmp_path) == []


def test_a_file_with_faults_is_told_and_left_as_it_is(tmp_path: Path) -> None:
    state(tmp_path).mkdir(parents=True)
    file = state(tmp_path) / "keys.yaml"
    file.write_text("penstock: 1\nkeys: {ann: {hash: nonsense}}\n")
    ended = keys(tmp_path, "add", "bob")
    assert (ended.returncode, ended.stdout) == (3, "")
    assert "keys.ann.hash" in ended.stderr
    assert "nonsense" in file.read_text()


def test_the_state_folder_may_be_the_configurations(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text(f"{CONFIG}state_dir: kept\n")
    assert keys(tmp_path, "add", "ann", "--config", "c.yaml").returncode == 0
    assert (tmp_path / "kept" / "keys.yaml").is_file()


def test_the_usual_configuration_says_where_as_it_does_for_the_gateway(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text(f"{CONFIG}state_dir: kept\n")
    assert keys(tmp_path, "add", "ann").returncode == 0
    assert (tmp_path / "kept" / "keys.yaml").is_file()
    assert [row["name"] for row in listed(tmp_path)] == ["ann"]


def test_models_that_nothing_is_called_are_warned_of_and_the_key_is_made(tmp_path: Path) -> None:
    (tmp_path / "penstock.yaml").write_text(
        'penstock: 1\nmodels: {m: {upstream: "http://127.0.0.1:9", aliases: [alias]}}\n'
        "selectors: {any: {strategy: warm, targets: [m]}}\n"
    )
    asked = ["m", "al*", "any", "nonexistent", "x*"]
    made = keys(tmp_path, "add", "ann", *(word for each in asked for word in ("--models", each)))
    warnings = [line for line in made.stderr.splitlines() if "warning" in line]
    assert made.returncode == 0
    assert warnings == [
        f"penstock: warning: --models {each}: no model is called that at the moment" for each in ("nonexistent", "x*")
    ]
    assert listed(tmp_path)[0]["models"] == asked


def test_where_nobody_knows_the_models_nothing_is_warned_of(tmp_path: Path) -> None:
    made = keys(tmp_path, "add", "ann", "--models", "nonexistent")
    assert (made.returncode, "warning" in made.stderr) == (0, False)


def test_several_at_once_lose_no_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda name: keys(tmp_path, "add", name), "abcd"))
    assert [each.returncode for each in made] == [0] * 4
    assert sorted(row["name"] for row in listed(tmp_path)) == ["a", "b", "c", "d"]


@in_loop
async def test_a_running_gateway_takes_a_new_key_and_lets_go_of_a_revoked_one(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        assert (await program.get("/v1/models")).status == 200

        async def is_answered(status: int, path: str = "/v1/models", key: str = "") -> bool:
            headers = "connection: close\r\n" + (f"authorization: Bearer {key}\r\n" if key else "")
            return (await program.send(program.request(path, method="GET", headers=headers))).status == status

        secret = keys(tmp_path, "add", "ann", "--role", "viewer").stdout.strip()
        await until(lambda: is_answered(401))
        assert await is_answered(200, key=secret)
        assert await is_answered(200, "/api/v1/keys", secret)
        asked = run("models", "--url", program.url, home=tmp_path, PENSTOCK_KEY=secret)
        assert asked.returncode == 0, asked.stderr
        assert run("models", "--url", program.url, home=tmp_path).returncode == 1
        refused = run("unload", "m", "--url", program.url, "--key", secret, home=tmp_path)
        assert "needs a key with the role admin" in refused.stderr
        keys(tmp_path, "revoke", "ann")
        await until(lambda: is_answered(401, key=secret))
        assert secret not in program.log


def test_a_gateway_whose_keys_cannot_be_read_does_not_start(tmp_path: Path) -> None:
    state(tmp_path).mkdir(parents=True)
    (state(tmp_path) / "keys.yaml").write_text("keys: {")
    (tmp_path / "c.yaml").write_text(CONFIG)
    ended = run("serve", "--config", "c.yaml", "--listen", "127.0.0.1:0", home=tmp_path)
    assert ended.returncode == 3
    assert "keys.yaml" in ended.stderr
