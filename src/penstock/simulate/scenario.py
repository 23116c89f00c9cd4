"""Scenario files: what one may say, reading one, and the world it describes.

The published scenario.schema.json is generated from here: `python -m penstock.simulate.scenario`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Annotated, Any, Literal, cast

from pydantic import Field, JsonValue, ValidationError

from penstock.config.faults import ConfigError, Fault, Findings, Mark, listed
from penstock.config.positions import Node, parse
from penstock.config.sections import Section
from penstock.config.validate import described
from penstock.config.values import Size
from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Device, Model, Pool
from penstock.core.scheduling.plan import Plan, Policy
from penstock.simulate.draws import names_in
from penstock.simulate.sources import MOST_CALLS, PRIORITIES, AnySource, Positive, Seconds, Speed, Tape
from penstock.simulate.world import THRASH, Call, Engine, World

SHIPPED = Path(__file__).parent / "scenarios"
POOL = "box"
MAX_FILE_BYTES = 64 * 2**20

Triple = tuple[Seconds, Seconds, Seconds]

_USUAL = Policy()
_SOME_MEMBERS: dict[str, JsonValue] = {"minProperties": 1}


class ModelSection(Section):
    """A model: what the scheduler is told of it, and how its engine truly behaves."""

    memory: Size | dict[str, Size] = Field(
        default=0, description="What it takes while loaded: of the first device, or of each."
    )
    slots: Annotated[int, Field(ge=1, le=100_000, strict=True)] = Field(default=1, description="Calls at once.")
    cost: Positive | None = Field(default=None, description="Share of the budget of one call. Default: 1 / slots.")
    pin: bool = Field(default=False, strict=True, description="Never stopped to make room.")
    ttl_s: Positive | None = Field(default=None, description="Idle time after which it is stopped. Default: never.")
    load_s: Seconds = Field(default=10.0, description="How long a load takes; the scheduler learns it from the first.")
    stop_s: Seconds = Field(default=0.0, description="How long it takes to stop.")
    prefill_tokens_per_s: Positive = Field(default=1000.0, description="Speed at which a lone call's prompt is read.")
    decode_tokens_per_s: Positive = Field(default=40.0, description="Speed at which a lone call's answer is written.")
    slowdown: Seconds = Field(default=0.15, description="Each further call at once slows every call down by so much.")


class KeySection(Section):
    """A key. Keys that are not listed may ask for any class."""

    ceiling: Literal["high", "normal", "low"] = Field(default="high", description="The best class it is granted.")


class MachineSection(Section):
    """The machine, beside its memory."""

    loads_at_once: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(
        default=1, description="Models it loads at the same time; others queue."
    )
    thrash: Seconds = Field(
        default=THRASH,
        description="Loss beyond its share when it is asked for more than its budget: u ** (1 + thrash).",
    )


class PolicySection(Section):
    """Penstock's own numbers, where they shall be others. Triples are for high, normal, low."""

    patience_s: Triple = _USUAL.patience_s
    weight: Triple = _USUAL.weight
    hold: Seconds = _USUAL.hold
    hold_high: Seconds = _USUAL.hold_high
    hold_stretch: Seconds = _USUAL.hold_stretch
    grace_s: Seconds = _USUAL.grace_s
    prompt_tiers: tuple[tuple[Annotated[int, Field(ge=0, strict=True)], Positive], ...] = _USUAL.prompt_tiers
    prompt_beyond: Positive = _USUAL.prompt_beyond
    demand_memory_s: Positive = _USUAL.demand_memory_s
    estimate_s: Positive = _USUAL.estimate_s
    call_limit_s: Positive = _USUAL.call_limit_s
    parallel_loads: Annotated[int, Field(ge=1, le=1000, strict=True)] = Field(
        default=_USUAL.parallel_loads, description="Default: the machine's `loads_at_once`."
    )


class Scenario(Section):
    """The whole file."""

    penstock_scenario: Literal[1] = Field(description="The version of this form.")
    about: str = Field(default="", strict=True, description="A sentence for people.")
    devices: dict[str, Size] = Field(description="Memory, by name of the device.", json_schema_extra=_SOME_MEMBERS)
    models: dict[str, ModelSection] = Field(description="The models, by name.", json_schema_extra=_SOME_MEMBERS)
    keys: dict[str, KeySection] = Field(default={}, description="What some keys may ask for.")
    budget: Positive | None = Field(default=1.0, description="Compute shared by all models; null: none is shared.")
    machine: MachineSection = MachineSection()
    policy: PolicySection = PolicySection()
    arrivals: tuple[AnySource, ...] = Field(
        description="Calls, one by one or by generators.", json_schema_extra={"minItems": 1}
    )


@dataclass(frozen=True, slots=True)
class _Drawn:
    """The traffic of a scenario file."""

    scenario: Scenario

    def __call__(self, seed: int) -> Iterable[Call]:
        scenario = self.scenario
        speeds = {name: Speed(m.prefill_tokens_per_s, m.decode_tokens_per_s) for name, m in scenario.models.items()}
        ceilings = {name: PRIORITIES[key.ceiling] for name, key in scenario.keys.items()}
        tape = Tape(Random(seed), speeds, ceilings)  # noqa: S311 - no secret
        return [call for source in scenario.arrivals for call in source.calls(tape)]


def shipped_names() -> tuple[str, ...]:
    return tuple(sorted(path.stem for path in SHIPPED.glob("*.json")))


def find(name_or_path: str) -> World:
    """A scenario that comes with Penstock, by name, or a file. Raises ConfigError."""
    path = SHIPPED / f"{name_or_path}.json" if name_or_path in shipped_names() else Path(name_or_path)
    try:
        with path.open("rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        known = f"a scenario file, or one of {listed(shipped_names())}"
        fault = Fault(name_or_path, None, "", f"nothing to read ({(error.strerror or 'unreadable').lower()})", known)
        raise ConfigError([fault]) from error
    return world_of(read(text, str(path)), path.stem, str(path))


def read(text: bytes, name: str) -> Scenario:
    """Read the text of a scenario file; `name` is for messages. Raises ConfigError."""
    try:
        if len(text) > MAX_FILE_BYTES:
            raise ConfigError([Fault(name, None, "", "a larger file", f"at most {MAX_FILE_BYTES} bytes")])
        content = json.loads(text, parse_constant=_no_constant, object_pairs_hook=_once)
    except json.JSONDecodeError as error:
        fault = Fault(name, Mark(error.lineno, error.colno), "", f"broken JSON ({error.msg.lower()})", "valid JSON")
        raise ConfigError([fault]) from error
    except (ValueError, RecursionError) as error:
        raise ConfigError([Fault(name, None, "", f"broken JSON ({error})", "valid JSON")]) from error
    try:
        scenario = Scenario.model_validate(content)
    except ValidationError as error:
        tree = _places(text)
        raise ConfigError(_fault(each, tree, name) for each in error.errors()) from error
    if faults := [_named(key, found, expected, _places(text), name) for key, found, expected in _unknown(scenario)]:
        raise ConfigError(faults)
    return scenario


def world_of(scenario: Scenario, title: str, file: str = "") -> World:
    """Raises ConfigError if it could never serve some model."""
    devices = [Device(name, size) for name, size in scenario.devices.items()]
    models = tuple(_model(name, model, scenario) for name, model in scenario.models.items())
    own = {name: getattr(scenario.policy, name) for name in scenario.policy.model_fields_set}
    policy = replace(Policy(parallel_loads=scenario.machine.loads_at_once), **own)
    pools = () if scenario.budget is None else (Pool(POOL, scenario.budget),)
    plan = Plan(models, MemoryResidency(devices, models), pools, policy, max_waiting=MOST_CALLS)
    if faults := plan.faults():
        raise ConfigError(Fault(file or title, None, "models", each, "models that can be served") for each in faults)
    engines = {name: Engine(m.load_s, m.stop_s, m.slowdown) for name, m in scenario.models.items()}
    machine = scenario.machine
    return World(title, plan, engines, _Drawn(scenario), scenario.about, machine.loads_at_once, machine.thrash)


def _model(name: str, model: ModelSection, scenario: Scenario) -> Model:
    """What the scheduler is told: how long a load takes, it must find out."""
    first = next(iter(scenario.devices))
    memory = model.memory if isinstance(model.memory, dict) else {first: model.memory}
    return Model(
        name,
        slots=model.slots,
        footprint=tuple((device, size) for device, size in memory.items() if size),
        is_pinned=model.pin,
        ttl_s=model.ttl_s,
        pool=None if scenario.budget is None else POOL,
        cost=model.cost,
    )


def _unknown(scenario: Scenario) -> Iterable[tuple[tuple[str | int, ...], str, str]]:
    """(place, found, expected) of names that stand for nothing, and of more calls than anybody can wait for."""
    for key in ("devices", "models", "arrivals"):
        if not getattr(scenario, key):
            yield (key,), "nothing in it", "at least one"
    for name, model in scenario.models.items():
        for device in model.memory if isinstance(model.memory, dict) else ():
            if device not in scenario.devices:
                yield ("models", name, "memory", device), f"the unknown device `{device}`", listed(scenario.devices)
    count = 0
    for index, source in enumerate(scenario.arrivals):
        for name in names_in(source.model):
            if name not in scenario.models:
                yield ("arrivals", index, "model"), f"the unknown model `{name}`", listed(scenario.models)
        count += source.most_calls()
        if count > MOST_CALLS:
            yield ("arrivals", index), f"{count} calls up to here", f"at most {MOST_CALLS}"
            return


def _no_constant(text: str) -> float:
    raise ValueError(f"{text} is no number in JSON")


def _once(pairs: list[tuple[str, JsonValue]]) -> dict[str, JsonValue]:
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        raise ValueError(f"the key {json.dumps(next(name for name in names if names.count(name) > 1))} a second time")
    return members


def _places(text: bytes) -> Node:
    """The tree with lines and columns; empty where that cannot be had."""
    return parse(text.decode("utf-8", "replace"), Findings(""))


def _fault(error: Any, tree: Node, file: str) -> Fault:  # pydantic's ErrorDetails, as it comes
    """One thing that pydantic found, at its place. Its location also names kinds, which are in no file."""
    kind = error["type"]
    if kind == "unexpected":
        expected = str(error["ctx"]["expected"])
    elif kind == "extra_forbidden":
        expected = "a key of this form"
    elif kind == "missing":
        expected = f"`{error['loc'][-1]}`"
    elif kind == "union_tag_invalid":
        expected = f"a generator: {error['ctx']['expected_tags']}".replace("'", "`")
    else:
        expected = str(error["msg"]).removeprefix("Input should be ").replace("'", "`")
    place = error["loc"][:-1] if kind == "missing" else error["loc"]
    found = "nothing" if kind == "missing" else "an unknown key" if kind == "extra_forbidden" else None
    return _named(place, found, expected, tree, file)


def _named(place: Sequence[str | int], found: str | None, expected: str, tree: Node, file: str) -> Fault:
    node = tree
    for step in place:
        inner = node.items[step] if isinstance(step, int) and step < len(node.items) else node.members.get(str(step))
        node = inner or node
    return Fault(file, node.mark, node.key, found or described(node), expected)


def json_schema() -> dict[str, JsonValue]:
    schema = cast("dict[str, JsonValue]", Scenario.model_json_schema())
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema, "title": "Penstock scenario"}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
