"""The command itself: how it begins, how it ends, what its exit codes say, what the small commands print."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from penstock import __version__
from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, id_of, release, run
from tests.fakes import in_loop

CONFIG = f"""
penstock: 1
models:
  a: {{cmd: {engine_cmd("--fork")}, memory: 1MiB, aliases: [first], description: "A fake."}}
  b: {{cmd: {engine_cmd()}, memory: 1MiB, unlisted: true}}
"""


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("command"), CONFIG) as program:
        yield program


def test_it_says_where_it_is_and_how_to_try_it(program: Program) -> None:
    assert f"dashboard  {program.url}/" in program.greeting
    assert f'curl {program.url}/v1/chat/completions -d \'{{"model":"a"' in program.greeting


@in_loop
async def test_the_list_is_found_with_a_slash_too_and_health_without_a_body(program: Program) -> None:
    for path in ("/v1/models/", "/models", "/models/"):
        assert [row["id"] for row in (await program.get(path)).json()["data"]] == ["a"]  # type: ignore[attr-defined]
    head = await program.send(program.request("/health", method="HEAD", headers="connection: close\r\n"))
    assert (head.status, head.content) == (200, b"")


def test_version_prints_the_version(tmp_path: Path) -> None:
    done = run("version", home=tmp_path)
    assert (done.returncode, done.stdout) == (0, f"{__version__}\n")


def test_models_lists_them_for_people_and_for_machines(program: Program) -> None:
    told = run("models", "--url", program.url, home=program.folder)
    assert told.returncode == 0
    assert "MODEL" in told.stdout
    assert "stopped" in told.stdout
    listed = json.loads(run("models", "--json", home=program.folder, PENSTOCK_URL=program.url).stdout)
    assert [(model["name"], model["aliases"]) for model in listed] == [("a", ["first"]), ("b", [])]


@in_loop
async def test_ps_lists_what_runs(program: Program) -> None:
    assert json.loads(run("ps", "--json", "--url", program.url, home=program.folder).stdout) == []
    async with program.talk(program.request(CHAT, chat_body("first", fake={"gate_at": 0}))):
        await program.until_phase("a", "ready")
        await program.seen("a", busy=1)
        (call,) = json.loads(run("ps", "--json", "--url", program.url, home=program.folder).stdout)
        assert (call["model"], call["phase"]) == ("a", "sent")
        assert call["id"][-12:] in run("ps", "--url", program.url, home=program.folder).stdout


def test_a_client_command_without_a_gateway_ends_with_4(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://127.0.0.1:{taken.getsockname()[1]}"
    done = run("models", "--url", url, home=tmp_path)
    assert done.returncode == 4
    assert "penstock serve" in done.stderr


@pytest.mark.parametrize("argv", [("serve", "--no-such-flag"), ("nonsense",), ("serve", "--listen", "nowhere")])
def test_wrong_usage_ends_with_2(tmp_path: Path, argv: tuple[str, ...]) -> None:
    assert run(*argv, home=tmp_path).returncode == 2


def test_a_bad_configuration_ends_with_3_and_says_where(tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_text("penstock: 1\nmodels:\n  a:\n    cmd: x\n    paralel: 2\n    ttl: soon\n")
    for argv in (("serve", "--config", str(file)), ("check", str(file))):
        done = run(*argv, home=tmp_path)
        assert done.returncode == 3
        said = done.stdout + done.stderr
        assert "bad.yaml:5:" in said
        assert "parallel" in said, "the suggestion"
        assert "bad.yaml:6:" in said
        assert "Traceback" not in said
    assert run("check", str(tmp_path / "absent.yaml"), home=tmp_path).returncode == 3


def test_a_good_configuration_is_found_good(program: Program) -> None:
    assert run("check", str(program.folder / "config.yaml"), home=program.folder).returncode == 0


def test_a_second_gateway_on_the_same_state_is_refused(program: Program) -> None:
    done = run("serve", "--config", str(program.folder / "config.yaml"), "--listen", ":0", home=program.folder)
    assert done.returncode == 1
    assert "in use by another gateway" in done.stderr
    assert str(program.state_dir) in done.stderr
    assert "Traceback" not in done.stderr


def test_a_folder_that_cannot_be_used_is_told_with_the_option_that_names_another(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text('penstock: 1\nmodels: {a: {upstream: "http://127.0.0.1:9"}}\n')
    (tmp_path / "file").write_text("")
    for folder in (tmp_path / "file", tmp_path / "file" / "inside"):
        argv = ("--config", str(tmp_path / "c.yaml"), "--state-dir", str(folder), "--listen", ":0")
        done = run("serve", *argv, home=tmp_path)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert f"{folder} cannot be the state folder" in done.stderr
        assert "--state-dir names another" in done.stderr


def test_a_folder_of_models_that_is_not_there_or_not_looked_at_is_told(tmp_path: Path) -> None:
    absent = run("serve", "--models-dir", str(tmp_path / "none"), home=tmp_path)
    assert (absent.returncode, absent.stderr) == (
        2,
        f"penstock: --models-dir {tmp_path}/none: there is no such folder\n",
    )
    (tmp_path / "c.yaml").write_text("penstock: 1\n")
    unused = run("serve", "--models-dir", str(tmp_path), "--config", str(tmp_path / "c.yaml"), home=tmp_path)
    assert unused.returncode == 2
    assert "--models-dir is for serving without a configuration" in unused.stderr


def test_a_port_that_is_taken_is_named(program: Program, tmp_path: Path) -> None:
    listen = f"127.0.0.1:{program.port}"
    done = run("serve", "--config", str(program.folder / "config.yaml"), "--listen", listen, home=tmp_path)
    assert done.returncode == 1
    assert f"cannot listen on {listen}: Address already in use: is a gateway running there already?" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@in_loop
async def test_a_signal_ends_it_and_everything_it_started(tmp_path: Path, number: signal.Signals) -> None:
    with Program(tmp_path, CONFIG) as program:
        answer = await program.chat("a")
        assert len(program.processes()) == 4, "guard, engine, its child, bookkeeper"
        assert program.stop(number) == 0
        program.wait_until_none_is_left(within_s=1)
        assert program.records()[id_of(answer)].outcome == "completed"
        assert "Traceback" not in program.log


@in_loop
async def test_what_runs_may_finish_and_what_waits_is_told(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        sent = program.request(CHAT, chat_body("a", stream=True, fake={"gate_at": 1}))
        async with program.talk(sent) as running, program.talk(program.request(CHAT, chat_body("a"))) as waiting:
            await running.readuntil(b"\n\n")
            await program.until_waiting(1)
            engine = await program.engine_port("a")
            program.process.send_signal(signal.SIGTERM)
            told = (await waiting.read(-1)).decode()
            assert told.startswith("HTTP/1.1 503")
            assert '"code":"shutting_down"' in told
            await release(engine)
            assert (await running.read(-1)).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
        assert program.process.wait() == 0
        outcomes = [record.outcome for record in program.records().values()]
        assert sorted(outcome or "" for outcome in outcomes) == ["completed", "rejected_shutdown"]


@in_loop
async def test_a_second_signal_cuts_what_is_still_running(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        async with program.talk(program.request(CHAT, chat_body("a", fake={"gate_at": 0}))) as running:
            await program.until_phase("a", "ready")
            await program.seen("a", busy=1)
            program.process.send_signal(signal.SIGINT)
            await program.until_log("gateway_stopping")
            program.process.send_signal(signal.SIGINT)
            with pytest.raises((ConnectionError, asyncio.IncompleteReadError)):
                await running.readexactly(1)
        assert program.process.wait() == 0
        (record,) = program.records().values()
        assert record.outcome == "interrupted"
        program.wait_until_none_is_left(within_s=1)
