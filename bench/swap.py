"""Times the swap of one model for another, without the engine's own loading: python -m bench.swap --help.

From the old engine's last byte to the new engine's first byte, minus the time the new engine says it took to load.
Both engines are tiny and write down their own moments on the same clock, so no client's delay hides in the figures
but the one between an answer and the next question.
"""

from __future__ import annotations

import argparse
import http.client
import json
import shlex
import statistics
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from bench.rig.build import Programs, build
from bench.rig.proxies import Target, penstock

AIM_MS = 100.0
VARIANTS = {"binds when loaded": (), "503 while loading": ("--late-health",)}


@dataclass(frozen=True, slots=True)
class Swap:
    """One swap, in milliseconds."""

    overhead_ms: float  # all but the loading
    to_start_ms: float  # from the old engine's last byte to the new engine's first instruction
    to_first_byte_ms: float  # from the new engine being ready to its first byte


def main() -> None:
    args = _parser().parse_args()
    programs = build()
    found = {name: _measure(programs, flags, args.swaps, args.load_ms) for name, flags in VARIANTS.items()}
    for name, swaps in found.items():
        print(
            f"{name}: {len(swaps)} swaps of an engine that loads for {args.load_ms} ms (aim: overhead <= {AIM_MS:.0f})"
        )
        for part in ("overhead_ms", "to_start_ms", "to_first_byte_ms"):
            values = [getattr(swap, part) for swap in swaps]
            print(f"  {part:17} median {statistics.median(values):6.1f}   max {max(values):6.1f}")
    if args.json:
        args.json.write_text(json.dumps({name: [asdict(swap) for swap in swaps] for name, swaps in found.items()}))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench.swap", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("--swaps", type=int, default=20, help="how many, in each of the two ways to load")
    parser.add_argument("--load-ms", type=int, default=300, help="what the engine takes to load")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every swap there")
    return parser


def _measure(programs: Programs, flags: Sequence[str], count: int, load_ms: int) -> list[Swap]:
    with tempfile.TemporaryDirectory(prefix="penstock-bench-") as folder:
        times = Path(folder, "times")
        engine = [str(programs.upstream), "--times", str(times), "--load-ms", str(load_ms), *flags]
        models = {name: {"cmd": f"{shlex.join([*engine, '--name', name])} --port ${{PORT}}"} for name in ("a", "b")}
        groups = {"one at a time": {"members": list(models)}}
        config = {"residency": "groups", "groups": groups, "models": models}
        with penstock(config, Path(folder, "gateway")) as gateway:
            _ask_in_turn(gateway, list(models), count)
        return list(_swaps(times.read_text().splitlines()))


def _ask_in_turn(gateway: Target, models: Sequence[str], count: int) -> None:
    """One more than swaps: the first request only loads."""
    connection = http.client.HTTPConnection("127.0.0.1", gateway.port, timeout=60)
    for i in range(count + 1):
        body = json.dumps({"model": models[i % 2], "messages": [{"role": "user", "content": "hi"}]})
        connection.request("POST", "/v1/chat/completions", body, {"content-type": "application/json"})
        answer = connection.getresponse()
        text = answer.read()
        if answer.status != 200:
            sys.exit(f"bench: request {i} was answered with {answer.status}: {text[:300]!r}")
    connection.close()


def _swaps(lines: Iterable[str]) -> Iterator[Swap]:
    """Reads the engines' diaries: NAME PID EVENT MICROSECONDS."""
    moments = sorted((int(t_us), event, pid) for _, pid, event, t_us in map(str.split, lines))
    begun: dict[str, int] = {}
    ready: dict[str, int] = {}
    last: tuple[str, int] | None = None  # who sent a last byte last, and when
    for t_us, event, pid in moments:
        if event == "start":
            begun[pid] = t_us
        elif event == "ready":
            ready[pid] = t_us
        elif event == "last_byte":
            last = (pid, t_us)
        elif last and last[0] != pid:
            loading_us = ready[pid] - begun[pid]
            parts_us = (t_us - last[1] - loading_us, begun[pid] - last[1], t_us - ready[pid])
            yield Swap(*(part_us / 1000 for part_us in parts_us))


if __name__ == "__main__":
    main()
