"""Where records are kept, and for how long."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BeforeValidator, Field, WithJsonSchema, field_validator

from penstock.config import values as v
from penstock.config.quantities import DURATION_PATTERN, SIZE_PATTERN, seconds, size_bytes
from penstock.config.sections import Section
from penstock.config.store_address import DATABASE_URL, EXPECTED, FILE_NAME, read_address

FOREVER, UNLIMITED = "forever", "unlimited"
LEAST_SIZE_BYTES = 16 << 20
_DAY_S = 86_400.0


def _keep(value: object) -> float | None:
    if value == FOREVER:
        return None
    try:
        span_s = seconds(value) if isinstance(value, str) else value
    except ValueError:
        span_s = None
    if isinstance(span_s, bool) or not isinstance(span_s, int | float) or not 3600 <= span_s < float("inf"):
        raise v.unexpected(f'"{FOREVER}", or a duration of at least an hour such as "90d"')
    return float(span_s)


def _keep_size(value: object) -> int | None:
    if value == UNLIMITED:
        return None
    try:
        size = size_bytes(value) if isinstance(value, str) else value
    except ValueError:
        size = None
    if isinstance(size, bool) or not isinstance(size, int) or size < LEAST_SIZE_BYTES:
        raise v.unexpected(f'"{UNLIMITED}", or a size of at least 16MiB such as "20GiB"')
    return size


Keep = Annotated[
    float | None,
    BeforeValidator(_keep),
    WithJsonSchema(
        {
            "title": f"`{FOREVER}` or duration",
            "anyOf": [
                {"type": "number", "minimum": 3600},
                {"const": FOREVER},
                {"type": "string", "pattern": DURATION_PATTERN},
            ],
        }
    ),
]
KeepSize = Annotated[
    int | None,
    BeforeValidator(_keep_size),
    WithJsonSchema(
        {
            "title": f"`{UNLIMITED}` or size",
            "anyOf": [
                {"type": "integer", "minimum": LEAST_SIZE_BYTES},
                {"const": UNLIMITED},
                {"type": "string", "pattern": SIZE_PATTERN},
            ],
        }
    ),
]


class StoreSettings(Section):
    """Where the records of calls, loads and the host are kept, and for how long."""

    url: v.Text | None = Field(
        default=None,
        repr=False,
        description=f"`{EXPECTED}`; `--store` overrides it. A relative path starts at the folder of the configuration; "
        f"keep a password in `${{env.NAME}}`. Default: `${DATABASE_URL}`, else `{FILE_NAME}` in the state folder.",
    )
    keep: Keep = Field(
        default=90 * _DAY_S,
        description=f"How long calls and loads are kept; older ones are deleted, or never: `{FOREVER}`.",
    )
    keep_samples: Keep = Field(default=30 * _DAY_S, description="The same for samples of the host.")
    keep_size: KeepSize = Field(
        default=None,
        description="Most room the records may take; beyond it the oldest are deleted. PostgreSQL's is an estimate.",
    )
    journal_full: Literal["serve", "refuse"] = Field(
        default="serve",
        description="What to do when the journal's disk refuses and memory holds 100 000 records: serve on and count "
        "what is lost, or refuse calls with 503 until there is room.",
    )

    @field_validator("url")
    @classmethod
    def _is_ours(cls, url: str | None) -> str | None:
        if url is not None:
            try:
                read_address(url)
            except ValueError:
                raise v.unexpected(EXPECTED) from None
        return url
