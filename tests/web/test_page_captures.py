"""What calls said, in a real Chromium: opened, read, copied, and never executed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from tests.web.page_server import NOW_S, View, call_view, model_view, record_view, serving, state
from tests.web.test_page import CONTRAST, HOSTILE, browser

__all__ = ["browser"]

PATH = "/api/v1/captures/one"
TURNS = [
    {"role": "system", "pieces": [{"kind": "text", "text": "Be brief.", "name": "", "id": ""}]},
    {"role": "user", "pieces": [{"kind": "text", "text": "Will it rain in Bonn?", "name": "", "id": ""}]},
]


def piece(kind: str, text: str, name: str = "", call_id: str = "") -> View:
    return {"kind": kind, "text": text, "name": name, "id": call_id}


def body(text: str | None, **changes: object) -> View:
    size = len(text or "")
    made: View = {"passed_bytes": size, "missing_bytes": 0, "absence": None, "coding": None}
    return made | {"text": text, "base64": None} | changes


def capture_view(**changes: object) -> View:
    """A chat that called a tool, changed as told."""
    answered = [piece("reasoning", "The user asks about rain."), piece("text", "Let me look.\nOne moment.")]
    answered.append(piece("tool_call", '{"city":"Bonn"}', "weather", "call_1"))
    conversation: View = {"asked": TURNS, "answered": [{"role": "assistant", "pieces": answered}], "error": None}
    conversation |= {"finish_reason": "tool_calls", "usage": '{"prompt_tokens":24}'}
    call: View = {"id": "q1", "model": "qwen", "outcome": "completed", "http_status": 200}
    headers = [["content-type", "application/json"], ["authorization", "Bearer [redacted]"]]
    request: View = {"method": "POST", "target": "/v1/chat/completions", "http_version": "1.1", "headers": headers}
    request["body"] = body('{"model":"qwen","messages":[]}')
    response: View = {"status": 200, "headers": [["content-type", "text/event-stream"]], "body": body("data: {}\n\n")}
    view: View = {"call": call, "level": "full", "request": request, "response": response}
    return view | {"conversation": conversation} | changes


class Look:
    """The page with one call that ended and one that runs; `faults` must stay empty."""

    def __init__(self, page: Page, capture: View) -> None:
        self.page = page
        self.faults: list[str] = []
        self._serving = serving(
            state(
                models=[model_view("qwen", phase="ready", running=1)],
                calls=[call_view("r1", "qwen", phase="streaming", admitted_at=NOW_S, has_capture=True)],
                recent=[record_view("q1", "qwen", has_capture=True), record_view("q0", "qwen", has_capture=False)],
            )
        )
        self.server = self._serving.__enter__()
        self.answer(capture)
        self.server.answers["/api/v1/captures/curl"] = (HTTPStatus.OK, "text/plain", b"curl -sS 'http://h/'\n")
        page.on("console", self._note)
        page.on("pageerror", lambda error: self.faults.append(str(error)))
        page.clock.install(time=NOW_S)
        page.goto(self.server.address)
        expect(page.get_by_role("heading", name="Models")).to_be_visible()

    def _note(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.faults.append(said.text)

    def answer(self, capture: View, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.server.answers[PATH] = (status, "application/json", json.dumps(capture).encode())

    def open(self) -> Page:
        self.page.get_by_role("region", name="Last requests").get_by_role("button").first.press("Enter")
        self.page.get_by_role("button", name="What was said").press("Enter")
        expect(self.page.get_by_role("group", name="View")).to_be_visible()
        return self.page

    def close(self) -> None:
        self._serving.__exit__(None, None, None)


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    with browser.new_context(permissions=["clipboard-read", "clipboard-write"]) as context:
        yield context.new_page()


@pytest.fixture
def look(page: Page) -> Iterator[Look]:
    made = Look(page, capture_view())
    yield made
    made.close()
    assert made.faults == []


def test_a_call_that_ended_reads_as_a_conversation_by_keyboard_alone(look: Look) -> None:
    dialog = look.open().get_by_role("dialog")
    said = dialog.get_by_role("article")
    expect(said).to_have_count(3)
    expect(said.nth(0)).to_have_text(re.compile("system.*Be brief"))
    expect(said.nth(2)).to_have_text(re.compile(r"assistant.*Let me look\..*weather.*call_1.*Bonn", re.DOTALL))
    thought = dialog.get_by_text("The user asks about rain.")
    expect(thought).to_be_hidden()
    dialog.get_by_text("Reasoning").press("Enter")
    expect(thought).to_be_visible()
    look.page.keyboard.press("Escape")
    expect(look.page.get_by_role("button", name="What was said")).to_be_visible()


def test_the_bytes_of_both_sides_are_a_press_away(look: Look) -> None:
    page = look.open()
    page.get_by_role("button", name="Request", exact=True).click()
    expect(page.get_by_role("dialog")).to_contain_text("Bearer [redacted]")
    expect(page.locator("pre.whole")).to_have_text('{\n  "model": "qwen",\n  "messages": []\n}')
    page.get_by_role("button", name="Response", exact=True).click()
    expect(page.locator("pre.whole")).to_have_text("data: {}\n\n")


def test_a_call_that_runs_is_looked_at_and_looked_at_again(look: Look) -> None:
    running = capture_view(call={"id": "r1", "model": "qwen", "outcome": None, "http_status": None})
    look.answer(running | {"conversation": None})
    look.page.get_by_role("button", name="What qwen is asked").press("Enter")
    dialog = look.page.get_by_role("dialog")
    expect(dialog).to_contain_text("open")
    expect(dialog.get_by_role("article")).to_have_count(0)
    look.answer(running)
    dialog.get_by_role("button", name="Refresh").click()
    dialog.get_by_role("button", name="Conversation").click()
    expect(dialog.get_by_role("article")).to_have_count(3)


def test_it_is_copied_as_curl_and_downloaded_as_json(look: Look, tmp_path: Path) -> None:
    page = look.open()
    page.get_by_role("button", name="Copy as curl").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()") == "curl -sS 'http://h/'\n"
    with page.expect_download() as download:
        page.get_by_role("link", name="Download JSON").click()
    download.value.save_as(tmp_path / "capture.json")
    assert json.loads((tmp_path / "capture.json").read_text())["call"]["id"] == "q1"


def test_a_call_without_a_capture_offers_none_and_one_that_is_gone_says_so(look: Look) -> None:
    page = look.page
    page.get_by_role("region", name="Last requests").get_by_role("button").nth(1).click()
    expect(page.get_by_role("dialog")).to_contain_text("completed")
    expect(page.get_by_role("button", name="What was said")).to_have_count(0)
    page.keyboard.press("Escape")
    look.answer({"error": {"message": "Nothing is kept of it."}}, HTTPStatus.NOT_FOUND)
    page.get_by_role("region", name="Last requests").get_by_role("button").first.click()
    page.get_by_role("button", name="What was said").click()
    expect(page.get_by_role("alert")).to_have_text("Nothing is kept of it.")
    look.faults.clear()  # the browser says that it saw a 404


def test_what_is_not_kept_is_told_and_long_texts_unfold(look: Look) -> None:
    view = capture_view()
    long = "a long story " * 1000
    view["conversation"] = {
        "asked": [{"role": "user", "pieces": [piece("text", f"turn {n}")]} for n in range(30)],
        "answered": [{"role": "assistant", "pieces": [piece("text", long), piece("gap", "99 bytes")]}],
        "finish_reason": None, "usage": None, "error": "The engine died.",
    }  # fmt: skip
    view["response"] = {
        "status": 200,
        "headers": [],
        "body": body("x", passed_bytes=5000, missing_bytes=4000, coding="gzip"),
    }
    view["request"] = {**view["request"], "body": body("", passed_bytes=9999, absence="media")}  # type: ignore[dict-item]
    look.answer(view)
    page = look.open()
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("article")).to_have_count(9)
    dialog.get_by_role("button", name="Show 22 earlier").click()
    expect(dialog.get_by_role("article")).to_have_count(31)
    expect(dialog).to_contain_text("99 bytes are not kept here")
    expect(dialog).to_contain_text("The engine died.")
    dialog.get_by_role("button", name=re.compile("more characters")).click()
    expect(dialog.get_by_role("article").last).to_contain_text(long.strip())
    page.get_by_role("button", name="Request", exact=True).click()
    expect(dialog).to_contain_text("9.8 KiB, not kept: sound, pictures and files never are")
    page.get_by_role("button", name="Response", exact=True).click()
    expect(dialog).to_contain_text("4.9 KiB, sent with gzip, 3.9 KiB of it are not kept")


def test_nothing_that_was_said_is_ever_markup(look: Look) -> None:
    hostile = [
        {"role": HOSTILE, "pieces": [piece(kind, HOSTILE, HOSTILE, HOSTILE) for kind in ("text", "gap", HOSTILE)]}
    ]
    view = capture_view(
        conversation={
            "asked": hostile,
            "answered": hostile,
            "finish_reason": HOSTILE,
            "usage": HOSTILE,
            "error": HOSTILE,
        }
    )
    view["call"] = {"id": HOSTILE, "model": HOSTILE, "outcome": HOSTILE, "http_status": 200}
    headers = [[HOSTILE, HOSTILE]]
    view["request"] = {"method": HOSTILE, "target": HOSTILE, "headers": headers, "body": body(HOSTILE, coding=HOSTILE)}
    view["response"] = {"status": 200, "headers": headers, "body": body(HOSTILE, absence=HOSTILE)}
    look.answer(view)
    page = look.open()
    for view_name in ("Conversation", "Request", "Response"):
        page.get_by_role("button", name=view_name, exact=True).click()
        expect(page.get_by_role("dialog")).to_contain_text("<img src=x")
    assert page.evaluate("window.pwned") is None
    assert page.locator("dialog img, dialog script").count() == 0


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_on_a_phone_it_is_legible_and_does_not_scroll_sideways(page: Page, scheme: str) -> None:
    page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
    page.set_viewport_size({"width": 360, "height": 740})
    view = capture_view()
    view["request"] = {**view["request"], "target": "/v1/" + "x" * 300}  # type: ignore[dict-item]
    look = Look(page, view)
    try:
        look.open()
        for view_name in ("Conversation", "Request", "Response"):
            page.get_by_role("button", name=view_name, exact=True).click()
            dialog = page.get_by_role("dialog")
            assert dialog.evaluate("element => element.scrollWidth") <= 360
            assert page.evaluate(CONTRAST)["faint"] == []
        for button in page.get_by_role("dialog").locator(".button").all():
            box = button.bounding_box()
            assert box is not None
            assert box["height"] >= 36
        assert look.faults == []
    finally:
        look.close()
