"""kill -9 under load: no call is lost or told twice, none is called complete that was not, and no engine stays."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from penstock.core.record import CallRecord
from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, header, id_of
from tests.fakes import Answer, in_loop
from tests.store.postgres_server import Server

CONFIG = f"""
penstock: 1
models:
  quick: {{cmd: {engine_cmd("--fork")}, memory: 1MiB, parallel: 3}}
  other: {{cmd: {engine_cmd("--fork")}, memory: 1MiB, parallel: 2}}
  loads: {{cmd: {engine_cmd("--load-s", "600", "--fork")}, memory: 1MiB}}
"""
CLIENTS = 10
WAITERS = 3

KINDS: list[dict[str, object]] = [
    chat_body("quick"),
    chat_body("other", stream=True, fake={"pace_s": 0.003, "tokens": 20}),
    chat_body("quick", stream=True, stream_options={"include_usage": True}),
    chat_body("nobody"),
    chat_body("other", fake={"delay_s": 0.01}),
    chat_body("quick", fake={"kind": "nothing"}),
]


@dataclass
class Told:
    """What the clients of one life of the gateway were told, by their own request ids."""

    sent: set[str] = field(default_factory=set)
    ids: dict[str, str] = field(default_factory=dict)  # request id -> record id, for each head received
    whole: set[str] = field(default_factory=set)
    enough: asyncio.Event = field(default_factory=asyncio.Event)


def is_whole(answer: Answer) -> bool:
    length = header(answer, "content-length")
    return answer.body.endswith(b"0\r\n\r\n") if length is None else len(answer.body) == int(length)


async def one_call(program: Program, name: str, body: dict[str, object], told: Told) -> None:
    told.sent.add(name)
    try:
        answer = await program.post(CHAT, body, headers=f"x-request-id: {name}\r\n")
    except OSError:  # it was gone before an answer
        return
    if b"\r\n\r\n" in answer.raw:
        told.ids[name] = id_of(answer)
        if is_whole(answer):
            told.whole.add(name)
        if len(told.ids) >= 8 * CLIENTS:
            told.enough.set()


async def client(program: Program, name: str, told: Told) -> None:
    """Ask for one thing after another until nobody answers any more."""
    number = 0
    while program.process.poll() is None:
        await one_call(program, f"{name}-{number}", KINDS[(number + len(told.sent)) % len(KINDS)], told)
        number += 1


async def one_life(folder: Path, life: int, environ: dict[str, str]) -> Told:
    """Start, load, kill; what the clients were told."""
    told = Told()
    with Program(folder, CONFIG, **environ) as program:
        waiters = [
            asyncio.create_task(one_call(program, f"{life}-waiter-{n}", chat_body("loads"), told))
            for n in range(WAITERS)
        ]
        await program.engine_port("loads")  # its engine and that one's child run
        clients = [asyncio.create_task(client(program, f"{life}-{n}", told)) for n in range(CLIENTS)]
        await told.enough.wait()
        assert len(program.processes()) >= 6
        program.kill()
        await asyncio.gather(*clients, *waiters)
        program.wait_until_none_is_left()
    return told


def assert_true(records: dict[str, CallRecord], told: Told) -> None:
    """The records of one life, by request id, against what its clients saw."""
    assert records.keys() <= told.sent, "none that was not sent"
    for name, record_id in told.ids.items():
        assert records[name].id == record_id
    for name, record in records.items():
        assert record.outcome is not None
        assert (record.done_s is None) == (record.outcome == "interrupted")
        if record.outcome in ("completed", "rejected_unknown_model"):
            assert name in told.whole, "its last byte arrived"
        if record.outcome == "interrupted":
            assert record.completion_tokens is None
    assert sum(record.outcome == "interrupted" for record in records.values()) >= WAITERS


async def kill_and_look(folder: Path, lives: int, **environ: str) -> None:
    told_before: set[str] = set()  # earlier boots
    for life in range(lives):
        told = await one_life(folder, life, environ)
        with Program(folder, CONFIG, **environ) as after:
            await after.closed_records(set(told.ids.values()))
            await after.until_no_record_is_open()
            mine = [record for record in after.records().values() if record.boot_id not in told_before]
            told_before |= {record.boot_id for record in mine}
            by_name = {record.client_request_id or "": record for record in mine}
            assert len(by_name) == len(mine), "each of them once"
            assert_true(by_name, told)
            assert after.stop() == 0
            after.wait_until_none_is_left()


LIVES = [2, pytest.param(200, marks=[pytest.mark.long, pytest.mark.timeout(7200)])]


@pytest.mark.parametrize("lives", LIVES)
@in_loop
async def test_lives_that_end_by_sigkill(tmp_path: Path, lives: int) -> None:
    await kill_and_look(tmp_path, lives)


@pytest.mark.parametrize("lives", LIVES)
@in_loop
async def test_lives_that_end_by_sigkill_with_postgresql(tmp_path: Path, postgres: Server, lives: int) -> None:
    await kill_and_look(tmp_path, lives, DATABASE_URL=postgres.new_database())
