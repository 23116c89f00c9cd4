"""Plays the same stories on the real gateway and in the simulation, and compares the waits: python -m bench.stories.

The gateway is the installed program; its engines are the tests' fake ones, which take a known time to load and to
answer. The simulation has the same configuration, the same arrivals, and the machine as it showed itself: what an
answer and a stop took for lone calls just before, and what the loads took. So what is compared is the scheduling.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

from penstock.config.load import loads
from penstock.config.plan import plan
from penstock.core.accounting.record import CallRecord
from penstock.core.model import Priority
from penstock.simulate.replay import replay
from penstock.simulate.world import Call, Engine, World
from tests.e2e.program import CHAT, Program, chat_body, engine_cmd, id_of
from tests.fakes import exchange

AIM = 0.15
PAUSE_S = 0.5
"""After the prelude: nobody works when a story begins."""

_LOAD = re.compile(r"engine_ready replica=(\w) load_s=([\d.]+)")


@dataclass(frozen=True, slots=True)
class Arrival:
    at_s: float
    model: str
    priority: Priority = Priority.NORMAL


@dataclass(frozen=True, slots=True)
class Story:
    """One model fits at a time. answer_s, loads_s: what the fake engines take, by model, whose names are letters.

    Before it begins, every model is asked twice by a lone call, so that the scheduler knows the load times.
    """

    name: str
    loads_s: Mapping[str, float]
    slots: int
    answer_s: float
    patience_s: tuple[float, float, float]
    arrivals: tuple[Arrival, ...]

    @property
    def prelude(self) -> list[str]:
        return [*self.loads_s, *self.loads_s]

    def config(self) -> str:
        classes = zip(Priority, self.patience_s, strict=True)
        lines = ["penstock: 1", "devices: {box: {memory: 1GiB}}", "priorities:"]
        lines += [f"  {priority.name.lower()}: {{patience_s: {patience_s}s}}" for priority, patience_s in classes]
        lines += ["models:"]
        for model, load_s in self.loads_s.items():
            cmd = engine_cmd("--load-s", str(load_s))
            lines += [f"  {model}: {{cmd: {cmd}, parallel: {self.slots}, memory: 1GiB}}"]
        return "\n".join([*lines, ""])


@dataclass(frozen=True, slots=True)
class Wait:
    """From a call's arrival until it had a slot."""

    model: str
    priority: Priority
    arrived_s: float
    began_s: float

    @property
    def waited_s(self) -> float:
        return self.began_s - self.arrived_s


@dataclass(frozen=True, slots=True)
class Machine:
    """How fast it was. loads_s: by model."""

    answer_s: float
    stop_s: float
    loads_s: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Round:
    """The calls of one story as they began, the prelude left out; both in the order of beginning."""

    machine: Machine
    real: list[Wait]
    simulated: list[Wait]


def batch(calls: int = 500) -> Story:
    """A batch of low calls, and people who ask for the same model and for another."""
    answer_s, slots = 0.1, 4
    length_s = calls * answer_s / slots
    low = [Arrival(0.0, "a", Priority.LOW) for _ in range(calls)]
    same = [Arrival(0.5 + at_s, "a", Priority.HIGH) for at_s in _every(0.5, length_s)]
    other = [Arrival(0.7 + at_s, "b", Priority.HIGH) for at_s in _every(3.0, length_s)]
    loads_s = {"a": 0.3, "b": 0.3}
    return Story(f"batch of {calls}", loads_s, slots, answer_s, (0.5, 5.0, 60.0), (*low, *same, *other))


def abc() -> Story:
    """A B C A B C, while the one asked for last is loaded."""
    arrivals = tuple(Arrival(0.02 * index, model) for index, model in enumerate("abcabc"))
    return Story("A B C A B C", {"a": 0.2, "b": 0.2, "c": 0.8}, 1, 0.3, (2.0, 10.0, 60.0), arrivals)


def drip(length_s: float = 12.0) -> Story:
    """A is asked steadily, and now and then B and C."""
    steady = [Arrival(at_s, "a") for at_s in _every(0.25, length_s)]
    others = [Arrival(1.0 + at_s, model, Priority.LOW) for at_s in _every(6.0, length_s) for model in "bc"]
    loads_s = {"a": 0.2, "b": 0.2, "c": 0.8}
    return Story("drip on A, B and C wait", loads_s, 1, 0.15, (0.5, 5.0, 2.0), (*steady, *others))


def play(story: Story) -> Round:
    """On the real gateway, then in the simulation."""
    folder = tempfile.TemporaryDirectory(prefix="penstock-stories-")
    with folder, Program(Path(folder.name), story.config()) as program:
        records = asyncio.run(_ask(program, story))
        program.stop()
        loads = [(model, float(load_s)) for model, load_s in _LOAD.findall(program.log)]
    machine = _machine(story, records, loads)
    waits = [_wait(record) for record in records]
    simulated, count = _simulated(story, machine, waits), len(story.prelude)
    return Round(machine, sorted(waits[count:], key=_began), sorted(simulated[count:], key=_began))


async def _ask(program: Program, story: Story) -> list[CallRecord]:
    """The prelude one by one, then every call at its time; the records in the same order."""
    loop = asyncio.get_running_loop()

    async def ask(model: str, priority: Priority, at_s: float) -> str:
        body = chat_body(model, fake={"delay_s": story.answer_s})
        headers = f"connection: close\r\nx-request-priority: {priority.name.lower()}\r\n"
        sent = program.request(CHAT, body, headers=headers)
        await asyncio.sleep(at_s - loop.time())
        answer = await exchange(program.port, sent)
        if answer.status != 200:
            sys.exit(f"bench: a call for {model} was answered with {answer.raw[:300]!r}")
        return id_of(answer)

    ids = [await ask(model, Priority.NORMAL, 0.0) for model in story.prelude]
    start_s = loop.time() + PAUSE_S
    ids += await asyncio.gather(*(ask(each.model, each.priority, start_s + each.at_s) for each in story.arrivals))
    found = {record.id: record for record in await program.closed_records(set(ids))}
    return [found[each] for each in ids]


def _wait(record: CallRecord) -> Wait:
    assert record.model is not None
    assert record.priority is not None
    assert record.enqueued_s is not None
    assert record.admitted_s is not None
    arrived_s, began_s = (record.received_at + moment_s for moment_s in (record.enqueued_s, record.admitted_s))
    return Wait(record.model, Priority[record.priority.upper()], arrived_s, began_s)


def _machine(story: Story, records: Sequence[CallRecord], loads: Sequence[tuple[str, float]]) -> Machine:
    """Every call of the prelude causes a load, and waits for nothing else but a stop before it; the first for none."""
    prelude = records[: len(story.prelude)]
    stops_s = [_wait(record).waited_s - load_s for record, (_, load_s) in zip(prelude, loads, strict=False)]
    answers_s = [record.done_s - record.admitted_s for record in prelude if record.done_s and record.admitted_s]
    took_s = {model: statistics.fmean(took for name, took in loads if name == model) for model in story.loads_s}
    return Machine(statistics.median(answers_s), statistics.median(stops_s[1:]), took_s)


def _simulated(story: Story, machine: Machine, waits: Sequence[Wait]) -> list[Wait]:
    """The same calls, in the same order, coming at the same times."""
    start_s = waits[0].arrived_s
    calls = [
        Call(number, wait.arrived_s - start_s, wait.model, "", wait.priority, machine.answer_s)
        for number, wait in enumerate(waits)
    ]
    settings = loads(story.config(), name=story.name, environ=os.environ).settings
    engines = {model: Engine(load_s, machine.stop_s) for model, load_s in machine.loads_s.items()}
    world = World(story.name, plan(settings, host_memory_bytes=0), engines, lambda _: calls)
    run = replay(world, "penstock", seed=1)
    return [Wait(call.model, call.priority, call.arrived_s, call.started_s) for call in run.calls]


def mean_waits(waits: Iterable[Wait]) -> dict[Priority, float]:
    by_class: dict[Priority, list[float]] = {}
    for wait in waits:
        by_class.setdefault(wait.priority, []).append(wait.waited_s)
    return {priority: statistics.fmean(by_class[priority]) for priority in sorted(by_class)}


def order(waits: Iterable[Wait]) -> str:
    return "".join(wait.model for wait in waits).upper()


def _began(wait: Wait) -> float:
    return wait.began_s


def _every(step_s: float, until_s: float) -> Iterator[float]:
    return (index * step_s for index in range(round(until_s / step_s)))


def _swaps(waits: Sequence[Wait]) -> int:
    return sum(one.model != next_.model for one, next_ in pairwise(waits))


STORIES: dict[str, Callable[[], Story]] = {"batch": batch, "abc": abc, "drip": drip}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.stories", description=(__doc__ or "").partition(":")[0])
    parser.add_argument("stories", nargs="*", metavar="STORY", help=f"some of {', '.join(STORIES)}; default: all")
    parser.add_argument("--rounds", type=int, default=5, help="how often; medians are shown")
    args = parser.parse_args()
    chosen = [STORIES[name]() for name in args.stories or STORIES]
    missed = [story.name for story in chosen if not _report(story, [play(story) for _ in range(args.rounds)])]
    sys.exit(f"bench: not within {AIM:.0%}, or not the same order: {', '.join(missed)}" if missed else None)


def _report(story: Story, rounds: Sequence[Round]) -> bool:
    """Print a story's table; does it agree?"""
    answer_s = statistics.median(each.machine.answer_s for each in rounds)
    stop_s = statistics.median(each.machine.stop_s for each in rounds)
    loads_s = [statistics.median(each.machine.loads_s[model] for each in rounds) for model in story.loads_s]
    loads = ", ".join(f"{load_s:.2f}" for load_s in loads_s)
    print(f"{story.name}: an answer takes {answer_s:.3f} s, a stop {stop_s:.3f} s, loads {loads} s")
    agrees = True
    for priority in mean_waits(rounds[0].real):
        real_s = [mean_waits(each.real)[priority] for each in rounds]
        simulated_s = [mean_waits(each.simulated)[priority] for each in rounds]
        ratios = [real / max(simulated, 1e-3) for real, simulated in zip(real_s, simulated_s, strict=True)]
        ratio = statistics.median(ratios)
        agrees = agrees and abs(ratio - 1) <= AIM
        print(
            f"  {priority.name.lower():7} mean wait {statistics.median(real_s):7.3f} s,"
            f" simulated {statistics.median(simulated_s):7.3f} s,"
            f" ratio {ratio:.3f} ({min(ratios):.3f} to {max(ratios):.3f})"
        )
    swaps = [(_swaps(each.real), _swaps(each.simulated)) for each in rounds]
    print(f"  changes of model, real and simulated: {', '.join(f'{real}/{simulated}' for real, simulated in swaps)}")
    if len(story.arrivals) <= 12:
        print(f"  order: {', '.join(order(each.real) for each in rounds)}; simulated {order(rounds[0].simulated)}")
        agrees = agrees and all(order(each.real) == order(each.simulated) for each in rounds)
    return agrees


if __name__ == "__main__":
    main()
