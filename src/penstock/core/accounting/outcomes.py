"""How a call can end, and where it can be before that."""

from __future__ import annotations

import enum


class Outcome(enum.StrEnum):
    """How a call ended. Every closed record has exactly one; an open one has none."""

    COMPLETED = "completed"
    CLIENT_ABANDONED = "client_abandoned"
    UPSTREAM_ERROR = "upstream_error"
    UPSTREAM_REFUSED = "upstream_refused"
    CANCELLED_QUEUED = "cancelled_queued"
    CANCELLED_RUNNING = "cancelled_running"
    DEADLINE = "deadline"
    INTERRUPTED = "interrupted"
    REJECTED_AUTH = "rejected_auth"
    REJECTED_FORBIDDEN = "rejected_forbidden"
    REJECTED_UNKNOWN_MODEL = "rejected_unknown_model"
    REJECTED_INVALID = "rejected_invalid"
    REJECTED_TOO_LARGE = "rejected_too_large"
    REJECTED_QUOTA = "rejected_quota"
    REJECTED_QUEUE_FULL = "rejected_queue_full"
    REJECTED_BREAKER = "rejected_breaker"
    REJECTED_START_FAILED = "rejected_start_failed"
    REJECTED_DISABLED = "rejected_disabled"
    REJECTED_SHUTDOWN = "rejected_shutdown"
    REJECTED_UNADMITTABLE = "rejected_unadmittable"


MEANINGS = {
    Outcome.COMPLETED: "The client's socket has taken the last byte of the answer.",
    Outcome.CLIENT_ABANDONED: "The client left first; `abandoned_in` says in which phase.",
    Outcome.UPSTREAM_ERROR: "The engine failed: it could not be reached, died, fell silent, or answered 5xx.",
    Outcome.UPSTREAM_REFUSED: "The engine answered 4xx, which was relayed as it is.",
    Outcome.CANCELLED_QUEUED: "The operator cancelled it while it waited.",
    Outcome.CANCELLED_RUNNING: "The operator cancelled it while its engine worked on it.",
    Outcome.DEADLINE: "It was given up because a time limit, the client's or the configuration's, had passed.",
    Outcome.INTERRUPTED: "The gateway died before the call ended: nobody knows when (`done_s`), nor what came last.",
    Outcome.REJECTED_AUTH: "No key, or an unknown one, was shown.",
    Outcome.REJECTED_FORBIDDEN: "The key, the host or the origin may not do this.",
    Outcome.REJECTED_UNKNOWN_MODEL: "No model has that name.",
    Outcome.REJECTED_INVALID: "The request could not be understood.",
    Outcome.REJECTED_TOO_LARGE: "The body, or the prompt, is larger than the configuration allows.",
    Outcome.REJECTED_QUOTA: "A quota of the key is used up.",
    Outcome.REJECTED_QUEUE_FULL: "A waiting room with a limit is full.",
    Outcome.REJECTED_BREAKER: "The model's engine failed too often and rests.",
    Outcome.REJECTED_START_FAILED: "The model's engine did not start.",
    Outcome.REJECTED_DISABLED: "The model, or what the request needs, is switched off or not supported.",
    Outcome.REJECTED_SHUTDOWN: "The gateway was shutting down.",
    Outcome.REJECTED_UNADMITTABLE: "This configuration can never serve it.",
}


class CallPhase(enum.StrEnum):
    """Where a call is; kept in the record as the place where its client left."""

    READING = "reading"  # its body is still arriving
    QUEUED = "queued"
    LOADING = "loading"  # waits, and its model is being loaded
    SENT = "sent"  # the engine has it and has not answered yet
    STREAMING = "streaming"  # the answer is on its way
    DONE = "done"


READING, QUEUED, SENT = CallPhase.READING, CallPhase.QUEUED, CallPhase.SENT
STREAMING, DONE = CallPhase.STREAMING, CallPhase.DONE
COMPLETED, INTERRUPTED = Outcome.COMPLETED, Outcome.INTERRUPTED
"""By themselves, for what every call asks: before Python 3.12, to have one of its class takes as long as a call."""


def outcome_of_answer(status: int, failure: str | None) -> Outcome:
    """Of an answer that its client has: what its status says, and an error that the engine reported inside it."""
    if status >= 500 or (failure is not None and status < 400):
        return Outcome.UPSTREAM_ERROR
    return Outcome.UPSTREAM_REFUSED if status >= 400 else COMPLETED
