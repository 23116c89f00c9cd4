"""The upstream, and everything that can stand in front of it, each started on its core and ready to be asked."""

from __future__ import annotations

import http.client
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.rig.build import Programs
from bench.rig.processes import PROXY_CORE, RIG_CORE, started

READY_WITHIN_S = 60.0

NGINX = """
{user}
daemon off; worker_processes 1; worker_rlimit_nofile 16384; pid nginx.pid; error_log error.log;
events {{ worker_connections 8192; }}
http {{
  access_log off; client_max_body_size 300m; keepalive_requests 100000000; client_body_buffer_size 64k;
  client_body_temp_path body; proxy_temp_path proxy; fastcgi_temp_path fastcgi; uwsgi_temp_path uwsgi;
  scgi_temp_path scgi;
  upstream rig {{ server 127.0.0.1:{upstream}; keepalive 1024; keepalive_requests 100000000; }}
  server {{
    listen 127.0.0.1:{port} backlog=4096;
    location / {{
      proxy_pass http://rig; proxy_http_version 1.1; proxy_set_header Connection ""; proxy_buffering off;
    }}
  }}
}}
"""


@dataclass(frozen=True, slots=True)
class Target:
    """Something to send requests to. pid None = its cost cannot be read; `direct` has none."""

    name: str
    port: int
    pid: int | None = None
    queues: bool = False  # it lets requests wait instead of passing them all on


@contextmanager
def upstream(programs: Programs, port: int) -> Iterator[int]:
    """The upstream's port; 0 = any."""
    with started([str(programs.upstream), "--port", str(port)], RIG_CORE, output=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield int(process.stdout.readline().split()[1])


@contextmanager
def nginx(program: str, upstream_port: int, folder: Path) -> Iterator[Target]:
    """nginx with one worker, keep-alive to the upstream, nothing logged, nothing buffered."""
    folder.mkdir()
    port = free_port()
    user = "user root;" if os.geteuid() == 0 else ""
    (folder / "nginx.conf").write_text(NGINX.format(user=user, port=port, upstream=upstream_port))
    argv = [program, "-p", str(folder), "-c", "nginx.conf", "-e", "error.log"]
    with (folder / "log").open("wb") as log, started(argv, PROXY_CORE, output=log) as process:
        _wait_until_ready(process, port, folder / "log")
        yield Target("nginx", port, process.pid)


@contextmanager
def penstock(config: Mapping[str, object], folder: Path, *, program: Sequence[str] = ("penstock",)) -> Iterator[Target]:
    """The gateway with everything it does by default, on a configuration of its own; JSON is YAML.

    program: the module that is run instead, and its first arguments.
    """
    folder.mkdir()
    port = free_port()
    file = folder / "penstock.yaml"
    file.write_text(json.dumps({"penstock": 1, "listen": f"127.0.0.1:{port}", **config}, indent=1))
    serve = ["serve", "--config", str(file), "--state-dir", str(folder / "state")]
    argv = [sys.executable, "-m", *program, *serve]
    with (folder / "log").open("wb") as log, started(argv, PROXY_CORE, output=log) as process:
        _wait_until_ready(process, port, folder / "log")
        yield Target("penstock", port, process.pid, queues=True)


def upstream_counts(port: int) -> dict[str, int]:
    """`requests`, `busy_max` and `left_early` since it was last asked."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/rig/stats")
        counts: dict[str, int] = json.loads(connection.getresponse().read())
        return counts
    finally:
        connection.close()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _wait_until_ready(process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + READY_WITHIN_S
    while time.monotonic() < deadline and process.poll() is None:
        if _is_healthy(port):
            return
        time.sleep(0.02)
    sys.exit(f"bench: {process.args!r} did not get ready:\n{log.read_text(errors='replace')[-4000:]}")


def _is_healthy(port: int) -> bool:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
