"""What a caller is told about its call beside the answer: how to find its record, what the wait was, why it waits."""

from __future__ import annotations

from functools import lru_cache

from penstock.core.accounting.record import CallRecord
from penstock.core.calls.message import Headers, Reply
from penstock.core.scheduling.scheduler import WaitReason
from penstock.errors import ForeignOrigin, GatewayError, Unauthorized
from penstock.protocols.dialect import Dialect
from penstock.runtime.access.cors import cors
from penstock.runtime.calls.call import Call

CHALLENGE = (b"www-authenticate", b'Bearer realm="penstock"')


def identity(call: Call) -> Headers:
    """Headers that let a caller find the record."""
    return [(b"x-request-id", call.request_id.encode("ascii")), (b"x-penstock-id", call.record.id.encode("ascii"))]


def refusal(call: Call, dialect: Dialect, error: GatewayError) -> Reply:
    """A complete answer that says no."""
    reply = dialect.refusal(error, call.request_id)
    reply.headers += identity(call)
    if call.caller.origin is not None and not isinstance(error, ForeignOrigin):
        reply.headers += cors(call.caller)
    if isinstance(error, Unauthorized):
        reply.headers.append(CHALLENGE)
    return reply


def identity_lines(call: Call) -> bytes:
    """The same as complete header lines."""
    return f"x-request-id: {call.request_id}\r\nx-penstock-id: {call.record.id}\r\n".encode("ascii")


def reply_lines(call: Call) -> bytes:
    """The same and what the wait was, if it was for a model."""
    if not call.model:
        return identity_lines(call)
    record_id = call.record.id
    wait = _NO_WAIT if call.record.position_at_entry is None else _wait_lines(*_figures(call.record))
    return (
        f"x-request-id: {call.caller.request_id or record_id}\r\nx-penstock-id: {record_id}\r\n"
        f"x-penstock-model: {_shown(call.model)}\r\n{wait}"
    ).encode("ascii")


def figures_comment(call: Call) -> bytes:
    """What the wait was, for a stream whose head went out before that was known."""
    queue_ms, load_ms, position = _figures(call.record)
    text = f": model={_shown(call.model)} queue-ms={queue_ms:.0f} load-ms={load_ms:.0f} position={position}\n\n"
    return text.encode("ascii")


def _figures(record: CallRecord) -> tuple[float, float, int]:
    """The milliseconds of waiting and loading, and how many were before the call; 0 if it did not wait."""
    if record.position_at_entry is None:
        return 0.0, 0.0, 0
    queue_ms = 1000 * ((record.admitted_s or 0.0) - (record.enqueued_s or 0.0))
    return queue_ms, 1000 * record.wait_reasons.get("loading", 0.0), record.position_at_entry


def _wait_lines(queue_ms: float, load_ms: float, position: int) -> str:
    return (
        f"x-penstock-queue-ms: {queue_ms:.0f}\r\nx-penstock-load-ms: {load_ms:.0f}\r\n"
        f"x-penstock-position: {position}\r\n"
    )


_NO_WAIT = _wait_lines(0.0, 0.0, 0)


@lru_cache(1024)
def _shown(model: str) -> str:
    """Of a configured name what a header may hold."""
    return model if model.isascii() and model.isprintable() else model.encode("unicode_escape").decode("ascii")


def waiting_comment(call: Call) -> bytes:
    """Where it stands in the queue, as a comment in a stream."""
    wait = call.context.dispatcher.explain(call.record.id)
    eta = f" eta={wait.estimate_s:.0f}s" if _is_worth_telling(wait.estimate_s) else ""
    return f": queued position={wait.position} reason={wait.reason.value}{eta}\n\n".encode("ascii")


def waiting_text(call: Call) -> str:
    """The same for people."""
    wait = call.context.dispatcher.explain(call.record.id)
    what = f"Loading {call.model}" if wait.reason is WaitReason.LOADING else f"Waiting for {call.model}"
    before = f", {wait.position} before you" if wait.position else ""
    when = f", about {wait.estimate_s:.0f} s" if _is_worth_telling(wait.estimate_s) else ""
    return f"{what}{before}{when} …\n"


def _is_worth_telling(estimate_s: float | None) -> bool:
    """Of who waits already, less than a second says nothing, and after a while it would be wrong."""
    return estimate_s is not None and estimate_s >= 0.5
