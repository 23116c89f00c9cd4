"""A LiteLLM file in the sidecar way: every name it lists goes to that LiteLLM, behind our queue.

Read are the names, their caps (`max_parallel_requests`) and Overlaat's own keys; the rest is LiteLLM's business.
"""

from __future__ import annotations

from penstock.config.faults import Fault, Findings
from penstock.config.positions import Node
from penstock.config.values import UNLIMITED, ClientKey

DEFAULT_PORT = 4000
DEFAULT_POOL = "default"
DRAINS_WHOLE = "drain_whole"
"""A LiteLLM notices that a stream's client has left. Of a whole answer's it does not: it goes on and counts the call,
and would answer the next one with 429, though our slot is free."""

_SLOT = "slot"
"""An older way to name a pool, which made it exclusive."""
_MODEL_INFO = {
    "overlaat_max_prompt_tokens": "max_prompt_tokens",
    "overlaat_cost": "cost",
    "overlaat_pool": "pool",
    "overlaat_slot": _SLOT,
}
_ABORT = "overlaat_abort_on_disconnect"
_BREAKER = {"fails": "failures", "cooldown_s": "pause"}


def translated(root: Node, upstream: str | None, findings: Findings) -> Node:
    """The file in the native form. `upstream`: where the LiteLLM itself answers; None is a fault."""
    if upstream is None:
        found, expected = "a LiteLLM file, but not where its LiteLLM answers", "`--upstream URL`"
        findings.faults.append(Fault(findings.file, None, "", found, expected))
    entries = root.members.get("model_list", root.made([]))
    if not isinstance(entries.value, list):
        findings.faults.append(Fault(findings.file, entries.mark, entries.key, "something else", "a list of models"))
    address = root.made(upstream or "http://127.0.0.1")
    models: dict[str, Node] = {}
    for entry in entries.items:
        if (name := _name(entry, findings)) is not None:
            model = _model(entry, address, findings)
            models[name] = _together(models[name], model) if name in models else model
    pools = _pools(root, findings)
    if pools or any({"pool", "cost", _SLOT} & model.members.keys() for model in models.values()):
        models = {name: _budgeted(model, pools) for name, model in models.items()}
    _join_aliases(root, models)
    return root.made(
        {
            "models": entries.made(dict(models)),
            "pools": root.made(dict(pools)),
            "pass_through": address,
            "upstream_pages": root.made("trusted"),  # its own pages are what people come for
        }
    )


def _name(entry: Node, findings: Findings) -> str | None:
    name = entry.members.get("model_name")
    if name is None or not isinstance(name.value, str) or not name.value:
        findings.faults.append(Fault(findings.file, entry.mark, entry.key, "no `model_name`", "one"))
        return None
    if "*" in name.value:
        found, expected = f"the pattern `{name.value}`, which is left out", "a name in full"
        findings.warnings.append(Fault(findings.file, name.mark, name.key, found, expected))
        return None
    return name.value


def _model(entry: Node, address: Node, findings: Findings) -> Node:
    cap = entry.members.get("litellm_params", entry.made({})).members.get("max_parallel_requests")
    info = entry.members.get("model_info", entry.made({})).members
    abort = info.get(_ABORT)
    if abort is not None and not isinstance(abort.value, bool):
        found, expected = "neither true nor false, which is left out", "one of them"
        findings.warnings.append(Fault(findings.file, abort.key_mark, abort.key, found, expected))
    return entry.made(
        {
            "upstream": address,
            "parallel": cap if cap is not None and cap.value is not None else entry.made(UNLIMITED),
            "breaker": _breaker(info.get("overlaat_breaker"), entry),
            "client_key": entry.made(ClientKey.FORWARD.value),
            "on_disconnect": _on_disconnect(abort, entry),
            **{_MODEL_INFO[key]: node for key, node in info.items() if key in _MODEL_INFO and node.value is not None},
        }
    )


def _on_disconnect(abort: Node | None, entry: Node) -> Node:
    if abort is None or not isinstance(abort.value, bool):
        return entry.made(DRAINS_WHOLE)
    return abort.made("cancel" if abort.value else "drain")


def _breaker(written: Node | None, entry: Node) -> Node:
    """Overlaat has none unless it is asked for."""
    if written is None or not isinstance(written.value, dict):
        return entry.made("off") if written is None or written.value is None else written
    return written.made({_BREAKER.get(key, key): node for key, node in written.members.items()})


def _budgeted(model: Node, pools: dict[str, Node]) -> Node:
    """Overlaat charges every model that has a cap or a cost to a pool, which need not be declared."""
    members = dict(model.members)
    slot = members.pop(_SLOT, None)
    pool = members.get("pool", slot)
    if pool is None:
        if members["parallel"].value == UNLIMITED and "cost" not in members:
            return model
        pool = model.made(DEFAULT_POOL)
    pools.setdefault(str(pool.value), pool.made({"exclusive": pool.made(pool is slot)}))
    return model.made({**members, "pool": pool})


def _together(first: Node, second: Node) -> Node:
    """Several deployments of one name serve side by side: their caps add up, and one without a cap lifts it."""
    one, other = first.members["parallel"], second.members["parallel"]
    both = [each.value for each in (one, other) if isinstance(each.value, int) and not isinstance(each.value, bool)]
    total = one.made(sum(both)) if len(both) == 2 else next(each for each in (other, one) if each.value not in both)
    return first.made({**first.members, "parallel": total})


def _pools(root: Node, findings: Findings) -> dict[str, Node]:
    pools: dict[str, Node] = {}
    for name, pool in root.members.get("overlaat", root.made({})).members.get("pools", root.made({})).members.items():
        known = {key: node for key, node in pool.members.items() if key in ("budget", "exclusive")}
        pools[name] = pool.made(known) if isinstance(pool.value, dict) else pool
        for key, node in pool.members.items():
            if key not in known:
                found, expected = "a key that this version does not honour", "`budget` or `exclusive`"
                findings.warnings.append(Fault(findings.file, node.key_mark, node.key, found, expected))
    return pools


def _join_aliases(root: Node, models: dict[str, Node]) -> None:
    """LiteLLM's own aliases are names that clients use; each joins the model it stands for."""
    router = root.members.get("router_settings", root.made({}))
    for alias, target in router.members.get("model_group_alias", root.made({})).members.items():
        node = target.members.get("model", target)
        model = models.get(str(node.value))
        if model is not None and alias not in models:
            aliases = model.members.get("aliases", model.made([])).items
            models[str(node.value)] = model.made({**model.members, "aliases": node.made([*aliases, node.made(alias)])})
