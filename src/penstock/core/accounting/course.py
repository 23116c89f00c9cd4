"""A call as the formulas of usage see it: when it wanted, got and gave back a slot, and what came of it.

Its moments are those of the record: `received_at` by the wall clock, once, and seconds after that on a monotonic
clock. So no interval is ever negative, whatever was done to the clock, and NULL stays unknown.
"""

from __future__ import annotations

from typing import NamedTuple

Interval = tuple[float, float]
"""From, and up to but without; epoch seconds."""


class Course(NamedTuple):
    """One call, ended or not. None = unknown, or it never came to that. `stands_for`: how many requests.

    last_s: the latest moment that is known of it, for those of which nobody knows when they ended.
    """

    id: str
    gateway_id: str
    received_at: float
    model: str | None
    key: str | None
    workload: str | None
    outcome: str | None
    stands_for: int = 1
    retry_count: int | None = None
    enqueued_s: float | None = None
    admitted_s: float | None = None
    first_token_s: float | None = None
    last_s: float = 0.0
    done_s: float | None = None
    load_wait_s: float | None = None
    prompt_tokens: int | None = None
    cached_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    energy_j: float | None = None

    @property
    def is_open(self) -> bool:
        return self.outcome is None

    @property
    def is_retry(self) -> bool:
        """The client says that it has asked before: this is no new demand."""
        return (self.retry_count or 0) > 0


def end_s(course: Course, now: float) -> float:
    """When it stopped to want or use a slot, after `received_at`.

    An open call goes on to now. One that was interrupted is followed up to the last moment that is known of it:
    it may have gone on, but nobody saw that.
    """
    if course.done_s is not None:
        return course.done_s
    if course.outcome is None:
        return max(course.last_s, now - course.received_at)
    return course.last_s


def offered(course: Course, now: float) -> Interval | None:
    """While it wanted to be served: from entering the queue to its end; None = it never entered it."""
    if course.enqueued_s is None:
        return None
    end = max(course.enqueued_s, end_s(course, now))
    return course.received_at + course.enqueued_s, course.received_at + end


def active(course: Course, now: float) -> Interval | None:
    """While it held a slot; None = it never had one."""
    if course.admitted_s is None:
        return None
    end = max(course.admitted_s, end_s(course, now))
    return course.received_at + course.admitted_s, course.received_at + end


def queued(course: Course, now: float) -> Interval | None:
    """While it waited for a slot, got or not; None = it never entered the queue."""
    wanted, held = offered(course, now), active(course, now)
    if wanted is None:
        return None
    return wanted[0], wanted[1] if held is None else max(wanted[0], held[0])


def waited_s(course: Course) -> float | None:
    """Seconds in the queue, also of those who gave up in it; None = it never entered, or when it left is unknown."""
    if course.enqueued_s is None:
        return None
    left_s = course.admitted_s if course.admitted_s is not None else course.done_s
    return None if left_s is None else left_s - course.enqueued_s


def service_s(course: Course) -> float | None:
    """Seconds for which it held its slot; None = it had none, or has not ended."""
    return None if course.admitted_s is None or course.done_s is None else course.done_s - course.admitted_s


def decode_s(course: Course) -> float | None:
    """Seconds from its first token to its end; None = no token was seen, or it has not ended."""
    return None if course.first_token_s is None or course.done_s is None else course.done_s - course.first_token_s


MIN_DECODE_S = 0.05
"""What arrives within less was not generated in that time: it lay in a buffer."""


def decode_tok_s(course: Course) -> float | None:
    """Tokens per second from its first token on; None = too short to tell, or the engine did not say how many."""
    return tok_s(decode_s(course), course.completion_tokens)


def tok_s(took_s: float | None, tokens: int | None) -> float | None:
    """None = too short to tell, or one of them is unknown, or there were no tokens."""
    if took_s is None or took_s < MIN_DECODE_S or not tokens:
        return None
    return tokens / took_s
