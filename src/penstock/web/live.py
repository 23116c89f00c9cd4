"""What is going on, for the page, the command line and whoever asks: the state, and its changes as a stream."""

from __future__ import annotations

from typing import Annotated

from fastapi import Query, Request
from fastapi.responses import Response, StreamingResponse

from penstock import __version__
from penstock.runtime.gateway import Gateway
from penstock.web.answers import json_answer


class LiveRoutes:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def health(self) -> Response:
        """The gateway answers. Says nothing about models, and touches none."""
        return json_answer({"status": "ok"})

    async def health_detail(self) -> Response:
        gateway = self._gateway
        status = gateway.bookkeeping.status
        reasons = gateway.health_reasons()
        lag = status if status is not None and status.is_lag_known else None
        return json_answer(
            {
                "status": "degraded" if reasons else "ok",
                "reasons": reasons,
                "store": None if status is None else status.store,
                "store_address": None if status is None else status.address,
                "journal_lag_bytes": None if lag is None else lag.lag_bytes,
                "journal_lag_s": None if lag is None else lag.lag_s,
                "lines_set_aside": None if status is None else status.poisoned,
                "records_lost": gateway.records_lost,
                "bookkeeper_restarts": gateway.bookkeeping.restarts,
                "malformed_requests": gateway.doors.malformed,
                "wait_estimates": {
                    "count": gateway.context.estimates.count,
                    "mean_absolute_error_s": gateway.context.estimates.mean_absolute_s,
                },
                "connections": len(gateway.doors.connections),
            }
        )

    async def version(self) -> Response:
        return json_answer({"version": __version__})

    async def stream(self, request: Request) -> StreamingResponse:
        """Server-sent events: `snapshot`, then `delta`; resumes by Last-Event-ID."""
        frames = self._gateway.feed.read(request.headers.get("last-event-id"))
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(frames, media_type="text/event-stream", headers=headers)

    async def state(self) -> Response:
        """The same as the stream's snapshot."""
        return json_answer(self._gateway.live.state(0))

    async def models(self) -> Response:
        return json_answer(list(self._gateway.live.models().values()))

    async def calls(self) -> Response:
        """The calls that wait or run, oldest first; at most 10 000."""
        return json_answer(list(self._gateway.live.calls(10_000).values()))

    async def queue(self, model: str | None = None, limit: Annotated[int, Query(ge=1, le=1000)] = 200) -> Response:
        """The calls that wait, of a model or all, in the order of service as it looks now; and how many there are."""
        name = None if model is None else self._gateway.context.catalog.model(model)
        waiting = self._gateway.dispatcher.waiting_count(name)
        return json_answer({"waiting": waiting, "calls": self._gateway.live.queue(name, limit)})

    async def log(self, model: str) -> Response:
        """The last lines that a model's engine printed."""
        engine = self._gateway.engines[self._gateway.context.catalog.model(model)]
        return Response(engine.log_text(), media_type="text/plain; charset=utf-8")
