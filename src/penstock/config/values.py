"""The kinds of values a setting may have: how each is written, read and described.

A reader raises `Unexpected`, whose message completes "expected ..."; nothing is guessed and nothing rounded.
"""

from __future__ import annotations

import enum
import math
import re
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from typing import Annotated, TypeVar

from pydantic import BeforeValidator, WithJsonSchema
from pydantic_core import PydanticCustomError

from penstock.config.quantities import DURATION_PATTERN, SIZE_PATTERN, seconds, size_bytes

LOOPBACK = "127.0.0.1"
UNLIMITED = "unlimited"

T = TypeVar("T")

_A_NAME = "a name: printable, without spaces around it, at most 256 characters"
_AN_ADDRESS = '"host:port" or ":port"'

_ADDRESS = re.compile(r"(?P<host>\[[0-9A-Fa-f:.%\w]+\]|[^\s:\[\]/]*):(?P<port>\d{1,5})", re.ASCII)
_URL = re.compile(r"https?://[^\s/?#]+[^\s]*", re.IGNORECASE)


def unexpected(expected: str, *, item: int | None = None) -> PydanticCustomError:
    """The error of a value that is not what it should be. item: which of a list's is at fault; None = all of it."""
    return PydanticCustomError("unexpected", "{expected}", {"expected": expected, "item": item})


class _InList(ValueError):
    """Of a list this item cannot be read."""

    def __init__(self, item: int, expected: str) -> None:
        self.item, self.expected = item, expected


def _each_of(value: object, read: Callable[[object], T], expected: str) -> tuple[T, ...]:
    """All items of a list as `read` reads them. Raises TypeError; _InList, by which a reader points to the item."""
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise TypeError(value)
    found = []
    for item, each in enumerate(value):
        try:
            found.append(read(each))
        except (ValueError, TypeError, OverflowError, re.error) as exc:
            raise _InList(item, expected) from exc
    return tuple(found)


def _reader(expected: str, read: Callable[[object], object]) -> BeforeValidator:
    """A validator that says `expected` when `read` raises ValueError or TypeError."""

    def validate(value: object) -> object:
        try:
            return read(value)
        except _InList as exc:
            raise unexpected(exc.expected, item=exc.item) from None
        except (ValueError, TypeError, OverflowError, re.error):
            raise unexpected(expected) from None

    return BeforeValidator(validate)


def _whole(value: object, least: int, most: int) -> int:
    number = int(value) if isinstance(value, str) and re.fullmatch(r"-?\d{1,18}", value) else value
    if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
        raise ValueError(value)
    return number


def _number(value: object, least: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise TypeError(value)
    number = float(value)
    if not math.isfinite(number) or number < least:
        raise ValueError(value)
    return number


def _flag(value: object) -> bool:
    if value in ("true", "false"):
        return value == "true"
    if not isinstance(value, bool):
        raise TypeError(value)
    return value


def _text(value: object) -> str:
    """A number stands for its digits: names such as 1234 need no quotes."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise TypeError(value)
    text = str(value)
    if "\0" in text:
        raise ValueError(value)
    return text


def _name(value: object) -> str:
    text = _text(value)
    if not 0 < len(text) <= 256 or not text.isprintable() or text != text.strip():
        raise ValueError(value)
    return text


def _duration(value: object) -> float:
    return seconds(value) if isinstance(value, str) else _number(value, 0.0)


def _size(value: object) -> int:
    return size_bytes(value) if isinstance(value, str) else _whole(value, 0, 2**62)


def _slots(value: object) -> int | str:
    return UNLIMITED if value == UNLIMITED else _whole(value, 1, 100_000)


def _memory(value: object) -> int | dict[str, int]:
    if isinstance(value, Mapping):
        return {_name(device): _size(amount) for device, amount in value.items()}
    return _size(value)


def _tiers(value: object) -> tuple[tuple[int, float], ...]:
    if not isinstance(value, list | tuple):
        raise TypeError(value)
    tiers = tuple((_whole(tokens, 1, 2**53), _number(times, 5e-324)) for tokens, times in value)
    if any(lower[0] >= upper[0] for lower, upper in pairwise(tiers)):
        raise ValueError(value)
    return tiers


def _unless_off(value: object) -> float | None:
    return None if value in ("off", False) else _duration(value)


def _url(value: object) -> str:
    text = _text(value)
    if not _URL.fullmatch(text):
        raise ValueError(value)
    return text.rstrip("/")


def _endpoint(value: object) -> str:
    text = _text(value)
    if text != "none" and not text.startswith("/"):
        raise ValueError(value)
    return text


def address(value: object, *, default_host: str = LOOPBACK) -> str:
    """Read "host:port", ":port" or a port alone; raises ValueError. `default_host` stands for a missing host."""
    text = _text(value).strip()
    found = _ADDRESS.fullmatch(f":{text}" if text.isdecimal() else text)
    if found is None or int(found["port"]) > 65_535:
        raise ValueError(value)
    return f"{found['host'] or default_host}:{int(found['port'])}"


def _addresses(value: object) -> tuple[str, ...]:
    return _each_of(value, address, _AN_ADDRESS) if isinstance(value, list | tuple) else (address(value),)


def _names(value: object) -> tuple[str, ...]:
    return _each_of(value, _name, _A_NAME)


def _texts(value: object) -> tuple[str, ...]:
    return _each_of(value, _text, "a text")


def _patterns(value: object) -> tuple[str, ...]:
    return _each_of(value, _pattern, "a regular expression")


def _pattern(value: object) -> str:
    return re.compile(_text(value)).pattern


def _environment(value: object) -> tuple[tuple[str, str], ...]:
    if isinstance(value, Mapping):
        pairs = [(_text(name), _text(content)) for name, content in value.items()]
    else:
        pairs = [*_each_of(value, _pair, "`NAME=value`")]
    if any(not name or "=" in name for name, _ in pairs):
        raise ValueError(value)
    return tuple(pairs)


def _pair(value: object) -> tuple[str, str]:
    text = _text(value)
    name, equals, content = text.partition("=")
    if not equals:
        raise ValueError(text)
    return name, content


_NUMBER_OR = {"type": "number", "minimum": 0}
_STRINGS = {"type": "array", "items": {"type": "string"}}

Flag = Annotated[bool, _reader("true or false", _flag)]
Text = Annotated[str, _reader("a text", _text)]
Name = Annotated[str, _reader(_A_NAME, _name)]
Count = Annotated[
    int,
    _reader("a whole number of at least 1", lambda value: _whole(value, 1, 2**53)),
    WithJsonSchema({"type": "integer", "minimum": 1}),
]
Whole = Annotated[int, _reader("a whole number", lambda value: _whole(value, -(2**53), 2**53))]
Port = Annotated[
    int,
    _reader("a port from 1 to 65535", lambda value: _whole(value, 1, 65_535)),
    WithJsonSchema({"type": "integer", "minimum": 1, "maximum": 65_535}),
]
Share = Annotated[
    float,
    _reader("a number above 0", lambda value: _number(value, 5e-324)),
    WithJsonSchema({"type": "number", "exclusiveMinimum": 0}),
]
Duration = Annotated[
    float,
    _reader('a duration: seconds, or a text such as "90s", "10m", "1h30m" or "2d"', _duration),
    WithJsonSchema({"title": "duration", "anyOf": [_NUMBER_OR, {"type": "string", "pattern": DURATION_PATTERN}]}),
]
DurationOrOff = Annotated[
    float | None,
    _reader('"off", or a duration such as 1 or "500ms"', _unless_off),
    WithJsonSchema(
        {
            "title": "`off` or duration",
            "anyOf": [{"enum": ["off", False, None]}, _NUMBER_OR, {"type": "string", "pattern": DURATION_PATTERN}],
        }
    ),
]
Tiers = Annotated[
    tuple[tuple[int, float], ...],
    _reader("a list of pairs [tokens, factor], in order of the tokens", _tiers),
    WithJsonSchema(
        {
            "title": "list of `[tokens, factor]`",
            "type": "array",
            "items": {"type": "array", "items": {"type": "number"}, "minItems": 2, "maxItems": 2},
        }
    ),
]
_SIZE_SCHEMA = {
    "title": "size",
    "anyOf": [{"type": "integer", "minimum": 0}, {"type": "string", "pattern": SIZE_PATTERN}],
}
Size = Annotated[
    int, _reader('a size: bytes, or a text such as "64KiB", "8GiB" or "24GB"', _size), WithJsonSchema(_SIZE_SCHEMA)
]
Memory = Annotated[
    int | dict[str, int],
    _reader('a size such as "8GiB", or a mapping from devices to sizes', _memory),
    WithJsonSchema(
        {
            "title": "size, or mapping device: size",
            "anyOf": [*_SIZE_SCHEMA["anyOf"], {"type": "object", "additionalProperties": _SIZE_SCHEMA}],
        }
    ),
]
Slots = Annotated[
    int | str,
    _reader(f"a whole number of at least 1, or `{UNLIMITED}`", _slots),
    WithJsonSchema(
        {"title": f"whole number or `{UNLIMITED}`", "anyOf": [{"type": "integer", "minimum": 1}, {"const": UNLIMITED}]}
    ),
]
Url = Annotated[
    str,
    _reader("an address such as http://127.0.0.1:8080", _url),
    WithJsonSchema({"title": "address", "type": "string", "pattern": r"^[hH][tT][tT][pP][sS]?://|\$\{"}),
]
Endpoint = Annotated[
    str,
    _reader('a path such as "/health", or "none"', _endpoint),
    WithJsonSchema({"title": "path or `none`", "type": "string", "pattern": r"^(/|none$|\$\{)"}),
]
Addresses = Annotated[
    tuple[str, ...],
    _reader(f"{_AN_ADDRESS}, or a list of such", _addresses),
    WithJsonSchema(
        {"title": "`host:port`, or list", "anyOf": [{"type": "string"}, {"type": "integer"}, _STRINGS]},
    ),
]
Names = Annotated[
    tuple[str, ...],
    _reader("a list of names", _names),
    WithJsonSchema({"title": "list", **_STRINGS}),
]
Texts = Annotated[tuple[str, ...], _reader("a list of texts", _texts), WithJsonSchema({"title": "list", **_STRINGS})]
Patterns = Annotated[
    tuple[str, ...], _reader("a list of regular expressions", _patterns), WithJsonSchema({"title": "list", **_STRINGS})
]
Environment = Annotated[
    tuple[tuple[str, str], ...],
    _reader("a list of `NAME=value`, or a mapping from names to values", _environment),
    WithJsonSchema(
        {
            "title": "list of `NAME=value`, or mapping",
            "anyOf": [_STRINGS, {"type": "object", "additionalProperties": {"type": ["string", "number"]}}],
        }
    ),
]


class Residency(enum.StrEnum):
    """What decides which models may be loaded at the same time."""

    MEMORY = "memory"
    GROUPS = "groups"
    MATRIX = "matrix"


class LogLevel(enum.StrEnum):
    """How much the gateway says about itself."""

    DEBUG = "debug"
    INFO = "info"
    WARN = "warn"
    ERROR = "error"


class ClientKey(enum.StrEnum):
    """What becomes of the key a client sent when its call goes to an `upstream`."""

    REMOVE = "remove"
    FORWARD = "forward"
