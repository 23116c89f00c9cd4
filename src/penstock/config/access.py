"""The section `keys`: who may call, how it is written, and how a key's settings become a Key.

In a file a key stands as the SHA-256 of its secret. The files of other systems hold secrets in plain text:
their readers hash them (`hashed`) before anything else sees them.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema

from penstock.config import values as v
from penstock.config.quantities import duration_text, seconds
from penstock.config.sections import Section
from penstock.config.values import unexpected
from penstock.core.calls.key import Key, Role
from penstock.core.calls.quota import DAY_S, Counted, Quota
from penstock.core.model import Priority

MAX_QUOTAS = 8
LONGEST_WINDOW_S = 366 * DAY_S

_HASH = re.compile(r"sha256:[0-9a-f]{64}")
_NAME = re.compile(r"[\w.@+-]{1,64}", re.ASCII)
_QUOTA = re.compile(r"\s*(?P<amount>\S+)\s+(?P<counted>requests?|tokens?)\s+per\s+(?P<per>.+?)\s*", re.IGNORECASE)
_AMOUNT = re.compile(r"(\d{1,16})(?:\.(\d{1,9}))?\s*([kmg]?)", re.IGNORECASE | re.ASCII)
_TIMES: dict[str, int] = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}

NAME_EXPECTED = "a name of at most 64 letters, digits and signs of `.`, `_`, `-`, `@`, `+`"
QUOTA_EXPECTED = (
    'a quota such as "100 requests per 1m" or {tokens: 1M, per: 1d}; a window is whole seconds, at most 366 days'
)


def _hash(value: object) -> str:
    if not isinstance(value, str) or not _HASH.fullmatch(value.lower()):
        raise unexpected("the SHA-256 of a secret, as `penstock keys add` prints it: `sha256:` and 64 hex digits")
    return value.lower()


def _moment(value: object) -> float:
    """A day counts to its end; a moment without a zone is UTC."""
    try:
        moment = datetime.fromisoformat(value if isinstance(value, str) else "")
    except ValueError:
        raise unexpected("a day such as 2027-01-31, or a moment such as 2027-01-31T12:00:00Z") from None
    if isinstance(value, str) and len(value) <= len("2027-01-31"):
        moment += timedelta(days=1)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def amount(value: object) -> int:
    """Read 100, "250k" or "1.5M" (powers of 1000); raises ValueError unless it is a whole number of at least 1."""
    found = _AMOUNT.fullmatch(str(value).strip()) if isinstance(value, int | str) else None
    if found is None or isinstance(value, bool):
        raise ValueError(value)
    fraction, times = found[2] or "", _TIMES[found[3].lower()]
    number, rest = divmod(int(found[1] + fraction) * times, int(10 ** len(fraction)))
    if rest or not 1 <= number <= 2**53:
        raise ValueError(value)
    return number


def quota(value: object) -> Quota:
    """Read "100 requests per 1m" or a mapping with `requests` or `tokens`, and `per`; raises ValueError."""
    if isinstance(value, Quota):
        return value
    if isinstance(value, str):
        found = _QUOTA.fullmatch(value)
        if found is None:
            raise ValueError(value)
        return _quota(found["counted"].lower().rstrip("s") + "s", found["amount"], found["per"])
    if not isinstance(value, Mapping) or len(value) != 2 or "per" not in value:
        raise ValueError(value)
    ((counted, limit),) = ((name, each) for name, each in value.items() if name != "per")
    return _quota(str(counted), limit, value["per"])


def _quota(counted: str, limit: object, per: object) -> Quota:
    span_s = seconds(str(per)) if isinstance(per, str | int | float) and not isinstance(per, bool) else 0.0
    if not span_s.is_integer() or not 1 <= span_s <= LONGEST_WINDOW_S:
        raise ValueError(per)
    return Quota(Counted(counted), amount(limit), int(span_s))


def quota_text(quota: Quota) -> str:
    """As it is written: "100 requests per 1m", "1M tokens per 1d"."""
    counted = quota.counted.value if quota.limit > 1 else quota.counted.value.removesuffix("s")
    return f"{_amount_text(quota.limit)} {counted} per {duration_text(float(quota.per_s))}"


def _amount_text(amount: int) -> str:
    for unit in ("g", "m", "k"):
        if amount % _TIMES[unit] == 0:
            return f"{amount // _TIMES[unit]}{unit.upper() if unit != 'k' else unit}"
    return str(amount)


def _quotas(value: object) -> tuple[Quota, ...]:
    if isinstance(value, str | Mapping):
        value = [value]
    if not isinstance(value, list | tuple) or len(value) > MAX_QUOTAS:
        raise unexpected(f"a list of at most {MAX_QUOTAS} quotas")
    try:
        return tuple(quota(each) for each in value)
    except ValueError:
        raise unexpected(QUOTA_EXPECTED) from None


_QUOTA_SCHEMA = {
    "anyOf": [
        {"type": "string"},
        {
            "type": "object",
            "properties": {"requests": {}, "tokens": {}, "per": {}},
            "required": ["per"],
            "additionalProperties": False,
        },
    ]
}
Hash = Annotated[
    str,
    BeforeValidator(_hash),
    WithJsonSchema({"title": "`sha256:…`", "type": "string", "pattern": r"^[sS][hH][aA]256:|\$\{"}),
]
Quotas = Annotated[
    tuple[Quota, ...],
    BeforeValidator(_quotas),
    WithJsonSchema(
        {"title": "list of quotas", "anyOf": [*_QUOTA_SCHEMA["anyOf"], {"type": "array", "items": _QUOTA_SCHEMA}]}
    ),
]
Moment = Annotated[
    float | None, BeforeValidator(_moment), WithJsonSchema({"title": "day or moment", "type": ["string", "null"]})
]


class KeySettings(Section):
    """Who may call, by name; `penstock keys add` makes one. With any key, requests without one are refused."""

    hash: Hash = Field(repr=False, description="The SHA-256 of the secret: `sha256:` and 64 hex digits.")
    role: Role = Field(
        default=Role.NONE,
        description="What it opens beside the models: `viewer` sees the page, logs, records and metrics, `admin` also "
        "changes things.",
    )
    priority: Literal["high", "normal", "low"] = Field(
        default="normal", description="The highest class that its requests may ask for."
    )
    weight: v.Share = Field(default=1.0, description="Its share of a busy machine, beside the other keys' weights.")
    models: v.Texts = Field(
        default=(), description="Models it may use: names, aliases, or patterns with `*` and `?`. Default: all."
    )
    max_concurrent: v.Count | None = Field(
        default=None, description="Its calls that may run at once; more wait. Default: no limit."
    )
    quotas: Quotas = Field(
        default=(),
        description="What it may use within a window of time: `100 requests per 1m`, `{tokens: 1M, per: 1d}`. Windows "
        "begin at full minutes, hours, days (UTC), weeks on Monday. More is refused with 429 `quota_exceeded`.",
    )
    expires: Moment = Field(default=None, description="The last day, or the moment, until which it is good.")


def hashed(secret: str) -> str:
    """A secret as it is kept: the value of `hash`. Made secrets have 256 bits, so nothing slower is needed."""
    return "sha256:" + hashlib.sha256(secret.encode("utf-8", "surrogatepass")).hexdigest()


def checked(keys: dict[str, KeySettings]) -> dict[str, KeySettings]:
    """The same keys. Raises PydanticCustomError if a name is none, or two have the same secret."""
    owners: dict[str, str] = {}
    for name, key in keys.items():
        if not _NAME.fullmatch(name):
            raise unexpected(f"for each key {NAME_EXPECTED}")
        if (owner := owners.setdefault(key.hash, name)) != name:
            raise unexpected(f"one key for each secret: `{owner}` and `{name}` have the same hash")
    return keys


def key_of(name: str, settings: KeySettings) -> Key:
    """The key as the gateway uses it."""
    return Key(
        name=name,
        digest=bytes.fromhex(settings.hash.removeprefix("sha256:")),
        ceiling=Priority[settings.priority.upper()],
        weight=settings.weight,
        models=settings.models,
        max_concurrent=settings.max_concurrent,
        quotas=settings.quotas,
        role=settings.role,
        expires_at=settings.expires,
    )
