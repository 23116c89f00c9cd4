"""Every row of the table of endpoints, streamed and not, through everything that can become of a call.

One gateway serves them all. What came out is gathered for all rows at once, so that one run shows every row that is
wrong; afterwards nothing may be left of them: no call, no slot, no body.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from penstock.core.accounting.record import CallRecord
from tests.door.asks import COMPLETION_TOKENS, Ask, all_asks
from tests.door.refusals import code_of_failure, code_of_refusal
from tests.e2e.program import Program, engine_cmd, header, until
from tests.fakes import Answer, in_loop

BODY_LIMIT_BYTES = 64 * 1024
CONFIG = f"""
penstock: 1
limits: {{body: {BODY_LIMIT_BYTES}, spool: 4KiB}}
breaker: off
wait_comments_after: off
models:
  m: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 512}}
  one: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 1}}
  slow: {{cmd: {engine_cmd("--load-s", "60")}, memory: 1MiB, parallel: 512}}
  keyed: {{cmd: {engine_cmd()}, memory: 1MiB, parallel: 512}}
"""
KEYED = f"""
penstock: 1
models: {{m: {{cmd: {engine_cmd()}}}}}
keys: {{ann: {{hash: "sha256:{hashlib.sha256(b"right").hexdigest()}", role: admin}}}}
"""
ASKS = list(all_asks())
OTHERS = [ask for ask in all_asks(spellings=True) if ask.path != ask.row.path.decode()]
"""Each row by the first of its names, and by all others."""

AT_ONCE = 16


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    with Program(tmp_path_factory.mktemp("endpoints"), CONFIG) as program:
        yield program


@pytest.fixture(params=[ASKS, pytest.param(OTHERS, marks=pytest.mark.long)], ids=["first", "others"])
def asks(request: pytest.FixtureRequest) -> list[Ask]:
    asks: list[Ask] = request.param
    return asks


class Faults(list[str]):
    """What is wrong, row by row."""

    def check(self, of: str, what: str, found: object, wanted: object) -> None:
        if found != wanted:
            self.append(f"{of}: {what} is {found!r:.300}, not {wanted!r:.300}")


async def ask_all(program: Program, asks: list[Ask], kind: str, **said: object) -> dict[str, Answer]:
    """The answers by the names of the requests."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(ask: Ask) -> tuple[str, Answer]:
        async with room:
            return ask.name, await program.send(ask.sent(**arguments(ask, kind, said)))  # type: ignore[arg-type]

    return dict(await asyncio.gather(*(one(ask) for ask in asks)))


def arguments(ask: Ask, kind: str, said: dict[str, object]) -> dict[str, object]:
    """What is said of every request; functions are asked for each."""
    given = {name: value(ask) if callable(value) else value for name, value in said.items()}
    return {"model": "m", "name": f"{kind} {ask.name}", **given}


async def records_of(program: Program, asks: list[Ask], kind: str) -> dict[str, CallRecord]:
    """The closed records by the names of the requests, exactly one of each."""
    names = {f"{kind} {ask.name}": ask.name for ask in asks}
    found: dict[str, list[CallRecord]] = {}

    async def are_there() -> bool:
        found.clear()
        for record in program.records().values():
            if (name := names.get(record.client_request_id or "")) and not record.is_open():
                found.setdefault(name, []).append(record)
        return len(found) == len(asks)

    await until(are_there)
    twice = [name for name, records in found.items() if len(records) > 1]
    assert not twice, f"more than one record: {twice}"
    return {name: records[0] for name, records in found.items()}


async def until_nothing_is_left(program: Program) -> None:
    async def is_idle() -> bool:
        state = await program.state()
        return not state["calls"] and not any(model["running"] for model in state["models"].values())

    await until(is_idle)
    assert not spooled(program), "a body is still on disk"


def spooled(program: Program) -> list[str]:
    """Bodies that the gateway keeps on disk: files without a name, open or mapped."""
    folder, found = Path(f"/proc/{program.pid}/fd"), []
    for each in folder.iterdir():
        try:
            found.append(os.readlink(each))
        except FileNotFoundError:
            continue
    found += Path(f"/proc/{program.pid}/maps").read_text().splitlines()
    return [each for each in found if "(deleted)" in each and str(program.state_dir) in each]


# What an engine answers.


def judge_answer(faults: Faults, ask: Ask, answer: Answer, kind: str, status: int, body: tuple[str, bytes]) -> None:
    faults.check(ask.name, "status", answer.status, status)
    faults.check(ask.name, "body", answer.content, body[1])
    faults.check(ask.name, "content-type", header(answer, "content-type"), body[0])
    faults.check(ask.name, "x-request-id", header(answer, "x-request-id"), f"{kind} {ask.name}")
    faults.check(ask.name, "x-penstock-model", header(answer, "x-penstock-model"), "m")


def judge_record(faults: Faults, ask: Ask, record: CallRecord, outcome: str, status: int | None) -> None:
    faults.check(ask.name, "outcome", record.outcome, outcome)
    faults.check(ask.name, "http_status", record.http_status, status)
    faults.check(ask.name, "dialect", record.dialect, ask.dialect)
    faults.check(ask.name, "path", record.path, ask.path)
    faults.check(ask.name, "method", record.method, ask.method)


def judge_served(faults: Faults, ask: Ask, record: CallRecord, answer: Answer) -> None:
    prompt, completion = ask.counts
    faults.check(ask.name, "tokens", (record.prompt_tokens, record.completion_tokens), (prompt, completion))
    faults.check(ask.name, "streamed", record.streamed, ask.is_stream)
    faults.check(ask.name, "response_bytes", record.response_bytes, len(answer.content))
    faults.check(ask.name, "request_bytes", record.request_bytes, len(ask.body("m")))
    faults.check(ask.name, "model", (record.model_requested, record.model, record.engine is None), ("m", "m", False))


async def serve_well(program: Program, asks: list[Ask], kind: str, fake: dict[str, object]) -> Faults:
    """What is wrong with answers and records; an engine that is well leaves nothing behind."""
    answers = await ask_all(program, asks, kind, fake=fake)
    records, faults = await records_of(program, asks, kind), Faults()
    for ask in asks:
        judge_answer(faults, ask, answers[ask.name], kind, 200, ask.answered("m", fake))
        judge_record(faults, ask, records[ask.name], "completed", 200)
        judge_served(faults, ask, records[ask.name], answers[ask.name])
    await until_nothing_is_left(program)
    return faults


@in_loop
async def test_what_the_engine_says_reaches_the_caller_as_it_is_and_the_record_knows_it(
    program: Program, asks: list[Ask]
) -> None:
    assert not await serve_well(program, asks, "ok", {})
    asked = {dict(request["headers"])["x-request-id"]: request for request in (await program.seen("m"))["requests"]}
    faults = Faults()
    for ask in asks:
        request = asked[f"ok {ask.name}"]
        faults.check(ask.name, "target at the engine", request["target"], ask.target_at_engine("m"))
        if not (ask.is_stream and ask.dialect in ("openai.chat", "openai.completions")):  # there we ask for usage
            sha256 = hashlib.sha256(ask.body("m")).hexdigest()
            faults.check(ask.name, "body at the engine", request["body_sha256"], sha256)
    assert not faults


@in_loop
async def test_pieces_of_any_size_change_nothing(program: Program, asks: list[Ask]) -> None:
    assert not await serve_well(program, asks, "pieces", {"piece_bytes": 37})


@in_loop
async def test_every_spelling_of_every_path_leads_to_the_same(program: Program) -> None:
    asks = [ask for ask in OTHERS if not ask.is_stream]
    assert len(asks) > 60
    assert not await serve_well(program, asks, "spelling", {})


@in_loop
@pytest.mark.parametrize(
    ("status", "outcome"), [(400, "upstream_refused"), (429, "upstream_refused"), (500, "upstream_error")]
)
async def test_an_engines_own_error_passes_as_it_is(
    program: Program, asks: list[Ask], status: int, outcome: str
) -> None:
    kind, fake = f"error {status}", {"status": status, "headers": {"retry-after": "3"}}
    answers = await ask_all(program, asks, kind, fake=fake)
    records, faults = await records_of(program, asks, kind), Faults()
    for ask in asks:
        judge_answer(faults, ask, answers[ask.name], kind, status, ask.answered("m", fake))
        judge_record(faults, ask, records[ask.name], outcome, status)
        faults.check(ask.name, "retry-after", header(answers[ask.name], "retry-after"), "3")
        faults.check(ask.name, "error_code", records[ask.name].error_code, None)
        faults.check(ask.name, "source of tokens", records[ask.name].token_source, "none")
    assert not faults
    await until_nothing_is_left(program)


# Engines that die.


@in_loop
@pytest.mark.parametrize("ending", ["close", "reset"])
async def test_an_engine_that_dies_before_its_answer_is_told_in_the_dialects_own_form(
    program: Program, asks: list[Ask], ending: str
) -> None:
    kind = f"dies before {ending}"
    answers = await ask_all(program, asks, kind, fake={"kind": "nothing", "ending": ending})
    records, faults = await records_of(program, asks, kind), Faults()
    for ask in asks:
        judge_refusal(faults, ask, answers[ask.name], 502, "engine_died")
        judge_record(faults, ask, records[ask.name], "upstream_error", 502)
        faults.check(ask.name, "error_code", records[ask.name].error_code, "engine_died")
        faults.check(ask.name, "first_byte_s", records[ask.name].first_byte_s, None)
    assert not faults
    await until_nothing_is_left(program)


def judge_refusal(faults: Faults, ask: Ask, answer: Answer, status: int, code: str) -> None:
    faults.check(ask.name, "status", answer.status, status)
    try:
        faults.check(ask.name, "code", code_of_refusal(ask, answer), code)
    except (AssertionError, KeyError, TypeError, ValueError) as exc:
        faults.append(f"{ask.name}: the form is not its dialect's: {exc!r} in {answer.content!r:.200}")


@in_loop
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_engine_that_dies_in_its_answer_leaves_one_that_is_seen_to_be_incomplete(
    program: Program, asks: list[Ask], framing: str
) -> None:
    kind = f"dies in {framing}"
    fake: dict[str, object] = {"stop_after": 1, "ending": "close", "framing": framing}
    whole = {"piece_bytes": 8, **fake}
    answers = await ask_all(program, asks, kind, fake=lambda ask: fake if ask.is_stream else whole)
    records, faults = await records_of(program, asks, kind), Faults()
    for ask in asks:
        answer, record = answers[ask.name], records[ask.name]
        judge_record(faults, ask, record, "upstream_error", 200)
        faults.check(ask.name, "error_code", record.error_code, "engine_died")
        if ask.is_stream:
            judge_broken_stream(faults, ask, answer)
        else:
            faults.check(ask.name, "what came", answer.content, ask.answered("m")[1][:8])
            is_seen = b"0\r\n\r\n" not in answer.body
            faults.check(ask.name, "is seen to be incomplete", is_seen, True)
    assert not faults
    await until_nothing_is_left(program)


def judge_broken_stream(faults: Faults, ask: Ask, answer: Answer) -> None:
    """One of the engine's events, then why there are no more, and an end that is none of the dialect's."""
    said = ask.answered("m")[1].partition(b"\n\n")[0] + b"\n\n"
    faults.check(ask.name, "the engine's part", answer.content[: len(said)], said)
    faults.check(ask.name, "is whole as HTTP", answer.body.endswith(b"\r\n0\r\n\r\n") or not is_chunked(answer), True)
    try:
        code = code_of_failure(ask, answer.content[len(said) :])
        faults.check(ask.name, "code", code, "engine_died")
    except (AssertionError, KeyError, TypeError, ValueError) as exc:
        faults.append(f"{ask.name}: the end is not its dialect's: {exc!r} in {answer.content[len(said) :]!r:.200}")


def is_chunked(answer: Answer) -> bool:
    return b"transfer-encoding: chunked" in answer.head.lower()


# Clients that leave.


async def leave_all(
    program: Program, asks: list[Ask], kind: str, model: str, fake: dict[str, object], when: str
) -> None:
    """Ask all at once, and leave as soon as all of them are in the phase `when`."""
    if when == "streaming":
        fake = {"gate_at": 1, "piece_bytes": 8, **fake}
    writers: list[asyncio.StreamWriter] = []
    readers: list[asyncio.StreamReader] = []
    try:
        for ask in asks:
            reader, writer = await asyncio.open_connection("127.0.0.1", program.port)
            writer.write(ask.sent(model, name=f"{kind} {ask.name}", fake=fake))
            readers.append(reader)
            writers.append(writer)

        async def are_there() -> bool:
            calls = (await program.state())["calls"].values()
            return len([call for call in calls if call["phase"] == when]) == len(asks)

        await until(are_there)
        if when == "streaming":
            await asyncio.gather(*(reader.readuntil(b"\r\n\r\n") for reader in readers))
    finally:
        for writer in writers:
            writer.transport.abort()


@in_loop
@pytest.mark.parametrize(("when", "model"), [("queued", "one"), ("loading", "slow"), ("sent", "m"), ("streaming", "m")])
async def test_a_client_that_leaves_is_noticed_in_every_phase(
    program: Program, asks: list[Ask], when: str, model: str
) -> None:
    kind, hold = f"leaves {when}", b""
    if when == "queued":
        hold = asks[0].sent("one", name="holds", fake={"gate_at": 0})
    async with program.talk(hold):
        if hold:
            await program.until_phase("one", "ready")
            await program.seen("one", busy=1)
        before: Any = {} if when == "loading" else await program.seen(model)
        fake: dict[str, object] = {"gate_at": 0} if when == "sent" else {}
        await leave_all(program, asks, kind, model, fake, when)
        records, faults = await records_of(program, asks, kind), Faults()
        if when == "queued":
            assert len((await program.seen(model))["requests"]) == len(before["requests"]), "one has reached the engine"
    for ask in asks:
        record = records[ask.name]
        status = 200 if when == "streaming" else None
        judge_record(faults, ask, record, "client_abandoned", status)
        faults.check(ask.name, "abandoned_in", record.abandoned_in, when)
        faults.check(ask.name, "completion_tokens", record.completion_tokens, None)
        faults.check(ask.name, "was sent", record.sent_s is not None, when in ("sent", "streaming"))
    assert not faults
    if when in ("sent", "streaming"):
        await program.seen(model, left=before["left"] + len(asks))
    if when == "loading":
        await program.until_phase("slow", "stopped")
    await until_nothing_is_left(program)


# Refusals that need no engine.


@in_loop
async def test_a_name_that_no_model_has_is_refused(program: Program, asks: list[Ask]) -> None:
    answers = await ask_all(program, asks, "unknown", model="nobody/é")
    records, faults = await records_of(program, asks, "unknown"), Faults()
    for ask in asks:
        judge_refusal(faults, ask, answers[ask.name], 404, "model_not_found")
        judge_record(faults, ask, records[ask.name], "rejected_unknown_model", 404)
        faults.check(ask.name, "model_requested", records[ask.name].model_requested, "nobody/é")
        faults.check(ask.name, "model", records[ask.name].model, None)
        faults.check(ask.name, "x-should-retry", header(answers[ask.name], "x-should-retry"), "false")
    assert not faults
    await until_nothing_is_left(program)


@in_loop
async def test_a_body_that_cannot_be_read_is_refused(program: Program, asks: list[Ask]) -> None:
    asks = [ask for ask in asks if ask.has_body]
    answers = await ask_all(program, asks, "broken", body=Ask.broken_body)
    records, faults = await records_of(program, asks, "broken"), Faults()
    for ask in asks:
        judge_refusal(faults, ask, answers[ask.name], 400, "missing_model" if ask.is_form else "invalid_json")
        judge_record(faults, ask, records[ask.name], "rejected_invalid", 400)
        faults.check(ask.name, "request_bytes", records[ask.name].request_bytes, len(ask.broken_body()))
    assert not faults
    await until_nothing_is_left(program)


@in_loop
async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(program: Program, asks: list[Ask]) -> None:
    asks, body = [ask for ask in asks if ask.has_body], b"x" * (BODY_LIMIT_BYTES + 1)
    answers = await ask_all(program, asks, "large", body=body)
    records, faults = await records_of(program, asks, "large"), Faults()
    for ask in asks:
        judge_refusal(faults, ask, answers[ask.name], 413, "request_too_large")
        judge_record(faults, ask, records[ask.name], "rejected_too_large", 413)
    assert not faults
    await until_nothing_is_left(program)


@in_loop
async def test_a_method_that_a_row_does_not_have_is_refused(program: Program, asks: list[Ask]) -> None:
    asks = [Ask(ask.row, ask.path, "DELETE", is_stream=False) for ask in asks if not ask.is_stream]
    answers = await ask_all(program, asks, "method")
    faults = Faults()
    for ask in asks:
        judge_refusal(faults, ask, answers[ask.name], 405, "method_not_allowed")
    assert not faults
    await until_nothing_is_left(program)


@in_loop
async def test_without_a_key_that_counts_nothing_is_served(tmp_path: Path) -> None:
    with Program(tmp_path, KEYED) as program:
        faults, count = Faults(), 0
        for shown, code in (("", "missing_api_key"), ("authorization: Bearer wrong\r\n", "invalid_api_key")):
            answers = await ask_all(program, ASKS, code, headers=shown)
            count += len(ASKS)
            for ask in ASKS:
                judge_refusal(faults, ask, answers[ask.name], 401, code)
                challenge = header(answers[ask.name], "www-authenticate")
                faults.check(ask.name, "www-authenticate", challenge, 'Bearer realm="penstock"')
        assert not faults

        async def all_are_counted() -> bool:  # those that come too fast share a record
            return sum(record.count for record in program.records().values() if not record.is_open()) == count

        await until(all_are_counted)
        assert {record.outcome for record in program.records().values()} == {"rejected_auth"}
        assert "engine_started" not in program.log


@in_loop
async def test_what_was_hidden_and_what_was_asked_for_of_usage(program: Program) -> None:
    for path in ("/v1/chat/completions", "/v1/completions"):
        body = {"model": "m", "messages": [], "prompt": "", "stream": True, "stream_options": {"include_usage": True}}
        answer = await program.post(path, body)
        assert json.loads(answer.events[-2])["usage"]["completion_tokens"] == COMPLETION_TOKENS
        assert answer.events[-1] == "[DONE]"
