"""A RouterModelCustom file (`config.json`) as the native form: GGUF models, run on llama-server with its flags."""

from __future__ import annotations

import os.path
from collections.abc import Mapping

from penstock.config.access import hashed
from penstock.config.faults import Fault, Findings
from penstock.config.positions import Node, Scalar
from penstock.core.calls.key import Role

DEFAULT_PORT = 8000
DEFAULT_ORIGIN = "http://localhost:3000"
DEFAULT_IDLE_TIMEOUT_S = 300
DEFAULT_MAX_CONCURRENT_MODELS = 3
DEFAULT_PARALLEL = 4
DEFAULT_CONTEXT = 4096
MIN_CONTEXT_PER_SLOT = 2048
STOP_TIMEOUT_S = 15
KEY_VARIABLE = "API_KEY"

_GGUF = {"n_gpu_layers": "gpu_layers", "n_ctx": "context"}
_GGUF_DEFAULTS: dict[str, int] = {"gpu_layers": 99, "context": DEFAULT_CONTEXT, "batch": 256}
_DIFFERENT = {
    "queue_timeout_sec": "calls wait as long as it takes",
    "request_timeout_sec": "see `limits` in the native form",
    "model_load_max_retries": "a failed start is tried again with growing pauses",
    "keep_warm_models": "idle models stop after `idle_timeout_sec`",
}
"""Settings of behaviour that is another here; the rest of `system` tunes parts that this program does not have."""


def translated(root: Node, environ: Mapping[str, str], findings: Findings) -> Node:
    """The file in the native form; what the environment overrides there, it overrides here."""
    api, system = (root.members.get(key, root.made({})) for key in ("api", "system"))
    for key, instead in _DIFFERENT.items():
        if key in system.members:
            node = system.members[key]
            expected = f"a file that works without it: {instead}"
            findings.warnings.append(
                Fault(findings.file, node.key_mark, node.key, "a key that is not honoured", expected)
            )
    models = root.members.get("models", root.made({}))
    made = {name: _model(model, system, environ) for name, model in models.members.items()}
    native = {
        "models": models.made(dict(made) or models.value),
        "ttl": _idle_timeout(system),
        "stop_timeout": root.made(STOP_TIMEOUT_S),
        "max_resident": system.members.get("max_concurrent_models", system.made(DEFAULT_MAX_CONCURRENT_MODELS)),
        "preload": _preload(system, models, findings),
        "cors_origins": api.members.get("cors_origins", api.made([api.made(DEFAULT_ORIGIN)])),
    }
    if (listen := _listen(api)) is not None:
        native["listen"] = listen
    if secret := environ.get(KEY_VARIABLE):
        native["keys"] = _key(root, secret, findings)
    return root.made(native)


def _key(root: Node, secret: str, findings: Findings) -> Node:
    """Its one key is a variable of the environment, and opens everything."""
    found = f"`{KEY_VARIABLE}` in the environment, which clients must show from now on"
    findings.warnings.append(Fault(findings.file, None, "", found, "it to be unset where everybody may call"))
    members = {"hash": hashed(secret), "role": Role.ADMIN.value, "priority": "high"}
    return root.made({"key-1": root.made({name: root.made(value) for name, value in members.items()})})


def port_of(root: Node) -> int:
    """Where its clients expect it."""
    return _port(root.members.get("api", root.made({})))


def _port(api: Node) -> int:
    port = _scalar(api, "port")
    return port if isinstance(port, int) else DEFAULT_PORT


def _listen(api: Node) -> Node | None:
    """Its default host, all interfaces, is taken only from a file that asks for it."""
    host = api.members.get("host")
    return host.made(f"{host.value}:{_port(api)}") if host is not None else None


def _idle_timeout(system: Node) -> Node:
    if _flag(system, "enable_idle_timeout") is False:
        return system.members["enable_idle_timeout"].made(0)
    return system.members.get("idle_timeout_sec", system.made(DEFAULT_IDLE_TIMEOUT_S))


def _preload(system: Node, models: Node, findings: Findings) -> Node:
    """As there: `*` counts only alone, and a name that does not exist is left out."""
    preload = system.members.get("preload_models", system.made([]))
    if [item.value for item in preload.items] == ["*"] or not isinstance(preload.value, list):
        return preload
    for item in preload.items:
        if item.value not in models.members:
            found, expected = f"the unknown model `{item.value}`, which is left out", "a name under `models`"
            findings.warnings.append(Fault(findings.file, item.mark, item.key, found, expected))
    return preload.made([item for item in preload.items if item.value in models.members])


def _model(model: Node, system: Node, environ: Mapping[str, str]) -> Node:
    if not isinstance(model.value, dict):
        return model
    params = model.members.get("params", model.made({}))
    native = {"gguf": _gguf(model, params, system, environ), "parallel": _parallel(params, system)}
    if "max_queue_size_per_model" in system.members:
        native["max_queue"] = system.members["max_queue_size_per_model"]
    return model.made(native)


def _gguf(model: Node, params: Node, system: Node, environ: Mapping[str, str]) -> Node:
    gguf = {field: params.made(value) for field, value in _GGUF_DEFAULTS.items()}
    gguf |= {_GGUF[key]: node for key, node in params.members.items() if key in _GGUF and node.value is not None}
    if _flag(params, "embedding"):
        del gguf["batch"]  # its usual one is shorter than most inputs, which are computed in one: they would be refused
    gguf["threads"] = system.members.get("cpu_threads", system.made(8))
    for key in ("n_batch", "batch_override"):
        if (batch := params.members.get(key)) is not None and batch.value is not None:
            gguf["batch"] = batch
    if (path := model.members.get("model_path")) is not None:
        base = environ.get("BASE_MODELS_PATH") or _text(system, "base_models_path") or ""
        gguf["path"] = path.made(os.path.join(base, path.value)) if isinstance(path.value, str) else path
    if server := environ.get("LLAMA_SERVER_PATH") or _text(system, "llama_server_path"):
        gguf["server"] = system.made(server)
    gguf["args"] = params.made([params.made(word) for word in _arguments(params, system)])
    return model.made(gguf)


def _arguments(params: Node, system: Node) -> list[str]:
    """The flags that have no key of their own here."""
    words = ["--mlock", "--jinja", "-fa", _text(system, "flash_attention") or "on"]
    if _flag(system, "use_mmap") is False:
        words.append("--no-mmap")
    if _flag(params, "embedding"):
        words.append("--embedding")
    rope = _scalar(params, "rope_freq_base")
    if isinstance(rope, int | float) and rope > 0:
        words += ["--rope-freq-base", str(rope)]
    if template := _text(params, "chat_template"):
        words += ["--chat-template", template]
    for key, flag in (("type_k", "--cache-type-k"), ("type_v", "--cache-type-v")):
        words += [flag, _text(params, key) or "f16"]
    return words


def _parallel(params: Node, system: Node) -> Node:
    """As many slots as asked for, but each with a context that is worth having."""
    asked = system.members.get("parallel_requests", system.made(DEFAULT_PARALLEL))
    own = params.members.get("parallel_override")
    if own is not None and own.value is not None:
        asked = own
    context = _scalar(params, "n_ctx") or DEFAULT_CONTEXT
    if not isinstance(asked.value, int) or not isinstance(context, int) or isinstance(asked.value, bool):
        return asked
    return asked.made(min(asked.value, max(1, context // MIN_CONTEXT_PER_SLOT)))


def _scalar(node: Node, key: str) -> Scalar:
    member = node.members.get(key)
    return member.value if member is not None and not isinstance(member.value, list | dict) else None


_YES, _NO = ("1", "true", "t", "yes", "y", "on"), ("0", "false", "f", "no", "n", "off")
"""What else than `true` and `false` counts as such there."""


def _flag(node: Node, key: str) -> bool | None:
    """None = it does not say."""
    value = str(_scalar(node, key)).lower()
    return True if value in _YES else False if value in _NO else None


def _text(node: Node, key: str) -> str | None:
    value = _scalar(node, key)
    return value if isinstance(value, str) else None
