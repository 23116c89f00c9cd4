"""Reading a JSON request: whom it asks for, whether it streams, how urgent it is, and for whose work.

Every JSON endpoint reads so. A body that gateway and engine could read differently is refused; all others go on
byte for byte, but for what `Edits` and the dialect change.
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from penstock.core.calls.message import Body, CallFacts, Edits, Head
from penstock.core.calls.names import oddity
from penstock.errors import MissingModel, OddModelName
from penstock.protocols import jsonbody
from penstock.protocols.estimate import prompt_tokens, prompt_tokens_of
from penstock.protocols.jsonpieces import Source
from penstock.protocols.unreadable import explained

"""A model's name longer than this is nobody's, and is not repeated in a record or an error."""

MAX_LABEL_CHARACTERS = 128
MAX_METADATA_BYTES = 64 * 1024
"""OpenAI takes 16 pairs of at most 576 characters. A larger `metadata` is not looked into."""

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
    prompt_cache_key: msgspec.Raw = _ABSENT


class _Metadata(msgspec.Struct):
    workload: str | None = None


_peek = msgspec.json.Decoder(_Peek).decode
_metadata = msgspec.json.Decoder(_Metadata).decode
_text = msgspec.json.Decoder(str).decode


def read(head: Head, body: Body, *, can_stream: bool, counts_by_options: bool = False) -> CallFacts:
    """Understand a request. Raises BadRequest.

    can_stream: this endpoint's answers may be streams. counts_by_options: such a stream says how many tokens it took
    only if `stream_options.include_usage` asks for it: where the caller did not, we do.
    """
    pieces = jsonbody.opened(body)
    source = Source.of(pieces) if len(body) > jsonbody.SMALL_BYTES else None
    try:
        peek = _peek(pieces[0] if source is None else source.text)
    except jsonbody.UNREADABLE as exc:
        raise explained(exc, body) from exc
    is_stream = can_stream and peek.stream is True
    model = checked_name(peek.model)
    tokens = prompt_tokens(body) if source is None else prompt_tokens_of(source)
    facts = CallFacts(model, pieces, head.query, is_stream, tokens)
    if peek.metadata is not _ABSENT:
        _take_workload(facts, peek.metadata)
    if peek.prompt_cache_key is not _ABSENT:
        facts.session = _label(peek.prompt_cache_key)
    if peek.priority is not _ABSENT:
        facts.has_priority = True
        facts.priority = _integer(bytes(peek.priority))
    if is_stream and counts_by_options:
        _ask_for_usage(facts, peek.stream_options)
    return facts


def checked_name(model: str | None) -> str:
    """Raises MissingModel, and OddModelName if it can be nobody's name."""
    if not model:
        raise MissingModel
    if odd := oddity(model):
        raise OddModelName(reason=f"it {odd}")
    return model


def take_labels(facts: CallFacts, said: Callable[[str], str | None]) -> None:
    """How urgent a form is, and for whose work, as `said` of its fields; they stay where they are.

    `metadata[workload]` is how clients write a mapping into a form.
    """
    if (priority := said("priority")) is not None:
        facts.priority = _integer(priority.encode("utf-8"))
    workload = said("metadata[workload]")
    if workload is None and (metadata := said("metadata")) is not None:
        try:
            workload = _metadata(metadata).workload
        except jsonbody.UNREADABLE:  # it is somebody else's field of that name
            return
    if workload is not None:
        facts.workload = _as_label(workload)


def _ask_for_usage(facts: CallFacts, options: _StreamOptions | msgspec.UnsetType | None) -> None:
    """Have the engine count, also where the caller did not ask; the extra chunk is taken out again."""
    if options is msgspec.UNSET:
        facts.hides_usage_chunk = True
        facts.body = jsonbody.append(facts.body, b'"stream_options":{"include_usage":true}')
    elif options is None or not options.include_usage:
        facts.hides_usage_chunk = True
        facts.body = jsonbody.edit(facts.body, Edits(put={"stream_options.include_usage": b"true"}))


def _take_workload(facts: CallFacts, metadata: msgspec.Raw) -> None:
    """Whose work it is, is said to us; no engine knows the member."""
    raw = memoryview(metadata)
    if raw.nbytes > MAX_METADATA_BYTES or b'"workload"' not in bytes(raw):
        return
    try:
        workload = _metadata(raw).workload
    except jsonbody.UNREADABLE:  # no object, or no text: then it is somebody else's member of that name
        return
    if workload is not None:
        facts.workload = _as_label(workload)
    facts.body = jsonbody.edit(facts.body, Edits(drop=("metadata.workload",)))


def _label(raw: msgspec.Raw) -> str | None:
    try:
        text = _text(raw)
    except jsonbody.UNREADABLE:
        return None
    return _as_label(text)


def _as_label(text: str) -> str | None:
    """Without the white space around it; None = it is nobody's label."""
    label = text.strip()
    return label if 0 < len(label) <= MAX_LABEL_CHARACTERS and label.isprintable() else None


def _integer(raw: bytes) -> int | None:
    """A priority as asked; whatever is no reasonable integer counts as not asked."""
    if len(raw) > 20:
        return None
    try:
        return int(raw)
    except ValueError:
        return None
