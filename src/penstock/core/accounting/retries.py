"""Which earlier try a retry repeats.

Clients made with Stainless (OpenAI's and Anthropic's, among others) send `x-stainless-retry-count`. That a call is a
retry is therefore known; which call it repeats is not said. It is taken to be the latest one that looks the same
(same gateway, key, address, session, workload, path, model asked for, and length of the body, which is sent again as
it was), was the try before, did not complete, and ended at most two minutes before: as long as such a client waits at
most. Where there is none, the first try is unknown; it is never guessed.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from penstock.core.accounting.record import CallRecord, Outcome

WITHIN_S = 120.0
"""Between the end of one try and the next. Such clients wait up to 60 s if told to, and 8 s else."""

CLOCKS_S = 1.0
"""A client may have given up a moment before we noticed."""


class Try(NamedTuple):
    """A call as one of several tries. `like`: what all tries have in common. ended_at None = it has not ended."""

    id: str
    like: tuple[object, ...]
    retry_count: int | None
    received_at: float
    ended_at: float | None
    is_completed: bool


def as_try(record: CallRecord) -> Try:
    """What tells whether it repeats another one, or is repeated."""
    like = (
        record.gateway_id, record.key_fingerprint, record.client_address, record.session, record.workload,
        record.path, record.model_requested, record.request_bytes,
    )  # fmt: skip
    ended_at = None if record.done_s is None else record.received_at + record.done_s
    is_completed = record.outcome == Outcome.COMPLETED
    return Try(record.id, like, record.retry_count, record.received_at, ended_at, is_completed)


def first_tries(tries: Iterable[Try]) -> dict[str, str]:
    """For each retry whose first try is among `tries`: its id."""
    by_likeness: dict[tuple[object, ...], list[Try]] = {}
    first: dict[str, str] = {}
    for each in sorted(tries, key=lambda one: (one.received_at, one.id)):
        before = by_likeness.setdefault(each.like, [])
        if each.retry_count:
            repeated = next((one for one in reversed(before) if _is_before(one, each)), None)
            if repeated is not None and (not repeated.retry_count or repeated.id in first):
                first[each.id] = first.get(repeated.id, repeated.id)
                before.remove(repeated)
        before.append(each)
    return first


def _is_before(one: Try, retry: Try) -> bool:
    if one.is_completed or (one.retry_count or 0) + 1 != retry.retry_count or one.ended_at is None:
        return False
    return -CLOCKS_S <= retry.received_at - one.ended_at <= WITHIN_S
