"""Everything a caller can be told, once: one class for each reason.

The docstring of a class is its message, with the named fields filled in. A dialect
(protocols/) renders it; the record keeps its `outcome` and `code`. Pure: no imports
from anywhere else in Penstock.
"""

from __future__ import annotations

from typing import ClassVar

MAX_RETRY_AFTER_S = 120
"""Longer than this and the official OpenAI client gives up instead of waiting."""


class PenstockError(Exception):
    """The root of every error that Penstock raises on purpose."""


class GatewayError(PenstockError):
    """Something went wrong."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal_error"
    outcome: ClassVar[str] = "upstream_error"
    param: ClassVar[str | None] = None
    is_retry_useful: ClassVar[bool] = True
    """False where a retry by the client's library would only double the load."""

    def __init__(self, *, retry_after_s: float | None = None, detail: str | None = None, **fields: object) -> None:
        """`detail` is for whoever may see the engine's logs; it is no part of the message."""
        self.fields = fields
        self.detail = detail
        self.retry_after_s = None if retry_after_s is None else min(max(1, round(retry_after_s)), MAX_RETRY_AFTER_S)
        self.message = " ".join((type(self).__doc__ or "").split()).format(**fields)
        super().__init__(self.message)


# The caller's request cannot be read.


class BadRequest(GatewayError):
    """The request is not valid: {reason}."""

    status, code, outcome, is_retry_useful = 400, "invalid_request", "rejected_invalid", False


class InvalidJson(BadRequest):
    """The request body is not valid JSON: {reason}."""

    code = "invalid_json"


class AmbiguousBody(BadRequest):
    """The request body names `{member}` more than once. Gateway and engine could read it differently: send it once."""

    code = "ambiguous_body"


class AmbiguousQuery(BadRequest):
    """The query names `{member}` more than once. Gateway and engine could read it differently: send it once."""

    code = "ambiguous_query"


class MissingModel(BadRequest):
    """No model was named. Add a `model` with one of the names that GET /v1/models lists: a member of a JSON body, a
    field of a form, or in the query of a GET.
    """

    code, param = "missing_model", "model"


class NoModelInPath(MissingModel):
    """The path names no model. It is /upstream/MODEL/ with one of the names that GET /v1/models lists."""


class OddModelName(BadRequest):
    """The `model` is no name that a model could have: {reason}. GET /v1/models lists those that there are."""

    code, param = "invalid_model_name", "model"


class TooLarge(GatewayError):
    """The request body is larger than the {limit_bytes} bytes that this gateway accepts (limits.body)."""

    status, code, outcome, is_retry_useful = 413, "request_too_large", "rejected_too_large", False


class BodyNotKept(GatewayError):
    """The request body could not be kept until its turn: {reason}. Make room on the disk of the state folder."""

    status, code, outcome = 503, "body_not_kept", "rejected_queue_full"


class PromptTooLong(GatewayError):
    """The prompt is about {prompt_tokens} tokens long; `{model}` accepts at most {limit_tokens} (max_prompt_tokens).
    Shorten it, or ask a model that accepts more.
    """

    status, code, outcome, is_retry_useful = 413, "prompt_too_long", "rejected_too_large", False


class UnknownModel(GatewayError):
    """The model `{model}` does not exist. `penstock models`, or GET /v1/models, lists the names that do.{hint}"""

    status, code, outcome, param, is_retry_useful = 404, "model_not_found", "rejected_unknown_model", "model", False


class NoSuchPath(GatewayError):
    """There is no path {path} here.{hint}"""

    status, code, outcome, is_retry_useful = 404, "not_found", "rejected_invalid", False


class MethodNotAllowed(GatewayError):
    """{path} accepts {allowed}, not {method}."""

    status, code, outcome, is_retry_useful = 405, "method_not_allowed", "rejected_invalid", False


# The request is understood, and will not be served.


class ForeignHost(GatewayError):
    """The Host header {host} is not a name of this machine. Bind to an address of the network to be reached by name."""

    status, code, outcome, is_retry_useful = 403, "foreign_host", "rejected_forbidden", False


class ForeignOrigin(GatewayError):
    """A page of {origin} may not call this gateway. Name it in `cors_origins` to allow it."""

    status, code, outcome, is_retry_useful = 403, "foreign_origin", "rejected_forbidden", False


class LoopbackOnly(GatewayError):
    """{path} is answered to this machine only while no keys are configured."""

    status, code, outcome, is_retry_useful = 403, "loopback_only", "rejected_forbidden", False


class Unauthorized(GatewayError):
    """The request shows no key that counts."""

    status, code, outcome, is_retry_useful = 401, "invalid_api_key", "rejected_auth", False


class MissingKey(Unauthorized):
    """No API key was shown. Send one of this gateway's keys as `Authorization: Bearer KEY` or `x-api-key: KEY`."""

    code = "missing_api_key"


class UnknownKey(Unauthorized):
    """The API key that was shown is not one of this gateway's keys. Its operator makes keys (`penstock keys add`)."""


class AmbiguousKey(Unauthorized):
    """The request shows more than one API key ({places}). Send one, once."""

    code = "ambiguous_api_key"


class ExpiredKey(Unauthorized):
    """The API key `{key}` has expired. The gateway's operator makes another with `penstock keys add`."""

    code = "expired_api_key"


class KeyForbidden(GatewayError):
    """The key `{key}` may not use the model `{model}`. GET /v1/models lists those that it may."""

    status, code, outcome, param, is_retry_useful = 403, "model_forbidden", "rejected_forbidden", "model", False


class RoleRequired(GatewayError):
    """{path} needs a key with the role {needed}; the key `{key}` has the role {role}."""

    status, code, outcome, is_retry_useful = 403, "role_required", "rejected_forbidden", False


class PageHeaderMissing(GatewayError):
    """A change that is asked for with a page's session needs the header `X-Penstock-Page`, or a key instead."""

    status, code, outcome, is_retry_useful = 403, "page_header_missing", "rejected_forbidden", False


class QuotaExceeded(GatewayError):
    """The key `{key}` has used up its quota of {quota}. There is room again at {until}."""

    status, code, outcome = 429, "quota_exceeded", "rejected_quota"


class QuotaSpent(QuotaExceeded):
    """The key `{key}` has used up its quota of {quota}. There is room again at {until}."""

    is_retry_useful = False


class NotLoaded(GatewayError):
    """`{model}` is not loaded, and {path} does not load it (upstream_ignore_paths, ignore_websockets)."""

    status, code, outcome, is_retry_useful = 409, "model_not_loaded", "rejected_disabled", False


class Unadmittable(GatewayError):
    """`{model}` cannot be served as things are: {reason}."""

    status, code, outcome, is_retry_useful = 503, "model_unadmittable", "rejected_unadmittable", False


class QueueFull(GatewayError):
    """The waiting room of {room} is full ({limit} requests). Try again later."""

    status, code, outcome = 503, "queue_full", "rejected_queue_full"


class JournalFull(GatewayError):
    """The gateway can keep no records at the moment, and is told to refuse calls then (store.journal_full)."""

    status, code, outcome = 503, "journal_full", "rejected_queue_full"


class BreakerOpen(GatewayError):
    """`{model}` failed {failures} times in a row and rests. Try again later."""

    status, code, outcome = 503, "breaker_open", "rejected_breaker"


class StartFailed(GatewayError):
    """The engine of `{model}` failed to start: {reason}."""

    status, code, outcome, is_retry_useful = 503, "engine_start_failed", "rejected_start_failed", False


class Disabled(GatewayError):
    """`{model}` is disabled: {reason}."""

    status, code, outcome, is_retry_useful = 503, "model_disabled", "rejected_disabled", False


class ShuttingDown(GatewayError):
    """The gateway is shutting down. Try again in a moment."""

    status, code, outcome = 503, "shutting_down", "rejected_shutdown"


class DeadlineMissed(GatewayError):
    """The request could not be answered within its time limit ({limit}): it was given up {phase}."""

    status, code, outcome, is_retry_useful = 504, "deadline_exceeded", "deadline", False


class Cancelled(GatewayError):
    """The request was cancelled by the operator{where}."""

    status, code, outcome, is_retry_useful = 503, "cancelled", "cancelled_queued", False


class CancelledRunning(GatewayError):
    """The request was cancelled by the operator while the engine of `{model}` worked on it."""

    status, code, outcome, is_retry_useful = 503, "cancelled", "cancelled_running", False


# What an operator asked for is not there, or cannot be.


class PinnedOut(GatewayError):
    """`{model}` cannot be loaded: {reason}. Unpin what is in its way first."""

    status, code, outcome, is_retry_useful = 409, "pinned_out", "rejected_unadmittable", False


class NotLaunched(GatewayError):
    """`{model}` is an upstream: it is neither loaded nor pinned here."""

    status, code, outcome, is_retry_useful = 409, "not_launched", "rejected_invalid", False


class UnknownProfile(GatewayError):
    """The profile `{name}` does not exist. `penstock profiles`, or GET /api/v1/profiles, lists those that do."""

    status, code, outcome, is_retry_useful = 404, "profile_not_found", "rejected_invalid", False


class NoSuchCall(GatewayError):
    """No call `{id}` waits or runs: it has ended, or never was. `penstock ps`, or GET /api/v1/calls, lists those that
    do.
    """

    status, code, outcome, is_retry_useful = 404, "call_not_found", "rejected_invalid", False


class CallRuns(GatewayError):
    """The call `{id}` waits no more: an engine works on it. {remedy}"""

    status, code, outcome, is_retry_useful = 409, "call_runs", "rejected_invalid", False


class NoSuchCapture(GatewayError):
    """Nothing is kept of a call `{id}`: it is unknown, not captured, or older than `capture_buffer` has room for."""

    status, code, outcome, is_retry_useful = 404, "capture_not_found", "rejected_invalid", False


class UsageUnavailable(GatewayError):
    """The usage figures cannot be had at the moment: {reason}. Calls are not affected. Try again later."""

    status, code, outcome = 503, "usage_unavailable", "rejected_disabled"


# The engine failed.


class UpstreamFailed(GatewayError):
    """The engine of `{model}` failed: {reason}."""

    status, code = 502, "engine_failed"


class EngineUnreachable(UpstreamFailed):
    """The engine of `{model}` cannot be reached: {reason}."""

    code = "engine_unreachable"


class EngineDied(UpstreamFailed):
    """The engine of `{model}` closed the connection before its answer was complete."""

    code = "engine_died"


class EngineGarbage(UpstreamFailed):
    """The engine of `{model}` sent something that is not HTTP: {reason}."""

    code = "engine_bad_reply"


class EngineRefused(UpstreamFailed):
    """The engine of `{model}` answered with status {status} instead of a stream: {reason}."""

    code = "engine_refused"


class EngineTimeout(UpstreamFailed):
    """The engine of `{model}` was silent for {seconds} s ({limit})."""

    status, code = 504, "engine_timeout"


# Not told to callers.


class CannotInflate(PenstockError):
    """A compressed answer is broken, or larger inside than is read for the books."""
