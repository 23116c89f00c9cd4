"""`penstock check`: all that is wrong, with the line it is about."""

from __future__ import annotations

import io
import json
from pathlib import Path

from penstock.cli.check import check


def checked(path: Path, text: str, *, as_json: bool = False, upstream: str | None = None) -> tuple[int, str]:
    path.write_text(text)
    out = io.StringIO()
    code = check(path, as_json=as_json, upstream=upstream, environ={"PATH": ""}, out=out)
    return code, out.getvalue().replace(str(path), "FILE")


def test_a_good_file_is_told_as_such(tmp_path: Path) -> None:
    assert checked(tmp_path / "c.yaml", 'penstock: 1\nmodels: {a: {upstream: "http://h"}}\n') == (
        0,
        "FILE: fine (native, 1 model)\n",
    )


def test_every_fault_and_warning_is_shown_with_its_line(tmp_path: Path) -> None:
    text = (
        "penstock: 1\nttl: soon\nmodels:\n\n  m: {upstream: 'http://h', ttll: 5, api_key: [x]}\n"
        "groups: {g: {members: [m]}}\n"
    )
    assert checked(tmp_path / "c.yaml", text) == (
        3,
        """\
FILE:6:9: warning: groups: found groups that decide nothing, expected `residency: groups`, or no groups at all
    groups: {g: {members: [m]}}
            ^
FILE:2:6: error: ttl: found "soon", expected a duration: seconds, or a text such as "90s", "10m", "1h30m" or "2d"
    ttl: soon
         ^
FILE:5:29: error: models.m.ttll: found an unknown key, expected a key of a model; did you mean `ttl`?
FILE:5:47: error: models.m.api_key: found a list, expected a text
FILE: 3 faults
""",
    )


def test_a_long_line_is_cut_around_the_fault(tmp_path: Path) -> None:
    text = (
        "penstock: 1\nmodels: {m: {upstream: 'http://h', name: '"
        + "x" * 500
        + "', ttl: 5, description: '"
        + "y" * 500
        + "'}}\n"
    )
    lines = checked(tmp_path / "c.yaml", text)[1].splitlines()
    assert max(map(len, lines[1:])) < 120
    assert lines[1][lines[2].index("^") :].startswith("5,")


def test_json_is_for_programs(tmp_path: Path) -> None:
    code, text = checked(tmp_path / "c.yaml", "penstock: 1\nttl: soon\n", as_json=True)
    assert (code, json.loads(text)) == (
        3,
        {
            "ok": False,
            "format": None,
            "models": None,
            "faults": [
                {
                    "file": "FILE",
                    "line": 2,
                    "column": 6,
                    "key": "ttl",
                    "found": '"soon"',
                    "expected": 'a duration: seconds, or a text such as "90s", "10m", "1h30m" or "2d"',
                    "suggestion": None,
                }
            ],
            "warnings": [],
        },
    )


def test_a_litellm_file_is_checked_with_its_upstream(tmp_path: Path) -> None:
    text = "model_list: [{model_name: m, litellm_params: {}}]\n"
    assert checked(tmp_path / "c.yaml", text)[0] == 3
    assert checked(tmp_path / "c.yaml", text, upstream="http://h") == (0, "FILE: fine (litellm, 1 model)\n")


def test_a_missing_file_is_a_fault(tmp_path: Path) -> None:
    out = io.StringIO()
    assert check(tmp_path / "none.yaml", environ={}, out=out) == 3
    assert "found nothing to read (no such file or directory)" in out.getvalue()
