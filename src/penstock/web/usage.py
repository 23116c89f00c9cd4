"""The usage API: questions of the records, over HTTP. Made from Queries and, where a gateway runs, what that says.

It runs in the bookkeeper, to which the gateway passes `/usage/…` on, and alone (`penstock usage --listen`). It imports
no runtime and changes nothing. Overlaat's paths answer too, in its shapes with more in them.
"""

from __future__ import annotations

import threading
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Annotated, Any

import msgspec
from fastapi import APIRouter, Depends, FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException

from penstock import __version__
from penstock.config.store_address import StoreAddress
from penstock.core.accounting.outcomes import Outcome as OutcomeOf
from penstock.store.base import StoreAway
from penstock.store.queries.asking import Asked, BadQuestion, window
from penstock.store.queries.courses import EVERYTHING, Filter
from penstock.store.queries.present import Live
from penstock.store.queries.queries import Queries
from penstock.store.queries.reader import Busy, TookTooLong
from penstock.store.queries.told import NO_KEY, NO_MODEL, NO_WORKLOAD
from penstock.web.answers import REFUSALS, Fault, Refusal, json_answer
from penstock.web.leaving import when_left
from penstock.web.members import unread
from penstock.web.usage_shapes import DOCUMENTED, Healthz, Meta

SERVICE = "penstock-usage-api"
MAX_LIMIT = 1000
MAX_LIVE_BYTES = 4 << 20

Last = Annotated[str | None, Query(description="The window: `30m`, `6h`, `90d`; ends now unless `to` is given.")]
From = Annotated[
    str | None, Query(alias="from", description="Its begin: ISO 8601 (UTC unless said), or epoch seconds.")
]
To = Annotated[str | None, Query(description="Its end, the same way; what came then is left out.")]
Model = Annotated[str | None, Query(description=f"Only calls of a model; `{NO_MODEL}` = of none that is known.")]
Key = Annotated[str | None, Query(description=f"Only those of a key, by name or fingerprint; `{NO_KEY}` = without.")]
Workload = Annotated[str | None, Query(description=f"Only those of a workload; `{NO_WORKLOAD}` = without.")]
Outcome = Annotated[str | None, Query(description="Only those that ended so; open calls are left out then.")]
Limit = Annotated[int, Query(ge=1, le=MAX_LIMIT, description="So many rows at most.")]
Cursor = Annotated[str | None, Query(description="`next` of the page before.")]

_OUTCOMES = frozenset(each.value for each in OutcomeOf)


async def refuse_what_nobody_reads(request: Request) -> None:
    """A misspelt filter that is overlooked answers another question than was asked. Raises BadQuestion."""
    if (reason := unread(request)) is not None:
        raise BadQuestion(reason)
    outcome = request.query_params.get("outcome")
    if outcome is not None and outcome not in _OUTCOMES:
        raise BadQuestion(f"no call ends `{outcome[:40]}`; outcomes are {', '.join(sorted(_OUTCOMES))}")


LiveReader = Callable[[Request], Awaitable[Live | None]]


async def no_live(_request: Request) -> Live | None:
    """No gateway runs here: what is open is told as far as the store knows."""
    return None


_read_live = msgspec.json.Decoder(Live).decode


async def live_in_body(request: Request) -> Live | None:
    """What the gateway that passes a question on says beside it; None = nothing, or nothing that can be read."""
    body = await request.body()
    if not body or len(body) > MAX_LIVE_BYTES:
        return None
    try:
        return _read_live(body)
    except msgspec.DecodeError:
        return None


class When:
    """The window that is asked about, as it stands in the query."""

    def __init__(self, last: Last = None, since: From = None, to: To = None) -> None:
        self._last, self._since, self._to = last, since, to
        self.has_window = not last is since is to is None

    def asked(self, usual: str, now: float, which: Filter = EVERYTHING) -> Asked:
        """Raises BadQuestion."""
        start, end = window(self._last, self._since, self._to, usual=usual, now=now)
        by_ends = self._since is not None or self._to is not None
        return Asked(start, end, self._last if by_ends else self._last or usual, which)


def which_calls(model: Model = None, key: Key = None, workload: Workload = None, outcome: Outcome = None) -> Filter:
    """Those that are asked about, as it stands in the query."""
    return Filter(
        "" if model == NO_MODEL else model,
        "" if key == NO_KEY else key,
        "" if workload == NO_WORKLOAD else workload,
        outcome,
    )


Window = Annotated[When, Depends()]
Which = Annotated[Filter, Depends(which_calls)]


class Usage:
    """The questions as routes. Each is answered on a thread: databases block."""

    def __init__(self, queries: Queries, live: LiveReader) -> None:
        self._queries = queries
        self._live = live

    async def now(self, request: Request) -> Response:
        """What runs and waits now, and the host."""
        live = await self._live(request)
        return await self._told(request, "now", 3, lambda queries: queries.now(live))

    async def health(self, request: Request) -> Response:
        """Whether all is well: OK, DEGRADED or STALLED, and why."""
        live = await self._live(request)
        return await self._told(request, "health", 5, lambda queries: queries.health(live))

    async def timeline(self, request: Request, when: Window, which: Which) -> Response:
        """The three curves, offered, active and queued, by model and by key; tokens per second; the host."""
        asked = when.asked("30m", self._queries.now_s(), which)
        return await self._told(request, "timeline", 5, lambda queries: queries.timeline(asked))

    async def models(self, request: Request, when: Window, which: Which) -> Response:
        """What each model was asked for, how long that took, and how fast it was beside how many others."""
        asked = when.asked("24h", self._queries.now_s(), which)
        return await self._told(request, "models", 30, lambda queries: queries.models(asked))

    async def perf(self, request: Request, when: Window, which: Which) -> Response:
        """How fast models were over time, alone and beside others."""
        asked = when.asked("24h", self._queries.now_s(), which)
        return await self._told(request, "perf", 30, lambda queries: queries.perf(asked))

    async def consumers(self, request: Request, when: Window, which: Which) -> Response:
        """What each key asked for, and what that came to."""
        asked = when.asked("24h", self._queries.now_s(), which)
        return await self._told(request, "consumers", 30, lambda queries: queries.consumers(asked))

    async def workloads(self, request: Request, when: Window, which: Which) -> Response:
        """The same by workload."""
        asked = when.asked("24h", self._queries.now_s(), which)
        return await self._told(request, "workloads", 30, lambda queries: queries.workloads(asked))

    async def requests(
        self,
        request: Request,
        when: Window,
        which: Which,
        open_only: Annotated[bool, Query(alias="open", description="Only those that run or wait now.")] = False,
        limit: Limit = 100,
        cursor: Cursor = None,
    ) -> Response:
        """Single calls, newest first, those that run or wait now among them. Without a window, of all times."""
        asked = when.asked("24h", self._queries.now_s(), which) if when.has_window else None
        return await self._told(
            request,
            "requests",
            5,
            lambda queries: queries.requests(asked, filter=which, only_open=open_only, limit=limit, cursor=cursor),
        )

    async def loads(
        self, request: Request, when: Window, model: Model = None, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        """Loads of models, newest first: why, at whose expense, how long; and by model."""
        asked = when.asked("24h", self._queries.now_s(), Filter(model=model))
        return await self._told(request, "loads", 30, lambda queries: queries.loads(asked, limit=limit, cursor=cursor))

    async def hosts(self, request: Request, when: Window) -> Response:
        """The machines: their last readings, and all over the window."""
        asked = when.asked("30m", self._queries.now_s())
        return await self._told(request, "hosts", 5, lambda queries: queries.hosts(asked))

    async def healthz(self) -> Response:
        """Whether the store answers; 503 if it does not."""

        def look() -> bool:
            try:
                self._queries.requests(None, limit=1)
            except (StoreAway, TookTooLong, Busy):
                return False
            return True

        is_there = await run_in_threadpool(look)
        told = Healthz(is_there, SERVICE, __version__, "ok" if is_there else "unreachable")
        return json_answer(told, 200 if is_there else 503)

    async def _told(self, request: Request, kind: str, ttl_s: int, ask: Callable[[Queries], object]) -> Response:
        """The answer, with Overlaat's `_meta` before it."""
        left = threading.Event()
        queries = self._queries.for_one(left)
        async with when_left(request, left.set):
            body = await run_in_threadpool(lambda: msgspec.json.encode(ask(queries)))
        generated_at = datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
        meta = Meta(SERVICE, __version__, generated_at, kind, ttl_s)
        return Response(b'{"_meta":' + msgspec.json.encode(meta) + b"," + body[1:], media_type="application/json")


def create_app(queries: Queries, live: LiveReader = no_live, *, also_at_root: bool = False) -> FastAPI:
    """also_at_root: the paths of Overlaat's own port too, without `/usage`."""
    app = FastAPI(
        title="Penstock usage",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/usage/openapi.json",
    )
    usage, router = Usage(queries, live), APIRouter(dependencies=[Depends(refuse_what_nobody_reads)])
    for name, shape in DOCUMENTED.items():
        responses: dict[int | str, dict[str, Any]] = {200: {"model": shape}, **REFUSALS}
        if name == "healthz":
            responses[503] = {"model": shape, "description": "The store does not answer."}
        router.add_api_route(f"/{name}", getattr(usage, name), methods=["GET"], responses=responses, name=name)
    app.include_router(router, prefix="/usage")
    if also_at_root:
        app.include_router(router, include_in_schema=False)
    app.add_exception_handler(BadQuestion, _say_bad)
    app.add_exception_handler(RequestValidationError, _say_invalid)
    app.add_exception_handler(HTTPException, _say_http)
    for kind in (StoreAway, TookTooLong, Busy):
        app.add_exception_handler(kind, _say_away)
    return app


def for_bookkeeper(address: StoreAddress) -> FastAPI:
    """Where a gateway asks. Raises DriverMissing."""
    return create_app(Queries(address), live_in_body)


async def _say_bad(_request: Request, exc: Exception) -> Response:
    return _error(str(exc), "invalid_request", 400)


async def _say_invalid(_request: Request, exc: Exception) -> Response:
    assert isinstance(exc, RequestValidationError)
    faults = [f"`{'.'.join(map(str, fault['loc'][1:]))}`: {fault['msg']}" for fault in exc.errors()]
    return _error("; ".join(faults), "invalid_request", 400)


async def _say_http(request: Request, exc: Exception) -> Response:
    assert isinstance(exc, HTTPException)
    code = {404: "not_found", 405: "method_not_allowed"}.get(exc.status_code, "bad_request")
    said = f"{request.method} {request.url.path}: {exc.detail}."
    if exc.status_code == 404:
        said = f"There is no path {request.url.path[:200]} here; GET /usage/openapi.json lists those that there are."
    return _error(said, code, exc.status_code)


async def _say_away(_request: Request, exc: Exception) -> Response:
    code = "usage_too_slow" if isinstance(exc, TookTooLong) else "usage_unavailable"
    return _error(str(exc), code, 503)


def _error(message: str, code: str, status: int) -> Response:
    kind = "invalid_request_error" if status < 500 else "server_error"
    return json_answer(Refusal(Fault(message, kind, None, code)), status)
