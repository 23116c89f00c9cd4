"""Single records, page by page: calls, and loads. Newest first; a cursor names the last one that was shown."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
from sqlalchemy import ColumnElement, Table, and_, func, or_, select

from penstock.core.accounting import record as spans
from penstock.core.accounting.course import tok_s
from penstock.core.accounting.record import CallRecord, Outcome
from penstock.core.accounting.retries import WITHIN_S, Try, first_tries
from penstock.store.queries.asking import Asked, BadQuestion
from penstock.store.queries.courses import Filter, chosen, received
from penstock.store.queries.finding import stretches
from penstock.store.queries.questions import window_of
from penstock.store.queries.shown import LoadRow, Loads, ModelLoads, Request, Requests
from penstock.store.queries.snapshot import Snapshot
from penstock.store.queries.told import NO_KEY, rounded
from penstock.store.rows import load_of, record_of
from penstock.store.schema import calls, loads

MAX_TRIES = 2000
"""So many earlier calls are looked through for what a page's retries repeat."""


class BadCursor(BadQuestion):
    """No `cursor` looks like that: take `next` of the page before."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)


@dataclass(frozen=True, slots=True)
class Place:
    """Where a page ends: the next one begins behind it."""

    at: float
    id: str

    def __str__(self) -> str:
        return f"{self.at!r}_{self.id}"


def place(cursor: str) -> Place:
    """Raises BadCursor."""
    at_text, separator, record_id = cursor.partition("_")
    try:
        at = float(at_text)
    except ValueError as exc:
        raise BadCursor from exc
    if not separator or not 0 <= at < 1e12:
        raise BadCursor
    return Place(at, record_id)


def requests(
    snapshot: Snapshot, asked: Asked | None, which: Filter, limit: int, cursor: str | None, *, only_open: bool
) -> Requests:
    """Calls, open ones included. asked None = of all times. Raises BadCursor."""
    after = None if cursor is None else place(cursor)
    since, until = (0.0, math.inf) if asked is None else (asked.since, asked.until)
    find = _open_calls if only_open else _calls
    found = [record_of(tuple(row)) for row in find(snapshot, since, until, which, after, limit + 1)]
    shown = found[:limit]
    first = _first_tries(snapshot, shown)
    rows = [_request(record, first.get(record.id)) for record in shown]
    following = str(Place(shown[-1].received_at, shown[-1].id)) if len(found) > limit else None
    return Requests(None if asked is None else window_of(asked), limit, rows, following)


def _calls(
    snapshot: Snapshot, since: float, until: float, which: Filter, after: Place | None, count: int
) -> list[Sequence[Any]]:
    """The newest rows of a window behind a place."""
    found: list[Sequence[Any]] = []
    until = until if after is None else min(until, math.nextafter(after.at, math.inf))
    for piece in stretches(snapshot, since, until, which):
        inside = [received(piece.start, piece.end), *chosen(which), *_behind(calls, "received_at", after)]
        query = select(calls).where(*inside).order_by(calls.c.received_at.desc(), calls.c.id.desc())
        found += snapshot.rows(query.limit(count - len(found)))
        if len(found) == count:
            break
    return found


def _open_calls(
    snapshot: Snapshot, since: float, until: float, which: Filter, after: Place | None, count: int
) -> list[Sequence[Any]]:
    """The same of open ones: few, and found by an index of their own, which an order would keep from being used."""
    last = (math.inf, "") if after is None else (after.at, after.id)
    places = ((course.received_at, course.id) for course in snapshot.open_calls(which))
    shown = sorted((each for each in places if since <= each[0] < until and each < last), reverse=True)[:count]
    columns = calls.c
    query = select(calls).where(columns.id.in_([call_id for _, call_id in shown]))
    return list(snapshot.rows(query.order_by(columns.received_at.desc(), columns.id.desc())))


def _behind(table: Table, at_name: str, after: Place | None) -> list[ColumnElement[bool]]:
    if after is None:
        return []
    column = table.c[at_name]
    return [column <= after.at, or_(column < after.at, table.c.id < after.id)]  # an index can do the first half alone


def _request(record: CallRecord, retry_of: str | None) -> Request:
    speed = tok_s(spans.decode_s(record), record.completion_tokens)
    enqueued_at = record.received_at + (record.enqueued_s or 0.0)
    return Request(
        id=record.id,
        t_enqueue=enqueued_at,
        time=datetime.fromtimestamp(enqueued_at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        t_done=None if record.done_s is None else record.received_at + record.done_s,
        model=record.model,
        model_requested=record.model_requested,
        consumer=record.key or record.key_fingerprint or NO_KEY,
        workload=record.workload,
        session=record.session,
        outcome=record.outcome,
        phase=_phase(record),
        http_status=record.http_status,
        error_code=record.error_code,
        streamed=record.streamed,
        queue_wait=_ms(spans.queue_wait_s(record)),
        load_wait=_ms(spans.load_wait_s(record)),
        ttft=_ms(spans.ttft_s(record)),
        service=_ms(spans.service_s(record)),
        total=_ms(spans.total_s(record)),
        prompt_tokens=record.prompt_tokens,
        cached_tokens=record.cached_tokens,
        completion_tokens=record.completion_tokens,
        reasoning_tokens=record.reasoning_tokens,
        decode_tok_s=rounded(speed),
        wait_reason=_wait_reason(record),
        wait_reasons=record.wait_reasons,
        priority=record.priority,
        path=record.path,
        client_request_id=record.client_request_id,
        retry_count=record.retry_count,
        retry_of=record.retry_of or retry_of,
        count=record.count,
        energy_j=record.energy_j,
    )


def _phase(record: CallRecord) -> str | None:
    """Of an open call."""
    if record.outcome is not None:
        return None
    if record.admitted_s is not None:
        return "running"
    return "reading" if record.enqueued_s is None else "waiting"


def _wait_reason(record: CallRecord) -> str | None:
    """What it waited for longest; None = it never entered the queue, or is in it yet: a gateway says why (`now`)."""
    if record.wait_reasons:
        return min(record.wait_reasons, key=lambda reason: (-record.wait_reasons[reason], reason))
    return "none" if record.enqueued_s is not None and _phase(record) != "waiting" else None


def _ms(span_s: float | None) -> float | None:
    return None if span_s is None else round(1000 * span_s, 1)


# Which try a retry repeats.

_c = calls.c
_LIKE = (
    _c.gateway_id, _c.key_fingerprint, _c.client_address, _c.session, _c.workload, _c.path, _c.model_requested,
    _c.request_bytes,
)  # fmt: skip
_TRY = (_c.id, *_LIKE, _c.retry_count, _c.received_at, _c.done_s, _c.outcome)


def _first_tries(snapshot: Snapshot, shown: Sequence[CallRecord]) -> dict[str, str]:
    retries = [record for record in shown if record.retry_count and record.retry_of is None]
    if not retries:
        return {}
    since = min(record.received_at for record in retries) - WITHIN_S * max(each.retry_count or 0 for each in retries)
    until = max(record.received_at for record in retries)
    paths = {record.path for record in retries}
    near = and_(_c.received_at >= since, _c.received_at <= until, _c.path.in_(paths))
    query = select(*_TRY).where(near).order_by(_c.received_at.desc()).limit(MAX_TRIES)
    wanted = {record.id for record in retries}
    found = first_tries(map(_try, snapshot.rows(query)))
    return {retry: first for retry, first in found.items() if retry in wanted}


def _try(row: Sequence[Any]) -> Try:
    record_id, *like, retry_count, received_at, done_s, outcome = row
    ended_at = None if done_s is None else received_at + done_s
    return Try(record_id, tuple(like), retry_count, received_at, ended_at, outcome == Outcome.COMPLETED)


# Loads.


def loads_of(snapshot: Snapshot, asked: Asked, limit: int, cursor: str | None) -> Loads:
    """Of models; `asked` is heeded as far as it names one. Raises BadCursor."""
    columns = loads.c
    inside = [columns.started_at >= asked.since, columns.started_at < asked.until]
    if asked.filter.model is not None:
        inside.append(columns.model == asked.filter.model)
    behind = _behind(loads, "started_at", None if cursor is None else place(cursor))
    query = select(loads).where(*inside, *behind).order_by(columns.started_at.desc(), columns.id.desc())
    found = [_load(tuple(row)) for row in snapshot.rows(query.limit(limit + 1))]
    shown = found[:limit]
    following = str(Place(shown[-1].started_at, shown[-1].id)) if len(found) > limit else None
    return Loads(window_of(asked), limit, shown, _loads_by_model(snapshot, inside), following)


def _load(row: Sequence[Any]) -> LoadRow:
    told: Mapping[str, Any] = msgspec.to_builtins(load_of(row))
    return LoadRow(**{name: told[name] for name in LoadRow.__dataclass_fields__})


def _loads_by_model(snapshot: Snapshot, inside: Sequence[ColumnElement[bool]]) -> list[ModelLoads]:
    columns = loads.c
    query = (
        select(columns.model, columns.outcome, func.count(), func.sum(columns.done_s), func.max(columns.done_s))
        .where(*inside)
        .group_by(columns.model, columns.outcome)
    )
    by_model: dict[str, dict[str, tuple[int, float, float]]] = {}
    for model, outcome, count, total_s, max_s in snapshot.rows(query):
        by_model.setdefault(model, {})[outcome or "open"] = count, total_s or 0.0, max_s or 0.0
    told = []
    for model, outcomes in sorted(by_model.items()):
        ready = outcomes.get("ready")
        told.append(
            ModelLoads(
                model,
                sum(count for count, _, _ in outcomes.values()),
                {outcome: count for outcome, (count, _, _) in sorted(outcomes.items())},
                None if ready is None else round(ready[1] / ready[0], 3),
                None if ready is None else round(ready[2], 3),
                round(sum(total_s for _, total_s, _ in outcomes.values()), 3),
            )
        )
    return told
