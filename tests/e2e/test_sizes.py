"""What a real engine takes is learned, and its load is kept with what it took and read."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.models import cache_bytes, write_llama
from tests.e2e.program import Program, until
from tests.fakes import in_loop

pytest.importorskip("xllamacpp", reason="the embedded engine is not installed")

MIB = 2**20
CONTEXT = 4096
SMALL, LARGE = {"width": 64, "layers": 1}, {"width": 512, "layers": 8}
ARGS = "[--no-mmap, --no-warmup, -t, '1', -b, '32', -ub, '32']"
CONFIG = f"""
penstock: 1
sample_every: 1s
models:
  small: {{gguf: {{path: small.gguf, context: {CONTEXT}, args: {ARGS}}}, parallel: 1}}
  large: {{gguf: {{path: large.gguf, context: {CONTEXT}, args: {ARGS}}}, parallel: 1}}
"""


@in_loop
async def test_the_size_of_a_real_engine_is_learned(tmp_path: Path) -> None:
    """By the difference to the same engine with the smallest model: the library itself takes its share of both."""
    write_llama(tmp_path / "small.gguf", **SMALL)
    write_llama(tmp_path / "large.gguf", **LARGE)
    weights_bytes = (tmp_path / "large.gguf").stat().st_size - (tmp_path / "small.gguf").stat().st_size
    caches = [cache_bytes(**shape, context_tokens=CONTEXT) for shape in (LARGE, SMALL)]
    expected_bytes = weights_bytes + caches[0] - caches[1]
    assert weights_bytes > 60 * MIB
    assert caches[0] >= 64 * MIB
    with Program(tmp_path, CONFIG) as program:
        for name in ("small", "large"):
            assert (await program.chat(name, max_tokens=2)).status == 200
        sizes: dict[str, int] = {}
        measured: set[str] = set()  # by the sample of the host

        async def are_known() -> bool:
            state = await program.state()
            sizes.update(
                {name: view["measured_bytes"] for name, view in state["models"].items() if view["measured_bytes"]}
            )
            measured.update(() if state["host"] is None else (each["model"] for each in state["host"]["engines"]))
            return len(measured) == len(sizes) == 2 and sizes["large"] - sizes["small"] > 0.97 * expected_bytes

        await until(are_known)
    learned_bytes = sizes["large"] - sizes["small"]
    assert abs(learned_bytes - expected_bytes) < 0.05 * expected_bytes, f"{learned_bytes} for {expected_bytes}"
    assert measured == {"small", "large"}
