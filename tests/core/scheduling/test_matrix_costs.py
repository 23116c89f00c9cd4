"""A matrix's own costs and order decide where the scheduler has no reason of its own."""

from __future__ import annotations

from penstock.core.fitting.matrix import MatrixResidency
from penstock.core.scheduling.actions import Stop
from penstock.core.scheduling.scheduler import Scheduler
from tests.core.fitting.test_matrix import matrix
from tests.core.scheduling.worlds import deeds, model, ready, scheduler, ticket


def loaded(sched: Scheduler, *names: str) -> None:
    """They are loaded and idle, and long ago."""
    for name in names:
        sched.arrive(ticket(f"first {name}", name), 0.0)
        ready(sched, name, 0.0)
        sched.leave(f"first {name}", 0.0)


def test_of_idle_models_those_leave_whom_the_matrix_names() -> None:
    for costs, sets, victim in (
        ({}, {"s": "a & b", "t": "a & c", "u": "b & c"}, "c"),
        ({}, {"s": "a & c", "t": "a & b", "u": "b & c"}, "b"),
        ({"b": 3}, {"s": "a & c", "t": "a & b", "u": "b & c"}, "c"),
    ):
        models = [model(name, evict_cost=costs.get(name, 1)) for name in "abc"]
        sched = scheduler(*models, residency=MatrixResidency(matrix(**sets), models))
        loaded(sched, "b", "c")
        assert deeds(sched.arrive(ticket("t", "a"), 600.0)) == [Stop(victim, 1)]


def test_a_model_in_demand_is_kept_by_its_cost() -> None:
    for cost, victim in ((1, "c"), (1000, "b")):
        models = [model(name, evict_cost=cost if name == "c" else 1) for name in "abc"]
        sched = scheduler(*models, residency=MatrixResidency(matrix(s="a & (b | c)", u="b & c"), models))
        loaded(sched, "b", "c")
        for i in range(3):
            sched.arrive(ticket(f"b{i}", "b"), 590.0 + i)
            sched.leave(f"b{i}", 590.5 + i)
        sched.arrive(ticket("c0", "c"), 594.0)
        sched.leave("c0", 594.5)
        assert deeds(sched.arrive(ticket("t", "a"), 600.0)) == [Stop(victim, 1)]
