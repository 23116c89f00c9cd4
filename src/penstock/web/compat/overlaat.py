"""Overlaat's control routes, `/__queue/…`, over the same state: shapes and nothing else.

They cancel only what waits; a call that an engine works on is as unknown to them as one that never was.
Its priorities are numbers: our classes are told as 1, 0 and -1.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Sequence

from fastapi.responses import Response

from penstock import __version__
from penstock.core.accounting.record import CallRecord
from penstock.core.scheduling.admission import PoolState
from penstock.runtime.calls.cancelling import cancel
from penstock.runtime.gateway import Gateway
from penstock.runtime.live.views import CallView
from penstock.web.answers import json_answer

DEFAULT_POOL = "default"
MAX_QUEUED = 1_000
"""So many waiting calls are listed; `queue_depth` counts all."""
FEW = 20
"""Fewer waits than this have no 95th percentile."""

_PRIORITY = {"high": 1, "normal": 0, "low": -1}


class Overlaat:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def health(self) -> Response:
        gateway = self._gateway
        replicas = gateway.dispatcher.replicas
        closed, lost = gateway.recorder.closed_count, gateway.records_lost
        return json_answer(
            {
                "status": "ok",
                "version": __version__,
                "upstream": next((m.upstream for m in gateway.settings.models.values() if m.upstream), None),
                "caps": {name: each.model.slots for name, each in replicas.items() if each.model.slots is not None},
                "scheduler": True,
                "budget": self._budget(),
                "events": {"emitted": closed, "written": closed - lost, "dropped": lost},
                "event_queue_depth": 0,
                "db_configured": True,
            }
        )

    async def status(self) -> Response:
        dispatcher = self._gateway.dispatcher
        queued: dict[str | None, list[CallView]] = {}
        for call in self._gateway.live.queue(None, MAX_QUEUED):
            queued.setdefault(call.model, []).append(call)
        models = [self._model(name, queued.get(name, [])) for name in sorted(dispatcher.replicas)]
        return json_answer(
            {
                "service": "queue-proxy",
                "version": __version__,
                "scheduler": True,
                "budget": self._budget(),
                "by_model": models,
                "total_in_flight": sum(len(replica.running) for replica in dispatcher.replicas.values()),
                "total_queue_depth": dispatcher.waiting_count(),
                "total_served": None,
            }
        )

    async def cancel(self, call_id: str) -> Response:
        open_call = self._gateway.context.active.get(call_id)
        model = None if open_call is None else open_call.call.record.model
        if not cancel(self._gateway.context, lambda record: record.id == call_id, running=False).queued:
            message = f"{call_id} not queued (already running, done, or unknown)"
            return json_answer({"error": {"message": message, "type": "queue_proxy_not_found"}}, 404)
        return json_answer({"cancelled": call_id, "model": model})

    async def cancel_all(self, model: str | None = None, key_fp: str | None = None) -> Response:
        def is_chosen(record: CallRecord) -> bool:
            return model in (None, record.model) and key_fp in (None, record.key_fingerprint)

        ended = cancel(self._gateway.context, is_chosen, running=False)
        return json_answer({"cancelled": ended.queued, "count": len(ended.queued)})

    def _model(self, name: str, queued: Sequence[CallView]) -> dict[str, object]:
        """total_served, total_errored: not counted by model; null rather than a number that is wrong."""
        replica = self._gateway.dispatcher.replicas[name]
        return {
            "model": name,
            "cap": replica.model.slots,
            "pool": replica.model.pool,
            "in_flight": len(replica.running),
            "queue_depth": self._gateway.dispatcher.waiting_count(name),
            "total_served": None,
            "total_errored": None,
            **_waits(record for record in self._gateway.recorder.recent if record.model == name),
            "queued": [_queued(call, replica.model.pool, self._gateway.dispatcher.share(call.id)) for call in queued],
        }

    def _budget(self) -> dict[str, object] | None:
        """At the top the pool that Overlaat calls default; `queue_depth` and `in_flight` are of all pools."""
        pools = {state.pool.name: state for state in self._gateway.dispatcher.pools()}
        if not pools:
            return None
        top = pools.get(DEFAULT_POOL) or next(iter(pools.values()))
        running = {model: count for state in pools.values() for model, count in state.running.items()}
        return {
            "budget": top.pool.budget,
            "used": top.used,
            "queue_depth": self._gateway.dispatcher.waiting_count(),
            "in_flight": running,
            "reserved_for": top.reserved_for,
            "budget_pct": _percent(top),
            "pools": {name: _pool(state) for name, state in pools.items()},
        }


def _pool(state: PoolState) -> dict[str, object]:
    return {
        "budget": state.pool.budget,
        "used": state.used,
        "exclusive": state.pool.is_exclusive,
        "active_member": next(iter(state.running), None) if state.pool.is_exclusive else None,
        "reserved_for": state.reserved_for,
        "in_flight": dict(state.running),
        "budget_pct": _percent(state),
    }


def _percent(state: PoolState) -> float:
    return round(100 * state.used / state.pool.budget, 1)


def _queued(call: CallView, pool: str | None, cost: float | None) -> dict[str, object]:
    priority = _PRIORITY.get(call.priority or "", 0)
    return {
        "id": call.id,
        "key_fp": call.key,
        "age_s": round(time.time() - call.received_at, 1),
        "priority": priority,
        "cost": cost,
        "pool": pool,
        "effective_priority": float(priority),
        "wait_reason": call.wait_reason,
    }


def _waits(records: Iterable[CallRecord]) -> dict[str, int | None]:
    """Milliseconds, of the calls that ended last and had a slot."""
    waits = sorted(
        round(1000 * (record.admitted_s - record.enqueued_s))
        for record in records
        if record.admitted_s is not None and record.enqueued_s is not None
    )
    count = len(waits)
    return {
        "wait_ms_p50": waits[count // 2] if waits else None,
        "wait_ms_p95": waits[min(int(0.95 * count), count - 1)] if count >= FEW else None,
        "wait_ms_max_recent": waits[-1] if waits else None,
        "samples": count,
    }
