"""Whatever happens, in whatever order, these stay true."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import Phase as Stage
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from penstock.core.fitting.groups import Group, GroupResidency
from penstock.core.fitting.memory import MemoryResidency
from penstock.core.model import Choice, Device, Model, Phase, Pool, Priority, Strategy, Ticket
from penstock.core.scheduling.actions import Action, Admit, Cancel, Refuse, Start, Stop, WakeAt
from penstock.core.scheduling.commands import (
    CancelWaiting,
    Command,
    Load,
    Pause,
    Reset,
    Resume,
    SetPriority,
    Unload,
)
from penstock.core.scheduling.plan import KeyTerms
from penstock.core.scheduling.scheduler import Plan, Policy, Scheduler, WaitReason

POLICY = Policy(
    patience_s=(5.0, 20.0, 60.0),
    demand_memory_s=30.0,
    call_limit_s=20.0,
    failed_pause_s=8.0,
    prompt_tiers=((100, 1.0), (200, 2.0)),
)
DEVICES = (Device("gpu0", 100), Device("gpu1", 50))
POOLS = (Pool("p"), Pool("one", 1.0, is_exclusive=True))
MODELS = (
    Model("a", 2, (("gpu0", 60),), 4.0, pool="p"),
    Model("b", 1, (("gpu0", 60),), 6.0, pool="p", ttl_s=5.0),
    Model("c", 3, (("gpu0", 40),), 2.0, pool="one"),
    Model("d", 2, (("gpu1", 30),), 3.0, pool="one", min_resident_s=3.0),
    Model("e", None, (("gpu0", 50), ("gpu1", 25)), 5.0, ttl_s=1.0, pool="p", cost=0.3),
    Model("f", 1, None, 8.0),
    Model("up", None, is_launched=False, pool="p", cost=0.1),
    Model("far", 1, is_launched=False),
)
TERMS: tuple[dict[str, KeyTerms], ...] = (
    {"x": KeyTerms(1.0, 1), "y": KeyTerms(3.0, 2)},
    {"x": KeyTerms(0.5, 2), "z": KeyTerms(2.0, 1)},
    {},
)
MEMORY = Plan(MODELS, MemoryResidency(DEVICES, MODELS), POOLS, POLICY, TERMS[0])
GROUPS = (Group("free", frozenset("ab"), swap=False, exclusive=False), Group("stay", frozenset("c"), persistent=True))
PLANS = (
    MEMORY,
    replace(MEMORY, max_resident=2, policy=replace(POLICY, parallel_loads=1, cancel_loads=False)),
    replace(MEMORY, residency=GroupResidency(GROUPS), max_resident=3),
    replace(
        MEMORY, residency=GroupResidency(), keys={}, policy=replace(POLICY, hold=1.0, hold_high=0.5, start_attempts=1)
    ),
)
CHOICES = st.builds(
    Choice,
    st.sampled_from(Strategy),
    st.lists(st.sampled_from((*(model.name for model in MODELS), "nobody")), min_size=1, max_size=4).map(tuple),
    st.integers(1, 2),
)
ENDS = ("well", "well", "well", "badly", "finally", "died")
NAMES = tuple(model.name for model in MODELS)
COMMANDS: tuple[Callable[[str], Command], ...] = (
    Load,
    Unload,
    Reset,
    lambda model: Pause(frozenset({model})),
    lambda model: Resume(frozenset({model, *NAMES[:2]})),
    lambda _: Resume(frozenset(NAMES)),
)


def number(ticket_id: str) -> int:
    """In the order of arrival."""
    return int(ticket_id[1:])


class World(RuleBasedStateMachine):
    """The machine plays clients, engines and time; it answers the scheduler's actions whenever it likes."""

    def __init__(self) -> None:
        super().__init__()
        self.now_s = 100.0
        self.count = 0
        self.told: dict[str, str] = {}  # ticket -> its one answer
        self.open: dict[str, Ticket] = {}  # waiting or running, as we know it
        self.lines: dict[tuple[str, Priority, str], list[str]] = {}
        self.going: dict[str, tuple[str, int]] = {}  # replica -> what it does, and its generation
        self.began: dict[str, float] = {}
        self.wake_s = math.inf

    @initialize(plan=st.sampled_from(PLANS))
    def begin(self, plan: Plan) -> None:
        assert plan.faults() == []
        self.plan = plan
        self.sched = Scheduler(plan)

    def do(self, actions: list[Action]) -> None:
        for action in actions:
            match action:
                case Admit(ticket_id, replica_id):
                    self.admitted(ticket_id, replica_id)
                case Refuse(ticket_id, _):
                    assert self.told.setdefault(ticket_id, "refused") == "refused"
                    self.forget(ticket_id)
                case Start(replica_id, generation):
                    assert self.going.get(replica_id, ("", 0))[1] < generation
                    assert self.going.get(replica_id, ("gone", 0))[0] == "gone", "started while it was there"
                    self.going[replica_id] = ("starting", generation)
                    self.residents_are_allowed(replica_id)
                case Stop(replica_id, generation):
                    assert self.going[replica_id] == ("ready", generation)
                    assert not self.sched.replicas[replica_id].running, "stopped while it worked"
                    self.going[replica_id] = ("stopping", generation)
                case Cancel(replica_id, generation):
                    assert self.going[replica_id] == ("starting", generation)
                    self.going[replica_id] = ("stopping", generation)
                case WakeAt(at_s):
                    assert at_s > self.now_s
                    self.wake_s = at_s

    def admitted(self, ticket_id: str, replica_id: str) -> None:
        assert ticket_id not in self.told, "answered twice"
        self.told[ticket_id] = "admitted"
        ticket = self.open[ticket_id]
        assert replica_id == ticket.model
        assert ticket.deadline_s is None or self.now_s < ticket.deadline_s
        limit = self.sched.plan.keys.get(ticket.key, KeyTerms()).max_concurrent
        assert limit is None or sum(self.open[other].key == ticket.key for other in self.began) < limit
        replica = self.sched.replicas[replica_id]
        assert not replica.model.is_launched or self.going[replica_id][0] == "ready"
        line = self.lines[ticket.model, ticket.priority, ticket.key]
        assert line.pop(0) == ticket_id, "overtaken within its line"
        self.began[ticket_id] = self.now_s

    def forget(self, ticket_id: str) -> None:
        ticket = self.open.pop(ticket_id, None)
        self.began.pop(ticket_id, None)
        if ticket is not None and ticket_id in (line := self.lines[ticket.model, ticket.priority, ticket.key]):
            line.remove(ticket_id)

    def residents_are_allowed(self, started: str) -> None:
        residents = {name for name, (state, _) in self.going.items() if state != "gone"}
        assert self.plan.max_resident is None or len(residents) <= self.plan.max_resident
        residency, sizes = self.plan.residency, self.sched.sizes()
        assert sizes or residency.fits(residents)
        allowed_by = [each.admits(started, residents - {started}) for each in (residency, residency.knowing(sizes))]
        assert any(allowed_by)  # what was measured is disbelieved after a while if it leaves no room at all

    def pass_time(self, dt_s: float) -> None:
        """Time passes; the wake-ups and the ends of calls that reach their limit happen on the way."""
        end_s = self.now_s + dt_s
        while True:
            limits = ((at_s + POLICY.call_limit_s, ticket_id) for ticket_id, at_s in self.began.items())
            limit_s, ticket_id = min(limits, default=(math.inf, ""))
            if min(limit_s, self.wake_s) > end_s:
                break
            self.now_s = min(limit_s, self.wake_s)
            if limit_s < self.wake_s:
                self.forget(ticket_id)
                self.do(self.sched.leave(ticket_id, self.now_s))
            else:
                self.wake_s = math.inf
                self.do(self.sched.tick(self.now_s))
        self.now_s = end_s

    times = st.sampled_from((0.0, 0.0, 0.1, 1.0, 3.0, 7.0, 25.0))

    @rule(
        dt_s=times,
        model=st.sampled_from(NAMES),
        key=st.sampled_from("xyz"),
        priority=st.sampled_from(Priority),
        tokens=st.sampled_from((0, 0, 150, 5000)),
        limit_s=st.sampled_from((None, None, None, 0.0, 2.0, 10.0, 60.0)),
        choice=st.none() | st.none() | CHOICES,
    )
    def arrive(
        self, dt_s: float, model: str, key: str, priority: Priority, tokens: int, limit_s: float | None,
        choice: Choice | None,
    ) -> None:  # fmt: skip
        self.pass_time(dt_s)
        self.count += 1
        deadline_s = None if limit_s is None else self.now_s + limit_s
        ticket = Ticket(f"t{self.count}", model, key, self.now_s, priority, tokens, deadline_s, choice=choice)
        actions = self.sched.arrive(ticket, self.now_s)
        chosen = self.sched.model_of(ticket.id) or model
        assert choice is None or ticket.id not in self.sched._room.entries or chosen in choice.models
        self.open[ticket.id] = replace(ticket, model=chosen)
        self.lines.setdefault((chosen, priority, key), []).append(ticket.id)
        self.do(actions)
        assert self.sched.arrive(ticket, self.now_s) == [] or ticket.id not in self.open

    @precondition(lambda self: self.open)
    @rule(dt_s=times, data=st.data(), twice=st.booleans())
    def leave(self, dt_s: float, data: st.DataObject, twice: bool) -> None:
        self.pass_time(dt_s)
        if self.open:
            ticket_id = data.draw(st.sampled_from(sorted(self.open)))
            self.forget(ticket_id)
            self.told.setdefault(ticket_id, "left")
            self.do(self.sched.leave(ticket_id, self.now_s))
            if twice:
                assert self.sched.leave(ticket_id, self.now_s) == []

    @precondition(lambda self: any(state in ("starting", "stopping") for state, _ in self.going.values()))
    @rule(
        dt_s=times,
        data=st.data(),
        how=st.sampled_from(("well", "well", "well", "badly", "finally", "died")),
        late=st.booleans(),
    )
    def engine_reports(self, dt_s: float, data: st.DataObject, how: str, late: bool) -> None:
        self.pass_time(dt_s)
        busy = sorted(name for name, (state, _) in self.going.items() if state in ("starting", "stopping"))
        if not busy:
            return
        name = data.draw(st.sampled_from(busy))
        state, generation = self.going[name]
        if late:  # a word about an earlier process
            self.do(self.sched.replica_ready(name, generation - 1, self.now_s))
            self.do(self.sched.replica_gone(name, generation - 1, self.now_s))
        if state == "starting" and how == "well":
            self.going[name] = ("ready", generation)
            self.do(self.sched.replica_ready(name, generation, self.now_s))
            return
        self.going[name] = ("gone", generation)
        if state == "starting" and how != "died":
            self.do(self.sched.replica_failed(name, generation, self.now_s, reason="no", is_final=how == "finally"))
        else:
            self.do(self.sched.replica_gone(name, generation, self.now_s, reason="died"))

    @precondition(lambda self: any(state == "ready" for state, _ in self.going.values()))
    @rule(data=st.data())
    def engine_dies(self, data: st.DataObject) -> None:
        name = data.draw(st.sampled_from(sorted(name for name, (state, _) in self.going.items() if state == "ready")))
        generation = self.going[name][1]
        self.going[name] = ("gone", generation)
        running = set(self.sched.replicas[name].running)
        for ticket_id in running:
            self.forget(ticket_id)
        self.do(self.sched.replica_gone(name, generation, self.now_s, reason="killed"))
        for ticket_id in running:
            assert self.sched.leave(ticket_id, self.now_s) == []  # the late word of a call is harmless

    @rule(
        dt_s=times,
        model=st.sampled_from(NAMES),
        make=st.sampled_from(COMMANDS),
    )
    def operate(self, dt_s: float, model: str, make: Callable[[str], Command]) -> None:
        self.pass_time(dt_s)
        self.do(self.sched.command(make(model), self.now_s))

    @precondition(lambda self: self.open)
    @rule(data=st.data())
    def cancel(self, data: st.DataObject) -> None:
        """Those who run, or are gone, are left alone."""
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.open)), max_size=3))
        waiting = {ticket_id for ticket_id in chosen if ticket_id not in self.told}
        actions = self.sched.command(CancelWaiting(("nobody", *chosen)), self.now_s)
        assert {action.ticket_id for action in actions if isinstance(action, Refuse)} == waiting
        self.do(actions)

    @precondition(lambda self: self.open)
    @rule(data=st.data(), priority=st.sampled_from(Priority))
    def set_priority(self, data: st.DataObject, priority: Priority) -> None:
        ticket_id = data.draw(st.sampled_from(sorted(self.open)))
        ticket = self.open[ticket_id]
        if ticket_id not in self.told and priority is not ticket.priority:
            self.lines[ticket.model, ticket.priority, ticket.key].remove(ticket_id)
            self.open[ticket_id] = replace(ticket, priority=priority)
            line = self.lines.setdefault((ticket.model, priority, ticket.key), [])
            line[1:] = sorted([*line[1:], ticket_id], key=number) if line else [ticket_id]
        self.do(self.sched.command(SetPriority(ticket_id, priority), self.now_s))

    @rule(keys=st.sampled_from(TERMS))
    def terms_change(self, keys: dict[str, KeyTerms]) -> None:
        self.do(self.sched.set_keys(keys, self.now_s))

    @rule(name=st.sampled_from(NAMES), size_bytes=st.sampled_from((10, 30, 50, 90, 200)), data=st.data())
    def size_is_measured(self, name: str, size_bytes: int, data: st.DataObject) -> None:
        generation = self.going.get(name, ("", 0))[1] - data.draw(st.sampled_from((0, 0, 1)))
        footprint = tuple((device, size_bytes) for device in data.draw(st.sets(st.sampled_from(("gpu0", "gpu1")))))
        self.do(self.sched.measured(name, generation, footprint, self.now_s))

    @rule(device=st.sampled_from(DEVICES), used=st.sampled_from((0.0, 0.0, 0.4, 0.7, 1.0)))
    def memory_is_read(self, device: Device, used: float) -> None:
        """Others may hold any part of it."""
        self.do(self.sched.memory(device.name, int(device.memory_bytes * (1 - used)), self.now_s))

    @rule(dt_s=st.sampled_from((1.0, 10.0, 100.0)), late_s=st.sampled_from((0.0, 0.0, 500.0)))
    def time_passes(self, dt_s: float, late_s: float) -> None:
        self.pass_time(dt_s)
        if late_s and not self.began:  # the machine slept: the wake-up comes late
            self.now_s += late_s
            self.wake_s = self.wake_s if self.wake_s > self.now_s else math.inf
            self.do(self.sched.tick(self.now_s))

    @invariant()
    def caps_and_budgets_hold(self) -> None:
        for name, replica in self.sched.replicas.items():
            assert replica.model.slots is None or len(replica.running) <= replica.model.slots
            assert replica.running == {
                t for t in self.open if self.told.get(t) == "admitted" and self.open[t].model == name
            }
        for budget in self.sched._desk._budgets.values():
            running = [
                entry for entry in self.sched._desk.running.values() if entry.queue.model.pool == budget.pool.name
            ]
            assert budget.used <= budget.pool.budget + 1e-6
            assert abs(budget.used - sum(entry.share for entry in running)) < 1e-6
            assert not budget.pool.is_exclusive or len({entry.queue.model.name for entry in running}) <= 1

    @invariant()
    def the_mirror_is_true(self) -> None:
        states = {"starting": {Phase.STARTING}, "ready": {Phase.READY, Phase.DRAINING}, "stopping": {Phase.STOPPING}}
        for name, replica in self.sched.replicas.items():
            if replica.model.is_launched:
                state = self.going.get(name, ("gone", 0))[0]
                assert replica.phase in states.get(state, {Phase.STOPPED, Phase.BACKOFF, Phase.FAILED})

    @invariant()
    def everyone_open_is_in_one_place_and_sums_are_right(self) -> None:
        waiting = sorted(t for t in self.open if t not in self.told)
        assert sorted(ticket.id for ticket in self.sched.waiting()) == waiting
        assert self.sched.waiting_count() == len(waiting)
        for name, queue in self.sched._room.queues.items():
            own = [entry for entry in self.sched._room.entries.values() if entry.queue is queue]
            assert queue.count == len(own) == self.sched.waiting_count(name)
            here = [entry for entry in own if not queue.lines[entry.ticket.priority, entry.ticket.key].is_away]
            assert queue.counts == [sum(entry.ticket.priority is each for entry in here) for each in Priority]
            assert abs(queue.work_s - sum(entry.estimate_s for entry in here)) < 1e-6
            for line in queue.lines.values():
                assert line.entries[0].is_waiting
                assert line.gone == sum(not entry.is_waiting for entry in line.entries)
        if not self.open:
            assert not any(accounts._active for accounts in self.sched._room.accounts.values())

    @invariant()
    def nobody_who_could_start_waits(self) -> None:
        """Unless what is free is kept for one who is due earlier."""
        for queue in self.sched._room.queues.values():
            for entry in queue.heads():
                assert self.sched._desk.obstacle(entry) is not None
            for entry in (line.entries[0] for line in queue.lines.values()):
                assert not entry.is_shut or self.sched._desk._caps.obstacle(entry) is not None
                assert entry.is_shut or entry.ticket.key not in self.sched._room.capped

    @invariant()
    def nobody_waits_beyond_its_deadline(self) -> None:
        waiting = (ticket.deadline_s for ticket in self.sched.waiting() if ticket.deadline_s is not None)
        soonest_s = min(waiting, default=math.inf)
        assert self.now_s < soonest_s >= self.wake_s

    @invariant()
    def it_is_never_stuck(self) -> None:
        """Who waits, waits for a call, an engine or the clock, or for the operator."""
        moving = any(state in ("starting", "stopping") for state, _ in self.going.values())
        busy = bool(self.sched._desk.running)
        for ticket in list(self.sched.waiting())[:20]:
            wait = self.sched.explain(ticket.id, self.now_s)
            assert wait.reason is not WaitReason.NONE
            assert wait.bound_s is None or wait.bound_s > 0
            assert moving or busy or self.wake_s < math.inf or wait.reason is WaitReason.PAUSED, wait

    @invariant()
    def no_promise_is_broken(self) -> None:
        assert self.sched.bound_exceeded == 0

    def teardown(self) -> None:
        """When engines work and calls end, everyone who stays is admitted, or refused by a failure's pause."""
        if not hasattr(self, "sched"):
            return
        self.do(self.sched.command(Resume(frozenset(NAMES)), self.now_s))
        for _ in range(20_000):
            if not self.sched.waiting_count():
                break
            moving = next(
                (n for n, (state, _) in sorted(self.going.items()) if state in ("starting", "stopping")), None
            )
            done = [t for t in self.open if self.told.get(t) == "admitted"]
            if moving is not None:
                state, generation = self.going[moving]
                self.going[moving] = ("ready" if state == "starting" else "gone", generation)
                told = self.sched.replica_ready if state == "starting" else self.sched.replica_gone
                self.do(told(moving, generation, self.now_s))
            elif done:
                self.forget(done[0])
                self.do(self.sched.leave(done[0], self.now_s))
            else:
                assert self.wake_s < math.inf, "stuck"
                self.pass_time(self.wake_s - self.now_s)
        assert not self.sched.waiting_count()


QUICK = settings(
    max_examples=60,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    phases=(Stage.explicit, Stage.generate),  # a failing example is printed as it is: shrinking takes minutes
    suppress_health_check=list(HealthCheck),
)
FULL = settings(QUICK, max_examples=5_000, stateful_step_count=200, derandomize=False)


def test_the_invariants_hold_whatever_happens() -> None:
    run_state_machine_as_test(World, settings=QUICK)


@pytest.mark.long
@pytest.mark.timeout(7200)
def test_the_invariants_hold_over_a_million_facts() -> None:
    run_state_machine_as_test(World, settings=FULL)
