"""What the scheduler is told of the settings."""

from __future__ import annotations

from penstock.config.plan import HOST_DEVICE, plan
from penstock.config.sections import BreakerSettings
from penstock.core.model import Model, Pool
from penstock.core.scheduling.plan import KeyTerms
from tests.config.worlds import native

GIB = 2**30


def test_a_plan_says_what_the_file_says() -> None:
    settings = native("""
        devices: {gpu0: {memory: 24GiB}}
        pools: {p: {budget: 2, exclusive: true}}
        priorities: {low: {patience_s: 1h}}
        max_resident: 3
        limits: {waiting: 7, call: 10m}
        models:
          a: {cmd: "x ${PORT} -np 4", memory: 8GiB, ttl: 60, pin: true, pool: p, cost: 0.5, max_queue: 9}
    """)
    made = plan(settings, host_memory_bytes=0)
    assert made.models == (
        Model(
            "a", slots=4, footprint=(("gpu0", 8 * GIB),), ttl_s=60.0, is_pinned=True, pool="p", cost=0.5, max_queue=9,
            is_size_declared=True,
        ),
    )  # fmt: skip
    assert made.keys == {}
    assert plan(settings, host_memory_bytes=0, keys={"k": KeyTerms(2.0, 1)}).keys == {"k": KeyTerms(2.0, 1)}
    assert made.pools == (Pool("p", 2.0, is_exclusive=True),)
    assert (made.max_resident, made.max_waiting, made.policy.call_limit_s) == (3, 7, 600)
    assert made.policy.patience_s == (15.0, 90.0, 3600.0)


def test_how_prompts_are_priced_can_be_said() -> None:
    policy = plan(native("prompt_tiers: [[500, 1], [4000, 1.5]]\nprompt_beyond: 3"), host_memory_bytes=0).policy
    assert (policy.prompt_tiers, policy.prompt_beyond) == (((500, 1.0), (4000, 1.5)), 3.0)
    assert plan(native("prompt_tiers: []"), host_memory_bytes=0).policy.prompt_tiers == ()


def test_a_breaker_is_the_files_unless_the_model_says_otherwise() -> None:
    models = native("""
        breaker: {failures: 2, pause: 5s}
        models:
          a: {upstream: "http://h"}
          b: {upstream: "http://h", breaker: off}
          c: {upstream: "http://h", breaker: {pause: 1s}}
    """).models
    assert models["a"].breaker == BreakerSettings(failures=2, pause=5.0)
    assert models["b"].breaker is None
    assert models["c"].breaker == BreakerSettings(pause=1.0)
    assert native("breaker: off\nmodels: {a: {upstream: 'http://h'}}").models["a"].breaker is None


def test_slots_that_nobody_declared_depend_on_the_engine() -> None:
    settings = native("""
        models:
          cmd: {cmd: "x ${PORT}"}
          gguf: {gguf: x}
          args: {gguf: {path: x, args: [-np, "8"]}}
          far: {upstream: "http://h"}
          free: {cmd: "x ${PORT} -np 2", parallel: unlimited}
    """)
    slots = {model.name: model.slots for model in plan(settings, host_memory_bytes=0).models}
    assert slots == {"cmd": 1, "gguf": 4, "args": 8, "far": None, "free": None}


def test_without_devices_the_hosts_memory_is_shared() -> None:
    settings = native('models: {a: {gguf: x, memory: 6GiB}, b: {gguf: y}, c: {gguf: z}, far: {upstream: "http://h"}}')
    made = plan(settings, host_memory_bytes=8 * GIB, footprints={"b": ((HOST_DEVICE, GIB),)})
    assert made.residency.admits("a", {"b", "far"})
    assert not made.residency.admits("c", {"a"})  # nobody knows how large it is
    assert made.faults() == []
    assert len(plan(settings, host_memory_bytes=GIB).faults()) == 1


def test_a_model_that_is_never_stopped_has_no_ttl() -> None:
    assert plan(native("models: {a: {gguf: x, ttl: 0}}"), host_memory_bytes=0).models[0].ttl_s is None
