"""The live page in a real Chromium, against a scripted gateway."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from http import HTTPStatus
from pathlib import Path

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Locator, Page, Request, expect

from tests.web.chromium import chromium
from tests.web.page_server import (
    NOW_S,
    PageServer,
    View,
    call_view,
    host_view,
    model_view,
    record_view,
    serving,
    state,
)

PHONE = {"width": 360, "height": 740}
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()
HOSTILE = "<img src=x onerror=\"window.pwned='yes'\"><script>window.pwned='yes'</script>"


@dataclass
class Visit:
    """One look at the page; `faults` is all that a healthy page never does."""

    page: Page
    server: PageServer
    faults: list[str] = field(default_factory=list)

    def section(self, title: str) -> Locator:
        return self.page.get_by_role("region", name=title)

    def note(self, said: ConsoleMessage) -> None:
        if said.type in {"error", "warning"}:
            self.faults.append(said.text)


Visiting = Callable[..., Visit]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Browser) -> Iterator[Visiting]:
    """Open the page on a state; afterwards no visit may have left a fault behind."""
    visits: list[Visit] = []
    with ExitStack() as stack:

        def opened(snapshot: View, **context: object) -> Visit:
            server = stack.enter_context(serving(snapshot))
            page = stack.enter_context(browser.new_context(**context)).new_page()  # type: ignore[arg-type]
            made = Visit(page, server)
            visits.append(made)
            page.on("console", made.note)
            page.on("pageerror", lambda error: made.faults.append(str(error)))
            page.on("request", lambda request: _stays_home(request, made))
            page.clock.install(time=NOW_S)
            page.goto(server.address)
            expect(page.get_by_role("heading", name="Models")).to_be_visible()
            return made

        yield opened
        for made in visits:
            assert made.faults == []


def _stays_home(request: Request, made: Visit) -> None:
    if not request.url.startswith((made.server.address, "data:")):
        made.faults.append(f"asked {request.url}")


def busy_box() -> View:
    """Something in every section."""
    return state(
        models=[
            model_view("qwen", phase="ready", running=2, waiting=2, slots=2, memory_bytes=5 * 2**30, aliases=["chat"]),
            model_view("gemma", phase="starting", since=NOW_S - 5, waiting=1, load_s=20.0),
            model_view("coder", phase="ready", slots=4, ttl_s=600.0, idle_since=NOW_S - 60),
            model_view("llama", phase="failed", failure="exited with status 1", log_tail="out of memory"),
            model_view("cloud", phase="ready", is_launched=False, slots=None),
            model_view("old", phase="draining"),
            model_view("nap", phase="sleeping"),
        ],
        calls=[
            call_view(
                "r1", "qwen", phase="streaming", admitted_at=NOW_S - 4, received_at=NOW_S - 5, response_bytes=2048
            ),
            call_view("r2", "qwen", phase="sent", admitted_at=NOW_S - 1, received_at=NOW_S - 2, key="bob"),
            call_view("w1", "qwen", priority="high", estimate_s=4.0, bound_s=30.0),
            call_view("w2", "qwen", position=1, priority="low", key=None),
            call_view("w3", "gemma", phase="loading", wait_reason="loading", wait_for="gemma"),
        ],
        recent=[
            record_view("q3", "qwen"),
            record_view("q2", "gemma", outcome="upstream_error", http_status=502, error_code="engine_died"),
            record_view("q1", "qwen", outcome="client_abandoned", abandoned_in="queued", admitted_s=None),
        ],
        host=host_view(),
    )


def test_each_model_is_shown_with_its_state_and_why_it_failed(visit: Visiting) -> None:
    models = visit(busy_box()).section("Models").get_by_role("listitem")
    expect(models).to_have_count(7)
    expect(models.nth(0)).to_contain_text(re.compile("qwen.*also chat.*ready.*2 of 2.*2 waiting.*5.0 GiB.*Unload"))
    expect(models.nth(1)).to_contain_text(re.compile("gemma.*starting.*5 s of about 20 s"))
    expect(models.nth(2)).to_contain_text(re.compile("coder.*ready.*idle, stops in (9:00|8:5)"))
    expect(models.nth(3)).to_contain_text(re.compile("llama.*failed.*exited with status 1"))
    log = models.nth(3).get_by_text("out of memory")
    expect(log).to_be_hidden()
    models.nth(3).get_by_text("Last lines of its log").click()
    expect(log).to_be_visible()
    expect(models.nth(4)).to_contain_text("runs elsewhere")
    expect(models.nth(4).get_by_role("button")).to_have_count(0)
    assert [name.split()[0] for name in models.all_inner_texts()] == [
        "qwen", "gemma", "coder", "llama", "cloud", "old", "nap",
    ]  # fmt: skip


def test_the_host_is_shown_with_its_gpus_and_what_engines_take(visit: Visiting) -> None:
    opened = visit(busy_box())
    host = opened.section("Host")
    expect(host).to_contain_text(re.compile(r"box.*CPU.*37 % · load 2\.3.*Memory.*24 GiB of 64 GiB"))
    expect(host).to_contain_text(re.compile(r"gpu0.*87 % · 216 W · 61 °C · 1.905 MHz.*gpu0 memory.*9\.0 GiB of 24 GiB"))
    expect(host.get_by_role("listitem")).to_contain_text(re.compile(r"qwen.*1\.5 GiB.*8\.0 GiB GPU.*104 % CPU"))
    expect(host.get_by_text("Swap")).to_have_count(0)
    opened.server.tell(host=host_view(cpu_pct=None, cpu_load1=None, devices=[], engines=[], swap_total_bytes=2**30))
    expect(host.get_by_text("Swap")).to_be_visible()
    expect(host.get_by_text("gpu0")).to_have_count(0)


def test_a_gateway_that_measures_nothing_shows_no_host(visit: Visiting) -> None:
    opened = visit(state(models=[model_view("qwen", measured_bytes=7 * 2**30, memory_bytes=9 * 2**30)]))
    expect(opened.section("Host")).to_have_count(0)
    expect(opened.section("Models")).to_contain_text("7.0 GiB")


def test_each_waiter_says_why_it_waits_and_its_clock_ticks(visit: Visiting) -> None:
    shown = visit(busy_box())
    rows = shown.section("Queue").get_by_role("row")
    expect(rows).to_have_count(4)
    expect(rows.nth(1)).to_contain_text(re.compile("next.*qwen.*ann.*high.*all 2 slots busy.*about 4 s to go"))
    expect(rows.nth(2)).to_contain_text(re.compile("2.*qwen.*–.*low"))
    expect(rows.nth(3)).to_contain_text(re.compile("next.*gemma.*gemma is being loaded"))
    shown.page.clock.fast_forward("00:40")
    expect(rows.nth(1).get_by_role("cell").nth(4)).to_have_text(re.compile(r"^4\d s$"))


def test_what_runs_says_what_it_does_and_for_how_long(visit: Visiting) -> None:
    rows = visit(busy_box()).section("Running").get_by_role("row")
    expect(rows).to_have_count(3)
    expect(rows.nth(1)).to_contain_text(re.compile("qwen.*ann.*127.0.0.1.*answering.*2.0 KiB.*[4-9] s"))
    expect(rows.nth(2)).to_contain_text(re.compile("bob.*reading the prompt"))


def test_deltas_change_the_page_and_what_is_gone_vanishes(visit: Visiting) -> None:
    shown = visit(busy_box())
    shown.server.tell(
        models={"gemma": model_view("gemma", phase="ready", running=1), "old": None},
        calls={"w1": None, "r1": None, "w3": call_view("w3", "gemma", phase="sent", admitted_at=NOW_S)},
        counts={"running": 2, "waiting": 1},
        recent=[record_view("q4", "gemma", outcome="deadline")],
    )
    expect(shown.section("Models").get_by_role("listitem")).to_have_count(6)
    expect(shown.section("Models").get_by_role("listitem").nth(1)).to_contain_text("ready")
    expect(shown.section("Queue").get_by_role("row")).to_have_count(2)
    expect(shown.section("Running").get_by_role("row")).to_have_count(3)
    expect(shown.section("Running").get_by_role("row").last).to_contain_text("gemma")
    expect(shown.section("Last requests").get_by_role("row").nth(1)).to_contain_text("deadline")
    expect(shown.section("Now").locator(".figure-value").nth(1)).to_have_text("1")


def test_the_curve_tells_what_ran_at_the_pointed_moment(visit: Visiting) -> None:
    shown = visit(busy_box())
    frame = shown.page.get_by_role("img", name="Running and waiting")
    box = frame.bounding_box()
    assert box is not None
    shown.page.mouse.move(box["x"] + box["width"] - 20, box["y"] + 80)
    expect(shown.page.locator("figcaption")).to_contain_text(re.compile("2 running, 3 waiting, loading gemma"))


def test_a_request_opens_with_all_its_fields_by_keyboard_and_closes(visit: Visiting) -> None:
    page = visit(busy_box()).page
    row = page.get_by_role("region", name="Last requests").get_by_role("button").nth(1)
    row.press("Enter")
    drawer = page.get_by_role("dialog")
    expect(drawer).to_contain_text(
        re.compile("gemma.*upstream error.*status 502.*engine_died.*first token.*248 ms", re.DOTALL)
    )
    for name in record_view("x", "y"):
        words = re.sub(r"_(s|at|ms)$", "", name).replace("_", " ")
        if name not in {"outcome", "abandoned_in", "http_status", "error_code", "error_detail"}:
            expect(drawer.get_by_text(words, exact=True).first).to_be_visible()
    page.keyboard.press("Escape")
    expect(drawer).to_have_count(0)
    expect(row).to_be_focused()


def test_names_from_outside_are_text_and_never_markup(visit: Visiting) -> None:
    views = state(
        models=[
            model_view(
                HOSTILE, phase="failed", failure=HOSTILE, log_tail=HOSTILE, description=HOSTILE, aliases=[HOSTILE]
            )
        ],
        calls=[
            call_view("w", HOSTILE, key=HOSTILE, wait_reason="loading", client_address=HOSTILE),
            call_view("r", HOSTILE, key=HOSTILE, admitted_at=NOW_S, phase=HOSTILE, client_address=HOSTILE),
        ],
        recent=[record_view(HOSTILE, HOSTILE, key=HOSTILE, error_detail=HOSTILE, outcome=HOSTILE, path=HOSTILE)],
        gateway={"version": HOSTILE, "health": "degraded", "health_reasons": [HOSTILE]},
    )
    page = visit(views).page
    page.get_by_role("region", name="Last requests").get_by_role("button").first.click()
    expect(page.get_by_role("dialog")).to_contain_text("<img src=x")
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Playground").click()
    expect(page.get_by_role("combobox")).to_contain_text("<img src=x")
    assert page.evaluate("window.pwned") is None
    assert page.locator("img").count() == 1  # the page's own mark
    assert page.locator("body script").count() == 0


@pytest.mark.parametrize("width", [360, 768, 1440])
def test_nothing_makes_the_page_scroll_sideways(visit: Visiting, width: int) -> None:
    long = "a-model-whose-name-has-no-place-to-break-" * 5
    views = busy_box() | {"recent": [record_view("q", long, key=long, outcome="rejected_unknown_model")]}
    views["models"] = {long: model_view(long, description=long, failure=long, log_tail=long, waiting=2000, slots=64)}
    views["calls"] = {"w": call_view("w", long, key=long), "r": call_view("r", long, key=long, admitted_at=NOW_S)}
    page = visit(views, viewport={"width": width, "height": 740}).page
    expect(page.get_by_role("region", name="Queue").get_by_role("row").last).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") == width
    page.get_by_role("button", name="Playground").click()
    assert page.evaluate("document.documentElement.scrollWidth") == width


def test_on_a_phone_buttons_are_large_enough_for_a_finger(visit: Visiting) -> None:
    page = visit(busy_box(), viewport=PHONE).page
    for button in page.get_by_role("button").and_(page.locator(".button")).all():
        box = button.bounding_box()
        assert box is not None
        assert box["height"] >= 36
        assert box["width"] >= 36


@pytest.mark.parametrize("scheme", ["dark", "light"])
def test_every_text_has_contrast_enough(visit: Visiting, scheme: str) -> None:
    degraded: View = {"health": "degraded", "health_reasons": ["the journal's disk is full"]}
    views = busy_box()
    views["gateway"] = {**state(gateway=degraded)["gateway"]}  # type: ignore[dict-item]
    shown = visit(views, color_scheme=scheme)
    page = shown.page
    shown.server.answers["/api/v1/models/load"] = (
        HTTPStatus.CONFLICT,
        "application/json",
        b'{"error":{"message":"no"}}',
    )
    page.get_by_role("button", name="Load llama").click()
    expect(page.get_by_role("alert").last).to_contain_text("no")
    page.get_by_text("Last lines of its log").click()
    _is_legible(page, at_least=120)
    page.get_by_role("region", name="Last requests").get_by_role("button").nth(1).click()
    expect(page.get_by_role("dialog")).to_be_visible()
    _is_legible(page, at_least=180)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Playground").click()
    expect(page.get_by_role("dialog")).to_be_visible()
    _is_legible(page, at_least=120)
    assert any("409" in fault for fault in shown.faults)
    shown.faults.clear()  # the refused load, said by the browser


def _is_legible(page: Page, at_least: int) -> None:
    found = page.evaluate(CONTRAST)
    assert found["seen"] >= at_least, found["seen"]
    assert found["faint"] == []


def test_the_theme_follows_the_system_until_it_is_chosen_and_the_choice_lasts(visit: Visiting) -> None:
    page = visit(busy_box(), color_scheme="light").page
    ground = "getComputedStyle(document.body).backgroundColor"
    light = page.evaluate(ground)
    page.get_by_role("button", name="Switch to dark").click()
    dark = page.evaluate(ground)
    assert dark != light
    page.reload()
    expect(page.get_by_role("button", name="Switch to light")).to_be_visible()
    assert page.evaluate(ground) == dark
    page.get_by_role("button", name="Switch to light").click()
    page.emulate_media(color_scheme="dark")
    assert page.evaluate(ground) == dark  # back to following the system


def test_the_keyboard_reaches_every_button_in_the_order_of_the_page(visit: Visiting) -> None:
    page = visit(busy_box()).page
    wanted = page.locator("button:not(:disabled), summary").count()
    reached: list[str] = []
    for _ in range(wanted + 5):
        page.keyboard.press("Tab")
        named = "(e => e.matches('button, summary') ? (e.ariaLabel ?? e.textContent) : '')(document.activeElement)"
        name = page.evaluate(named)
        if name:
            reached.append(name)
    assert reached[:4] == ["Playground", "Switch to dark", "Pin qwen", "Unload qwen"]
    assert len(reached) >= wanted
    assert "Load llama" in reached


def test_load_and_unload_ask_the_gateway_as_this_page(visit: Visiting) -> None:
    shown = visit(busy_box())
    for word, model in (("Load", "llama"), ("Unload", "qwen")):
        shown.page.get_by_role("button", name=f"{word} {model}", exact=True).press("Enter")
        posted = shown.server.posted.get(timeout=10)
        assert posted.path == f"/api/v1/models/{word.lower()}"
        assert posted.body == {"model": model}
        assert posted.headers["X-Penstock-Page"] == "1"
        assert posted.headers["Content-Type"] == "application/json"


def test_a_model_is_pinned_and_let_go_again(visit: Visiting) -> None:
    shown = visit(state([model_view("qwen", phase="ready", ttl_s=600.0, idle_since=NOW_S - 60)]))
    model = shown.section("Models").get_by_role("listitem")
    model.get_by_role("button", name="Pin qwen", exact=True).click()
    posted = shown.server.posted.get(timeout=10)
    assert (posted.path, posted.body) == ("/api/v1/models/pin", {"model": "qwen"})
    shown.server.tell(models={"qwen": model_view("qwen", phase="ready", is_pinned=True, is_paused=True)})
    expect(model).to_contain_text(re.compile("pinned.*paused.*idle, kept loaded"))
    expect(model.get_by_role("button", name="Unpin qwen")).to_have_attribute("aria-pressed", "true")
    model.get_by_role("button", name="Unpin qwen").click()
    assert shown.server.posted.get(timeout=10).path == "/api/v1/models/unpin"


def test_a_call_is_cancelled_when_that_was_said_twice(visit: Visiting) -> None:
    shown = visit(busy_box())
    for section, whose, call_id in (("Queue", "gemma for ann", "w3"), ("Running", "qwen for bob", "r2")):
        shown.section(section).get_by_role("button", name=f"Cancel {whose}", exact=True).click()
        shown.section(section).get_by_role("button", name=f"Really cancel {whose}").click()
        posted = shown.server.posted.get(timeout=10)
        assert (posted.path, posted.body) == ("/api/v1/calls/cancel", {"id": call_id, "running": True})
    shown.section("Queue").get_by_role("button", name="Cancel gemma for ann").click()
    shown.page.clock.run_for(5000)
    expect(shown.section("Queue").get_by_role("button", name="Really cancel")).to_have_count(0)
    assert shown.server.posted.empty()


def test_a_refusal_is_told_in_the_gateways_words_until_it_is_dismissed(visit: Visiting) -> None:
    shown = visit(busy_box())
    refusal = b'{"error": {"message": "qwen and llama do not fit together."}}'
    shown.server.answers["/api/v1/models/load"] = (HTTPStatus.CONFLICT, "application/json", refusal)
    shown.page.get_by_role("button", name="Load llama").click()
    alert = shown.page.get_by_role("alert")
    expect(alert).to_contain_text("llama: qwen and llama do not fit together.")
    alert.get_by_role("button", name="Dismiss").click()
    expect(alert).to_have_count(0)
    shown.faults.clear()  # the browser says that it saw a 409


def test_a_crowd_of_two_thousand_is_counted_and_does_not_hang_the_page(visit: Visiting) -> None:
    crowd = [call_view(f"w{n}", "qwen", position=n) for n in range(200)]
    shown = visit(
        state([model_view("qwen", phase="ready", waiting=2000)], crowd, counts={"running": 1, "waiting": 2000})
    )
    queue = shown.section("Queue")
    expect(queue).to_contain_text("and 1\u202f800 more, not listed")
    queue.get_by_role("button", name="Show 192 more").click()
    expect(queue.get_by_role("row")).to_have_count(201)
    for n in range(500):  # each shifts the whole line
        shown.server.tell(calls={f"w{n % 200}": None, f"v{n}": call_view(f"v{n}", "qwen", position=n)})
    shown.server.tell(counts={"running": 1, "waiting": 1500})
    expect(shown.section("Now").locator(".figure-value").nth(1)).to_have_text("1\u202f500", timeout=5000)
    slowest_ms = shown.page.evaluate(
        "() => new Promise(done => { const t = performance.now(); setTimeout(() => done(performance.now() - t), 0) })"
    )
    assert slowest_ms < 1000


def test_a_lost_stream_is_said_and_taken_up_where_it_broke_off(visit: Visiting) -> None:
    shown = visit(busy_box())
    status = shown.page.locator(".connection")
    expect(status).to_have_text("live")
    shown.server.tell(counts={"running": 2, "waiting": 77})
    expect(shown.section("Now").locator(".figure-value").nth(1)).to_have_text("77")
    shown.server.is_down = True
    shown.server.hang_up()
    expect(status).to_have_text("reconnecting")
    with shown.page.expect_response(lambda response: response.status == HTTPStatus.BAD_GATEWAY):
        pass
    shown.server.is_down = False
    shown.page.clock.fast_forward("00:20")
    expect(status).to_have_text("live")
    shown.faults.clear()  # the browser says that it saw a 502


def test_after_a_broken_connection_the_page_asks_for_what_it_missed(visit: Visiting) -> None:
    shown = visit(busy_box())
    shown.server.tell(counts={"running": 2, "waiting": 77})
    expect(shown.section("Now").locator(".figure-value").nth(1)).to_have_text("77")
    with shown.page.expect_response("**/api/v1/live"):
        shown.server.hang_up()
    expect(shown.page.locator(".connection")).to_have_text("live")
    assert shown.server.last_event_ids == [None, "2"]


def test_after_an_upgrade_the_page_fetches_itself_anew(visit: Visiting) -> None:
    shown = visit(busy_box())
    shown.server.snapshot = busy_box() | {"gateway": state(gateway={"version": "0.2.0"})["gateway"]}
    with shown.page.expect_event("domcontentloaded"):
        shown.server.hang_up()
    expect(shown.page.get_by_role("banner")).to_contain_text("0.2.0")


def test_without_requests_the_page_gives_a_line_that_makes_one(visit: Visiting) -> None:
    shown = visit(
        state([model_view("embed", kind="embedding"), model_view("it's mine")]),
        permissions=["clipboard-read", "clipboard-write"],
    )
    section = shown.section("Last requests")
    section.get_by_role("button", name="Copy").click()
    expect(section.get_by_role("button", name="Copied")).to_be_visible()
    line = shown.page.evaluate("navigator.clipboard.readText()")
    subprocess.run(["sh", "-c", line.replace("curl", "curl -s", 1)], check=True, capture_output=True, timeout=20)
    posted = shown.server.posted.get(timeout=10)
    assert posted.path == "/v1/chat/completions"
    assert posted.body == {"model": "it's mine", "messages": [{"role": "user", "content": "Hello!"}]}


def test_without_models_the_page_shows_how_to_configure_one(visit: Visiting) -> None:
    expect(visit(state()).section("Models")).to_contain_text("gguf: /path/to/model.gguf")


def test_many_stopped_models_are_folded_and_active_ones_are_not(visit: Visiting) -> None:
    models = [model_view(f"m{n}", phase="ready" if n == 30 else "stopped") for n in range(40)]
    section = visit(state(models)).section("Models")
    expect(section.get_by_role("listitem")).to_have_count(1)
    section.get_by_role("button", name="Show 39 stopped models").click()
    expect(section.get_by_role("listitem")).to_have_count(40)


def test_the_playground_streams_an_answer_and_says_how_fast_it_came(visit: Visiting) -> None:
    shown = visit(busy_box())
    shown.server.answers["/v1/chat/completions"] = (
        HTTPStatus.OK,
        "text/event-stream",
        _answer_of("Wa", "ter <b>falls</b>."),
    )
    shown.page.get_by_role("button", name="Playground").click()
    drawer = shown.page.get_by_role("dialog")
    expect(drawer.get_by_label("Message")).to_be_focused()
    shown.page.keyboard.type("Why a penstock?")
    shown.page.keyboard.press("Enter")
    expect(drawer).to_contain_text("Water <b>falls</b>.")
    expect(drawer).to_contain_text(re.compile("first token after .* in all"))
    posted = shown.server.posted.get(timeout=10)
    assert posted.body["model"] == "qwen"
    assert posted.body["stream"] is True
    assert posted.body["messages"] == [{"role": "user", "content": "Why a penstock?"}]


def test_the_playground_asks_for_a_key_only_when_the_gateway_wants_one(visit: Visiting) -> None:
    shown = visit(busy_box())
    refusal = b'{"error": {"message": "A key is needed."}}'
    shown.server.answers["/v1/chat/completions"] = (HTTPStatus.UNAUTHORIZED, "application/json", refusal)
    shown.page.get_by_role("button", name="Playground").click()
    drawer = shown.page.get_by_role("dialog")
    expect(drawer.get_by_label("Key")).to_have_count(0)
    drawer.get_by_label("Message").fill("Hello")
    drawer.get_by_role("button", name="Send").click()
    expect(drawer).to_contain_text("A key is needed.")
    drawer.get_by_label("Key").fill("sk-1")
    shown.server.answers["/v1/chat/completions"] = (HTTPStatus.OK, "text/event-stream", _answer_of("Hi"))
    drawer.get_by_label("Message").fill("Again")
    drawer.get_by_role("button", name="Send").click()
    expect(drawer.get_by_text("Hi", exact=True)).to_be_visible()
    assert shown.server.posted.get(timeout=10).headers["Authorization"] is None
    assert shown.server.posted.get(timeout=10).headers["Authorization"] == "Bearer sk-1"
    shown.faults.clear()  # the browser says that it saw a 401


def _answer_of(*parts: str) -> bytes:
    chunks = [f'data: {{"choices":[{{"delta":{{"content":"{part}"}}}}]}}\n\n' for part in parts]
    return (": queued position=0\n\n" + "".join(chunks) + "data: [DONE]\n\n").encode()
