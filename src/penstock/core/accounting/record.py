"""The one row that a call leaves behind, and the spans derived from it.

Only this file says how long something took: the record keeps moments, everything else is
computed here. None means unknown and is never 0. What is said about each field is published in docs/records.md.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Annotated

from penstock.core.accounting.fields import (
    BODY,
    BYTES,
    CONFIGURATION,
    ENGINE,
    EPOCH,
    GATEWAY,
    HEAD,
    OWN_CLOCK,
    SCHEDULER,
    SECONDS,
    TOKENS,
    WALL_CLOCK,
    Doc,
)
from penstock.core.accounting.outcomes import CallPhase, Outcome

__all__ = ["DERIVED", "CallPhase", "CallRecord", "Outcome"]

_Text = str | None
_NOT_TOLD = "the engine did not say"
_NEVER_READ = "refused before its body was read"
_NOT_LOOKED_INTO = "refused before its body was looked into"
_NO_MESSAGE = "there was none"
_NOT_NAMED = "none was named"
_NEVER_QUEUED = "it never came to the queue"


def _moment(of: str, *, null: str) -> Doc:
    return Doc(f"When {of}, after `received_at`.", OWN_CLOCK, SECONDS, null)


@dataclass(slots=True, eq=False)
class CallRecord:
    """One call. Moments (`…_s`) are seconds after `received_at` on one monotonic clock; None = it never came to that.

    received_at is epoch seconds UTC, stamped once. Bytes are those of the bodies.
    """

    id: Annotated[str, Doc("UUIDv7 of the call, sent as `x-penstock-id`.", GATEWAY)]
    gateway_id: Annotated[str, Doc("Which gateway; the same for every start in one state folder.", GATEWAY)]
    boot_id: Annotated[str, Doc("Which start of that gateway.", GATEWAY)]
    gateway_version: Annotated[str, Doc("Its version.", GATEWAY)]
    received_at: Annotated[float, Doc("When the first byte of the request was read.", WALL_CLOCK, EPOCH)]
    method: Annotated[str, Doc("The HTTP method.", HEAD)]
    path: Annotated[str, Doc("The path, without its query.", HEAD)]
    dialect: Annotated[str, Doc("The protocol spoken there, which shapes refusals.", GATEWAY)]
    client_address: Annotated[
        _Text, Doc("The client's IP address; a trusted proxy's word for it.", HEAD, null="not a network socket")
    ] = None
    client_request_id: Annotated[_Text, Doc("`x-request-id`, echoed.", HEAD, null="none was sent")] = None
    key: Annotated[_Text, Doc("The key's name.", CONFIGURATION, null="no key with a name was shown")] = None
    key_fingerprint: Annotated[
        _Text, Doc("First 8 hex digits of the SHA-256 of the key that was shown.", HEAD, null="no key was shown")
    ] = None
    workload: Annotated[
        _Text,
        Doc("`X-Penstock-Workload`, `X-Overlaat-Workload` or `metadata.workload`.", HEAD + " or body", null=_NOT_NAMED),
    ] = None
    session: Annotated[
        _Text,
        Doc("`x-session-id`, `x-litellm-session-id` or `prompt_cache_key`.", HEAD + " or body", null=_NOT_NAMED),
    ] = None
    retry_count: Annotated[
        int | None, Doc("`x-stainless-retry-count`: 0 = the first try.", HEAD, null="the client does not count")
    ] = None
    retry_of: Annotated[
        _Text,
        Doc(
            "Id of the first try, where this is a later one; looked for when it is shown or exported.",
            "the calls before it",
            null="a first try, or it was not found",
        ),
    ] = None
    count: Annotated[int, Doc("Requests that this record stands for; above 1 for collapsed refusals.", GATEWAY)] = 1

    model_requested: Annotated[_Text, Doc("The name the client asked for.", BODY, null=_NOT_LOOKED_INTO)] = None
    model: Annotated[
        _Text, Doc("The model it stands for.", CONFIGURATION, null="none that is known, or refused before it was asked")
    ] = None
    engine: Annotated[_Text, Doc("The replica that served it.", SCHEDULER, null="none did")] = None
    streamed: Annotated[bool | None, Doc("Whether a stream was asked for.", BODY, null=_NOT_LOOKED_INTO)] = None
    priority_asked: Annotated[_Text, Doc("The priority asked for.", HEAD + " or body", null="none was")] = None
    priority: Annotated[_Text, Doc("The class it was granted.", GATEWAY, null=_NOT_LOOKED_INTO)] = None
    pool: Annotated[_Text, Doc("The compute pool it was charged to.", CONFIGURATION, null="none")] = None
    cost: Annotated[
        float | None, Doc("Part of the pool's budget that it took.", SCHEDULER, "share", "it took none")
    ] = None
    prompt_tokens_estimated: Annotated[
        int | None, Doc("Length of the prompt as the scheduler guessed it.", BODY, TOKENS, _NOT_LOOKED_INTO)
    ] = None

    enqueued_s: Annotated[float | None, _moment("it entered the queue", null=_NEVER_QUEUED)] = None
    admitted_s: Annotated[float | None, _moment("it got a slot", null="it never did")] = None
    engine_ready_s: Annotated[
        float | None, _moment("the load that it waited for was over", null="it waited for none")
    ] = None
    sent_s: Annotated[float | None, _moment("it was sent to the engine", null="it never was")] = None
    first_byte_s: Annotated[float | None, _moment("the engine's head came", null="it never did")] = None
    first_token_s: Annotated[
        float | None,
        _moment("the first token came", null="no stream of tokens, none came, or an answer that cannot be read"),
    ] = None
    done_s: Annotated[float | None, _moment("it ended", null="still open, or `interrupted`")] = None

    position_at_entry: Annotated[
        int | None, Doc("Calls of its model before it when it began to wait.", SCHEDULER, "calls", "it did not wait")
    ] = None
    wait_reasons: Annotated[
        dict[str, float], Doc("Seconds waited for each reason, as a JSON object.", SCHEDULER, SECONDS)
    ] = field(default_factory=dict)
    caused_load: Annotated[bool | None, Doc("Its arrival began a load.", SCHEDULER, null=_NEVER_QUEUED)] = None
    waited_for_load: Annotated[
        bool | None, Doc("It waited for a load.", SCHEDULER, null="it still waits, or was refused at once")
    ] = None
    load_id: Annotated[_Text, Doc("Id of the load that it waited for.", GATEWAY, null="it waited for none")] = None
    load_s: Annotated[
        float | None,
        Doc("How long that load took in all; it is charged to the load.", OWN_CLOCK, SECONDS, "it waited for none"),
    ] = None
    estimated_wait_s: Annotated[
        float | None,
        Doc("The wait it was told on entry.", SCHEDULER, SECONDS, "it did not wait, or nobody knew"),
    ] = None

    outcome: Annotated[_Text, Doc("How it ended (below).", GATEWAY, null="still open")] = None
    abandoned_in: Annotated[_Text, Doc("The phase in which the client left.", GATEWAY, null="it did not leave")] = None
    http_status: Annotated[
        int | None, Doc("The status of the answer, or what it would have been.", GATEWAY, null="none was known")
    ] = None
    error_code: Annotated[
        _Text,
        Doc("The `code` of this gateway's own refusal or error.", GATEWAY, null="there was none, or the engine's own"),
    ] = None
    error_detail: Annotated[
        _Text,
        Doc("Its message, or that of the engine's own error.", GATEWAY + " or the engine's answer", null=_NO_MESSAGE),
    ] = None
    response_content_type: Annotated[_Text, Doc("`Content-Type` of the answer.", ENGINE, null="none came")] = None
    request_bytes: Annotated[int | None, Doc("Size of the request's body.", GATEWAY, BYTES, _NEVER_READ)] = None
    response_bytes: Annotated[
        int | None, Doc("Size of the engine's answer, as far as it was relayed.", GATEWAY, BYTES, "none came")
    ] = None

    prompt_tokens: Annotated[
        int | None,
        Doc(
            "The whole prompt, its cached part included.",
            ENGINE,
            TOKENS,
            _NOT_TOLD + ", or only counted (`count_tokens`)",
        ),
    ] = None
    cached_tokens: Annotated[
        int | None, Doc("Its part that was taken from a cache; 0 = told, and none.", ENGINE, TOKENS, _NOT_TOLD)
    ] = None
    completion_tokens: Annotated[int | None, Doc("Generated.", ENGINE, TOKENS, _NOT_TOLD)] = None
    reasoning_tokens: Annotated[int | None, Doc("Of these, reasoning.", ENGINE, TOKENS, _NOT_TOLD)] = None
    drafted_tokens: Annotated[int | None, Doc("Proposed by a draft model.", ENGINE, TOKENS, _NOT_TOLD)] = None
    accepted_tokens: Annotated[int | None, Doc("Of these, kept.", ENGINE, TOKENS, _NOT_TOLD)] = None
    token_source: Annotated[
        _Text, Doc("Where the tokens are from: `usage`, `timings` or `none`.", ENGINE, null="no answer was read")
    ] = None
    engine_prompt_ms: Annotated[
        float | None, Doc("What the engine says its work on the prompt took; for speeds only.", ENGINE, "ms", _NOT_TOLD)
    ] = None
    engine_decode_ms: Annotated[
        float | None, Doc("What it says generating took; for speeds only.", ENGINE, "ms", _NOT_TOLD)
    ] = None
    finish_reason: Annotated[_Text, Doc("Why generating ended.", ENGINE, null=_NOT_TOLD)] = None
    energy_j: Annotated[
        float | None, Doc("Its share, by active time, of what its devices used.", "host samples", "J", "not measured")
    ] = None

    def is_open(self) -> bool:
        return self.outcome is None


def queue_wait_s(record: CallRecord) -> float | None:
    """Seconds from entering the queue to getting a slot, loading included; None = it never got one."""
    return _span(record.enqueued_s, record.admitted_s)


def load_wait_s(record: CallRecord) -> float | None:
    """The part of the queue wait during which the model was being loaded; 0 = it found the engine ready."""
    if record.admitted_s is None:
        return None
    return record.wait_reasons.get("loading", 0.0)


def ttft_s(record: CallRecord) -> float | None:
    """Seconds from the first byte of the request to the first token of the answer."""
    return record.first_token_s


def decode_s(record: CallRecord) -> float | None:
    """Seconds from the first token to the end."""
    return _span(record.first_token_s, record.done_s)


def service_s(record: CallRecord) -> float | None:
    """Seconds for which the call held its slot; None = it never had one, or has not ended."""
    return _span(record.admitted_s, record.done_s)


def total_s(record: CallRecord) -> float | None:
    """Seconds from the first byte of the request to the last of the answer; None = not ended, or unknown when.

    Never what the engine says: it does not see all of it, and some report less than has passed.
    """
    return record.done_s


def uncached_tokens(record: CallRecord) -> int | None:
    """The part of the prompt that had to be computed; None = the engine did not say how much was cached.

    Never negative: some engines tell of more than the prompt.
    """
    if record.prompt_tokens is None or record.cached_tokens is None:
        return None
    return max(0, record.prompt_tokens - record.cached_tokens)


DERIVED: dict[str, Callable[[CallRecord], float | None]] = {
    function.__name__: function
    for function in (queue_wait_s, load_wait_s, ttft_s, decode_s, service_s, total_s, uncached_tokens)
}
"""All that is computed from a record, by name, in the order in which it is shown."""


def _span(start_s: float | None, end_s: float | None) -> float | None:
    return None if start_s is None or end_s is None else end_s - start_s
