"""Logging in to the page of a real gateway, in a real Chromium."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, expect

from tests.e2e.program import Program, engine_cmd, run
from tests.web.chromium import chromium

CONFIG = f"penstock: 1\nmodels: {{m: {{cmd: {engine_cmd()}}}}}\n"
CONTRAST = (Path(__file__).parent / "contrast.js").read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def context(browser: Browser) -> Iterator[BrowserContext]:
    made = browser.new_context()
    yield made
    made.close()


@dataclass(frozen=True)
class Guarded:
    """A gateway, and its keys by the role that each has and is called by."""

    program: Program
    keys: dict[str, str]


@pytest.fixture
def guarded(tmp_path: Path) -> Iterator[Guarded]:
    keys = {role: made(tmp_path, role) for role in ("admin", "viewer", "none")}
    with Program(tmp_path, CONFIG) as program:
        yield Guarded(program, keys)


def made(home: Path, role: str) -> str:
    return str(json.loads(run("keys", "add", role, "--role", role, "--json", home=home).stdout)["key"])


def opened(guarded: Guarded, context: BrowserContext) -> Page:
    page = context.new_page()
    page.goto(guarded.program.url)
    expect(page.get_by_role("form", name="Log in")).to_be_visible()
    return page


def log_in(page: Page, secret: str) -> None:
    page.get_by_label("Key").fill(secret)
    page.get_by_role("button", name="Log in").click()


def test_a_key_is_traded_for_a_session_that_scripts_cannot_read(guarded: Guarded, context: BrowserContext) -> None:
    secret = guarded.keys["admin"]
    page = opened(guarded, context)
    expect(page.get_by_label("Key")).to_be_focused()
    expect(page.get_by_role("region", name="Models")).to_have_count(0)
    log_in(page, "sk-penstock-wrong")
    expect(page.get_by_role("alert")).to_contain_text("not one of this gateway's keys")
    log_in(page, secret)
    expect(page.get_by_role("region", name="Models")).to_be_visible()
    expect(page.locator(".connection")).to_have_text("live")
    (cookie,) = context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"], cookie["secure"]) == (True, "Strict", False)
    assert page.evaluate("document.cookie") == ""
    assert secret not in page.content() + json.dumps(page.evaluate("({...localStorage, ...sessionStorage})"))
    page.reload()
    expect(page.get_by_role("region", name="Models")).to_be_visible()


def test_an_admin_acts_and_logs_out(guarded: Guarded, context: BrowserContext) -> None:
    page = opened(guarded, context)
    log_in(page, guarded.keys["admin"])
    page.get_by_role("button", name="Load m").click()
    expect(page.get_by_role("region", name="Models").get_by_role("listitem")).to_contain_text("ready", timeout=30_000)
    page.get_by_role("button", name="Log out").click()
    expect(page.get_by_role("form", name="Log in")).to_be_visible()
    expect(page.get_by_role("region", name="Models")).to_have_count(0)
    assert page.evaluate("fetch('api/v1/state').then((answer) => answer.status)") == 401
    page.reload()
    expect(page.get_by_role("form", name="Log in")).to_be_visible()


def test_a_viewer_looks_and_has_no_buttons_that_would_only_be_refused(
    guarded: Guarded, context: BrowserContext
) -> None:
    page = opened(guarded, context)
    log_in(page, guarded.keys["none"])
    expect(page.get_by_role("alert")).to_contain_text("needs a key with the role viewer")
    log_in(page, guarded.keys["viewer"])
    models = page.get_by_role("region", name="Models")
    expect(models.get_by_role("listitem")).to_contain_text("stopped")
    expect(models.get_by_role("button")).to_have_count(0)
    assert page.evaluate("fetch('api/v1/state').then((answer) => answer.status)") == 200
    expect(page.get_by_role("region", name="Last requests")).to_contain_text("Bearer $PENSTOCK_KEY")
    expect(page.get_by_role("banner")).to_contain_text("viewer")
    page.get_by_role("button", name="Log out").click()
    log_in(page, guarded.keys["admin"])
    expect(page.get_by_role("button", name="Load m")).to_be_visible()
    expect(page.get_by_role("banner").get_by_text("viewer")).to_have_count(0)
    page.get_by_role("button", name="Pin m").click()
    expect(models.get_by_role("listitem")).to_contain_text("pinned")
    expect(page.get_by_role("button", name="Unpin m")).to_be_visible()


def test_without_keys_whoever_sees_the_page_may_act(tmp_path: Path, context: BrowserContext) -> None:
    with Program(tmp_path, CONFIG) as program:
        page = context.new_page()
        page.goto(program.url)
        expect(page.get_by_role("button", name="Load m")).to_be_visible()
        expect(page.get_by_role("banner").get_by_text("viewer")).to_have_count(0)
        assert page.evaluate("fetch('api/v1/state').then((answer) => answer.status)") == 200


def test_a_page_whose_key_is_revoked_stops_showing_and_asks_for_another(
    guarded: Guarded, context: BrowserContext
) -> None:
    page = opened(guarded, context)
    log_in(page, guarded.keys["viewer"])
    expect(page.get_by_role("region", name="Models")).to_be_visible()
    run("keys", "revoke", "viewer", home=guarded.program.folder)
    expect(page.get_by_role("form", name="Log in")).to_be_visible(timeout=30_000)
    expect(page.get_by_role("region", name="Models")).to_have_count(0)
    assert page.evaluate("fetch('api/v1/state').then((answer) => answer.status)") == 401


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_login_fits_a_phone_and_can_be_read(guarded: Guarded, browser: Browser, scheme: str) -> None:
    context = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme)  # type: ignore[arg-type]
    page = opened(guarded, context)
    log_in(page, "wrong")
    expect(page.get_by_role("alert")).to_be_visible()
    assert page.evaluate("document.documentElement.scrollWidth") <= 360
    found = page.evaluate(CONTRAST)
    assert (found["seen"] >= 6, found["faint"]) == (True, [])
    context.close()
