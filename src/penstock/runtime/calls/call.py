"""One call's life as the record tells it: opened once, closed once, and its slot given back once.

No bytes pass here; that is the relay's work.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from typing import Protocol

from penstock.core.accounting.outcomes import COMPLETED, DONE, QUEUED, READING, SENT, Outcome
from penstock.core.calls.breaker import Breaker
from penstock.core.calls.deadline import Deadline, begin_by, seconds
from penstock.core.calls.key import Key
from penstock.core.calls.message import CallFacts, Head, Usage
from penstock.core.calls.origin import Network, client_of
from penstock.core.calls.priority import HIGH, Thresholds, granted
from penstock.core.calls.quota import Charge
from penstock.core.model import Choice, Priority, Ticket
from penstock.core.scheduling.scheduler import WaitReason
from penstock.errors import GatewayError
from penstock.protocols.endpoints import Endpoint
from penstock.runtime.access.caller import SILENT, Caller, fingerprint_of, read_caller
from penstock.runtime.access.keys import Keyring
from penstock.runtime.calls.catalog import Catalog, Target
from penstock.runtime.calls.errand import EngineView
from penstock.runtime.calls.patience import Patience
from penstock.runtime.captures.captures import Captures
from penstock.runtime.engines.dispatcher import Dispatcher, Waiter
from penstock.runtime.engines.loads import Loads
from penstock.runtime.engines.waiting import EstimateError, Wait
from penstock.runtime.records.recorder import Recorder

NOT_IMPLEMENTED = 501
"""An engine answers so to what it was not made for, however healthy it is."""

FELL = frozenset({"engine_died", "engine_unreachable"})
"""The error codes of calls whose engine is gone."""

PRIORITY_NAMES = {priority: priority.name.lower() for priority in Priority}


class Interruptible(Protocol):
    """An open call, as the sweeper and the live page see it."""

    @property
    def call(self) -> Call: ...

    def check_limits(self, now_s: float) -> None: ...
    def protect(self, now_s: float) -> None: ...
    def interrupt(self) -> None: ...

    def closed(self) -> None:
        """Its record is: let go of the request's body, which may be a large file."""

    def cancel(self) -> bool:
        """The operator takes it away from its engine. False = no engine works on it."""


@dataclass(slots=True, eq=False)
class CallContext:
    """What all calls of a gateway share."""

    catalog: Catalog
    keyring: Keyring
    captures: Captures
    loads: Loads
    dispatcher: Dispatcher
    recorder: Recorder
    engines: dict[str, EngineView]
    clock: Callable[[], float]
    thresholds: Thresholds
    checks_host: bool
    allowed_origins: tuple[str, ...]
    breakers: Mapping[str, Breaker]  # by model; one that has none is never refused
    trusted_proxies: tuple[Network, ...]
    behind: Target | None  # the gateway behind us, for what is neither a call to a model nor ours
    comments_after_s: float | None  # how long a stream waits in silence; None = for ever
    aside: Executor  # where large bodies are read; a second thread would only take the interpreter from the first
    estimates: EstimateError = field(default_factory=EstimateError)
    patience: Patience = field(default_factory=Patience)
    active: dict[str, Interruptible] = field(default_factory=dict)  # open calls by id, oldest first
    serving: dict[str, Interruptible] = field(default_factory=dict)  # those of them that have a slot
    tunnels: dict[str, Interruptible] = field(default_factory=dict)  # websockets
    _idle: asyncio.Event = field(default_factory=asyncio.Event)

    def forget(self, record_id: str) -> None:
        """The call is closed."""
        self.active.pop(record_id).closed()
        self.tunnels.pop(record_id, None)
        if not self.active:
            self._idle.set()

    async def until_idle(self) -> None:
        """Return when no call is open."""
        while self.active:
            self._idle.clear()
            await self._idle.wait()


class Call:
    """One client request from its first byte to its closed record."""

    __slots__ = (
        "_asked",
        "_breaker",
        "_charge",
        "_has_slot",
        "_opened_turn",
        "caller",
        "capture",
        "context",
        "key",
        "model",
        "opened_s",
        "phase",
        "record",
        "wait",
    )

    def __init__(self, context: CallContext, head: Head, endpoint: Endpoint, key: Key | None) -> None:
        """`key`: whose call it is; None = no keys are configured, or it shows none that counts."""
        self.context = context
        self.key = key
        self._charge: Charge | None = None
        self.caller = read_caller(head.fields)
        self.phase = READING
        self._breaker: Breaker | None = None
        self._asked: tuple[Breaker, ...] = ()  # breakers that may take the call for their probe
        self._has_slot = False
        self.model = ""
        self.wait: Wait | None = None  # None = it has not waited
        if context.trusted_proxies:
            forwarded = head.fields.get(b"x-forwarded-for", b"").decode("latin-1")
            head.client_address = client_of(head.client_address, forwarded, context.trusted_proxies)
        self.opened_s = context.clock()  # directly before the wall clock is read, which the record's moments follow
        self.record = record = context.recorder.open(head, endpoint.dialect.name)
        self.capture = context.captures.begin(record, endpoint, None, head)
        self._opened_turn = context.recorder.turn
        if key is None:
            record.key_fingerprint = fingerprint_of(head.fields)
        else:
            record.key, record.key_fingerprint = key.name, key.fingerprint
        if self.caller is not SILENT:
            self._keep_labels(self.caller)

    def _keep_labels(self, caller: Caller) -> None:
        record = self.record
        record.client_request_id = caller.request_id
        record.workload = caller.workload
        record.session = caller.session
        if caller.retry_count is not None and caller.retry_count.isdigit():
            record.retry_count = int(caller.retry_count)

    def now_s(self) -> float:
        """Seconds since the call was opened."""
        return self.context.clock() - self.opened_s

    @property
    def has_been_left(self) -> bool:
        """Its client is gone, though its engine may go on."""
        return self.record.abandoned_in is not None

    @property
    def is_done(self) -> bool:
        return self.phase is DONE

    # Waiting.

    def enter(self, target: Target, facts: CallFacts, waiter: Waiter, tried: Collection[str] = ()) -> None:
        """Ask for a slot. What follows is the waiter's `admitted` or `refused`, at once or later.

        `tried`: models of a selector that the call is not to go to again.
        """
        context, record, now_s = self.context, self.record, self.context.clock()
        record.model = self.model = target.model
        priority = self._note(facts)
        if record.enqueued_s is None:
            record.enqueued_s = now_s - self.opened_s
        try:
            choice = self._permitted(target, tried, now_s)
            if self.key is not None and self._charge is None:  # given back if no engine ever sees the call
                self._charge = context.keyring.charged(self.key, facts.prompt_tokens)
        except GatewayError as error:
            waiter.refused(error, now_s)
            return
        may_wait_for_ever = self.caller is SILENT and target.queue_wait_s is None
        deadline = None if may_wait_for_ever else self._begin_by(target, facts)
        must_begin_s, limit = (None, None) if deadline is None else (self.opened_s + deadline.at_s, deadline.limit)
        shown = record.key or record.key_fingerprint or ""
        tokens = facts.prompt_tokens
        ticket = Ticket(record.id, target.model, shown, now_s, priority, tokens, must_begin_s, limit, choice)
        record.caused_load = context.dispatcher.enter(ticket, waiter)
        if self.phase is READING:  # told nothing yet: it waits
            if choice is not None:
                self._chose(context.dispatcher.model_of(record.id) or target.model)
            self._begin_waiting(now_s)

    def _note(self, facts: CallFacts) -> Priority:
        """Keep what the body said; gives the class that the call is granted."""
        context, record = self.context, self.record
        record.streamed = facts.is_stream
        if self._opened_turn != context.recorder.turn:  # its body took a while: the opening line knew no model yet
            context.recorder.reopen(record)
        record.prompt_tokens_estimated = facts.prompt_tokens
        record.workload = record.workload or facts.workload
        record.session = record.session or facts.session
        asked = self.caller.priority
        record.priority_asked = asked if asked is not None else None if facts.priority is None else str(facts.priority)
        ceiling = HIGH if self.key is None else self.key.ceiling
        priority = granted(asked, facts.priority, context.thresholds, ceiling)
        record.priority = PRIORITY_NAMES[priority]
        return priority

    def _permitted(self, target: Target, tried: Collection[str], now_s: float) -> Choice | None:
        """Which of a selector's models the call may go to; None = there is no choice. Raises why it may go nowhere."""
        if target.choice is None:
            if error := self._refusal(target, now_s):
                raise error
            return None
        refusals = {each.model: self._refusal(each, now_s) for each in target.candidates if each.model not in tried}
        if all(refusals.values()):
            raise next(error for error in refusals.values() if error is not None)
        return target.choice.without({*(model for model, error in refusals.items() if error), *tried})

    def _refusal(self, target: Target, now_s: float) -> GatewayError | None:
        """Why this model may not be asked; nothing is charged for that."""
        context, key, model = self.context, self.key, target.model
        if key is not None and (error := context.keyring.may_use(key, model, target.settings, target.selector)):
            return error
        self._breaker = breaker = context.breakers.get(model)
        if breaker is None or not breaker.failures:
            return None
        self._asked += (breaker,)
        return breaker.refusal(self.record.id, now_s)

    def _chose(self, model: str) -> None:
        """The scheduler has settled which of a selector's models serves the call."""
        self.record.model = self.model = model
        self._breaker = self.context.breakers.get(model)

    def _begin_waiting(self, now_s: float) -> None:
        record, dispatcher = self.record, self.context.dispatcher
        self.phase = QUEUED
        dispatcher.wait_clock.advance(now_s, self.model)
        began = dispatcher.wait_clock.read(self.model, now_s)
        if self.wait is None:
            self.wait = Wait(began, now_s)
            place = dispatcher.explain(record.id)
            record.position_at_entry, record.estimated_wait_s = place.position, place.estimate_s
        else:
            self.wait.goes_on(began, now_s)

    def _begin_by(self, target: Target, facts: CallFacts) -> Deadline | None:
        caller, allowed_s = self.caller, target.queue_wait_s
        read_timeout_s, comments_after_s = seconds(caller.read_timeout), self.context.comments_after_s
        gets_comments = facts.is_stream and comments_after_s is not None
        return begin_by(
            request_timeout_s=seconds(caller.request_timeout),
            read_timeout_s=read_timeout_s,
            asked_wait_s=seconds(caller.max_queue_wait),
            allowed_wait_s=allowed_s,
            is_kept_alive=gets_comments and (comments_after_s or 0.0) < (read_timeout_s or 0.0),
        )

    def enter_again(
        self,
        target: Target,
        facts: CallFacts,
        waiter: Waiter,
        tried: Collection[str],
        failed: GatewayError | None = None,
    ) -> None:
        """Its engine was gone before it saw anything of the call; or it `failed`, and another model is to serve it."""
        record = self.record
        self.leave()
        if failed is not None and self._breaker is not None:
            record.error_code = failed.code
            self._tell(self._breaker, Outcome.UPSTREAM_ERROR)
        self.phase = READING
        record.engine = record.admitted_s = record.sent_s = record.error_code = None
        self.enter(target, facts, waiter, tried)

    def pass_by(self) -> None:
        """It goes to the gateway behind us, which has no slots to wait for."""
        self.phase = SENT
        self.context.serving[self.record.id] = self.context.active[self.record.id]

    def take_slot(self, replica_id: str, now_s: float) -> None:
        """It was admitted: the slot is the call's until `leave`."""
        record = self.record
        record.admitted_s = now_s - self.opened_s
        record.engine = replica_id
        self._has_slot = True
        dispatcher = self.context.dispatcher
        if replica_id != self.model:
            self._chose(replica_id)
        if (pool := dispatcher.replicas[replica_id].model.pool) is not None:
            record.pool, record.cost = pool, dispatcher.share(record.id)
        if self.phase is QUEUED:
            self.note_wait()
            self.context.recorder.reopen(record)  # who asks what runs now finds it in the store
            if record.estimated_wait_s is not None and record.enqueued_s is not None:
                self.context.estimates.note(record.estimated_wait_s, record.admitted_s - record.enqueued_s)
            ready_at_s = self.context.engines[replica_id].ready_at_s
            if record.waited_for_load and ready_at_s is not None:
                record.engine_ready_s = ready_at_s - self.opened_s
        else:
            record.waited_for_load = False
        self.phase = SENT
        self.context.serving[record.id] = self.context.active[record.id]

    def note_wait(self) -> None:
        """The wait is over, however it ended: keep how long it took for which reason."""
        record, now_s = self.record, self.context.clock()
        ended = self.context.dispatcher.wait_clock.read(self.model, now_s)
        record.wait_reasons = {} if self.wait is None else self.wait.until(ended, now_s)
        record.waited_for_load = "loading" in record.wait_reasons
        if record.waited_for_load and (load := self.context.loads.last.get(self.model)) is not None:
            record.load_id, record.load_s = load.id, load.done_s

    def is_waiting_for_load(self) -> bool:
        if self.phase is not QUEUED:
            return False
        return self.context.dispatcher.explain(self.record.id).reason is WaitReason.LOADING

    # Ends.

    def leave(self) -> None:
        """Give back what the call holds, in the queue or in an engine. Idempotent."""
        dispatcher = self.context.dispatcher
        self.context.serving.pop(self.record.id, None)
        if self._has_slot:
            self._has_slot = False
            dispatcher.leave(self.record.id, busy_s=self.now_s() - (self.record.admitted_s or 0.0))
        elif self.phase is QUEUED and dispatcher.is_waiting(self.record.id):
            self.note_wait()
            dispatcher.leave(self.record.id)

    def close(self, outcome: Outcome) -> None:
        """The record is complete. Once."""
        self.phase = DONE
        if self._breaker is not None and (self._breaker.failures or outcome is not COMPLETED):
            self._tell(self._breaker, outcome)
        for breaker in self._asked:  # those that it was not for, in the end
            breaker.left(self.record.id)
        self.context.forget(self.record.id)
        self.context.recorder.close(self.record, outcome, self.now_s())
        if self.capture is not None:
            self.context.captures.ended(self.capture)
        if self._charge is not None:
            self.context.keyring.settle(self._charge, self.record)

    def _tell(self, breaker: Breaker, outcome: Outcome) -> None:
        """What the end of the call says about its engine."""
        record = self.record
        if outcome is COMPLETED or outcome is Outcome.UPSTREAM_REFUSED:
            breaker.succeeded(record.id)
        elif outcome is not Outcome.UPSTREAM_ERROR or not self._is_fault():
            breaker.left(record.id)
        else:
            fell = record.error_code in FELL and record.admitted_s is not None
            since_s = self.opened_s + (record.admitted_s or 0.0) if fell else None
            breaker.failed(record.id, self.context.clock(), fell_since_s=since_s)

    def _is_fault(self) -> bool:
        """An engine's own word inside an answer that it completed may as well be about the request."""
        status = self.record.http_status or 0
        return self.record.error_code is not None or (status >= 500 and status != NOT_IMPLEMENTED)

    def keep_usage(self, usage: Usage) -> None:
        record = self.record
        record.token_source = usage.source
        record.prompt_tokens = usage.prompt_tokens
        record.cached_tokens = usage.cached_tokens
        record.completion_tokens = usage.completion_tokens
        record.reasoning_tokens = usage.reasoning_tokens
        record.drafted_tokens = usage.drafted_tokens
        record.accepted_tokens = usage.accepted_tokens
        record.engine_prompt_ms = usage.engine_prompt_ms
        record.engine_decode_ms = usage.engine_decode_ms
        record.finish_reason = usage.finish_reason

    @property
    def request_id(self) -> str:
        """The caller's own name for the request, or the record's."""
        return self.caller.request_id or self.record.id
