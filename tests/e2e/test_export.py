"""`penstock export` beside a gateway that runs, after one that was killed, and back into another store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.e2e.program import Program, chat_body, engine_cmd, id_of, run
from tests.fakes import in_loop
from tests.store.both import KINDS, environ_for
from tests.store.postgres_server import Server

CONFIG = f"""
penstock: 1
models:
  a: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 2}}
  loads: {{cmd: {engine_cmd("--load-s", "600")}, memory: 1MiB}}
"""


def exported(folder: Path, *argv: str, **environ: str) -> dict[str, dict[str, object]]:
    """What is written to standard output, by id; nothing else is said."""
    ended = run("export", "--jsonl", *argv, home=folder, **environ)
    assert (ended.returncode, ended.stderr) == (0, "")
    found = [json.loads(line) for line in ended.stdout.splitlines()]
    assert len({each["id"] for each in found}) == len(found)
    return {each["id"]: each for each in found}


@pytest.mark.parametrize("kind", KINDS)
@in_loop
async def test_all_calls_are_there_at_once_whether_the_gateway_runs_or_was_killed(
    tmp_path: Path, kind: str, request: pytest.FixtureRequest
) -> None:
    environ = environ_for(kind, request)
    with Program(tmp_path, CONFIG, **environ) as program:
        answers = [await program.chat("a", fake={"tokens": tokens}) for tokens in (1, 2, 3)]
        refused = await program.chat("nobody")
        assert refused.status == 404
        beside = exported(tmp_path, **environ)  # at once: the store is told twice a second
        assert set(map(id_of, [*answers, refused])) <= beside.keys()
        assert [beside[id_of(answer)]["completion_tokens"] for answer in answers] == [1, 2, 3]
        async with program.talk(program.request("/v1/chat/completions", chat_body("loads"))):
            await program.engine_port("loads")
            last = await program.chat("a")
            await program.state()  # a turn later, its end is in the journal too
            program.kill()
        program.wait_until_none_is_left()
    after = exported(tmp_path, **environ)
    (cut,) = (each for each in after.values() if each["id"] not in {*beside, id_of(last)})
    assert (cut["outcome"], cut["total_s"], cut["model"]) == ("interrupted", None, "loads")
    assert after[id_of(last)]["outcome"] == "completed"
    assert len(after) == len(beside) + 2
    assert not list((program.state_dir / "journal").glob("*.jsonl"))


@in_loop
async def test_the_store_may_be_named_by_its_address_alone(tmp_path: Path) -> None:
    state_dir = tmp_path / "elsewhere"
    with Program(tmp_path, CONFIG, "--state-dir", str(state_dir)) as program:
        answer = await program.chat("a")
        address = f"sqlite:///{state_dir / 'penstock.db'}"
        assert id_of(answer) in exported(tmp_path, "--store", address)
        last = await program.chat("a")
        program.kill()
        program.wait_until_none_is_left()
    assert {id_of(answer), id_of(last)} <= exported(tmp_path, "--store", address).keys()


@in_loop
async def test_a_journal_is_never_brought_into_a_store_that_it_does_not_belong_to(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        answer = await program.chat("a")
        await program.record(answer)
        state_dir = program.state_dir
        program.kill()
        program.wait_until_none_is_left()
    other = tmp_path / "other.db"
    ended = run("export", "--store", f"sqlite:///{other}", "--state-dir", str(state_dir), home=tmp_path)
    assert ended.returncode == 1
    assert not other.exists()
    run("store", "import", str(_empty(tmp_path)), "--store", f"sqlite:///{other}", home=tmp_path)
    ended = run("export", "--store", f"sqlite:///{other}", "--state-dir", str(state_dir), home=tmp_path)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert "is left out: belongs to sqlite:///" in ended.stderr
    assert id_of(answer) in exported(tmp_path)


def _empty(folder: Path) -> Path:
    path = folder / "empty.jsonl"
    path.touch()
    return path


@in_loop
async def test_windows_files_and_the_way_back(tmp_path: Path, postgres: Server) -> None:
    with Program(tmp_path, CONFIG) as program:
        answers = [await program.chat("a") for _ in range(3)]
        await program.closed_records(set(map(id_of, answers)))
        assert program.stop() == 0
    records = exported(tmp_path)
    middle = records[id_of(answers[1])]["received_at"]
    assert len(exported(tmp_path, "--last", "1h")) == 3
    assert list(exported(tmp_path, "--to", repr(middle))) == [id_of(answers[0])]
    assert list(exported(tmp_path, "--from", repr(middle))) == list(map(id_of, answers[1:]))
    file = tmp_path / "calls.csv"
    assert run("export", "-o", str(file), home=tmp_path).returncode == 0
    assert file.read_text().startswith("id,gateway_id,")
    there = {"DATABASE_URL": postgres.new_database()}
    ended = run("store", "import", str(file), home=tmp_path, **there)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "3 calls read, 0 left out\n", "")
    assert exported(tmp_path, **there) == records


def test_what_is_asked_wrongly_is_said_and_not_guessed(tmp_path: Path) -> None:
    assert "there is no store at" in run("export", home=tmp_path).stderr
    for argv in (["--csv", "--jsonl"], ["--last", "soon"], ["--from", "yesterday"], ["--last", "1h", "--to", "3"]):
        assert run("export", *argv, home=tmp_path).returncode == 2
    wrong = run("export", "--store", "mysql://me:hunter2@h/d", home=tmp_path)
    assert wrong.returncode == 2
    assert "expected sqlite:///PATH or postgresql://" in wrong.stderr
    away = run("export", "--store", "postgresql://me:hunter2@127.0.0.1:9/d", home=tmp_path)
    assert (away.returncode, away.stdout) == (1, "")
    assert "the store postgresql://me@127.0.0.1:9/d is away" in away.stderr
    assert "hunter2" not in away.stderr + wrong.stderr
