"""What is passed through as it is, whatever it may be: paths below `/upstream/MODEL`, and a gateway's own behind us.

The model is named by the path or not at all, and nothing in the request is looked at or changed. Where the path is one
of the table's, the answer is metered as that row's would be.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import unquote_to_bytes

from penstock.core.calls.message import Body, CallFacts, Edits, Head, Reply
from penstock.core.calls.names import oddity
from penstock.errors import GatewayError, NoModelInPath, OddModelName
from penstock.protocols.dialect import Dialect, Meter
from penstock.protocols.endpoints import BY_PATH, POST, Capture, Endpoint, ModelIn
from penstock.protocols.estimate import prompt_tokens
from penstock.protocols.metering import BlindMeter
from penstock.protocols.openai_chat import OPENAI_ERRORS

UPSTREAM = b"/upstream/"

CHANGES_ENGINE = frozenset({b"/slots", b"/lora-adapters", b"/sleep", b"/wake_up"})
"""Paths of engines that change them for everybody, or show what others have asked."""


@dataclass(frozen=True, slots=True)
class RawDialect:
    """inner: how the path is spoken when it is one of the table's. refusal_of_all: why nothing may pass."""

    model: str
    inner: Dialect | None
    refusal_of_all: GatewayError | None = None

    @property
    def name(self) -> str:
        return "raw" if self.inner is None else self.inner.name

    @property
    def can_stream(self) -> bool:
        return self.inner is not None and self.inner.can_stream

    def read(self, head: Head, body: Body) -> CallFacts:
        if self.refusal_of_all is not None:
            raise self.refusal_of_all
        tokens = 0 if self.inner is None else prompt_tokens(body)
        return CallFacts(self.model, (body,), head.query, prompt_tokens=tokens)

    def edit(self, head: Head, facts: CallFacts, edits: Edits) -> None:
        """Nothing is changed here, whatever is configured."""

    def meter(self, facts: CallFacts, content_type: bytes) -> Meter:
        return BlindMeter() if self.inner is None else self.inner.meter(facts, content_type)

    def refusal(self, error: GatewayError, request_id: str) -> Reply:
        return (self.inner or OPENAI_ERRORS).refusal(error, request_id)

    def stream_failure(self, error: GatewayError, request_id: str, after: Meter | None = None) -> bytes:
        return b"" if self.inner is None else self.inner.stream_failure(error, request_id, after)

    def waiting_text(self, text: str, model: str) -> bytes:
        return b""


def below_upstream(head: Head, model: str, rest: bytes, refusal: GatewayError | None) -> Endpoint:
    """The row for a path of one model's own engine. rest: what follows the model's name, still escaped.

    refusal: why it cannot pass, as far as the name is one; None = it can.
    """
    row = BY_PATH.get(rest)
    is_metered = row is not None and head.method in row.methods
    inner = row.dialect if row is not None and is_metered else None
    return Endpoint(
        path=head.path,
        methods=(),
        model_in=ModelIn.PATH,
        dialect=RawDialect(model, inner, _of_name(model) or refusal),
        capture=row.capture if row is not None and is_metered else Capture.HEADS,
        engine_path=rest,
        admin_methods=(head.method,) if changes_engine(head.method, rest) else (),
    )


def _of_name(model: str) -> GatewayError | None:
    """Why nothing can be called so."""
    if not model:
        return NoModelInPath()
    odd = oddity(model)
    return OddModelName(reason=f"it {odd}") if odd else None


def passed_through(head: Head) -> Endpoint:
    """The row for a path that is not ours, but the gateway's behind us."""
    return Endpoint(
        path=head.path,
        methods=(),
        model_in=ModelIn.NONE,
        dialect=RawDialect("", None),
        capture=Capture.HEADS,
    )


def changes_engine(method: bytes, path: bytes) -> bool:
    """Whether an engine, in whatever way it reads the path, may take this for a change of itself."""
    plain = _plain(path)
    if plain == b"/props":
        return method in POST
    return any(plain == each or plain.startswith(each + b"/") for each in CHANGES_ENGINE)


def _plain(path: bytes) -> bytes:
    """The path as the most lenient of engines may read it."""
    steps: list[bytes] = []
    for step in unquote_to_bytes(path).replace(b"\\", b"/").lower().split(b"/"):
        if step == b"..":
            del steps[-1:]
        elif step not in (b"", b"."):
            steps.append(step)
    return b"/" + b"/".join(steps)
