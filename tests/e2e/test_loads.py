"""Every start of an engine is a record; calls that waited for it name it; samples are kept beside them."""

from __future__ import annotations

from pathlib import Path

from penstock.core.accounting.host_sample import HostSample
from penstock.core.accounting.load_record import LoadRecord
from penstock.store.rows import load_of, sample_of
from tests.e2e.program import Program, engine_cmd, until
from tests.e2e.store import ask_store
from tests.fakes import in_loop

CONFIG = f"""
penstock: 1
sample_every: 1s
max_resident: 1
preload: [a]
models:
  a: {{cmd: {engine_cmd("--fork")}, memory: 1MiB}}
  b: {{cmd: {engine_cmd("--load-s", "0.3")}, memory: 1MiB}}
  broken: {{cmd: {engine_cmd("--no-such-flag")}, memory: 1MiB}}
"""


def loads_of(program: Program) -> dict[str, list[LoadRecord]]:
    """By model, in their order. The store is read after the end: then all of them are in it."""
    rows = ask_store(program.state_dir / "penstock.db", "SELECT * FROM loads ORDER BY started_at")
    found: dict[str, list[LoadRecord]] = {}
    for load in map(load_of, rows):
        found.setdefault(load.model, []).append(load)
    return found


def samples_of(program: Program) -> list[HostSample]:
    rows = ask_store(program.state_dir / "penstock.db", "SELECT * FROM samples ORDER BY sampled_at")
    return [sample_of(row) for row in rows]


@in_loop
async def test_loads_are_kept_with_why_for_whom_and_how_long(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG) as program:
        assert (await program.chat("a")).status == 200
        for_b = await program.record(await program.chat("b"))
        quick = await program.record(await program.chat("b"))
        refused = await program.record(await program.chat("broken"))

        async def is_sampled() -> bool:
            return (await program.state())["host"] is not None

        await until(is_sampled)
        assert program.stop() == 0
    loads = loads_of(program)
    [of_a] = loads["a"]
    assert (of_a.cause, of_a.outcome, of_a.victims, of_a.stop_s) == ("preload", "ready", [], None)
    [of_b] = loads["b"]
    assert (of_b.cause, of_b.outcome, of_b.victims) == ("request", "ready", ["a"])
    assert of_b.call_id == for_b.id
    phases = (of_b.stop_s, of_b.release_s, of_b.start_s, of_b.ready_s)
    assert None not in phases
    assert abs(sum(phase or 0.0 for phase in phases) - (of_b.done_s or 0.0)) < 0.001
    assert (of_b.ready_s or 0.0) > 0.2  # it answered at once that it was loading
    assert of_b.memory_before_bytes is not None
    assert of_b.memory_after_bytes is not None
    assert (for_b.load_id, for_b.load_s) == (of_b.id, of_b.done_s)
    assert (quick.load_id, quick.load_s) == (None, None)
    assert {load.outcome for load in loads["broken"]} == {"failed"}
    assert loads["broken"][0].error_detail
    assert refused.load_id == loads["broken"][-1].id
    [sample, *_] = samples_of(program)
    assert sample.ram_total_bytes
    assert {engine.model for engine in sample.engines} <= {"a", "b", "broken"}


@in_loop
async def test_where_nothing_is_sampled_loads_are_kept_all_the_same(tmp_path: Path) -> None:
    with Program(tmp_path, CONFIG.replace("sample_every: 1s", "sample_every: off")) as program:
        assert (await program.chat("a")).status == 200
        assert (await program.state())["host"] is None
        assert program.stop() == 0
    [load] = loads_of(program)["a"]
    assert (load.outcome, load.memory_before_bytes, load.read_bytes) == ("ready", None, None)
    assert samples_of(program) == []
