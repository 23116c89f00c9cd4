"""The live state of a gateway, gathered on request from those who own it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from itertools import islice
from typing import Protocol

from penstock.config.schema import ModelSettings
from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.record import CallPhase
from penstock.core.calls.breaker import BreakerState
from penstock.core.model import Phase, Replica
from penstock.runtime.calls.call import CallContext
from penstock.runtime.live.views import CallView, Counts, GatewayView, ModelView, State, call_view, record_view

MAX_CALLS = 200
MAX_RECENT = 100


class LiveEngine(Protocol):
    """A replica's process as the page shows it."""

    pid: int | None
    load_s: float | None

    def log_tail(self) -> str: ...


class Sampled(Protocol):
    """Where the last sample of the host is."""

    @property
    def last(self) -> HostSample | None: ...


class Live:
    """Answers what is going on. Every method is a plain read."""

    def __init__(
        self,
        context: CallContext,
        models: Mapping[str, ModelSettings],
        kinds: Mapping[str, str],
        engines: dict[str, LiveEngine],
        gateway: Callable[[], GatewayView],
        sampled: Sampled,
    ) -> None:
        self.gateway = gateway
        self._sampled = sampled
        self._context = context
        self._models = models
        self._kinds = kinds
        self._engines = engines
        self._epoch_s = time.time() - context.clock()  # once: a moment told twice must be the same number

    def state(self, seq: int) -> State:
        return State(
            seq=seq,
            now=time.time(),
            gateway=self.gateway(),
            models=self.models(),
            calls=self.calls(MAX_CALLS),
            counts=self.counts(),
            recent=self.recent(MAX_RECENT),
            host=self._sampled.last,
        )

    def models(self) -> dict[str, ModelView]:
        replicas = self._context.dispatcher.replicas
        return {name: self._model_view(replica) for name, replica in replicas.items()}

    def calls(self, limit: int) -> dict[str, CallView]:
        """The oldest calls that wait or run."""
        return {each.call.record.id: call_view(each.call) for each in islice(self._context.active.values(), limit)}

    def queue(self, model: str | None, limit: int) -> list[CallView]:
        """The calls that wait, of a model or all, in the order of service as it looks now."""
        dispatcher, active = self._context.dispatcher, self._context.active
        waiting = (ticket.id for ticket in dispatcher.waiting() if model is None or ticket.model == model)
        return [call_view(active[ticket_id].call) for ticket_id in islice(waiting, limit)]

    def counts(self) -> Counts:
        waiting = self._context.dispatcher.waiting_count()
        running = sum(len(replica.running) for replica in self._context.dispatcher.replicas.values())
        return Counts(running=running, waiting=waiting)

    def recent(self, limit: int) -> list[dict[str, object]]:
        """The calls that ended last, newest first."""
        has = self._context.captures.has
        newest = islice(reversed(self._context.recorder.recent), limit)
        return [record_view(record, has_capture=has(record.id)) for record in newest]

    def closed_count(self) -> int:
        return self._context.recorder.closed_count

    def reading_count(self) -> int:
        return sum(each.call.phase is CallPhase.READING for each in self._context.active.values())

    def _model_view(self, replica: Replica) -> ModelView:
        model, settings, engine = replica.model, self._models[replica.model.name], self._engines[replica.id]
        breaker = self._context.breakers.get(model.name)
        measured = self._context.dispatcher.sizes().get(model.name, ())
        is_troubled = replica.phase in (Phase.BACKOFF, Phase.FAILED)
        is_idle = replica.phase is Phase.READY and not replica.running
        return ModelView(
            name=model.name,
            phase=replica.phase.value,
            since=max(replica.since_s + self._epoch_s, self.gateway().started_at),
            running=len(replica.running),
            waiting=self._context.dispatcher.waiting_count(model.name),
            slots=model.slots,
            memory_bytes=None if model.footprint is None else sum(size for _, size in model.footprint) or None,
            ttl_s=model.ttl_s,
            idle_since=replica.idle_since_s + self._epoch_s if is_idle else None,
            failure=replica.failure or None,
            log_tail=(engine.log_tail() or None) if is_troubled else None,
            aliases=settings.aliases,
            description=settings.description or None,
            kind=self._kinds.get(model.name),
            is_launched=model.is_launched,
            load_s=engine.load_s,
            pid=engine.pid,
            unlisted=settings.unlisted,
            is_paused=model.name in self._context.dispatcher.paused,
            is_pinned=model.name in self._context.dispatcher.pinned,
            measured_bytes=sum(size for _, size in measured) or None,
            breaker=None if breaker is None else breaker.state.value,
            breaker_until=breaker.until_s + self._epoch_s if breaker and breaker.state is BreakerState.OPEN else None,
        )
