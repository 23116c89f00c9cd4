"""The page's files by themselves: its pure modules under node, its vendored libraries, and what no file may contain."""

from __future__ import annotations

import hashlib
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.web.page_server import UI_FOLDER, missing

VENDOR = UI_FOLDER / "vendor"
OWN_SCRIPTS = sorted(path for path in UI_FOLDER.rglob("*.js") if VENDOR not in path.parents)
OLDEST_NODE = (20, 19)  # reads `export` in a .js file without being told


def test_the_pure_modules_keep_their_promises_under_node() -> None:
    node = _node()
    scripts = sorted(str(path) for path in Path(__file__).parent.glob("*.test.mjs"))
    ran = subprocess.run([node, "--test", *scripts], capture_output=True, text=True, check=False, timeout=50)
    assert ran.returncode == 0, ran.stdout
    assert re.search(r"pass [1-9]", ran.stdout)


def test_the_vendored_files_are_those_that_were_pinned() -> None:
    lines = [line.split() for line in (VENDOR / "SHA256SUMS").read_text().splitlines()]
    sums = {name: digest for digest, name in lines}
    here = {path.name for path in VENDOR.iterdir() if path.suffix in {".js", ".css", ".woff2"}}
    assert here == set(sums)
    assert {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name in here} == sums


def test_every_vendored_library_keeps_its_licence_and_is_named_with_its_version() -> None:
    readme = (VENDOR / "README.md").read_text()
    for path in VENDOR.glob("*.*"):
        if path.suffix in {".js", ".css", ".woff2"}:
            library = re.split(r"[-.]", path.name)[0]
            assert (VENDOR / f"{library}.LICENSE").stat().st_size > 500
            assert re.search(rf"`{re.escape(path.name)}` \| \S+ \d+\.\d+\.\d+,", readme)


@pytest.mark.parametrize("path", OWN_SCRIPTS, ids=lambda path: str(path.relative_to(UI_FOLDER)))
def test_a_script_is_short_says_what_it_is_for_and_makes_no_markup_from_text(path: Path) -> None:
    text = path.read_text()
    assert text.startswith(("/**", "/*")), "its first line says its one responsibility"
    assert len(text.splitlines()) <= 200
    assert max(map(len, text.splitlines())) <= 120
    assert not re.search(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(|new Function|https?://", text
    )


def test_the_page_has_no_inline_script_or_style_and_names_only_files_beside_it() -> None:
    index = (UI_FOLDER / "index.html").read_text()
    assert not re.search(r"<style|style=|\son\w+=|<script>", index)
    for address in re.findall(r'(?:src|href)="([^"]+)"', index):
        assert (UI_FOLDER / address.removeprefix("page/")).is_file(), address


def _node() -> str:
    node = shutil.which("node")
    if node is None:
        missing("node")
    version = subprocess.run([node, "--version"], capture_output=True, text=True, check=True, timeout=20).stdout
    if tuple(map(int, version.strip("v\n").split(".")[:2])) < OLDEST_NODE:
        missing("node 20.19 or newer")
    return node
