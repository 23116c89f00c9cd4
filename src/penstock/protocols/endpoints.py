"""THE table: every path by which a call can reach an engine. There is no second door.

A row says where the model's name stands, which dialect the caller speaks, and what may be kept of
it. Every row's calls wait for a slot of their engine. Whoever adds an endpoint adds a row.
"""

from __future__ import annotations

import enum
from dataclasses import dataclass

from penstock.protocols import anthropic, llamacpp, media, openai_chat, openai_responses, vectors
from penstock.protocols.dialect import Dialect


class ModelIn(enum.Enum):
    """Where a request names its model. A GET has no body: whatever the row says, it is named in the query there."""

    JSON = "JSON body"
    FORM = "form"
    QUERY = "query"
    PATH = "path"
    NONE = "nowhere"


class Capture(enum.Enum):
    """Of which of its bodies a call may be kept for the operator to look at; heads always may. Media never are."""

    BODIES = "both bodies"
    REQUEST = "request"
    ANSWER = "answer"
    HEADS = "heads only"

    def __init__(self, told: str) -> None:
        self.keeps_request = told in ("both bodies", "request")
        self.keeps_answer = told in ("both bodies", "answer")


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One row. The engine is asked for `engine_path`, after its address's own prefix; b"" = the same as `path`.

    admin_methods: these change the engine for everybody, and need an admin's key.
    """

    path: bytes
    methods: tuple[bytes, ...]
    model_in: ModelIn
    dialect: Dialect
    capture: Capture
    engine_path: bytes = b""
    admin_methods: tuple[bytes, ...] = ()


GET, POST = (b"GET", b"HEAD"), (b"POST",)


def _text(path: bytes, dialect: Dialect, capture: Capture = Capture.BODIES) -> Endpoint:
    """A row whose requests and answers are JSON."""
    return Endpoint(path, POST, ModelIn.JSON, dialect, capture)


def _unversioned(path: bytes, dialect: Dialect, capture: Capture = Capture.BODIES) -> Endpoint:
    """The same for engines whose paths have no version: `/v` is not passed on."""
    return Endpoint(b"/v" + path, POST, ModelIn.JSON, dialect, capture, engine_path=path)


def _form(path: bytes, dialect: Dialect, capture: Capture) -> Endpoint:
    """A row whose requests bring files."""
    return Endpoint(path, POST, ModelIn.FORM, dialect, capture)


TABLE: tuple[Endpoint, ...] = (
    _text(b"/v1/chat/completions", openai_chat.CHAT),
    _text(b"/v1/completions", openai_chat.COMPLETIONS),
    _text(b"/v1/responses", openai_responses.RESPONSES),
    _text(b"/v1/embeddings", vectors.EMBEDDINGS, Capture.REQUEST),
    _text(b"/v1/rerank", vectors.RERANK),
    _text(b"/v1/reranking", vectors.RERANK),
    _text(b"/rerank", vectors.RERANK),
    _text(b"/reranking", vectors.RERANK),
    _text(b"/v1/messages", anthropic.MESSAGES),
    _text(b"/v1/messages/count_tokens", anthropic.COUNT_TOKENS),
    _text(b"/completion", llamacpp.COMPLETION),
    _text(b"/infill", llamacpp.INFILL),
    _text(b"/tokenize", llamacpp.TOKENIZE),
    _text(b"/detokenize", llamacpp.DETOKENIZE),
    Endpoint(b"/props", GET + POST, ModelIn.JSON, media.PROPS, Capture.BODIES, admin_methods=POST),
    _unversioned(b"/chat/completions", openai_chat.CHAT),
    _unversioned(b"/completions", openai_chat.COMPLETIONS),
    _unversioned(b"/responses", openai_responses.RESPONSES),
    _unversioned(b"/embeddings", vectors.EMBEDDINGS, Capture.REQUEST),
    _unversioned(b"/rerank", vectors.RERANK),
    _unversioned(b"/reranking", vectors.RERANK),
    _unversioned(b"/messages", anthropic.MESSAGES),
    _unversioned(b"/messages/count_tokens", anthropic.COUNT_TOKENS),
    _text(b"/v1/audio/speech", media.SPEECH, Capture.REQUEST),
    _form(b"/v1/audio/transcriptions", media.TRANSCRIPTIONS, Capture.ANSWER),
    _form(b"/v1/audio/translations", media.TRANSLATIONS, Capture.ANSWER),
    Endpoint(b"/v1/audio/voices", GET + POST, ModelIn.JSON, media.VOICES, Capture.ANSWER),
    _text(b"/v1/images/generations", media.IMAGES, Capture.REQUEST),
    _form(b"/v1/images/edits", media.IMAGES, Capture.HEADS),
    _form(b"/v1/images/variations", media.VARIATIONS, Capture.HEADS),
    _text(b"/sdapi/v1/txt2img", media.SDAPI, Capture.REQUEST),
    _text(b"/sdapi/v1/img2img", media.SDAPI, Capture.HEADS),
    Endpoint(b"/sdapi/v1/loras", GET, ModelIn.QUERY, media.SDAPI, Capture.BODIES),
    Endpoint(
        b"/audioapi/v1/tasks/run",
        POST,
        ModelIn.JSON,
        media.AUDIO_TASKS,
        Capture.HEADS,
        engine_path=b"/v1/tasks/run",
    ),
)


def _spellings(endpoint: Endpoint) -> list[bytes]:
    """The forms in which clients write a path: with `/v1` and without, with a trailing slash and without."""
    forms = [endpoint.path]
    if endpoint.path.startswith(b"/v1/"):
        forms.append(endpoint.path[3:])
    return forms + [form + b"/" for form in forms]


BY_PATH: dict[bytes, Endpoint] = {form: endpoint for endpoint in TABLE for form in _spellings(endpoint)}
BY_PATH |= {path: endpoint for endpoint in TABLE for path in (endpoint.path, endpoint.path + b"/")}  # its own row wins
