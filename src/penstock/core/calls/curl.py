"""A captured request as a curl command that can be pasted into a shell.

Nothing in it is ever read by the shell or by the terminal: texts are in single quotes, and a body with control
characters in it is written in base64.
"""

from __future__ import annotations

import base64
import re

from penstock.core.calls.capture import Absence, KeptCapture
from penstock.core.calls.redact import MASK, is_telling

KEY = "$PENSTOCK_KEY"
LONGEST_ARGUMENT = 100_000
"""Bytes: a longer body is piped, for Linux allows no argument above 128 KiB."""

_MADE_BY_CURL = frozenset(
    {"host", "content-length", "connection", "transfer-encoding", "accept-encoding", "content-encoding", "expect"}
    | {"upgrade", "keep-alive", "te", "trailer", "cookie", "proxy-connection", "proxy-authorization"}
)
_KEYS = frozenset({"authorization", "x-api-key", "api-key"})
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]")
"""What a terminal may act upon, or show otherwise than it is; line feeds and tabs are harmless."""
_MASK = MASK.decode("ascii")
_WHY = {
    Absence.LEVEL: "for only heads are captured of this model",
    Absence.ENDPOINT: "as it never is for this path",
    Absence.MEDIA: "as sound, pictures and files never are",
    Absence.CODING: "for it came in a coding that could not be searched for secrets",
}


def curl_command(capture: KeptCapture, address: str) -> str:
    """The call as a command. address: of the gateway, without a slash at its end. What differs is said above it."""
    method = capture.summary.method
    words = ["curl -sS -N -g --path-as-is"]
    body = capture.request
    has_body = bool(body.head or body.tail or body.absence)
    if method != ("POST" if has_body else "GET"):
        words.append("--head" if method == "HEAD" else f"-X {_quoted(method)}")
    words.append(_quoted(address + _text(capture.target)))
    words += _headers(capture, has_body=has_body)
    pipe = ""
    if body.absence:
        words += _absent_body(capture)
    elif has_body:
        pipe, argument = _body(body.head + body.tail)
        words.append(argument)
    return "".join([*_notes(capture), pipe, " \\\n  ".join(words), "\n"])


def _notes(capture: KeptCapture) -> list[str]:
    """Comments on what is not as it was."""
    notes = []
    body, target = capture.request, capture.target
    if body.absence:
        notes.append(f"its body ({body.passed_bytes} bytes) is not kept, {_WHY[body.absence]}")
        other = ", and add the fields that it had" if _is_form(capture) else ""
        notes.append(f"put your own in the place of FILE{other}")
    elif body.missing_bytes:
        notes.append(f"{body.missing_bytes} bytes in the middle of its body are not kept")
    if MASK in body.head or MASK in body.tail:
        notes.append("secrets in its body are masked")
    if b" characters not kept]" in body.head + body.tail:
        notes.append("pictures or sound in its body are left out")
    if MASK in target or any(name.decode("latin-1").lower() in _KEYS for name, _ in capture.request_headers):
        notes.append("set PENSTOCK_KEY to your key")
    return [f"# {note}\n" for note in notes]


def _absent_body(capture: KeptCapture) -> list[str]:
    """Where a body goes that was not kept."""
    if not _is_form(capture):
        return ["--data-binary @FILE"]
    field = "image" if b"/images/" in capture.target else "file"
    said = _quoted(f"model={capture.summary.model or ''}")
    return [f"--form-string {said}", f"-F {field}=@FILE"]  # as -F, a name that begins with @ would be a file


def _is_form(capture: KeptCapture) -> bool:
    """Whether its body was one that curl makes anew, with a boundary of its own."""
    return bool(capture.request.absence) and any(
        name.lower() == b"content-type" and value.lower().startswith(b"multipart/form-data")
        for name, value in capture.request_headers
    )


def _headers(capture: KeptCapture, *, has_body: bool) -> list[str]:
    words, names, is_form = [], set[str](), _is_form(capture)
    for raw_name, raw_value in capture.request_headers:
        name, value = raw_name.decode("latin-1"), _text(raw_value)
        lower = name.lower()
        if lower in _MADE_BY_CURL or (is_form and lower == "content-type") or _CONTROL.search(name + value):
            continue
        if (is_telling(name) or _MASK in value) and lower not in _KEYS:
            continue
        names.add(lower)
        words.append(f"-H {_quoted(f'{name}: {value}' if value else f'{name};')}")
    if has_body:
        words += [f"-H '{name}:'" for name in ("content-type", "expect") if name not in names and not is_form]
    return words


def _body(body: bytes) -> tuple[str, str]:
    """What stands before the command, and the argument that takes the body."""
    text = _printable(body)
    if text is None:
        return f"printf %s '{base64.b64encode(body).decode('ascii')}' | base64 -d | ", "--data-binary @-"
    if len(body) <= LONGEST_ARGUMENT:
        return "", f"--data-raw {_literal(text)}"
    return f"printf %s {_literal(text)} | ", "--data-binary @-"


def _printable(body: bytes) -> str | None:
    try:
        text = body.decode("utf-8")
    except UnicodeDecodeError:
        return None
    return None if _CONTROL.search(text) else text


def _text(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _literal(text: str) -> str:
    """One word of a POSIX shell."""
    return "'" + text.replace("'", "'\\''") + "'"


def _quoted(text: str) -> str:
    """The same, with the key wherever a secret was masked. Controls are dropped: no honest head has any."""
    return _literal(_CONTROL.sub("", text).replace("\n", "").replace("\t", " ")).replace(_MASK, f"'\"{KEY}\"'")
