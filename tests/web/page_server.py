"""A stand-in for the gateway, as the page sees it: its files, a scripted stream of its state, and its few routes."""

from __future__ import annotations

import json
import os
import queue
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import NoReturn

import pytest

UI_FOLDER = Path(__file__).parents[2] / "src" / "penstock" / "web" / "ui"
CONTENT_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".svg": "image/svg+xml",
    ".woff2": "font/woff2",
}
NOW_S = 1_790_000_000.0
_HANG_UP = b""

View = dict[str, object]


def missing(what: str) -> NoReturn:
    """Skip for want of something this machine lacks; where everything must be there, fail."""
    if os.environ.get("PENSTOCK_TEST_ALL") == "1":
        pytest.fail(f"{what} is missing, and nothing may be skipped here")
    pytest.skip(f"{what} is not on this machine")


def model_view(name: str, **changes: object) -> View:
    """A stopped chat model with one slot, changed as told."""
    view: View = {
        "name": name, "phase": "stopped", "since": NOW_S - 60, "running": 0, "waiting": 0, "slots": 1,
        "memory_bytes": None, "ttl_s": None, "idle_since": None, "failure": None, "log_tail": None, "aliases": [],
        "description": None, "kind": "chat", "is_launched": True, "load_s": None, "pid": None, "unlisted": False,
    }  # fmt: skip
    return view | changes


def call_view(call_id: str, model: str, **changes: object) -> View:
    """A call that waits in its model's line, changed as told."""
    view: View = {
        "id": call_id, "model": model, "key": "ann", "priority": "normal", "phase": "queued", "received_at": NOW_S,
        "admitted_at": None, "path": "/v1/chat/completions", "client_address": "127.0.0.1", "streamed": True,
        "position": 0, "wait_reason": "model_cap", "wait_for": None, "estimate_s": None, "bound_s": None,
        "response_bytes": 0,
    }  # fmt: skip
    return view | changes


def record_view(record_id: str, model: str, **changes: object) -> View:
    """A completed chat that waited a little, changed as told."""
    view: View = {
        "id": record_id, "gateway_id": "g1", "boot_id": "b1", "gateway_version": "0.1.0",
        "received_at": NOW_S - 20, "method": "POST", "path": "/v1/chat/completions", "dialect": "openai_chat",
        "client_address": "127.0.0.1", "key": "ann", "model_requested": model, "model": model, "engine": f"{model}/1",
        "streamed": True, "priority": "normal", "enqueued_s": 0.002, "admitted_s": 0.502, "engine_ready_s": None,
        "sent_s": 0.504, "first_byte_s": 0.7, "first_token_s": 0.75, "done_s": 2.75,
        "position_at_entry": 1, "wait_reasons": {"model_cap": 0.5}, "queue_wait_s": 0.5, "load_wait_s": 0.0,
        "caused_load": False, "waited_for_load": False, "outcome": "completed", "abandoned_in": None,
        "http_status": 200, "error_code": None, "error_detail": None, "request_bytes": 120, "response_bytes": 4096,
        "prompt_tokens": 24, "cached_tokens": None, "completion_tokens": 81, "reasoning_tokens": None,
        "token_source": "usage", "engine_prompt_ms": None, "engine_decode_ms": None, "finish_reason": "stop",
    }  # fmt: skip
    return view | changes


def host_view(**changes: object) -> View:
    """A host with a GPU on which one engine runs, changed as told."""
    view: View = {
        "host": "box", "cpu_pct": 37.4, "cpu_load1": 2.26, "ram_total_bytes": 64 * 2**30,
        "ram_available_bytes": 40 * 2**30, "swap_total_bytes": 0, "swap_used_bytes": 0,
        "devices": [{
            "name": "gpu0", "product": "NVIDIA GeForce RTX 4090", "use_pct": 87.0, "memory_used_bytes": 9 * 2**30,
            "memory_total_bytes": 24 * 2**30, "power_w": 215.5, "temperature_c": 61.0, "clock_mhz": 1905.0,
        }],
        "engines": [{
            "engine": "qwen", "model": "qwen", "pid": 7, "cpu_pct": 104.0, "footprint_bytes": 3 * 2**29,
            "device_memory_bytes": 8 * 2**30,
        }],
    }  # fmt: skip
    return view | changes


def state(
    models: list[View] = [],  # noqa: B006  # never changed
    calls: list[View] = [],  # noqa: B006
    recent: list[View] = [],  # noqa: B006
    *,
    counts: Mapping[str, int] | None = None,
    gateway: View | None = None,
    host: View | None = None,
) -> View:
    """A whole state; the counts are those of the calls unless told."""
    running = sum(call["admitted_at"] is not None for call in calls)
    return {
        "seq": 1,
        "now": NOW_S,
        "gateway": {
            "version": "0.1.0", "boot_id": "b1", "started_at": NOW_S - 11_040, "address": "127.0.0.1:8080",
            "health": "ok", "health_reasons": [],
        } | (gateway or {}),
        "models": {str(model["name"]): model for model in models},
        "calls": {str(call["id"]): call for call in calls},
        "counts": counts or {"running": running, "waiting": len(calls) - running},
        "recent": recent,
        "host": host,
    }  # fmt: skip


@dataclass(frozen=True)
class Posted:
    """One POST of the page."""

    path: str
    headers: Message
    body: View


@dataclass
class PageServer:
    """Serves one state; `tell` sends a delta to every open stream, `answers` what other requests are answered with."""

    snapshot: View
    address: str = ""
    posted: queue.Queue[Posted] = field(default_factory=queue.Queue)
    answers: dict[str, tuple[HTTPStatus, str, bytes]] = field(default_factory=dict)
    is_down: bool = False
    key: str | None = None  # what it wants to be shown; None = it wants none
    is_logged_in: bool = False
    last_event_ids: list[str | None] = field(default_factory=list)
    seq: int = 1
    _streams: list[queue.Queue[bytes]] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def tell(self, **changes: object) -> None:
        """Send one delta."""
        with self._lock:
            self.seq += 1
            event = _event("delta", {"seq": self.seq, "now": NOW_S, **changes}, self.seq)
            for stream in self._streams:
                stream.put(event)

    def hang_up(self) -> None:
        """End every open stream, as a restart does."""
        with self._lock:
            streams, self._streams = self._streams, []
        for stream in streams:
            stream.put(_HANG_UP)

    def open_stream(self, last_event_id: str | None) -> queue.Queue[bytes]:
        stream: queue.Queue[bytes] = queue.Queue()
        with self._lock:
            self.last_event_ids.append(last_event_id)
            self._streams.append(stream)
            stream.put(b"retry: 50\n\n" + _event("snapshot", self.snapshot | {"seq": self.seq}, self.seq))
        return stream


@contextmanager
def serving(snapshot: View) -> Iterator[PageServer]:
    """A page server on a free port of the loopback."""
    page = PageServer(snapshot)

    class Handler(_Handler):
        server_page = page

    http = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    http.block_on_close = False
    page.address = f"http://127.0.0.1:{http.server_address[1]}/"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield page
    finally:
        page.hang_up()
        http.shutdown()
        http.server_close()
        thread.join()


class _Handler(BaseHTTPRequestHandler):
    server_page: PageServer

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/api/v1/live":
            self._stream()
            return
        if path == "/api/v1/session":
            self._session()
            return
        if (answer := self.server_page.answers.get(path)) is not None:
            self._answer(*answer)
            return
        file = UI_FOLDER / ("index.html" if path == "/" else path.removeprefix("/page/"))
        if (path == "/" or path.startswith("/page/")) and file.is_file():
            self._answer(HTTPStatus.OK, CONTENT_TYPES[file.suffix], file.read_bytes())
        else:
            self._answer(HTTPStatus.NOT_FOUND, "text/plain", b"not found")

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        if self.path == "/api/v1/session":
            self._log_in(body["key"])
            return
        self.server_page.posted.put(Posted(self.path, self.headers, body))
        default = (HTTPStatus.ACCEPTED, "application/json", b"{}")
        self._answer(*self.server_page.answers.get(self.path, default))

    def do_DELETE(self) -> None:
        self.server_page.is_logged_in = False
        self._session()

    def _log_in(self, key: str) -> None:
        page = self.server_page
        page.is_logged_in = key == page.key and self.headers["X-Penstock-Page"] == "1"
        if page.is_logged_in:
            self._session()
        else:
            self._answer(HTTPStatus.UNAUTHORIZED, "application/json", b'{"error": {"message": "A wrong key."}}')

    def _session(self) -> None:
        page = self.server_page
        key = {"name": "ann", "role": "admin"} if page.is_logged_in else None
        told = json.dumps({"is_needed": page.key is not None, "key": key}).encode()
        self._answer(HTTPStatus.OK, "application/json", told)

    def _stream(self) -> None:
        page = self.server_page
        if page.is_down:
            self._answer(HTTPStatus.BAD_GATEWAY, "text/plain", b"restarting")
            return
        if page.key is not None and not page.is_logged_in:
            self._answer(HTTPStatus.UNAUTHORIZED, "application/json", b"{}")
            return
        stream = self.server_page.open_stream(self.headers["Last-Event-ID"])
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            while event := stream.get():
                self.wfile.write(event)
        except OSError:
            pass  # the page left

    def _answer(self, status: HTTPStatus, content_type: str, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", "default-src 'self'")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # the base class names it
        """Say nothing."""


def _event(name: str, body: Mapping[str, object], seq: int) -> bytes:
    return f"id: {seq}\nevent: {name}\ndata: {json.dumps(body)}\n\n".encode()
