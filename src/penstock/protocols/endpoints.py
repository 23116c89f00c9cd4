"""THE table: every path by which a call can reach an engine. There is no second door.

A row says where the model's name stands, which dialect the caller speaks, whether the call
takes a slot, and what may be kept of it. Whoever adds an endpoint adds a row.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from penstock.protocols import openai
from penstock.protocols.dialect import Dialect


class ModelIn(enum.Enum):
    """Where a request names its model."""

    JSON = "json"
    FORM = "form"
    QUERY = "query"
    PATH = "path"
    NONE = "none"


class Capture(enum.Enum):
    """What of a call may be kept for the operator to look at."""

    BODIES = "bodies"
    REQUEST = "request"  # the answer is media
    NOTHING = "nothing"


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row. The engine is asked for `engine_path`, after its address's own prefix; b"" = the same as `path`."""

    path: bytes
    methods: tuple[bytes, ...]
    model_in: ModelIn
    dialect: Dialect
    capture: Capture
    engine_path: bytes = b""
    takes_slot: bool = True


POST = (b"POST",)

TABLE: tuple[Endpoint, ...] = (
    Endpoint(b"/v1/chat/completions", POST, ModelIn.JSON, openai.CHAT, Capture.BODIES),
    Endpoint(b"/v1/completions", POST, ModelIn.JSON, openai.COMPLETIONS, Capture.BODIES),
    Endpoint(b"/v1/embeddings", POST, ModelIn.JSON, openai.EMBEDDINGS, Capture.REQUEST),
)


def _spellings(endpoint: Endpoint) -> list[bytes]:
    """The forms in which clients write a path: with `/v1` and without, with a trailing slash and without."""
    forms = [endpoint.path]
    if endpoint.path.startswith(b"/v1/"):
        forms.append(endpoint.path[3:])
    return forms + [form + b"/" for form in forms]


BY_PATH: dict[bytes, Endpoint] = {form: endpoint for endpoint in TABLE for form in _spellings(endpoint)}
