"""The smallest worlds that the core's tests are about."""

from __future__ import annotations

from dataclasses import replace

from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Device, Model, Pool, Priority, Ticket
from penstock.core.scheduling.actions import Action, WakeAt
from penstock.core.scheduling.scheduler import Plan, Policy, Scheduler

DEVICE = Device("gpu", 100)


def model(name: str, size_bytes: int = 60, **fields: object) -> Model:
    return replace(Model(name, footprint=(("gpu", size_bytes),), load_s=10.0), **fields)  # type: ignore[arg-type]


def plan(*models: Model, pools: tuple[Pool, ...] = (), policy: Policy | None = None, **fields: object) -> Plan:
    made = Plan(models, MemoryResidency([DEVICE], models), pools, policy or Policy())
    return replace(made, **fields)  # type: ignore[arg-type]


def scheduler(
    *models: Model, pools: tuple[Pool, ...] = (), policy: Policy | None = None, **fields: object
) -> Scheduler:
    return Scheduler(plan(*models, pools=pools, policy=policy, **fields))


def ticket(
    ticket_id: str, model_name: str, key: str = "ann", priority: Priority = Priority.NORMAL, *, tokens: int = 0
) -> Ticket:
    return Ticket(ticket_id, model_name, key, 0.0, priority, tokens)


def deeds(actions: list[Action]) -> list[Action]:
    """What is asked for, without the wake-ups."""
    return [action for action in actions if not isinstance(action, WakeAt)]


def ready(sched: Scheduler, name: str, now_s: float) -> list[Action]:
    """The replica's latest start has succeeded."""
    return deeds(sched.replica_ready(name, sched.replicas[name].generation, now_s))


def gone(sched: Scheduler, name: str, now_s: float) -> list[Action]:
    return deeds(sched.replica_gone(name, sched.replicas[name].generation, now_s))
