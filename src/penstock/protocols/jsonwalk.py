"""Where a value of a large JSON text ends, found in steps none of which takes long.

msgspec reads fast, but at one stretch: a large text would hold the interpreter, and with it all other calls, for as
long as that takes. So a text is cut where no string is open, and each cutting, with the brackets that are open around
it, is a small text that msgspec proves to be JSON. A long string is cut between its characters and proved likewise.
"""

from __future__ import annotations

import re

import msgspec

from penstock.core.calls.message import Body
from penstock.errors import BadRequest, InvalidJson

MIN_STEP_BYTES, MAX_STEP_BYTES = 1024, 64 * 1024
"""How much is looked at together: more and more while nothing ends, less and less where a value ends."""

GROWTH = 4

MAX_DEPTH = 200
"""So deep may a large text be nested."""

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
"""What msgspec raises over JSON that it cannot read."""

_QUOTE, _COMMA, _BACKSLASH = b'",\\'
_ARRAY = b"["[0]
_OPENING = frozenset(b"{[")
_NO_MARKS = bytes(set(range(256)) - set(b'"[]{}'))
_NO_SEAM = bytes(set(range(256)) - set(b",[]{}"))
_ESCAPED_MARK = re.compile(rb'\\["\\]')
_ESCAPE_BYTES = 6
_HALF_CHARACTER = re.compile(rb"\\u[dD][89abAB]")
_OF_WORD = re.compile(rb"[0-9]+|[-+.A-Za-z]{1,8}")
_MAX_WORD_BYTES = 32
_RUN = re.compile(rb"[\[{]+|[\]}]+")
_TOKEN = re.compile(rb'"(?:[^"\\]|\\.)*+"|[\[\]{}]', re.DOTALL)
_BEFORE_LONG = re.compile(
    rb'[ \t\r\n]*+,?[ \t\r\n]*+(?:"(?:[^"\\]|\\.)*+"[ \t\r\n]*+:[ \t\r\n]*+)?(?=["0-9-])', re.DOTALL
)
"""What may stand between the end of a value, or the beginning of a container, and a string or a number."""

_prove = msgspec.json.Decoder(msgspec.Raw).decode


def end_of_value(text: Body, at: int) -> int:
    """Where the value that begins at `at` ends. Raises InvalidJson, BadRequest (too deep, or one word too long)."""
    first = text[at : at + 1]
    if first == b'"':
        return _end_of_string(text, at)
    if first in (b"{", b"["):
        return _Descent(text, at).end()
    return _end_of_word(text, at)


def unreadable(why: str, at: int) -> InvalidJson:
    return InvalidJson(reason=f"{why} near byte {at}")


class _Descent:
    """One container, from its first bracket to its last. `_open`: the brackets that are open at `_at`.

    `_is_fresh`: there the innermost of them has only just begun; else a value has ended there.
    """

    __slots__ = ("_at", "_is_fresh", "_open", "_step_bytes", "_text")

    def __init__(self, text: Body, at: int) -> None:
        self._text = text
        self._open = [text[at]]
        self._at = at + 1
        self._is_fresh = True
        self._step_bytes = MIN_STEP_BYTES

    def end(self) -> int:
        while True:
            window = bytes(self._text[self._at : self._at + self._step_bytes])
            plain = _without_escapes(window)
            seam, marks = _cut(plain)
            if not seam:
                self._pass_long(window)
                continue
            still_open = self._followed(marks)
            if still_open is not None:
                self._check(window[:seam], still_open)
                self._open, self._is_fresh = still_open, window[seam - 1] in _OPENING
                self._at += seam
                self._step_bytes = min(GROWTH * self._step_bytes, MAX_STEP_BYTES)
            elif len(window) > MIN_STEP_BYTES and _cut(plain[: len(window) // GROWTH])[0]:
                self._step_bytes = len(window) // GROWTH
            else:
                last = self._last_bracket(window)
                self._check(window[:last], [])
                return self._at + last

    def _followed(self, marks: bytes) -> list[int] | None:
        """The brackets that are open behind these; None = the container has ended among them."""
        still_open = self._open.copy()
        for run in _RUN.findall(_without_pairs(marks)):
            if run[0] in _OPENING:
                still_open += run
                if len(still_open) > MAX_DEPTH:
                    raise InvalidJson(reason="it is nested too deeply")
            elif len(run) < len(still_open):  # of which kind they are, the proof sees
                del still_open[-len(run) :]
            else:
                return None
        return still_open

    def _last_bracket(self, window: bytes) -> int:
        """Behind the bracket that ends the container, which is in this window."""
        depth = len(self._open)
        for token in _TOKEN.finditer(window):
            mark = token[0][0]
            if mark != _QUOTE:
                depth += 1 if mark in _OPENING else -1
                if not depth:
                    return token.end()
        raise unreadable("a string that does not end, or a stray character", self._at)

    def _pass_long(self, window: bytes) -> None:
        """There is nowhere to cut: a longer look is taken, and then it must be a long string or number."""
        if len(window) < self._step_bytes and not window.strip():
            raise unreadable("the text ends too early", self._at)
        if len(window) == self._step_bytes < MAX_STEP_BYTES:
            self._step_bytes *= GROWTH
            return
        before = _BEFORE_LONG.match(window)
        if before is None:
            what = f"more than {MAX_STEP_BYTES} bytes of a name or of white space"
            raise BadRequest(reason=f"{what}, or neither, near byte {self._at}")
        self._check(before[0] + b"0", self._open)
        self._at = end_of_value(self._text, self._at + before.end())
        self._is_fresh = False

    def _check(self, part: bytes, still_open: list[int]) -> None:
        """Prove a part of the text: with what is open before it, and closed behind it."""
        *outer, inner = self._open
        begun = b"".join(b"[" if mark == _ARRAY else b'{"":' for mark in outer)
        if self._is_fresh:
            begun += b"[" if inner == _ARRAY else b"{"
        else:
            begun += b"[0" if inner == _ARRAY else b'{"":0'
        ended = b"".join(b"]" if mark == _ARRAY else b"}" for mark in reversed(still_open))
        _check(begun + part + ended, self._at)


def _cut(plain: bytes) -> tuple[int, bytes]:
    """Where a window that begins in no string can be cut, before a comma or behind a bracket, and the marks before
    that, strings and all; 0 = nowhere. `plain`: its quotes are all the ends of strings."""
    marks = plain.translate(None, _NO_MARKS)
    end = plain.rfind(b'"') if marks.count(b'"') % 2 else len(plain)
    while end > 0:
        begin = plain.rfind(b'"', 0, end) + 1
        outside = plain[begin:end].rstrip(_NO_SEAM)
        if outside:
            seam = begin + len(outside) - (outside[-1] == _COMMA)
            behind = plain[seam:].translate(None, _NO_MARKS)
            return seam, marks[: len(marks) - len(behind)]
        end = plain.rfind(b'"', 0, begin - 1) if begin else 0
    return 0, b""


def _without_pairs(marks: bytes) -> bytes:
    """The brackets that are in no string, less most of those that open and close again."""
    if b'"' in marks:
        marks = marks.replace(b'""', b"")  # strings with no bracket in them; or the seam of two, which become one
        if b'"' in marks:
            marks = b"".join(marks.split(b'"')[::2])
    while True:
        left = marks.replace(b"{}", b"").replace(b"[]", b"")
        if len(left) >= len(marks) * 3 // 4:  # it does not pay any more
            return left
        marks = left


def _without_escapes(window: bytes) -> bytes:
    """The window with other letters for escaped quotes and backslashes, so that every quote ends or begins a string."""
    if _ESCAPED_MARK.search(window) is None:
        return window
    return window.replace(b"\\\\", b"__").replace(b'\\"', b"__")


def _end_of_string(text: Body, start: int) -> int:
    at, step_bytes = start + 1, MIN_STEP_BYTES
    while True:
        window = bytes(text[at : at + step_bytes])
        quote = window.find(b'"')
        if quote > 0 and window[quote - 1] == _BACKSLASH:
            quote = _without_escapes(window).find(b'"')
        if quote >= 0:
            _check(b'"%b"' % window[:quote], at)
            return at + quote + 1
        if len(window) < step_bytes:
            raise unreadable("a string does not end", start)
        window = window[: _between_characters(window)]
        _check(b'"%b"' % window, at)
        at, step_bytes = at + len(window), min(GROWTH * step_bytes, MAX_STEP_BYTES)


def _end_of_word(text: Body, start: int) -> int:
    """Of a number, true, false or null. For the proof a number of any length is as good as one of a few digits."""
    at, proof, was_digits = start, b"", False
    while found := _OF_WORD.match(text, at, at + MAX_STEP_BYTES):
        is_digits = found[0][:1].isdigit()
        if not (is_digits and was_digits):  # else more of the same digits
            proof += found[0][:2] if is_digits else found[0]
        at, was_digits = found.end(), is_digits
        if len(proof) > _MAX_WORD_BYTES:
            break
    _check(proof, start)
    return at


def _between_characters(window: bytes) -> int:
    """Where to cut a part of a string, so that no escape is cut, and no two that are one character."""
    cut = len(window)
    last = window.rfind(b"\\", cut - _ESCAPE_BYTES)
    if _begins_escape(window, last) and last + (_ESCAPE_BYTES if window[last + 1 :][:1] == b"u" else 2) > cut:
        cut = last
    if _HALF_CHARACTER.match(window, cut - _ESCAPE_BYTES) and _begins_escape(window, cut - _ESCAPE_BYTES):
        cut -= _ESCAPE_BYTES
    return cut


def _begins_escape(window: bytes, at: int) -> bool:
    """Whether the backslash there is not itself escaped."""
    before = window[: at + 1]
    return (len(before) - len(before.rstrip(b"\\"))) % 2 == 1


def _check(part: bytes, at: int) -> None:
    try:
        _prove(part)
    except UNREADABLE as exc:
        raise unreadable(str(exc).partition(" (byte ")[0], at) from exc
