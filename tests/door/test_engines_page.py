"""llama.cpp's own web page, served by the real embedded engine below `/upstream`, used in a real browser."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, expect

from penstock.core.accounting.record import CallRecord
from penstock.discovery.demo import ensure_demo_models
from tests.e2e.program import Program
from tests.web.chromium import chromium

pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")
pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    folder = tmp_path_factory.mktemp("page")
    model = ensure_demo_models(folder / "models").chat_a
    config = f"""
penstock: 1
models:
  org/m: {{gguf: {{path: "{model}", context: 2048, threads: 1}}, memory: 64MiB, upstream_pages: trusted}}
  kept-apart: {{gguf: {{path: "{model}", context: 2048, threads: 1}}, memory: 64MiB}}
"""
    with Program(folder, config, PATH=os.environ["PATH"]) as program:
        yield program


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    page = browser.new_page()
    yield page
    page.close()


def calls_of(program: Program, path: str) -> list[CallRecord]:
    """The closed records of a path, as soon as there is one."""
    end_s = time.monotonic() + 30
    while time.monotonic() < end_s:
        if found := [each for each in program.records().values() if each.path == path and not each.is_open()]:
            return found
        time.sleep(0.05)  # no-sleep-needed: between two looks, not instead of one
    raise AssertionError({each.path for each in program.records().values()})


def test_the_engines_own_page_talks_to_its_model(program: Program, page: Page) -> None:
    page.goto(f"{program.url}/upstream/org%2Fm", wait_until="load", timeout=60_000)
    assert re.search(r"/upstream/org(%2F|/)m/", page.url), "the root of the engine ends with a slash"
    box = page.locator("textarea").first
    expect(box).to_be_visible(timeout=30_000)
    box.fill("Where does the water go?")
    box.press("Enter")
    path = "/upstream/org%2Fm/v1/chat/completions"
    (record, *_) = calls_of(program, path)
    assert (record.outcome, record.model, record.dialect) == ("completed", "org/m", "openai.chat")
    assert record.streamed is not None
    assert (record.completion_tokens or 0) > 0


def test_a_page_that_is_not_trusted_reaches_neither_the_gateway_nor_its_cookies(program: Program, page: Page) -> None:
    page.context.add_cookies([{"name": "a", "value": "secret", "url": program.url}])
    page.goto(f"{program.url}/upstream/kept-apart/", wait_until="load", timeout=60_000)
    assert page.evaluate("window.origin") == "null"
    reaches = "fetch('/api/v1/state').then(() => 'read', () => 'refused')"
    assert page.evaluate(reaches) == "refused"
    assert page.evaluate("(() => { try { return document.cookie } catch { return 'refused' } })()") == "refused"
