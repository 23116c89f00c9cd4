"""What is kept of calls: enough to understand them, no secret, and never more memory than was given."""

from __future__ import annotations

import asyncio
import gzip
import json
import random
import zlib

import brotli
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from penstock.core.calls.capture import Absence, CaptureLevel, KeptCapture
from penstock.core.calls.redact import MASK
from penstock.protocols.endpoints import Capture as Kept
from penstock.runtime.captures.captures import MOST_AT_ONCE, Captures
from penstock.runtime.captures.collecting import Teller, as_the_client_got_it
from penstock.runtime.captures.keeping import packed
from penstock.runtime.captures.shelf import ENTRY_BYTES
from tests.e2e.program import until
from tests.fakes import in_loop
from tests.runtime.captures.capturing import CONFIGURED, JSON, call, capturing, endpoint, head, record


async def one(captures: Captures, call_id: str) -> KeptCapture:
    found = await captures.one(call_id)
    assert found is not None
    return found


async def ids(captures: Captures) -> list[str]:
    return [summary.id for summary in (await captures.page(before=None, limit=1000)).captures]


@in_loop
async def test_a_call_is_kept_with_both_heads_and_both_bodies_while_it_runs_and_after() -> None:
    with capturing() as captures:
        capture = call(captures, "c", asked=b'{"a":1}', answered=(b"one ", b"two"), is_ended=False)
        assert capture is not None
        running = await one(captures, "c")
        assert (running.request.head, running.response.head, running.summary.outcome) == (b'{"a":1}', b"one two", None)
        capture.record.outcome = "completed"
        captures.ended(capture)
        captures.ended(capture)
        assert captures.has("c")
        assert await ids(captures) == ["c"]
        assert captures.has("c")
        kept = await one(captures, "c")
        assert (kept.request, kept.response) == (running.request, running.response)
        assert (kept.status, kept.request_headers, kept.target) == (200, JSON, b"/v1/chat/completions")
        assert captures.room.held_bytes == 0
        assert await captures.one("unknown") is None


@in_loop
async def test_a_call_that_was_refused_before_its_model_was_known_is_kept_with_the_refusal() -> None:
    with capturing() as captures:
        made = record("r")
        capture = captures.begin(made, endpoint(Kept.REQUEST), None, head())
        assert capture is not None
        capture.request(b"not json")
        capture.response_head(400, JSON)
        capture.response(b'{"error":{}}')
        made.outcome, made.http_status = "rejected_invalid", 400
        captures.ended(capture)
        kept = await one(captures, "r")
        assert (kept.request.head, kept.status, kept.response.head) == (b"not json", 400, b'{"error":{}}')


HEAD = [(b"content-type", b"text/event-stream"), (b"connection", b"close"), (b"transfer-encoding", b"chunked")]


@pytest.mark.parametrize(
    ("teller", "added"),
    [
        (Teller.GATEWAY, None),
        (Teller.PROMISE, {b"x-request-id": b"mine", b"x-penstock-id": b"c"}),
        (
            Teller.ENGINE,
            {
                b"x-request-id": b"mine", b"x-penstock-id": b"c", b"x-penstock-model": b"m",
                b"x-penstock-queue-ms": b"1500", b"x-penstock-load-ms": b"1250", b"x-penstock-position": b"2",
            },
        ),
    ],
)  # fmt: skip
def test_the_head_of_an_answer_is_the_one_that_its_client_got(teller: Teller, added: dict[bytes, bytes] | None) -> None:
    made = record("c")
    made.client_request_id, made.position_at_entry = "mine", 2
    made.enqueued_s, made.admitted_s, made.wait_reasons = 0.5, 2.0, {"loading": 1.25}
    shown = as_the_client_got_it(HEAD, teller, made)
    assert shown == (HEAD if added is None else [HEAD[0], *added.items()])


@in_loop
async def test_a_level_of_its_own_decides_for_a_model() -> None:
    off, full, headers = CaptureLevel.OFF, CaptureLevel.FULL, CaptureLevel.HEADERS
    for of_file, of_model, is_kept, is_body_kept in [
        (full, off, False, False),
        (full, headers, True, False),
        (off, full, True, True),
        (headers, full, True, True),
    ]:
        with capturing(level=of_file, model_levels=(of_model,)) as captures:
            made = record("c")
            made.request_bytes, made.response_bytes = 5, 8
            capture = captures.begin(made, endpoint(), None, head())
            assert capture is not None
            capture.request(b"asked")
            capture.model(of_model)
            capture.response_head(200, JSON)
            capture.response(b"answered")
            made.outcome = "completed"
            captures.ended(capture)
            assert captures.has("c") is is_kept
            kept = await captures.one("c")
            assert (kept is not None) is is_kept
            if kept is not None:
                assert (kept.request.head == b"asked") is is_body_kept
                assert (kept.response.head == b"answered") is is_body_kept
                assert kept.response.absence == (Absence.NONE if is_body_kept else Absence.LEVEL)
            await captures.clear()
            assert captures.room.held_bytes == 0


@in_loop
async def test_switched_off_nothing_begins() -> None:
    for buffer_bytes, level in [(0, CaptureLevel.FULL), (2**20, CaptureLevel.OFF)]:
        with capturing(buffer_bytes, level) as captures:
            assert captures.begin(record("c"), endpoint(), None, head()) is None
            assert not captures.has("c")
            assert await ids(captures) == []


@in_loop
async def test_media_is_not_kept_whatever_the_table_says_and_it_is_told_how_much_there_was() -> None:
    with capturing() as captures:
        form = head([(b"Content-Type", b"multipart/form-data; boundary=b")])
        call(captures, "form", asked=b"x" * 999, request_head=form, kept=Kept.BODIES)
        call(captures, "sound", answered=(b"RIFF", b"...."), response_headers=[(b"content-type", b"audio/wav")])
        call(captures, "table", answered=(b"[0.1]",), kept=Kept.REQUEST)
        call(captures, "nothing", asked=b"secret", answered=(b"file",), kept=Kept.HEADS)
        form_kept, sound = await one(captures, "form"), await one(captures, "sound")
        assert (form_kept.request.head, form_kept.request.absence) == (b"", Absence.MEDIA)
        assert (sound.response.absence, sound.response.passed_bytes) == (Absence.MEDIA, 8)
        assert (await one(captures, "table")).response.absence is Absence.ENDPOINT
        nothing = await one(captures, "nothing")
        assert (nothing.request.absence, nothing.response.absence) == (Absence.ENDPOINT, Absence.ENDPOINT)
        assert b"secret" not in packed(nothing)


@in_loop
async def test_a_compressed_answer_can_be_read_and_what_cannot_be_searched_is_not_kept() -> None:
    said = json.dumps({"text": f"the key is {CONFIGURED}"}).encode()
    with capturing() as captures:
        squeezed = {b"gzip": gzip.compress(said), b"deflate": zlib.compress(said), b"br": brotli.compress(said)}
        for coding, body in squeezed.items():
            headers = [*JSON, (b"Content-Encoding", coding)]
            call(captures, coding.decode(), answered=(body[:9], body[9:]), response_headers=headers)
            kept = (await one(captures, coding.decode())).response
            assert kept.head == said.replace(CONFIGURED.encode(), MASK)
            assert (kept.coding, kept.passed_bytes, kept.is_whole) == (coding.decode(), len(body), True)
        call(captures, "odd", answered=(b"???",), response_headers=[(b"content-encoding", b"x-odd")])
        call(captures, "bad", answered=(b"no gzip",), response_headers=[(b"content-encoding", b"gzip")])
        bomb = gzip.compress(bytes(64 * 2**20))
        call(captures, "bomb", answered=(bomb,), response_headers=[(b"content-encoding", b"gzip")])
        for each in ("odd", "bad", "bomb"):
            assert (await one(captures, each)).response.absence is Absence.CODING
        large = gzip.compress(random.Random(1).randbytes(4 * 2**20).hex().encode())
        call(captures, "large", answered=(large[: 2**20],), response_headers=[(b"content-encoding", b"gzip")])
        kept = (await one(captures, "large")).response
        assert 2**20 < len(kept.head) <= 4 * 2**20
        assert len(kept.head) + kept.missing_bytes > 2**20


@in_loop
async def test_of_a_crowd_that_ends_at_once_those_that_failed_are_kept_and_the_first_others() -> None:
    with capturing() as captures:
        for number in range(5 * MOST_AT_ONCE):
            call(captures, f"{number}", status=500 if number == 3 else 200)
        kept = await ids(captures)
        assert len(kept) == MOST_AT_ONCE + 1
        assert "3" in kept
        assert "0" in kept
        assert captures.missed == 4 * MOST_AT_ONCE - 1
        assert captures.room.held_bytes == 0


@in_loop
async def test_what_ended_is_on_the_shelf_a_moment_later_without_being_asked_for() -> None:
    with capturing() as captures:
        call(captures, "c")

        async def is_kept() -> bool:
            return captures.room.held_bytes == 0

        await until(is_kept)
        assert captures.has("c")


@in_loop
async def test_clearing_takes_all_that_ended_and_leaves_what_runs() -> None:
    with capturing() as captures:
        call(captures, "shelved")
        await ids(captures)
        call(captures, "ended")
        call(captures, "running", is_ended=False)
        await captures.clear()
        assert await ids(captures) == []
        assert (captures.has("shelved"), captures.has("ended"), captures.has("running")) == (False, False, True)


SIZES = st.integers(0, 40_000)


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 6), SIZES, st.lists(SIZES, max_size=4), st.booleans()), max_size=40),
    st.sampled_from([5000, 50_000, 300_000]),
)
def test_under_any_traffic_memory_stays_within_its_bounds(
    traffic: list[tuple[int, int, list[int], bool]], buffer_bytes: int
) -> None:
    @in_loop
    async def run() -> None:
        with capturing(buffer_bytes) as captures:
            for number, (kind, asked, answered, is_ended) in enumerate(traffic):
                body = bytes(asked) if kind % 2 else memoryview(bytes([kind]) * asked)
                pieces = tuple(bytes([kind]) * size for size in answered)
                call(captures, str(number), asked=body, answered=pieces, is_ended=is_ended, status=200 + 100 * kind)
                assert captures.room.held_bytes <= 2 * buffer_bytes
                if kind == 6:
                    await ids(captures)
                    await asyncio.sleep(0)
                assert captures._shelf.held_bytes <= buffer_bytes
            shown = await ids(captures)
            assert len(shown) * ENTRY_BYTES <= buffer_bytes
            for each in shown:
                assert captures.has(each)

    run()


SECRETS = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=8, max_size=60)


@settings(max_examples=60, deadline=None)
@given(SECRETS, st.sampled_from([b"Authorization", b"x-api-key", b"Cookie", b"X-Auth-Token"]), st.binary(max_size=50))
def test_no_secret_that_was_configured_or_shown_is_in_any_stored_byte(
    secret: str, header: bytes, around: bytes
) -> None:
    shown = secret.encode()

    @in_loop
    async def run() -> None:
        with capturing() as captures:  # what stands in every capture is nobody's secret
            call(captures, "x")
            assume(shown not in packed(await one(captures, "x")))
        asking = head([(header, shown), (b"x-echo", b"it is " + shown)], b"/v1/chat/completions?api_key=" + shown)
        for each in (shown, CONFIGURED.encode()):
            said = around + each + around
            with capturing() as captures:
                json_body = json.dumps({"messages": [said.decode("latin-1")]}).encode()
                squeezed = [(b"content-encoding", b"gzip"), (b"x-said", each), (b"set-cookie", each)]
                call(
                    captures,
                    "y",
                    asked=json_body + said,
                    answered=(said[:20], said[20:]),
                    request_head=asking,
                )
                call(captures, "z", answered=(gzip.compress(said),), request_head=asking, response_headers=squeezed)
                stored = b"".join([packed(await one(captures, "z")), packed(await one(captures, "y"))])
                assert each not in stored.replace(MASK, b"")

    run()
