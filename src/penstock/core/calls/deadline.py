"""Until when a call must have begun and ended, from what its caller and the operator allow.

A caller says it in headers: `X-Request-Timeout` bounds the whole call; the libraries made by Stainless (those
of OpenAI and Anthropic) send how long they wait for bytes, `X-Stainless-Read-Timeout` or `X-Stainless-Timeout`;
`X-Penstock-Max-Queue-Wait` bounds the wait alone. All are seconds. What cannot be read counts as not said.
"""

from __future__ import annotations

from dataclasses import dataclass

MAX_TIMEOUT_S = 31 * 86_400.0


@dataclass(frozen=True, slots=True)
class Deadline:
    """Seconds after the call was opened, and who set it, in words for a refusal."""

    at_s: float
    limit: str


def seconds(text: str | None) -> float | None:
    """A header's value as a span; None = there is none, or it is no sensible number."""
    if text is None or len(text) > 20:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0.0 < value <= MAX_TIMEOUT_S else None  # also false for NaN


def begin_by(
    *,
    request_timeout_s: float | None,
    read_timeout_s: float | None,
    asked_wait_s: float | None,
    allowed_wait_s: float | None,
    is_kept_alive: bool,
) -> Deadline | None:
    """By when the call must have a slot; None = it waits as long as it takes.

    `is_kept_alive`: the caller is sent something while it waits, so that its patience between bytes is no limit.
    """
    limits = [
        ("X-Request-Timeout", request_timeout_s),
        ("X-Stainless-Read-Timeout", None if is_kept_alive else read_timeout_s),
        ("X-Penstock-Max-Queue-Wait", asked_wait_s),
        ("limits.queue_wait", allowed_wait_s),
    ]
    known = [Deadline(span_s, f"{name}: {span_s:g} s") for name, span_s in limits if span_s is not None]
    return min(known, key=lambda deadline: deadline.at_s, default=None)
