"""What one key alone cannot show: names that collide or lead nowhere, commands and ports that do not fit together."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence

from penstock.config.commands import PID, PORT, argv
from penstock.config.examination import Check
from penstock.config.faults import Findings, did_you_mean, listed
from penstock.config.filters import faults
from penstock.config.plan import matrix, plan
from penstock.config.positions import Node
from penstock.config.routing_checks import peers, profiles, selectors
from penstock.config.schema import ModelSettings, Settings
from penstock.config.values import Residency

WAYS = ("cmd", "gguf", "upstream")
EVERYTHING = "*"

_ONLY_LAUNCHED = ("cmd_stop", "proxy", "port", "env", "cwd", "ttl", "memory", "pin", "check_endpoint",
                  "load_timeout", "stop_timeout")  # fmt: skip
WITHOUT_EFFECT = {
    "cmd": ("api_key", "client_key"),
    "gguf": ("api_key", "client_key", "cmd_stop", "proxy"),
    "upstream": _ONLY_LAUNCHED,
}
_PORT_PLACES = frozenset({"cmd", "cmd_stop", "proxy", "env"})
_VAR = re.compile(r"[a-zA-Z0-9.-]{1,32}")


def examine(settings: Settings, root: Node, findings: Findings) -> None:
    """Report everything that does not fit together."""
    check = Check(settings, root, findings)
    for step in _STEPS:
        step(check)


def _something(check: Check) -> None:
    """A file that names nothing is most likely another file, or an unfinished one."""
    settings = check.settings
    if not (settings.models or settings.peers or settings.pass_through or check.findings.faults):
        check.warn(check.root, "no models", "at least one under `models`, or a peer")


def _ways(check: Check) -> None:
    """Exactly one way to run each model, and no key that this way ignores."""
    for node, _ in check.models():
        ways = [way for way in WAYS if way in node.members]
        if not ways and any(fault.key.startswith(f"{node.key}.") for fault in check.findings.faults):
            continue  # most likely the way is there, misspelt
        if len(ways) != 1:
            found = f"{' and '.join(f'`{way}`' for way in ways)}" if ways else "no way to run the model"
            check.fault(node.members[ways[1]] if ways else node, found, f"exactly one of {listed(WAYS)}")
            continue
        for key in WITHOUT_EFFECT[ways[0]]:
            if key in node.members:
                check.fault(node.members[key], f"a key that has no effect beside `{ways[0]}`", "it to be left out")


def _names(check: Check) -> None:
    """One name, one model."""
    models = check.section("models").members
    owners: dict[str, Node] = dict(models)
    for model, node in models.items():
        check.named(node, model, "a name for the model")
        for alias in node.members.get("aliases", node.made([])).items:
            name = str(alias.value)
            owner = owners.setdefault(name, alias)
            if owner is alias or name == model:
                continue
            found = f"`{name}`, which is {'a name' if owner in models.values() else 'an alias'} already"
            check.fault(alias, f"{found} (line {owner.key_mark.line})", "a name that no other model has")


def _groups(check: Check) -> None:
    """Members exist, and belong to one group only."""
    groups: dict[str, Node] = {}
    for group in check.section("groups").members.values():
        for member in group.members.get("members", group.made([])).items:
            name = str(member.value)
            _known_model(check, member, name)
            first = groups.setdefault(name, member)
            if first is not member:
                check.fault(member, f"`{name}`, which is in a group already (line {first.mark.line})", "one group each")
    if groups and check.settings.residency is not Residency.GROUPS:
        check.warn(check.section("groups"), "groups that decide nothing", "`residency: groups`, or no groups at all")


def _matrix(check: Check) -> None:
    """Vars and costs are of models, and the sets can be understood."""
    section, is_used = check.section("matrix"), check.settings.residency is Residency.MATRIX
    is_read = not any(f"{fault.key}.".startswith(f"{section.key}.") for fault in check.findings.faults)
    variables = check.section("matrix", "vars").members
    for var, model in variables.items():
        if not _VAR.fullmatch(var):
            check.fault(model, f"the name `{var}`", "1 to 32 letters, digits, `.` and `-`")
        _known_model(check, model, str(model.value))
    for name, cost in check.section("matrix", "evict_costs").members.items():
        _known_model(check, cost, name, list(variables))
    if section.members and not is_used:
        check.warn(section, "a matrix that decides nothing", "`residency: matrix`, or no matrix at all")
    if not is_read:
        return  # what the sets seem to lack may stand in what could not be understood
    _sets(check)
    if is_used and not check.settings.matrix.sets:
        check.fault(section, "no sets", "at least one under `matrix.sets`")


def _sets(check: Check) -> None:
    for name, fault in matrix(check.settings.matrix, check.section("models").members).faults:
        suggestion = did_you_mean(fault.name, fault.known) if fault.name else None
        found = f"{fault.found} at character {fault.position + 1}"
        check.fault(check.section("matrix", "sets", name), found, fault.expected, suggestion)


def _known_model(check: Check, at: Node, name: str, others: Sequence[str] = ()) -> None:
    names = [*check.section("models").members, *others]
    if name not in names:
        check.fault(at, f"the unknown model `{name}`", "a name under `models`", did_you_mean(name, names))


def _preload(check: Check) -> None:
    items = check.section("preload").items
    aliases = [alias for model in check.settings.models.values() for alias in model.aliases]
    for item in items:
        if item.value != EVERYTHING:
            _known_model(check, item, str(item.value), aliases)
        elif len(items) > 1:
            check.fault(item, "`*` among names", "`*` alone, or names alone")


def _references(check: Check) -> None:
    """Pools and devices exist."""
    pools, devices = check.section("pools").members, check.section("devices").members
    for node, model in check.models():
        at = node.members.get("pool", node)
        if model.pool is not None and model.pool not in pools:
            check.fault(at, f"the unknown pool `{model.pool}`", "a name under `pools`", did_you_mean(model.pool, pools))
        if model.cost is not None:
            _cost(check, node.members.get("cost", node), model.cost, model.pool)
        memory = node.members.get("memory", node.made({}))
        for device, amount in memory.members.items():
            if device not in devices:
                expected, suggestion = "a name under `devices`", did_you_mean(device, devices)
                check.fault(amount, f"the unknown device `{device}`", expected, suggestion)
        if isinstance(model.memory, int) and len(devices) > 1:
            check.fault(memory, "a size that does not say where", f"a mapping from {listed(devices)} to sizes")


def _cost(check: Check, at: Node, cost: float, pool: str | None) -> None:
    if pool is None:
        check.fault(at, "a cost without a pool", "`pool` to be given too")
    elif pool in check.settings.pools and cost > check.settings.pools[pool].budget:
        budget = check.settings.pools[pool].budget
        check.fault(at, f"{cost:g}, more than the whole budget of `{pool}`", f"at most {budget:g}")


def _filters(check: Check) -> None:
    """Parameters can be named, and set."""
    for section in ("models", "peers"):
        for node in check.section(section).members.values():
            for at, found, expected in faults(node.members.get("filters", node.made({}))):
                check.fault(at, found, expected)


def _commands(check: Check) -> None:
    for node, model in check.models():
        for key, command in (("cmd", model.cmd), ("cmd_stop", model.cmd_stop)):
            if command is None:
                continue
            try:
                words = argv(command)
            except ValueError as error:
                check.fault(node.members[key], f"a command that cannot be split into words: {error}", "matching quotes")
                continue
            if not words:
                check.fault(node.members[key], "an empty command", "a program and its arguments")


def _late_macros(check: Check) -> None:
    """`${PORT}` where a port can be filled in, and only if the engine is told about it; `${PID}` in `cmd_stop`."""
    for node, model in check.models():
        is_told = model.gguf is not None or uses_port(model)
        for key, member in node.members.items():
            for at, text in _texts(member):
                if PID in text and key != "cmd_stop":
                    check.fault(at, f"`{PID}`", "it in `cmd_stop` only: no other place knows a process")
                if PORT not in text:
                    continue
                if key not in _PORT_PLACES and model.port is None and check.settings.start_port is None:
                    expected = "it in `cmd`, `proxy`, `env` or `cmd_stop` only, unless `start_port` or `port` fixes it"
                    check.fault(at, f"`{PORT}`", expected)
                elif not is_told:
                    check.fault(at, f"`{PORT}`, which `cmd` does not use", "a `cmd` that uses it too")
        if (model.cmd or "").strip() and "proxy" not in node.members and not is_told:
            expected = f"`{PORT}` in it, or `proxy` to say where the engine answers"
            check.fault(node.members.get("cmd", node), f"a command without `{PORT}`", expected)


def uses_port(model: ModelSettings) -> bool:
    """Whether the engine is told `${PORT}`, by its command line or its environment."""
    return PORT in (model.cmd or "") or any(PORT in value for _, value in model.env)


def _texts(node: Node) -> Iterator[tuple[Node, str]]:
    if isinstance(node.value, str):
        yield node, node.value
    for inner in (*node.members.values(), *node.items):
        yield from _texts(inner)


def _ports(check: Check) -> None:
    """Fixed ports are there for all, and each for one model."""
    settings, taken = check.settings, dict[int, Node]()
    for node, model in check.models():
        if model.port is None:
            continue
        at = node.members.get("port", node)
        first = taken.setdefault(model.port, at)
        if first is not at:
            check.fault(at, f"port {model.port} a second time (first in line {first.mark.line})", "one port each")
    if settings.start_port is not None:
        count = sum(uses_port(model) or model.gguf is not None for model in settings.models.values())
        if settings.start_port + count > 65_536:
            most = 65_536 - count
            check.fault(check.section("start_port"), f"{settings.start_port}", f"at most {most} for {count} models")


def _priorities(check: Check) -> None:
    classes = check.settings.priorities
    if classes.high.at_least <= classes.normal.at_least:
        found = f"`at_least` {classes.high.at_least} for high and {classes.normal.at_least} for normal"
        check.fault(check.section("priorities"), found, "high above normal")


def _room(check: Check) -> None:
    """Each model can be loaded: alone, and beside those that are never stopped. Of sound settings only."""
    is_told = check.settings.devices or check.settings.residency is Residency.MATRIX
    if check.findings.faults or not is_told:
        return
    whole = plan(check.settings, host_memory_bytes=0)
    for model in whole.models:
        if fault := whole.fault(model, whole.pinned()):
            node = check.section("models", model.name)
            at = node.members.get("memory", node)
            check.fault(at, f"that it can never be loaded: {fault}", "a model for which there is room")


_STEPS: tuple[Callable[[Check], None], ...] = (
    _something, _ways, _names, _groups, _matrix, _preload, _references, _filters, _commands, _late_macros, _ports,
    _priorities, peers, selectors, profiles, _room,
)  # fmt: skip
