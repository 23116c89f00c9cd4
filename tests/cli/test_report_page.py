"""The page of a report in a real Chromium: wide and narrow, light and dark, with names that were meant to do harm."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page

from penstock.cli.report_html import MAX_ROWS, page_of
from tests.cli.reports import ESCAPES, HOSTILE, a_report, a_week
from tests.web.chromium import chromium

ALL = ("model", "key", "workload")
CHARTS = ("Offered, active, queued", "Calls per day, by outcome", "Tokens by model", "Waits")
PHONE, DESK = {"width": 360, "height": 740}, {"width": 1280, "height": 900}

Opening = Callable[..., Page]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def week(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("week")
    path = folder / "week.html"
    path.write_text(page_of(a_report(folder, a_week()), ALL))
    return path


@pytest.fixture
def opened(browser: Browser) -> Iterator[Opening]:
    """A file in a window of its own; afterwards nothing may have been asked for, said or thrown."""
    faults: list[str] = []
    contexts = []

    def opening(path: Path, **context: object) -> Page:
        made = browser.new_context(**context)  # type: ignore[arg-type]
        contexts.append(made)
        page = made.new_page()
        page.on("console", lambda said: faults.append(said.text))
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on("request", lambda request: faults.extend([] if request.url == path.as_uri() else [request.url]))
        page.goto(path.as_uri())
        return page

    yield opening
    for made in contexts:
        made.close()
    assert faults == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [PHONE, DESK], ids=["phone", "desk"])
def test_it_fits_and_everything_is_there(opened: Opening, week: Path, viewport: dict[str, int], scheme: str) -> None:
    page = opened(week, viewport=viewport, color_scheme=scheme)
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    for title in CHARTS:
        chart = page.get_by_role("img", name=title)
        box = chart.bounding_box()
        assert box is not None
        assert box["width"] > 250
        assert chart.locator("rect, polygon").count() > 3
    assert page.locator("h2").all_inner_texts() == ["By model", "By key", "By workload", "What the words mean"]
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(243, 245, 246)"
    assert light is (scheme == "light")


def test_names_that_were_meant_to_do_harm_are_text(opened: Opening, week: Path) -> None:
    page = opened(week, viewport=DESK)
    assert page.evaluate("window.pwned") is None
    assert page.locator("script, img, iframe, a, link, object").count() == 0
    assert HOSTILE in page.locator("tbody th").all_inner_texts()
    shown = "".join(page.locator("tbody th").all_inner_texts())
    assert "\x1b" not in shown
    assert "\u202e" not in shown
    assert ESCAPES.replace("\x1b", "\ufffd").replace("\x07", "\ufffd").replace("\u202e", "\ufffd") in shown


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_can_be_read(opened: Opening, week: Path, scheme: str) -> None:
    page = opened(week, viewport=DESK, color_scheme=scheme)
    for place in ("h1", "h1 + p", "dt", "dd", "tbody th", "tbody td", "thead th", "figure p", "li"):
        assert page.locator(place).count(), place
        colours = page.locator(place).first.evaluate(
            "e => [getComputedStyle(e).color, getComputedStyle(e.closest('.wide, figure, dl > div') ?? document.body)"
            ".backgroundColor]"
        )
        assert contrast(*colours) >= 4.5, (place, colours)


def contrast(one: str, other: str) -> float:
    """Of two colours, as WCAG defines it."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def luminance(colour: str) -> float:
    parts = [int(part) / 255 for part in colour.removeprefix("rgb(").removesuffix(")").split(",")]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_bars_say_their_numbers_when_pointed_at(opened: Opening, week: Path) -> None:
    page = opened(week, viewport=DESK)
    said = page.get_by_role("img", name="Calls per day, by outcome").locator("title").all_text_contents()
    assert len(said) == 8
    assert "144 requests: 60 completed, 21 abandoned" in said[1]
    tokens = page.get_by_role("img", name="Tokens by model").locator("title").all_text_contents()
    assert any(line.startswith(f"{HOSTILE}: 173k prompt, 115k of it cached, ") for line in tokens)


def test_an_empty_report_and_a_short_one_are_pages_too(opened: Opening, tmp_path: Path) -> None:
    for name, courses, last_s in (("empty", [], 3600.0), ("short", a_week()[-20:], 1800.0), ("year", a_week(), 3e7)):
        folder = tmp_path / name
        folder.mkdir()
        path = folder / "report.html"
        path.write_text(page_of(a_report(folder, courses, last_s), ALL))
        page = opened(path, viewport=PHONE)
        assert page.locator("svg").count() == (0 if name == "empty" else 4)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")


def test_a_long_list_is_cut_and_says_so(tmp_path: Path) -> None:
    many = [each._replace(workload=f"w{number}") for number, each in enumerate(a_week()[: MAX_ROWS + 7])]
    page = page_of(a_report(tmp_path, many), ("workload",))
    assert "And 7 more" in page
    assert "By model" not in page
