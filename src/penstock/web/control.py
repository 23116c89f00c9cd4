"""What an operator does to models and calls. A command acts at once; what it set in motion shows in the live feed."""

from __future__ import annotations

from typing import Literal

from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from penstock.core.accounting.record import CallPhase, CallRecord
from penstock.core.model import Priority
from penstock.core.scheduling.commands import Load, Pause, Pin, Reset, Resume, SetPriority, Unload, Unpin
from penstock.errors import BadRequest, CallRuns, GatewayError, NoSuchCall, NotLaunched, PinnedOut
from penstock.runtime.calls.cancelling import cancel
from penstock.runtime.gateway import Gateway
from penstock.runtime.live.views import call_view
from penstock.web.answers import json_answer


class Asked(BaseModel):
    """The body of a command. A misspelt member must not pass for one that was left out."""

    model_config = ConfigDict(extra="forbid")


class ModelName(Asked):
    """One model: its name or an alias."""

    model: str


class Models(Asked):
    """One model, or all."""

    model: str | None = None
    all: bool = False


class Calls(Asked):
    """Calls by id, key (its name or fingerprint) and model: whatever is given must hold. Or all."""

    id: str | None = None
    key: str | None = None
    model: str | None = None
    all: bool = False
    running: bool = False


class Priorities(Asked):
    """A call that waits, and the class that it is to wait in."""

    id: str
    priority: Literal["high", "normal", "low"]


class Control:
    """Commands about a model answer with its phase after it. Raises UnknownModel, NoSuchCall, BadRequest."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway
        self._dispatcher = gateway.dispatcher

    # Models.

    async def load(self, body: ModelName) -> Response:
        model = self._loadable(body.model)
        self._dispatcher.command(Load(model))
        return self._phase(model)

    async def unload(self, body: ModelName) -> Response:
        """Calls in flight finish first."""
        model = self._resolve(body.model)
        self._dispatcher.command(Unload(model))
        return self._phase(model)

    async def pin(self, body: ModelName) -> Response:
        """Load it and keep it loaded."""
        model = self._loadable(body.model)
        if not self._dispatcher.replicas[model].model.is_launched:
            raise NotLaunched(model=model)
        self._dispatcher.command(Pin(model))
        return self._phase(model)

    async def unpin(self, body: ModelName) -> Response:
        model = self._resolve(body.model)
        self._dispatcher.command(Unpin(model))
        return self._phase(model)

    async def reset(self, body: ModelName) -> Response:
        """Forget that it failed: its starts, and its calls."""
        model = self._resolve(body.model)
        if (breaker := self._gateway.context.breakers.get(model)) is not None:
            breaker.reset()
        self._dispatcher.command(Reset(model))
        return self._phase(model)

    async def pause(self, body: Models) -> Response:
        """Admit and load nothing; what runs goes on, what comes waits."""
        self._dispatcher.command(Pause(self._named(body)))
        return self._paused()

    async def resume(self, body: Models) -> Response:
        self._dispatcher.command(Resume(self._named(body)))
        return self._paused()

    # Calls.

    async def cancel(self, body: Calls) -> Response:
        """Those that wait; with `running`, also those that an engine works on."""
        if body.id is body.key is body.model is None and not body.all:
            raise BadRequest(reason="name an `id`, a `key`, a `model`, or `all`")
        model = None if body.model is None else self._resolve(body.model)

        def is_chosen(record: CallRecord) -> bool:
            return (
                body.id in (None, record.id)
                and model in (None, record.model)
                and body.key in (None, record.key, record.key_fingerprint)
            )

        ended = cancel(self._gateway.context, is_chosen, running=body.running)
        count = len(ended.queued) + len(ended.running)
        if body.id is not None and not count:
            raise self._gone(body.id, "`running` (`penstock cancel --running`) ends those too.")
        return json_answer({"queued": ended.queued, "running": ended.running, "count": count})

    async def priority(self, body: Priorities) -> Response:
        """Answers with the call as it waits now."""
        open_call = self._gateway.context.active.get(body.id)
        if open_call is None or open_call.call.phase is not CallPhase.QUEUED:
            raise self._gone(body.id, "Its class matters only while it waits.")
        self._dispatcher.command(SetPriority(body.id, Priority[body.priority.upper()]))
        open_call.call.record.priority = body.priority
        return json_answer(call_view(open_call.call))

    def _gone(self, call_id: str, remedy: str) -> GatewayError:
        """Why nothing can be done about a call."""
        return (
            CallRuns(id=call_id, remedy=remedy) if call_id in self._gateway.context.active else NoSuchCall(id=call_id)
        )

    def _loadable(self, name: str) -> str:
        """The model of that name. Raises PinnedOut if those that are pinned leave it no room."""
        model = self._resolve(name)
        if reason := self._dispatcher.shut_out(model):
            raise PinnedOut(model=model, reason=reason)
        return model

    def _resolve(self, name: str) -> str:
        return self._gateway.context.catalog.model(name)

    def _named(self, body: Models) -> frozenset[str]:
        if (body.model is None) is not body.all:
            raise BadRequest(reason="name a `model` or `all`, and not both")
        return frozenset(self._dispatcher.replicas if body.model is None else [self._resolve(body.model)])

    def _phase(self, model: str) -> Response:
        phase = self._dispatcher.replicas[model].phase.value
        return json_answer({"model": model, "phase": phase, "pinned": model in self._dispatcher.pinned}, 202)

    def _paused(self) -> Response:
        return json_answer({"paused": sorted(self._dispatcher.paused)})
