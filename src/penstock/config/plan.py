"""What the scheduler needs to know of the settings: slots, footprints, residency, pools and the policy's numbers."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from penstock.config.commands import declared_slots
from penstock.config.schema import GGUF_SLOTS, ModelSettings, Settings
from penstock.config.sections import MatrixSettings
from penstock.config.values import UNLIMITED, Residency
from penstock.core.fitting.groups import Group, GroupResidency
from penstock.core.fitting.matrix import Matrix, MatrixResidency
from penstock.core.fitting.memory import MemoryResidency
from penstock.core.fitting.residency import Residency as ResidencyPolicy
from penstock.core.model import Device, Model, Pool
from penstock.core.scheduling.plan import KeyTerms, Plan, Policy

HOST_DEVICE = "ram"
"""The one device of a configuration that names none."""

Footprint = tuple[tuple[str, int], ...]


def plan(
    settings: Settings,
    *,
    host_memory_bytes: int,
    footprints: Mapping[str, Footprint] | None = None,
    keys: Mapping[str, KeyTerms] | None = None,
) -> Plan:
    """The plan of checked settings.

    footprints: estimates for models that do not say their `memory`. keys: terms by what tickets carry as key.
    """
    devices = tuple(Device(name, device.memory) for name, device in settings.devices.items())
    devices = devices or (Device(HOST_DEVICE, host_memory_bytes),)
    estimates, costs = footprints or {}, _evict_costs(settings)
    models = tuple(
        _model(name, model, devices[0].name, estimates.get(name), costs.get(name, 1))
        for name, model in settings.models.items()
    )
    return Plan(
        models=models,
        residency=_residency(settings, devices, models),
        pools=tuple(Pool(name, pool.budget, pool.exclusive) for name, pool in settings.pools.items()),
        policy=_policy(settings),
        max_resident=settings.max_resident,
        max_waiting=settings.limits.waiting,
        keys=keys or {},
    )


def _model(name: str, model: ModelSettings, device: str, estimate: Footprint | None, evict_cost: int) -> Model:
    return Model(
        name=name,
        slots=slots(model),
        footprint=_footprint(model, device, estimate),
        is_size_declared=model.memory is not None,
        is_launched=model.upstream is None,
        is_pinned=model.pin,
        ttl_s=model.ttl or None,
        pool=model.pool,
        cost=model.cost,
        max_queue=model.max_queue,
        max_prompt_tokens=model.max_prompt_tokens,
        evict_cost=evict_cost,
    )


def slots(model: ModelSettings) -> int | None:
    """Calls at once until the engine itself was asked; None = no cap."""
    if model.parallel == UNLIMITED:
        return None
    declared = declared_slots(model)
    if declared is not None:
        return declared
    if model.upstream is not None:
        return None
    return GGUF_SLOTS if model.gguf is not None else 1


def _footprint(model: ModelSettings, device: str, estimate: Footprint | None) -> Footprint | None:
    if model.upstream is not None:
        return ()
    if model.memory is None:
        return estimate
    return tuple(model.memory.items()) if isinstance(model.memory, dict) else ((device, model.memory),)


def _residency(settings: Settings, devices: tuple[Device, ...], models: tuple[Model, ...]) -> ResidencyPolicy:
    if settings.residency is Residency.MEMORY:
        return MemoryResidency(devices, models)
    if settings.residency is Residency.MATRIX:
        memory = MemoryResidency(devices, models) if settings.devices else None
        return MatrixResidency(matrix(settings.matrix, settings.models), models, memory)
    return GroupResidency(
        Group(name, frozenset(group.members), group.swap, group.exclusive, group.persistent)
        for name, group in settings.groups.items()
    )


def matrix(written: MatrixSettings, models: Iterable[str]) -> Matrix:
    """The sets, understood; a var wins over a model of the same name."""
    return Matrix(written.sets, {name: name for name in models} | written.vars)


def _evict_costs(settings: Settings) -> dict[str, int]:
    """By model. Only the matrix has them."""
    if settings.residency is not Residency.MATRIX:
        return {}
    written = settings.matrix
    return {written.vars.get(name, name): cost for name, cost in written.evict_costs.items()}


def _policy(settings: Settings) -> Policy:
    classes = (settings.priorities.high, settings.priorities.normal, settings.priorities.low)
    return Policy(
        patience_s=(classes[0].patience_s, classes[1].patience_s, classes[2].patience_s),
        weight=(classes[0].weight, classes[1].weight, classes[2].weight),
        call_limit_s=max([settings.limits.call, *(model.limits.call for model in settings.models.values())]),
        cancel_loads=settings.cancel_orphan_loads,
        prompt_tiers=settings.prompt_tiers,
        prompt_beyond=settings.prompt_beyond,
    )
