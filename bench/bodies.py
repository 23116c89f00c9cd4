"""What a large request body costs, and whom it holds up: python -m bench.bodies --help.

Bodies of 20 MB, sent one after the other through a gateway with everything on, by kind: one long text, pictures as
base64, half a million short messages, numbers. Meanwhile somebody else asks small questions, one after the other; the
longest of their answers, less their median, is how long the loop was blocked at most.
"""

from __future__ import annotations

import argparse
import http.client
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from bench.rig.build import build
from bench.rig.processes import cpu_us_by_process
from bench.rig.proxies import penstock, upstream

MB = 1_000_000
AIM_CPU_MS, AIM_BLOCK_MS = 80.0, 25.0


@dataclass(slots=True)
class Small:
    """Asks small questions until it is told to stop. latencies_s: of each."""

    port: int
    latencies_s: list[float] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        body = json.dumps({"model": "bench", "messages": [{"role": "user", "content": "hello"}]})
        while not self.stop.is_set():
            began_s = time.perf_counter()
            connection.request("POST", "/v1/chat/completions", body)
            connection.getresponse().read()
            self.latencies_s.append(time.perf_counter() - began_s)
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.bodies", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--times", type=int, default=7, help="how often each kind is sent")
    args = parser.parse_args()
    programs = build()
    print(f"aims: {AIM_CPU_MS:g} ms of CPU, {AIM_BLOCK_MS:g} ms of blocking; medians of {args.times}")
    with tempfile.TemporaryDirectory() as folder, upstream(programs, 0) as up:
        config = {"models": {"bench": {"upstream": f"http://127.0.0.1:{up}"}}}
        with penstock(config, Path(folder) / "gateway") as target:
            for name, body in kinds().items():
                found = [measured(target.port, target.pid or 0, body) for _ in range(args.times)]
                cpu_ms, block_ms = (statistics.median(column) for column in zip(*found, strict=True))
                print(f"{name:10} {len(body) / MB:5.1f} MB   cpu {cpu_ms:6.1f} ms   block {block_ms:6.1f} ms")


def kinds() -> dict[str, bytes]:
    """A body of about 20 MB each."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 180_000}}
    asked: dict[str, object] = {
        "text": [{"role": "user", "content": "water finds its way " * 1_000_000}],
        "pictures": [{"role": "user", "content": [picture] * 10}],
        "messages": [{"role": "user", "content": "x"}] * 580_000,
        "numbers": [{"role": "user", "content": "x", "ids": list(range(2_400_000))}],
    }
    return {name: json.dumps({"model": "bench", "messages": messages}).encode() for name, messages in asked.items()}


def measured(port: int, pid: int, body: bytes) -> tuple[float, float]:
    """Milliseconds of the gateway's CPU, and of the longest block, for one large body less what small ones cost."""
    idle, busy = Small(port), Small(port)
    idle_s = _beside(idle, pid, lambda: time.sleep(0.5))
    busy_s = _beside(busy, pid, lambda: _send(port, body))
    each_s = idle_s / len(idle.latencies_s)
    cpu_ms = 1000 * (busy_s - each_s * len(busy.latencies_s))
    return cpu_ms, 1000 * (max(busy.latencies_s) - statistics.median(idle.latencies_s))


def _beside(small: Small, pid: int, work: Callable[[], None]) -> float:
    """The CPU seconds that the gateway takes while small questions are asked beside the work."""
    thread = threading.Thread(target=small.run)
    thread.start()
    time.sleep(0.1)
    before_us = cpu_us_by_process(pid)[pid]
    work()
    took_us = cpu_us_by_process(pid)[pid] - before_us
    small.stop.set()
    thread.join()
    return took_us / 1e6


def _send(port: int, body: bytes) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    connection.request("POST", "/v1/chat/completions", body)
    answer = connection.getresponse()
    answer.read()
    connection.close()
    if answer.status != 200:
        raise SystemExit(f"bench: status {answer.status}")


if __name__ == "__main__":
    main()
