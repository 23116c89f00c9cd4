"""Sound and pictures: requests as JSON, as a form or as a query; answers that are media, documents or events.

Of which kind a body is, is told by how it begins, and by its Content-Type only where that leaves it open. Filters of
the configuration change JSON; in forms and queries only the model's name changes.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

import msgspec

from penstock.core.calls.message import Body, CallFacts, Edits, Head, Reply, TokenSource, Usage
from penstock.errors import AmbiguousQuery, BadRequest, GatewayError, MissingModel
from penstock.protocols import asking, forms, jsonbody, multipart
from penstock.protocols.dialect import Meter
from penstock.protocols.estimate import BYTES_PER_TOKEN, MEDIA_TOKENS, prompt_tokens
from penstock.protocols.llamacpp import LLAMACPP_ERRORS
from penstock.protocols.metering import END_BYTES, BlindMeter, BodyMeter, StreamMeter, figures
from penstock.protocols.openai_chat import OPENAI_ERRORS, ChatReader
from penstock.protocols.refusals import openai_refusal
from penstock.protocols.text import ErrorForm
from penstock.protocols.usage import ABSENT, UNREADABLE, take_responses

MAX_FIELD_BYTES = 4 * 1024
"""A name of a model longer than this is none."""

_PAIR = re.compile(rb"[A-Za-z0-9_.%+\[\]-]+=")
_YES = frozenset({"true", "1", "yes", "on"})
_NO_BODY = frozenset({b"GET", b"HEAD"})


class _Kind(enum.Enum):
    JSON = "json"
    MULTIPART = "multipart"
    URLENCODED = "urlencoded"
    QUERY = "query"


class _Said(msgspec.Struct):
    usage: msgspec.Raw = ABSENT


class _Speech(msgspec.Struct):
    stream_format: object = None


_said = msgspec.json.Decoder(_Said).decode
_speech = msgspec.json.Decoder(_Speech).decode


class MediaReader(ChatReader):
    """Documents and events about media. Their `usage` has the members of either of OpenAI's forms; one that counts
    seconds leaves the tokens unknown."""

    __slots__ = ()

    def read(self, document: bytes) -> bool:
        super().read(document)
        self.has_token = True
        if b'"usage"' in document and self.usage.source is TokenSource.NONE:
            try:
                take_responses(self.usage, _said(document).usage)
            except UNREADABLE:
                pass  # of a document that cannot be read the counts stay unknown
        return False


class EventMeter:
    """Watches a stream of events that may be as large as a picture: what the last one counts stands at its end."""

    __slots__ = ("_end", "_meter", "_reader")

    def __init__(self) -> None:
        self._reader = MediaReader()
        self._meter = StreamMeter(self._reader)
        self._end = b""

    @property
    def usage(self) -> Usage:
        return self._reader.usage

    @property
    def has_token(self) -> bool:
        return self._reader.has_token

    @property
    def failure(self) -> str | None:
        return self._reader.failure

    def feed(self, data: bytes) -> bytes:
        self._end = (self._end + data)[-END_BYTES:] if len(data) < END_BYTES else data[-END_BYTES:]
        self._reader.has_token = self._reader.has_token or b"data:" in data
        return self._meter.feed(data)

    def finish(self) -> bytes:
        rest = self._meter.finish()
        if self.usage.source is TokenSource.NONE:
            self._reader.read(figures(self._end))
        return rest


@dataclass(frozen=True, slots=True)
class MediaDialect:
    """One endpoint's way of speaking. can_stream: answers may be streams of events."""

    name: str
    errors: ErrorForm = OPENAI_ERRORS
    can_stream: bool = False

    def read(self, head: Head, body: Body) -> CallFacts:
        kind = _kind(head, body)
        asked = forms.in_query(head.query, "model")
        if kind is _Kind.QUERY:
            return CallFacts(asking.checked_name(asked and asked.text), (body,), head.query)
        if kind is _Kind.JSON:
            facts = self._read_json(head, body, asked)
        elif kind is _Kind.MULTIPART:
            facts = self._read_multipart(head, body)
        else:
            facts = self._read_urlencoded(head, body)
        if asked is not None and asked.text != facts.model:
            raise AmbiguousQuery(member="model")
        return facts

    def edit(self, head: Head, facts: CallFacts, edits: Edits) -> None:
        kind = _kind(head, facts.body[0])
        if kind is _Kind.JSON:
            facts.body = jsonbody.edit(facts.body, edits)
        model = edits.model
        if model is None:
            return
        if kind is _Kind.MULTIPART:
            facts.body = _with_value(facts.body, model.encode("utf-8"))
        elif kind is _Kind.URLENCODED:
            facts.body = _with_value(facts.body, forms.escaped(model))
        asked = forms.in_query(facts.query, "model")
        if asked is not None:
            facts.query = facts.query[: asked.start] + forms.escaped(model) + facts.query[asked.end :]

    def meter(self, facts: CallFacts, content_type: bytes) -> Meter:
        kind = content_type.partition(b";")[0].strip().lower()
        if kind == b"text/event-stream":
            return EventMeter()
        return BodyMeter(MediaReader()) if kind.endswith(b"json") else BlindMeter()

    def refusal(self, error: GatewayError, request_id: str) -> Reply:
        return self.errors.refusal(error, request_id)

    def stream_failure(self, error: GatewayError, request_id: str, after: Meter | None = None) -> bytes:
        return self.errors.failure(error, request_id)

    def waiting_text(self, text: str, model: str) -> bytes:
        return b""

    def _read_json(self, head: Head, body: Body, asked: forms.Field | None) -> CallFacts:
        try:
            facts = asking.read(head, body, can_stream=self.can_stream)
        except MissingModel:
            if asked is None:
                raise
            model = asking.checked_name(asked.text)
            return CallFacts(model, jsonbody.opened(body), head.query, prompt_tokens=prompt_tokens(body))
        if self.can_stream and not facts.is_stream:  # speech says it so
            facts.is_stream = _speech(jsonbody.outline(facts.body)).stream_format == "sse"
        return facts

    def _read_multipart(self, head: Head, body: Body) -> CallFacts:
        parts = multipart.parts(body, head.fields.get(b"content-type", b"").decode("latin-1"))
        part, stream = multipart.field(body, parts, "model"), multipart.field(body, parts, "stream")
        if part is None:
            raise MissingModel
        model = asking.checked_name(multipart.text(body, part, MAX_FIELD_BYTES))
        files = sum(each.is_file for each in parts)
        words_bytes = sum(each.end - each.start for each in parts if not each.is_file)
        facts = CallFacts(
            model,
            _around(body, part.start, part.end),
            head.query,
            self.can_stream and stream is not None and _is_yes(multipart.text(body, stream, MAX_FIELD_BYTES)),
            prompt_tokens=words_bytes // BYTES_PER_TOKEN + MEDIA_TOKENS * files,
        )
        asking.take_labels(facts, lambda name: _field_text(body, parts, name))
        return facts

    def _read_urlencoded(self, head: Head, body: Body) -> CallFacts:
        field, stream = forms.in_body(body, "model"), forms.in_body(body, "stream")
        if field is None:
            raise MissingModel
        facts = CallFacts(
            asking.checked_name(field.text),
            _around(body, field.start, field.end),
            head.query,
            self.can_stream and stream is not None and _is_yes(stream.text),
            prompt_tokens=len(body) // BYTES_PER_TOKEN,
        )
        asking.take_labels(facts, lambda name: _escaped_text(body, name))
        return facts


def _field_text(body: Body, parts: list[multipart.Part], name: str) -> str | None:
    """A field that is not worth a refusal; None = it is not there, or cannot be read."""
    part = next((each for each in reversed(parts) if each.name == name and not each.is_file), None)
    try:
        return None if part is None else multipart.text(body, part, MAX_FIELD_BYTES)
    except BadRequest:
        return None


def _escaped_text(body: Body, name: str) -> str | None:
    """The same of `name=value&…`."""
    try:
        field = forms.in_body(body, name)
    except BadRequest:
        return None
    return None if field is None or len(field.text) > MAX_FIELD_BYTES else field.text


def sdapi_refusal(error: GatewayError, request_id: str) -> Reply:
    """In the form of the Stable Diffusion web UI (AUTOMATIC1111), whose clients show `detail` or `errors`."""
    reply = openai_refusal(error, request_id)
    said = {"error": type(error).__name__, "detail": error.message, "body": "", "errors": error.message}
    said["code"] = error.code
    if error.detail is not None:
        said["log"] = error.detail
    reply.body = msgspec.json.encode(said)
    return reply


def _no_stream(error: GatewayError, request_id: str) -> bytes:
    return b""


def _kind(head: Head, start: Body) -> _Kind:
    """What a request is; `start`: its body, or as much of it as its first piece."""
    if head.method in _NO_BODY or not start:
        return _Kind.QUERY
    begin = bytes(start[:256]).lstrip(b" \t\r\n")
    said = head.fields.get(b"content-type", b"").partition(b";")[0].strip().lower()
    if begin[:1] in (b"{", b"["):
        return _Kind.JSON
    if said == b"multipart/form-data" or begin.startswith(b"--"):
        return _Kind.MULTIPART
    if said == b"application/x-www-form-urlencoded" or _PAIR.match(begin):
        return _Kind.URLENCODED
    return _Kind.JSON


def _around(body: Body, start: int, end: int) -> tuple[Body, ...]:
    """The body in three pieces, of which a value is the second."""
    view = memoryview(body)
    return view[:start], bytes(view[start:end]), view[end:]


def _with_value(pieces: tuple[Body, ...], value: bytes) -> tuple[Body, ...]:
    if b"\r" in value or b"\n" in value:
        raise BadRequest(reason="the model's name for its engine has a line break, which a form cannot carry")
    before, _, after = pieces
    return before, value, after


def _is_yes(text: str) -> bool:
    return text.strip().lower() in _YES


SDAPI_ERRORS = ErrorForm(sdapi_refusal, _no_stream)

SPEECH = MediaDialect("openai.audio.speech", can_stream=True)
TRANSCRIPTIONS = MediaDialect("openai.audio.transcriptions", can_stream=True)
TRANSLATIONS = MediaDialect("openai.audio.translations", can_stream=True)
VOICES = MediaDialect("openai.audio.voices")
IMAGES = MediaDialect("openai.images", can_stream=True)
VARIATIONS = MediaDialect("openai.images.variations")
SDAPI = MediaDialect("sdapi", SDAPI_ERRORS)
AUDIO_TASKS = MediaDialect("audio.tasks")
PROPS = MediaDialect("llamacpp.props", LLAMACPP_ERRORS)
