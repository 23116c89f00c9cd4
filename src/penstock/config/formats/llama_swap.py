"""A llama-swap file, with llama-swap's own defaults, as the native form.

Macros are filled in already. What this program does not carry out is named in a warning.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from penstock.config.access import hashed
from penstock.config.faults import Fault, Findings, did_you_mean
from penstock.config.formats.llama_swap_names import model_relaying, names, relaying
from penstock.config.formats.recognition import inside, recognised
from penstock.config.positions import Node
from penstock.config.schema import ModelSettings, Settings
from penstock.core.calls.key import Role

START_PORT = 5800
HEALTH_CHECK_TIMEOUT_S = 120
MIN_HEALTH_CHECK_TIMEOUT_S = 15
UNLOAD_TIMEOUT_S = 10
MEGABYTE = 2**20

_TOP = {
    "startPort": "start_port",
    "globalTTL": "ttl",
    "unloadTimeout": "stop_timeout",
    "healthCheckTimeout": "load_timeout",
    "macros": "macros",
    "models": "models",
}
_TOP_HANDLED = frozenset({*_TOP, "logLevel", "groups", "routing", "hooks", "apiKeys", "matrix", "captureBuffer"})
_TOP_NAMES = ("profiles", "selectors", "peers", "upstream", "sendLoadingState", "includeAliasesInList")
_TOP_NOT_HONOURED = (
    "store", "ui", "performance", "metricsMaxInMemory", "logToStdout", "logTimeFormat", "logRequests",
)  # fmt: skip
_MODEL = {
    "cmd": "cmd",
    "cmdStop": "cmd_stop",
    "proxy": "proxy",
    "checkEndpoint": "check_endpoint",
    "env": "env",
    "aliases": "aliases",
    "ttl": "ttl",
    "unloadTimeout": "stop_timeout",
    "unlisted": "unlisted",
    "useModelName": "use_model_name",
    "name": "name",
    "description": "description",
    "concurrencyLimit": "parallel",
    "macros": "macros",
    "metadata": "metadata",
}
_MODEL_HANDLED = frozenset({*_MODEL, "filters", "sendLoadingState", "timeouts", "compat", "capabilities"})
_MODEL_NOT_HONOURED = ("healthCheckTimeout",)
_SAYS_NOTHING: dict[str, object] = {
    "cmdStop": "", "proxy": "", "useModelName": "", "ttl": -1, "unloadTimeout": 0, "concurrencyLimit": 0,
}  # fmt: skip
"""What a key says when it says the same as if it were left out."""
_GROUP = frozenset({"members", "swap", "exclusive", "persistent"})
_MATRIX = frozenset({"vars", "evict_costs", "sets"})
_LOG_LEVELS = frozenset({"debug", "info", "warn", "error"})

_REFERENCE = re.compile(r"\$\{env\.([a-zA-Z_][a-zA-Z0-9_]*)\}")
_OPEN, _CLOSE = "\ue000", "\ue001"
_LEFT = re.compile(f"{_OPEN}([a-zA-Z0-9_]*){_CLOSE}")
_BREAKS = re.compile(r"[\n\r\0]")


def with_environment(text: str, environ: Mapping[str, str]) -> str:
    """The text with `${env.NAME}` filled in wherever it stands, escaped for double quotes.

    What cannot be filled in is marked, so that `report_environment` finds it where it matters: not in comments.
    """

    def value(found: re.Match[str]) -> str:
        content = environ.get(found[1])
        if content is None or _BREAKS.search(content):
            return f"{_OPEN}{found[1]}{_CLOSE}"
        return content.replace("\\", "\\\\").replace('"', '\\"')

    return _REFERENCE.sub(value, text)


def report_environment(node: Node, environ: Mapping[str, str], findings: Findings) -> None:
    """Report the variables that `with_environment` could not fill in."""
    texts = [(node.mark, node.key, node.value)] if isinstance(node.value, str) else []
    texts += [(member.key_mark, member.key, name) for name, member in node.members.items()]
    for mark, key, text in texts:
        for name in _LEFT.findall(text):
            reason = "has a line break in it" if name in environ else "is not set"
            suggestion = None if name in environ else did_you_mean(name, environ)
            found, expected = f"`${{env.{name}}}`, which {reason}", "an environment variable with one line of text"
            key_as_written = _LEFT.sub(r"${env.\1}", key)
            findings.faults.append(Fault(findings.file, mark, key_as_written, found, expected, suggestion))
    for inner in (*node.members.values(), *node.items):
        report_environment(inner, environ, findings)


def less_unknown(root: Node, findings: Findings) -> Node:
    """The file less the keys that have no effect, each of which is named in a warning."""
    kept = recognised(root, (*_TOP_HANDLED, *_TOP_NAMES), findings, not_honoured=_TOP_NOT_HONOURED, native=Settings)
    models = kept.members.get("models")
    if models is None:
        return kept
    each = {
        name: recognised(model, _MODEL_HANDLED, findings, not_honoured=_MODEL_NOT_HONOURED, native=ModelSettings)
        for name, model in models.members.items()
    }
    return kept.made({**kept.members, "models": models.made(dict(each) or models.value)})


def translated(root: Node, findings: Findings) -> Node:
    """The file in the native form; every value keeps its place."""
    top = root.members
    native = {
        "start_port": root.made(START_PORT),
        "load_timeout": root.made(HEALTH_CHECK_TIMEOUT_S),
        "stop_timeout": root.made(UNLOAD_TIMEOUT_S),
        "cors_origins": root.made([root.made("*")]),
    }
    native |= {_TOP[key]: node for key, node in top.items() if key in _TOP and not _says_nothing(key, node)}
    native["load_timeout"] = _health_check_timeout(native["load_timeout"], findings)
    if (models := native.get("models")) is not None:
        each = {name: _model(name, model, findings) for name, model in models.members.items()}
        native["models"] = models.made(dict(each) or models.value)
    if (level := top.get("logLevel")) is not None and isinstance(level.value, str) and level.value in _LOG_LEVELS:
        native["log_level"] = level
    if (buffer := top.get("captureBuffer")) is not None:
        native["capture_buffer"] = _in_bytes(buffer)
    native |= _residency(root, findings) | names(root, findings) | relaying(root, findings)
    native["preload"] = _preload(root, findings)
    native["keys"] = _keys(root, findings)
    return root.made(native)


def _model(name: str, node: Node, findings: Findings) -> Node:
    said = {key: each for key, each in node.members.items() if key in _MODEL and not _says_nothing(key, each)}
    model = {_MODEL[key]: each for key, each in said.items()} | model_relaying(name, node, findings)
    endpoint = model.get("check_endpoint")
    if endpoint and isinstance(endpoint.value, str) and endpoint.value != "none":
        model["check_endpoint"] = endpoint.made("/" + endpoint.value.removeprefix("/"))
    return node.made(model) if isinstance(node.value, dict) else node


def _in_bytes(megabytes: Node) -> Node:
    number = megabytes.value
    if not isinstance(number, int) or isinstance(number, bool):
        return megabytes
    return megabytes.made(max(0, number) * MEGABYTE)


def _health_check_timeout(node: Node, findings: Findings) -> Node:
    if not isinstance(node.value, int) or node.value >= MIN_HEALTH_CHECK_TIMEOUT_S:
        return node
    expected = f"at least {MIN_HEALTH_CHECK_TIMEOUT_S}, which is used instead"
    findings.warnings.append(Fault(findings.file, node.mark, node.key, str(node.value), expected))
    return node.made(MIN_HEALTH_CHECK_TIMEOUT_S)


def _residency(root: Node, findings: Findings) -> dict[str, Node]:
    """Groups or a matrix, whichever decides: under `routing.router` both may be written."""
    router = inside(root, "routing", "router")
    legacy = {key: node for key in ("groups", "matrix") if (node := root.members.get(key)) and node.value is not None}
    for key, node in legacy.items():
        if router is not None:
            found, expected = f"`{key}` beside `routing.router`", "it under `routing.router.settings` only"
            findings.faults.append(Fault(findings.file, node.key_mark, node.key, found, expected))
    if len(legacy) == 2:
        found, expected = "a matrix beside `groups`", "one of the two, or both under `routing.router.settings`"
        findings.faults.append(Fault(findings.file, legacy["matrix"].key_mark, "matrix", found, expected))
    settings = (router and inside(router, "settings")) or root.made({})
    written = {**settings.members, **legacy}
    use = router and router.members.get("use")
    if use is None or use.value is None:
        use = root.made("matrix" if "matrix" in legacy else "group")
    if use.value == "matrix":
        return {"residency": use, "matrix": _matrix(written.get("matrix", use.made({})), findings)}
    if use.value != "group":
        found, expected = f"`{str(use.value)[:60]}`", "`group` or `matrix`"
        findings.faults.append(Fault(findings.file, use.mark, use.key, found, expected))
    elif "groups" not in written and "matrix" in written:
        found, expected, matrix = "a matrix that decides nothing", "`use: matrix`", written["matrix"]
        findings.warnings.append(Fault(findings.file, matrix.key_mark, matrix.key, found, expected))
    groups = written.get("groups")
    return {"residency": use.made("groups"), **({} if groups is None else {"groups": _groups(groups, findings)})}


def _matrix(node: Node, findings: Findings) -> Node:
    matrix = recognised(node, _MATRIX, findings)
    said = {key: each for key, each in matrix.members.items() if each.value is not None}
    return matrix.made(said) if isinstance(matrix.value, dict) else matrix


def _groups(groups: Node, findings: Findings) -> Node:
    if not isinstance(groups.value, dict):
        return groups
    return groups.made({name: _group(group, findings) for name, group in groups.value.items()})


def _group(node: Node, findings: Findings) -> Node:
    group = recognised(node, _GROUP, findings)
    return group.made({"members": group.made([]), **group.members}) if isinstance(group.value, dict) else group


def _preload(root: Node, findings: Findings) -> Node:
    """The models to load at start; a name that does not exist is no fault there."""
    preload = inside(root, "hooks", "on_startup", "preload") or root.made([])
    models = root.members.get("models", root.made({})).members
    names = set(models)
    for model in models.values():
        names |= {str(alias.value) for alias in model.members.get("aliases", model.made([])).items}
        names |= set((inside(model, "filters", "setParamsByID") or model.made({})).members)
    kept = []
    for item in preload.items:
        name = str(item.value).strip()
        if name in names:
            kept.append(item.made(name))
            continue
        found, expected = f"the unknown model `{name}`, which is left out", "a name under `models`"
        findings.warnings.append(Fault(findings.file, item.mark, item.key, found, expected, did_you_mean(name, names)))
    return preload.made(kept) if isinstance(preload.value, list) else preload


def _keys(root: Node, findings: Findings) -> Node:
    """There every key opens everything. Secrets end here: what goes on is their hashes."""
    written = root.members.get("apiKeys", root.made([]))
    if written.value is not None and not isinstance(written.value, list):
        findings.faults.append(Fault(findings.file, written.mark, written.key, "something else", "a list of keys"))
    keys: dict[str, Node] = {}
    seen = set[str]()
    for item in written.items:
        secret = str(item.value) if isinstance(item.value, str | int) and not isinstance(item.value, bool) else ""
        if not secret or " " in secret:
            found, expected = "a key that is empty or has a space in it", "a key that can be sent in a header"
            findings.faults.append(Fault(findings.file, item.mark, item.key, found, expected))
        elif secret not in seen:
            seen.add(secret)
            members = {"hash": hashed(secret), "role": Role.ADMIN.value, "priority": "high"}
            keys[f"key-{len(keys) + 1}"] = item.made({name: item.made(value) for name, value in members.items()})
    return written.made(dict(keys))


def _says_nothing(key: str, node: Node) -> bool:
    return node.value is None or (key in _SAYS_NOTHING and node.value == _SAYS_NOTHING[key])
