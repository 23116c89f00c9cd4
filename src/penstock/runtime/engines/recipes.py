"""From what the operator wrote about a model to how its engine is launched."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

from penstock.config.commands import PORT, argv, declared_slots
from penstock.config.schema import ModelSettings
from penstock.launch.base import Launcher, LaunchFailed, LaunchSpec
from penstock.launch.gguf import gguf_command
from penstock.launch.process import free_port
from penstock.runtime.engines.replica import Recipe


def recipe(
    name: str, model: ModelSettings, launcher: Launcher, environ: Mapping[str, str], folder: Path | None
) -> Recipe:
    """How replicas of a model are launched; `folder` is where relative paths of the configuration start."""
    command = _gguf_spec if model.gguf is not None else _cmd_spec
    check = None if model.check_endpoint == "none" else model.check_endpoint

    def spec() -> LaunchSpec:
        return command(name, model, model.port or free_port(), environ, folder)

    asks_slots = model.gguf is None and declared_slots(model) is None
    return Recipe(launcher, spec, check, asks_slots, model.load_timeout, model.stop_timeout)


Spec = Callable[[str, ModelSettings, int, Mapping[str, str], "Path | None"], LaunchSpec]


def _cmd_spec(
    name: str, model: ModelSettings, port: int, environ: Mapping[str, str], folder: Path | None
) -> LaunchSpec:
    fill = _filling(port)
    try:
        words = argv(fill(model.cmd or ""))
        stop = argv(fill(model.cmd_stop)) if model.cmd_stop else None
    except ValueError as exc:
        raise LaunchFailed(f"its command cannot be split into words: {exc}", is_final=True) from exc
    if not words:
        raise LaunchFailed("its command is empty", is_final=True)
    env = tuple((key, fill(value)) for key, value in model.env)
    return LaunchSpec(name, words, fill(model.proxy).rstrip("/"), env, model.cwd, stop)


def _gguf_spec(
    name: str, model: ModelSettings, port: int, environ: Mapping[str, str], folder: Path | None
) -> LaunchSpec:
    assert model.gguf is not None
    words = gguf_command(model.gguf, name=name, port=port, slots=model.parallel, environ=environ, folder=folder)
    return LaunchSpec(name, words, f"http://127.0.0.1:{port}", model.env, model.cwd)


def _filling(port: int) -> Callable[[str], str]:
    return lambda text: text.replace(PORT, str(port))
