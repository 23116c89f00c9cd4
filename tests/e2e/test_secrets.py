"""What opens the gateway's own doors stays with it: no engine finds it in its environment, unless it is given it."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.program import Program, engine_cmd
from tests.e2e.store import SqliteBooks
from tests.fakes import in_loop

GIVEN = "env: ['DATABASE_URL=${env.DATABASE_URL}', 'TOKEN=${env.PENSTOCK_KEY}']"
CONFIG = f"""
penstock: 1
models:
  plain: {{cmd: {engine_cmd()}, memory: 1MiB}}
  given: {{cmd: {engine_cmd()}, memory: 1MiB, {GIVEN}}}
"""


def environ_of(pid: object) -> dict[str, str]:
    lines = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


@in_loop
async def test_an_engine_gets_no_secret_of_the_gateway_but_all_else_and_what_its_model_says(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/kept.db"
    with Program(tmp_path, CONFIG, DATABASE_URL=url, PENSTOCK_KEY="sk-penstock-x", HF_TOKEN="hf_x") as program:
        program.books, found = SqliteBooks(tmp_path / "kept.db"), {}
        for model in ("plain", "given"):
            assert (await program.chat(model)).status == 200
            found[model] = environ_of((await program.seen(model))["pid"])
        assert (await program.record(await program.chat("plain"))).outcome == "completed"  # for it the URL counts
    plain, given = found["plain"], found["given"]
    assert not {"DATABASE_URL", "PENSTOCK_KEY", "PENSTOCK_STORE"} & plain.keys()
    assert (plain["HF_TOKEN"], plain["HOME"], "PATH" in plain) == ("hf_x", str(tmp_path), True)
    assert (given["DATABASE_URL"], given["TOKEN"]) == (url, "sk-penstock-x")
