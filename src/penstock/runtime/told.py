"""What a caller is told about its call beside the answer: how to find its record, what the wait was, why it waits."""

from __future__ import annotations

from penstock.core.message import Headers, Reply
from penstock.core.scheduler import WaitReason
from penstock.errors import ForeignOrigin, GatewayError, Unauthorized
from penstock.protocols.dialect import Dialect
from penstock.runtime.call import Call
from penstock.runtime.cors import cors

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
    model, queue_ms, load_ms, position = _figures(call)
    return (
        f"x-request-id: {call.request_id}\r\nx-penstock-id: {call.record.id}\r\n"
        f"x-penstock-model: {model}\r\nx-penstock-queue-ms: {queue_ms}\r\n"
        f"x-penstock-load-ms: {load_ms}\r\nx-penstock-position: {position}\r\n"
    ).encode("ascii")


def figures_comment(call: Call) -> bytes:
    """What the wait was, for a stream whose head went out before that was known."""
    model, queue_ms, load_ms, position = _figures(call)
    text = f": model={model} queue-ms={queue_ms} load-ms={load_ms} position={position}\n\n"
    return text.encode("ascii")


def _figures(call: Call) -> tuple[str, str, str, int]:
    """The model, the milliseconds of waiting and loading, and how many were before the call; 0 if it did not wait."""
    record, model = call.record, call.model
    if not (model.isascii() and model.isprintable()):
        model = model.encode("unicode_escape").decode("ascii")
    if record.position_at_entry is None:
        return model, "0", "0", 0
    queue_ms = 1000 * ((record.admitted_s or 0.0) - (record.enqueued_s or 0.0))
    load_ms = 1000 * record.wait_reasons.get("loading", 0.0)
    return model, f"{queue_ms:.0f}", f"{load_ms:.0f}", record.position_at_entry


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
