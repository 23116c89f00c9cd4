"""Two ways to one engine: through Penstock, and through nginx as the reference of what a proxy passes on."""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.door.odd_http import Odd
from tests.door.raw import Heard, ask
from tests.e2e.program import Program
from tests.fakes import Behaviour, FakeEngine, Request

NGINX = """
{user}
daemon off; worker_processes 1; pid nginx.pid; error_log error.log;
events {{ worker_connections 512; }}
http {{
  access_log off; client_max_body_size 300m; client_body_temp_path body; proxy_temp_path proxy;
  fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi; scgi_temp_path scgi;
  underscores_in_headers on; ignore_invalid_headers off; large_client_header_buffers 4 64k; proxy_buffer_size 128k;
  proxy_busy_buffers_size 256k; proxy_buffers 8 64k;
  upstream engine {{ server 127.0.0.1:{engine}; keepalive 16; }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://engine; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
      proxy_pass_header Date; proxy_pass_header Server; proxy_pass_header X-Accel-Buffering;
      proxy_ignore_headers X-Accel-Buffering X-Accel-Redirect X-Accel-Expires Set-Cookie Vary Expires Cache-Control;
    }}
  }}
}}
"""
CONFIG = """
penstock: 1
breaker: off
limits: {{idle: 10s}}
models:
  m: {{upstream: "http://127.0.0.1:{engine}", client_key: forward, upstream_pages: trusted}}
"""


def nginx_program() -> str | None:
    return shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")


@dataclass(slots=True)
class Seen:
    """One exchange from both of its ends. asked: None = nothing has reached the engine."""

    asked: Request | None
    heard: Heard


class Engine:
    """A fake engine on a thread, for tests that block."""

    def __init__(self) -> None:
        self._engine = FakeEngine()
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Engine:
        self._thread.start()
        asyncio.run_coroutine_threadsafe(self._engine.start(), self._loop).result(10)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.run_coroutine_threadsafe(self._engine.__aexit__(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)
        self._loop.close()

    @property
    def port(self) -> int:
        return self._engine.port

    def answer(self, reply: str) -> None:
        """All bytes of its next answers, as Latin-1."""
        self._engine.follow([Behaviour(kind="raw", raw=reply, ending="close")])

    def take(self) -> Request | None:
        """The request that came last, and forget it."""
        requests, self._engine.seen.requests = self._engine.seen.requests, []
        return requests[-1] if requests else None


@dataclass(slots=True)
class Ways:
    """The two ways, and the engine at their end."""

    engine: Engine
    program: Program
    nginx_port: int

    def through_penstock(self, odd: Odd, prefix: str) -> Seen:
        return self._through(self.program.port, odd.pieces(prefix), odd)

    def through_nginx(self, odd: Odd) -> Seen:
        return self._through(self.nginx_port, odd.pieces(""), odd)

    def _through(self, port: int, pieces: list[bytes], odd: Odd) -> Seen:
        self.engine.take()
        self.engine.answer(odd.reply)
        heard = ask(port, pieces, method=odd.method)
        return Seen(self.engine.take(), heard)


@contextlib.contextmanager
def both_ways(folder: Path) -> Iterator[Ways]:
    with (
        Engine() as engine,
        nginx(folder, engine.port) as port,
        Program(folder, CONFIG.format(engine=engine.port)) as program,
    ):
        yield Ways(engine, program, port)


@contextlib.contextmanager
def nginx(folder: Path, engine_port: int) -> Iterator[int]:
    program = nginx_program()
    assert program is not None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    user = "user root;" if os.geteuid() == 0 else ""
    home = folder / "nginx"
    home.mkdir()
    (home / "nginx.conf").write_text(NGINX.format(user=user, port=port, engine=engine_port))
    argv = [program, "-p", str(home), "-c", "nginx.conf", "-e", "error.log"]
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(argv, stdout=log, stderr=log)
        try:
            _wait_until_it_listens(process, port, home)
            yield port
        finally:
            process.terminate()
            process.wait(10)


def _wait_until_it_listens(process: subprocess.Popen[bytes], port: int, home: Path) -> None:
    end_s = time.monotonic() + 20
    while time.monotonic() < end_s and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
            return
        time.sleep(0.02)  # no-sleep-needed: between two looks, not instead of one
    raise AssertionError((home / "log").read_text() + (home / "error.log").read_text())
