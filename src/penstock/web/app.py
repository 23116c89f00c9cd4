"""Every route that is not a call, on one screen. Calls never come here: the relay has them first.

All endpoints are coroutines: live state belongs to the loop's thread, and a plain function
would be run on another.
"""

from __future__ import annotations

import difflib
from importlib.resources import files
from pathlib import Path
from typing import Any

from fastapi import Depends, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, PlainTextResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException
from starlette.routing import Match
from starlette.staticfiles import StaticFiles

from penstock import __version__
from penstock.errors import BadRequest, GatewayError, MethodNotAllowed, NoSuchPath
from penstock.protocols.endpoints import BY_PATH
from penstock.protocols.refusals import anthropic_refusal, openai_refusal
from penstock.runtime.gateway import Gateway
from penstock.runtime.records.usage_relay import UsageRelay
from penstock.web.answers import REFUSALS
from penstock.web.captures import add_capture_routes
from penstock.web.compat.overlaat import Overlaat
from penstock.web.control import Control
from penstock.web.cors import Cors
from penstock.web.door import CHANGING_GETS, App, Door
from penstock.web.heads import AnswersHead
from penstock.web.keys import KeyRoutes
from penstock.web.listing import Listing, is_anthropics
from penstock.web.live import LiveRoutes
from penstock.web.members import unread
from penstock.web.metrics import MetricRoutes
from penstock.web.profiles import Profiles
from penstock.web.session import SessionRoutes
from penstock.web.usage_relay import UsageRoute

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"]

MAX_LIKE_CHARACTERS = 60
"""Of a path that is not there, for a look at which was meant."""
UI = Path(str(files("penstock.web") / "ui"))
NATIVE = ("/api/v1/", "/health/detail", "/metrics")
"""Where queries are read strictly. What other systems' clients ask is not ours to refuse."""


def create_app(gateway: Gateway) -> App:
    """The ASGI application of a gateway."""
    strict = [Depends(refuse_what_nobody_reads)]
    app = FastAPI(
        title="Penstock",
        version=__version__,
        docs_url=None,
        redoc_url=None,
        openapi_url="/api/openapi.json",
        dependencies=strict,
        responses=REFUSALS,
    )
    _add_what_clients_ask(app, gateway)
    _add_what_operators_see(app, gateway)
    _add_what_operators_do(app, gateway)
    _add_other_systems_routes(app, gateway)
    _add_page(app, gateway)
    app.add_exception_handler(HTTPException, _say_http)  # type: ignore[arg-type]
    app.add_exception_handler(GatewayError, _say_refusal)  # type: ignore[arg-type]
    app.add_exception_handler(RequestValidationError, _say_invalid)  # type: ignore[arg-type]
    context = gateway.context
    door = Door(
        AnswersHead(app),
        gateway.keyring,
        checks_host=context.checks_host,
        allowed_origins=context.allowed_origins,
        trusted_proxies=context.trusted_proxies,
    )
    return Cors(door, context.allowed_origins)


async def refuse_what_nobody_reads(request: Request) -> None:
    """A misspelt member of a query must not pass for one that was left out. Raises BadRequest."""
    if request.url.path.startswith(NATIVE) and (reason := unread(request)) is not None:
        raise BadRequest(reason=reason)


def _add_what_clients_ask(app: FastAPI, gateway: Gateway) -> None:
    listing = Listing(gateway)
    app.get("/health")(LiveRoutes(gateway).health)
    app.get("/v1/models")(listing.all)
    for path in ("/v1/models/", "/models", "/models/"):
        app.get(path, include_in_schema=False)(listing.all)
    app.get("/v1/models/{name:path}")(listing.one)


def _add_what_operators_see(app: FastAPI, gateway: Gateway) -> None:
    live = LiveRoutes(gateway)
    app.get("/health/detail")(live.health_detail)
    app.get("/metrics", response_class=PlainTextResponse)(MetricRoutes(gateway).show)
    app.get("/api/v1/version")(live.version)
    app.get("/api/v1/live")(live.stream)
    app.get("/api/v1/state")(live.state)
    app.get("/api/v1/models")(live.models)
    app.get("/api/v1/calls")(live.calls)
    app.get("/api/v1/queue")(live.queue)
    app.get("/api/v1/models/log")(live.log)
    app.get("/api/v1/keys")(KeyRoutes(gateway).all)
    app.get("/api/v1/profiles")(Profiles(gateway).all)
    usage = UsageRoute(UsageRelay(gateway.options.state_dir), Overlaat(gateway))
    app.get("/usage/{rest:path}", include_in_schema=False)(usage.ask)
    add_capture_routes(app, gateway.captures)


def _add_what_operators_do(app: FastAPI, gateway: Gateway) -> None:
    control = Control(gateway)
    app.post("/api/v1/models/load", status_code=202)(control.load)
    app.post("/api/v1/models/unload", status_code=202)(control.unload)
    app.post("/api/v1/models/pin", status_code=202)(control.pin)
    app.post("/api/v1/models/unpin", status_code=202)(control.unpin)
    app.post("/api/v1/models/reset", status_code=202)(control.reset)
    app.post("/api/v1/models/pause")(control.pause)
    app.post("/api/v1/models/resume")(control.resume)
    app.post("/api/v1/calls/cancel")(control.cancel)
    app.post("/api/v1/calls/priority")(control.priority)
    app.put("/api/v1/profiles/active")(Profiles(gateway).activate)


def _add_other_systems_routes(app: FastAPI, gateway: Gateway) -> None:
    """The same state in the shapes of other systems."""
    overlaat, profiles = Overlaat(gateway), Profiles(gateway)
    for prefix in ("", "/compat/overlaat"):
        app.get(f"{prefix}/__queue/health", include_in_schema=False)(overlaat.health)
        app.get(f"{prefix}/__queue/status", include_in_schema=False)(overlaat.status)
        app.post(f"{prefix}/__queue/cancel/{{call_id}}", include_in_schema=False)(overlaat.cancel)
        app.post(f"{prefix}/__queue/cancel-all", include_in_schema=False)(overlaat.cancel_all)
    for prefix in ("", "/compat/llama-swap"):
        app.get(f"{prefix}/api/profiles", include_in_schema=False)(profiles.all_by_id)
        app.put(f"{prefix}/api/profiles/active", include_in_schema=False)(profiles.activate)


def _add_page(app: FastAPI, gateway: Gateway) -> None:
    session = SessionRoutes(gateway)
    app.get("/api/v1/session")(session.show)
    app.post("/api/v1/session")(session.open)
    app.delete("/api/v1/session")(session.close)
    app.api_route("/upstream/{model:path}", methods=METHODS, include_in_schema=False)(_to_engine)
    app.get("/", include_in_schema=False)(_page)
    app.get("/ui", include_in_schema=False)(_to_page)
    app.get("/ui/", include_in_schema=False)(_to_page)
    app.mount("/page", PageFiles(directory=UI), name="page")


class PageFiles(StaticFiles):
    """Asked for again each time, answered 304 while unchanged: after an upgrade no old part meets a new one."""

    def file_response(self, *args: Any, **kwargs: Any) -> Response:
        answer = super().file_response(*args, **kwargs)
        answer.headers["cache-control"] = "no-cache"
        return answer


async def _page() -> FileResponse:
    return FileResponse(UI / "index.html", headers={"cache-control": "no-cache"})


async def _to_engine(request: Request) -> RedirectResponse:
    """A model's name alone, below `/upstream`: its engine's pages are relative to the slash behind it."""
    query = f"?{request.url.query}" if request.url.query else ""
    path = request.scope["raw_path"].decode("latin-1") if "raw_path" in request.scope else request.url.path
    return RedirectResponse(f"{path}/{query}", 301 if request.method in ("GET", "HEAD") else 308)


async def _to_page() -> RedirectResponse:
    """Where llama-swap has its page."""
    return RedirectResponse("/")


async def _say_http(request: Request, exc: HTTPException) -> Response:
    path, allowed = request.url.path, _allowed(request) or (exc.headers or {}).get("Allow", "")
    if request.method == "OPTIONS" and allowed:
        return Response(status_code=204, headers={"allow": allowed})
    if allowed:
        return await _say_refusal(request, MethodNotAllowed(path=path, allowed=allowed, method=request.method))
    if exc.status_code == 404:
        return await _say_refusal(request, NoSuchPath(path=path, hint=_hint(request, path)))
    return await _say_refusal(request, BadRequest(reason=exc.detail))


def _hint(request: Request, path: str) -> str:
    """What may have been meant."""
    asked = path[:MAX_LIKE_CHARACTERS].replace("/v1/v1/", "/v1/").rstrip("/")  # a base URL that has the version already
    known = {each.decode("ascii") for each in BY_PATH} | {getattr(route, "path", "") for route in request.app.routes}
    known = {each for each in known if not each.endswith("/") and "{" not in each} - {""}
    near = difflib.get_close_matches(asked, sorted(known), n=1, cutoff=0.8)
    if near and near[0] != path:
        return f" Did you mean {near[0]}?"
    return " Calls go to /v1/chat/completions, /v1/messages and their like; GET /api/openapi.json lists other paths."


def _allowed(request: Request) -> str:
    """The methods of a path, those of calls included, as `Allow` has them; "" = it is none of this table."""
    scope, row = request.scope, BY_PATH.get(request.scope["path"].encode("utf-8", "surrogateescape"))
    methods = set() if row is None else {method.decode("ascii") for method in row.methods}
    for route in request.app.routes:
        if route.matches(scope)[0] is not Match.NONE:
            methods |= getattr(route, "methods", None) or {"GET"}
    if "GET" in methods and scope["path"] not in CHANGING_GETS:
        methods.add("HEAD")
    return ", ".join(method for method in METHODS if method in methods) + ", OPTIONS" if methods else ""


async def _say_invalid(request: Request, exc: RequestValidationError) -> Response:
    """A body or a query that is not as it should be: where, and why."""
    faults = [f"`{'.'.join(map(str, fault['loc'][1:])) or 'body'}`: {fault['msg']}" for fault in exc.errors()]
    return await _say_refusal(request, BadRequest(reason="; ".join(faults)))


async def _say_refusal(request: Request, exc: GatewayError) -> Response:
    refusal = anthropic_refusal if is_anthropics(request) else openai_refusal
    reply = refusal(exc, "")
    return Response(reply.body, reply.status, {name.decode(): value.decode() for name, value in reply.headers})
