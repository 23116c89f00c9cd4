"""Loads of another system that shows which models it runs, such as a llama-swap behind a LiteLLM behind us.

It is asked every second at the address in SLOT_RUNNING_URL, and answers as llama-swap does:
{"running": [{"model": "m", "state": "starting"}]}. A load that begins and ends between two answers is not seen. One
that was under way when we began to look, or while nothing was answered, has no beginning, and is left out too.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

import msgspec

from penstock.core.accounting.load_record import LoadOutcome, LoadRecord, LoadSource
from penstock.runtime.machine.readings import Ids
from penstock.runtime.records.recorder import uuid7
from penstock.wire.fetch import FetchFailed, fetch
from penstock.wire.outbox import Outbox
from penstock.wire.upstream import Pool

log = logging.getLogger("penstock.observed")

VARIABLE = "SLOT_RUNNING_URL"
ASK_EVERY_S = 1.0
ANSWER_WITHIN_S = 2.0
MAX_MODELS = 1000

_COMING = "starting"
_READY = "ready"


class _Shown(msgspec.Struct):
    model: str
    state: str


class _Answer(msgspec.Struct):
    running: list[_Shown]


_decode = msgspec.json.Decoder(_Answer).decode


@dataclass(frozen=True, slots=True)
class _Load:
    record: LoadRecord
    began_s: float


class Observed:
    """Makes load records of what is seen."""

    def __init__(self, note: Callable[[LoadRecord], None], ids: Ids, clock: Callable[[], float]) -> None:
        self._note, self._ids, self._clock = note, ids, clock
        self._under_way: dict[str, _Load] = {}
        self._missed: set[str] = set()  # on their way since before we saw it
        self._is_blind = True

    def blind(self) -> None:
        """Nothing was answered: whatever begins meanwhile has no beginning."""
        self._is_blind = True

    def see(self, states: Mapping[str, str]) -> None:
        """The models that are shown now, and what each is doing."""
        coming = {model for model, state in states.items() if state == _COMING}
        for model in sorted(coming - self._under_way.keys() - self._missed):
            if self._is_blind:
                self._missed.add(model)
            else:
                self._begin(model)
        for model, load in list(self._under_way.items()):
            if model not in coming:
                self._end(load, LoadOutcome.READY if states.get(model) == _READY else LoadOutcome.CANCELLED)
        self._missed &= coming
        self._is_blind = False

    def _begin(self, model: str) -> None:
        now = time.time()
        record = LoadRecord(uuid7(now), self._ids.gateway_id, self._ids.boot_id, model, now)
        record.source = LoadSource.OBSERVED.value
        self._under_way[model] = _Load(record, self._clock())
        self._note(record)

    def _end(self, load: _Load, outcome: LoadOutcome) -> None:
        del self._under_way[load.record.model]
        load.record.outcome, load.record.done_s = outcome.value, self._clock() - load.began_s
        self._note(load.record)


async def watch(url: str, observed: Observed, outbox: Outbox) -> None:
    """Ask until cancelled. What is no address is said to be none, and not asked."""
    parts = urlsplit(url)
    try:
        pool, target = Pool(f"{parts.scheme}://{parts.netloc}", outbox), parts.path or "/running"
    except ValueError:
        log.error(
            "running_models %s=%r is not the address of a page, such as http://127.0.0.1:9292/running", VARIABLE, url
        )
        return
    is_failing = False
    try:
        while True:
            try:
                status, body = await fetch(pool, target, timeout_s=ANSWER_WITHIN_S)
                states = shown_in(body) if status == 200 else None
            except FetchFailed:
                states = None
            if states is None:
                observed.blind()
            else:
                observed.see(states)
            if (states is None) != is_failing:
                is_failing = states is None
                log.log(logging.WARNING if is_failing else logging.INFO, "running_models failing=%s", is_failing)
            await asyncio.sleep(ASK_EVERY_S)
    finally:
        pool.close()


def shown_in(body: bytes) -> dict[str, str] | None:
    """State by model; None = it is no such answer."""
    try:
        shown = _decode(body).running
    except (msgspec.DecodeError, RecursionError):
        return None
    return {each.model: each.state for each in shown[:MAX_MODELS]}
