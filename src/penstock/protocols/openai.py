"""OpenAI's chat, completions and embeddings: read the request, meter the answer, shape the refusal."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from penstock.core.message import Body, CallFacts, Edits, Head, Headers, Reply
from penstock.errors import GatewayError, MissingModel
from penstock.protocols import jsonbody
from penstock.protocols.dialect import Meter
from penstock.protocols.estimate import prompt_tokens
from penstock.protocols.metering import BodyMeter, StreamMeter

MAX_NAME_CHARACTERS = 512
"""A model's name longer than this is nobody's, and is not repeated in a record or an error."""


MAX_LABEL_CHARACTERS = 128

_ABSENT = msgspec.Raw(b"")


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _Peek(msgspec.Struct):
    """What is needed of a request; everything else is skipped over, unread."""

    model: str | None = None
    stream: bool | None = None
    stream_options: _StreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    priority: msgspec.Raw = _ABSENT  # a union with Raw would take no object and no list
    metadata: msgspec.Raw = _ABSENT


class _Metadata(msgspec.Struct):
    workload: str | None = None


_peek = msgspec.json.Decoder(_Peek).decode
_metadata = msgspec.json.Decoder(_Metadata).decode

_TYPES = {400: "invalid_request_error", 401: "authentication_error", 403: "permission_error", 404: "not_found_error"}
_TYPES |= {405: "invalid_request_error", 413: "invalid_request_error", 429: "rate_limit_error"}


@dataclass(frozen=True, slots=True)
class OpenAI:
    """One of OpenAI's endpoints. `can_stream`: its answers may be streams of tokens."""

    name: str
    can_stream: bool

    def read(self, head: Head, body: Body) -> CallFacts:
        pieces = jsonbody.opened(body)
        try:
            peek = _peek(jsonbody.outline(pieces))
        except jsonbody.UNREADABLE as exc:
            raise jsonbody.decode_failed(exc, body) from exc
        model = peek.model
        if not model or len(model) > MAX_NAME_CHARACTERS or not model.isprintable():
            raise MissingModel
        is_stream = self.can_stream and peek.stream is True
        facts = CallFacts(model, pieces, head.query, is_stream, prompt_tokens=prompt_tokens(body))
        if peek.metadata is not _ABSENT:
            self._take_workload(facts, peek.metadata)
        if peek.priority is not _ABSENT:
            facts.priority = _integer(bytes(peek.priority))
            facts.body = jsonbody.change(facts.body, drop=("priority",))
        if is_stream:
            self._ask_for_usage(facts, peek.stream_options)
        return facts

    def edit(self, head: Head, facts: CallFacts, edits: Edits) -> None:
        facts.body = jsonbody.edit(facts.body, edits)

    def meter(self, facts: CallFacts, content_type: bytes) -> Meter:
        if content_type.startswith(b"text/event-stream"):
            return StreamMeter(hides_usage_chunk=facts.hides_usage_chunk)
        return BodyMeter()

    def refusal(self, error: GatewayError, request_id: str) -> Reply:
        headers: Headers = [(b"content-type", b"application/json")]
        if error.retry_after_s is not None:
            headers.append((b"retry-after", b"%d" % error.retry_after_s))
        if not error.is_retry_useful:
            headers.append((b"x-should-retry", b"false"))
        return Reply(error.status, headers, _error_object(error))

    def stream_failure(self, error: GatewayError, request_id: str) -> bytes:
        return b"data: %b\n\n" % _error_object(error)

    def waiting_text(self, text: str, model: str) -> bytes:
        return b""

    def _ask_for_usage(self, facts: CallFacts, options: _StreamOptions | msgspec.UnsetType | None) -> None:
        """Have the engine count, also where the caller did not ask; the extra chunk is taken out again."""
        if options is msgspec.UNSET:
            facts.hides_usage_chunk = True
            facts.body = jsonbody.append(facts.body, b'"stream_options":{"include_usage":true}')
        elif options is None or not options.include_usage:
            facts.hides_usage_chunk = True
            facts.body = jsonbody.edit(facts.body, Edits(put={"stream_options.include_usage": b"true"}))

    def _take_workload(self, facts: CallFacts, metadata: msgspec.Raw) -> None:
        raw = bytes(metadata)
        if b'"workload"' not in raw:
            return
        try:
            workload = _metadata(raw).workload
        except msgspec.DecodeError:
            return
        if workload and len(workload) <= MAX_LABEL_CHARACTERS and workload.isprintable():
            facts.workload = workload
        facts.body = jsonbody.edit(facts.body, Edits(drop=("metadata.workload",)))


def _integer(raw: bytes) -> int | None:
    """A priority as asked; whatever is no reasonable integer counts as not asked."""
    if len(raw) > 20:
        return None
    try:
        return int(raw)
    except ValueError:
        return None


def _error_object(error: GatewayError) -> bytes:
    kind = _TYPES.get(error.status, "server_error")
    body: dict[str, str | None] = {"message": error.message, "type": kind, "param": error.param, "code": error.code}
    if error.detail is not None:
        body["detail"] = error.detail
    return msgspec.json.encode({"error": body})


CHAT = OpenAI("openai.chat", can_stream=True)
COMPLETIONS = OpenAI("openai.completions", can_stream=True)
EMBEDDINGS = OpenAI("openai.embeddings", can_stream=False)
