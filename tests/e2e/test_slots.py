"""How many calls an engine serves at once is asked of the engine where nobody said it."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

import pytest

from penstock.discovery.demo import ensure_demo_models
from tests.e2e.program import Program
from tests.fakes import in_loop

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("xllamacpp") is None, reason="the embedded engine is not installed"
)


@in_loop
async def test_an_engine_is_asked_for_its_slots_where_neither_settings_nor_command_name_them(tmp_path: Path) -> None:
    model = ensure_demo_models(tmp_path / "models").chat_a
    # The flag that would tell is hidden from the gateway in a variable, which only the engine's shell reads.
    engine = f"exec {sys.executable} -m penstock.launch.llamacpp_engine -m {model} -c 4096 -t 1 --port ${{PORT}} $MORE"
    config = f"""
penstock: 1
models:
  silent:
    cmd: sh -c '{engine}'
    env: [MORE=-np 3]
"""
    with Program(tmp_path, config) as program:
        assert (await program.state())["models"]["silent"]["slots"] == 1
        assert (await program.chat("silent")).status == 200
        assert (await program.state())["models"]["silent"]["slots"] == 3
