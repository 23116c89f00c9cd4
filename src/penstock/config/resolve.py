"""Fills in what a checked file leaves to be derived: inherited values, ports, names behind aliases, whole paths."""

from __future__ import annotations

from pathlib import Path

from pydantic import JsonValue

from penstock.config.checks import EVERYTHING, uses_port
from penstock.config.commands import PORT
from penstock.config.names import known_names, peer_models
from penstock.config.schema import ModelSettings, Settings
from penstock.config.sections import GgufSettings, LimitsSettings, TimeLimitsSettings

_INHERITED = (
    "ttl", "load_timeout", "stop_timeout", "breaker", "on_disconnect", "send_loading_state", "upstream_pages",
    "captures",
)  # fmt: skip
_SHOWN = ("metadata",)
"""Shown to clients rather than used for a launch: a port that is fixed is filled in at once."""

_SET = ("set_params", "set_params_by_id")
"""Of a model's filters: the same holds for them."""


def resolved(settings: Settings, folder: Path | None) -> Settings:
    """The settings as they are served. `folder`: where relative paths begin; None = they stay as they are."""
    ports = _ports(settings)
    whole = settings.models | peer_models(settings)
    models = {name: _model(model, settings, ports.get(name), folder) for name, model in whole.items()}
    state_dir = _whole(settings.state_dir, folder) if settings.state_dir else None
    return settings.model_copy(update={"models": models, "preload": _preload(settings), "state_dir": state_dir})


def _model(model: ModelSettings, settings: Settings, port: int | None, folder: Path | None) -> ModelSettings:
    update: dict[str, object] = {key: getattr(settings, key) for key in _INHERITED if key not in model.model_fields_set}
    update["limits"] = _limits(model.limits, settings.limits)
    if model.gguf is not None:
        update["gguf"] = _gguf(model.gguf, folder)
    if model.cwd is not None:
        update["cwd"] = _whole(model.cwd, folder)
    if port is not None:
        update |= {key: _with_port(getattr(model, key), port) for key in _SHOWN}
        params = {key: _with_port(getattr(model.filters, key), port) for key in _SET}
        update["filters"] = model.filters.model_copy(update=params)
    return model.model_copy(update={**update, "port": port})


def _limits(own: TimeLimitsSettings, of_file: LimitsSettings) -> TimeLimitsSettings:
    keys = TimeLimitsSettings.model_fields.keys() - own.model_fields_set
    return own.model_copy(update={key: getattr(of_file, key) for key in keys})


def _with_port(value: JsonValue, port: int) -> JsonValue:
    """The value with `${PORT}` filled in; alone it becomes a number."""
    if isinstance(value, str):
        return port if value == PORT else value.replace(PORT, str(port))
    if isinstance(value, list):
        return [_with_port(each, port) for each in value]
    return {key: _with_port(each, port) for key, each in value.items()} if isinstance(value, dict) else value


def _gguf(gguf: GgufSettings, folder: Path | None) -> GgufSettings:
    return gguf.model_copy(
        update={
            "path": _whole(gguf.path, folder),
            "mmproj": gguf.mmproj and _whole(gguf.mmproj, folder),
            "server": gguf.server and (_whole(gguf.server, folder) if "/" in gguf.server else gguf.server),
        }
    )


def _whole(path: str, folder: Path | None) -> str:
    full = Path(path).expanduser() if path.startswith("~/") else Path(path)
    return str(folder / full) if folder else str(full)


def _ports(settings: Settings) -> dict[str, int]:
    """Each model's fixed port, counted from `start_port` in the order of the names; a model's own `port` wins."""
    own = {name: model.port for name, model in settings.models.items() if model.port is not None}
    if settings.start_port is None:
        return own
    taken, port = set(own.values()), settings.start_port
    for name in sorted(name for name, model in settings.models.items() if name not in own and _needs_port(model)):
        while port in taken:
            port += 1
        own[name] = port
        port += 1
    return own


def _needs_port(model: ModelSettings) -> bool:
    return model.gguf is not None or uses_port(model)


def _preload(settings: Settings) -> tuple[str, ...]:
    """The names of the models to load at start, without repetition."""
    launched = [name for name, model in settings.models.items() if model.upstream is None]
    if EVERYTHING in settings.preload:
        return tuple(launched)
    owners = known_names(settings.models)
    return tuple(dict.fromkeys(owners[name] for name in settings.preload))
