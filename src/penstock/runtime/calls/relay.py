"""One call between its client and an engine: read, let in, sent, answered; or refused, or left.

A relay is told everything by plain calls (by the client's connection, by the dispatcher, by the
engine's connection) and never waits; only opening a new connection to an engine is a task.
"""

from __future__ import annotations

import asyncio
import logging

from penstock import errors
from penstock.core.accounting.outcomes import DONE, QUEUED, READING, STREAMING, CallPhase, Outcome, outcome_of_answer
from penstock.core.calls.key import Key
from penstock.core.calls.message import Body, CallFacts, Head
from penstock.core.calls.origin import is_loopback
from penstock.errors import Unauthorized
from penstock.protocols.endpoints import Endpoint
from penstock.runtime.calls.answer import Answer, Nobody
from penstock.runtime.calls.call import Call, CallContext
from penstock.runtime.calls.catalog import BEHIND, Target
from penstock.runtime.calls.errand import Errand
from penstock.runtime.calls.judging import refused_by_head
from penstock.runtime.calls.outgoing import edited, request_to
from penstock.runtime.calls.overdue import overdue
from penstock.runtime.calls.stream_wait import StreamWait
from penstock.runtime.calls.told import refusal
from penstock.runtime.calls.understanding import understand
from penstock.wire.exchange import Client
from penstock.wire.upstream import Failure

log = logging.getLogger("penstock.relay")

PROTECTED_S = 60.0
"""A websocket on which nothing passed for so long no longer keeps its engine loaded."""

NONE_YET: frozenset[str] = frozenset()

UNREAD = CallFacts("", ())
"""Of a request whose body is not needed, or not yet."""


class Relay:
    """An Exchange for the client's connection, a Waiter for the dispatcher, the owner of an errand and an answer."""

    __slots__ = (
        "_answer",
        "_client",
        "_context",
        "_early",
        "_endpoint",
        "_errand",
        "_facts",
        "_head",
        "_outgoing",
        "_reading",
        "_target",
        "_tried",
        "_wanted",
        "call",
    )

    _wanted: Target  # what the name led to
    _target: Target  # which of its models serves the call, or is to

    def __init__(
        self,
        context: CallContext,
        client: Client,
        head: Head,
        endpoint: Endpoint,
        key: Key | None,
        error: Unauthorized | None,
    ) -> None:
        """`key`: whose call it is; None = no keys are configured, or `error` says why it is nobody's."""
        self._context = context
        self._client = client
        self._head = head
        self._endpoint = endpoint
        self._facts = UNREAD  # what was asked
        self._outgoing = UNREAD  # the same as the engine is to read it
        self._early = b""  # of a websocket, before its engine has agreed
        self._reading: asyncio.Task[None] | None = None
        self._tried: frozenset[str] = NONE_YET  # models of a selector that have failed this call
        self.call = Call(context, head, endpoint, key)
        self._answer = Answer(self, self.call, client, endpoint.dialect)
        self._errand = Errand(self, self._answer)
        context.active[self.call.record.id] = self
        if refusal := refused_by_head(self.call, endpoint, head) or error:
            self._refuse(refusal)

    # Exchange: what the client's connection tells.

    def receive(self, body: Body) -> None:
        call = self.call
        if call.phase is not READING:  # refused by its head alone
            return
        call.record.request_bytes = len(body)
        if call.capture is not None:
            call.capture.request(body)
        if isinstance(body, memoryview):
            self._reading = asyncio.create_task(self._read_aside(body))
            return
        try:
            self._facts, self._outgoing, self._wanted = understand(call, self._endpoint, self._head, body)
        except errors.GatewayError as error:
            self._refuse(error)
            return
        self._enter()

    async def _read_aside(self, body: Body) -> None:
        """Understand a large body on a thread, one body after the other: it takes long enough to be felt by others."""
        error: errors.GatewayError | None = None
        try:
            loop, aside = asyncio.get_running_loop(), self._context.aside
            understood = await loop.run_in_executor(aside, understand, self.call, self._endpoint, self._head, body)
            self._facts, self._outgoing, self._wanted = understood
        except errors.GatewayError as exc:
            error = exc.with_traceback(None)  # which holds this frame and the body, and the frame would hold it
        except Exception:  # the root of a task: a mistake of ours must not keep the call open for ever
            log.exception("call_not_understood id=%s", self.call.record.id)
            error = errors.GatewayError()
        self._reading = None
        if error is not None:
            self._refuse(error)
        else:
            self._enter()

    def _enter(self) -> None:
        call, facts, wanted = self.call, self._facts, self._wanted
        self._target = wanted
        if call.capture is not None:
            call.capture.model(wanted.captures)
        self._answer.expect(facts)
        if wanted is self._context.behind:
            call.pass_by()
            self._go(BEHIND)
            return
        call.enter(wanted, facts, self, self._tried)
        if call.phase is QUEUED and facts.is_stream and not self._answer.is_committed:
            StreamWait(call, self._answer, self._endpoint.dialect, self._target).begin()

    def receive_more(self, data: bytes) -> None:
        if not self._answer.is_tunnel:
            self._early += data
            self._client.pause_reading()  # until the engine has agreed
            return
        self._answer.heard_s = self._context.clock()
        self.call.record.request_bytes = (self.call.record.request_bytes or 0) + len(data)
        self._errand.send_raw(data)

    def refuse_body(self, error: errors.GatewayError) -> None:
        if self.call.phase is READING:
            self._refuse(error)

    def gone(self) -> None:
        call = self.call
        if call.is_done:
            return
        if self._answer.is_tunnel:  # that is how these end
            self._let_go()
            self.call.close(Outcome.COMPLETED)
            return
        phase = CallPhase.LOADING if call.is_waiting_for_load() else call.phase
        call.record.abandoned_in = phase.value
        if self._errand.is_under_way and self._target.settings.drains(is_stream=call.record.streamed is not False):
            self._client = self._answer.client = Nobody()
            self._errand.resume()  # what its client was too slow for is read to the end all the same
            return
        if self._answer.is_begun:
            call.keep_usage(self._answer.meter.usage)
        self._let_go()
        call.leave()
        call.close(Outcome.CLIENT_ABANDONED)

    def pause(self) -> None:
        self._errand.pause()

    def resume(self) -> None:
        self._answer.heard_s = self._context.clock()
        self._errand.resume()

    # Waiter: what the dispatcher tells.

    def admitted(self, replica_id: str, now_s: float) -> None:
        self.call.take_slot(replica_id, now_s)
        self._answer.heard_s = now_s
        if self._wanted.choice is not None:
            self._target = self._wanted.of(replica_id)
            try:
                self._outgoing = edited(self._endpoint, self._head, self._facts, self._target)
            except errors.GatewayError as error:
                self._refuse(error)
                return
        self._go(replica_id)

    def _go(self, replica_id: str) -> None:
        answer, target = self._answer, self._target
        answer.trusts_pages = target.trusts_pages
        request = request_to(
            self._endpoint,
            self._head,
            self._outgoing,
            target,
            is_own_key=self.call.key is not None,
            is_promised=answer.is_committed,
        )
        self._errand.go(self._context.engines[replica_id], request)

    def refused(self, error: errors.GatewayError, now_s: float) -> None:
        if self.call.phase is QUEUED:
            self.call.note_wait()
            self._target = self._wanted.of(self.call.model)
            if self._may_try_another(error):
                self._try_another(error)
                return
        elif self.call.wait is None:  # refused at once: no queue has seen it
            self.call.record.enqueued_s = None
        if isinstance(error, errors.StartFailed):
            error.detail = self._context.engines[self._target.model].log_tail() or None
        self._refuse(error)

    # Sender: the request on its way.

    def sent(self) -> None:
        self.call.record.sent_s = self.call.now_s()
        if self._client.is_write_paused:
            self._errand.pause()

    def sent_back(self) -> None:
        self.call.enter_again(self._wanted, self._facts, self, self._tried)

    def unreachable(self, reason: str) -> None:
        self._fail(errors.EngineUnreachable(model=self._target.model, reason=reason))

    # Owner: what became of the answer.

    def upgraded(self) -> None:
        self.call.leave()  # a websocket takes no slot
        self._context.tunnels[self.call.record.id] = self
        if self._early:
            self._client.resume_reading()
            self.receive_more(self._early)

    def answered(self) -> None:
        self._errand.over()
        self.call.leave()
        if self._answer.is_tunnel:
            self.call.close(Outcome.COMPLETED)
            self._client.end_tunnel()
            return
        self._client.finish(self._written)

    def engine_failed(self, failure: Failure) -> None:
        model = self._target.model
        if failure.is_untouched and self._errand.again():
            return
        self._errand.over()
        if failure.kind == "garbage":
            self._fail(errors.EngineGarbage(model=model, reason=failure.reason))
        else:
            self._fail(errors.EngineDied(model=model))

    # Time.

    def check_limits(self, now_s: float) -> None:
        """Called by the sweeper about once a second, while the call has a slot."""
        if not self._errand.is_under_way:
            return  # the engine has done its part
        silent_s = 0.0 if self._client.is_write_paused else now_s - self._answer.heard_s
        error = overdue(
            self.call, self._target.settings.limits, now_s, silent_s=silent_s if self._answer.is_begun else None
        )
        if error is not None:
            self._give_up(error)

    def _give_up(self, error: errors.GatewayError) -> None:
        self._let_go()
        self._fail(error)

    def protect(self, now_s: float) -> None:
        """Called about once a second for a websocket: while bytes pass, its engine is not swapped out."""
        quiet_s = now_s - self._answer.heard_s
        if quiet_s < PROTECTED_S and self._wanted is not self._context.behind:
            self._context.dispatcher.keep(self._target.model, PROTECTED_S - quiet_s)

    def interrupt(self) -> None:
        """The gateway ends before the call does."""
        if not self.call.is_done:
            self._let_go()
            self.call.leave()
            self._client.abort()
            self.call.close(Outcome.INTERRUPTED)

    def closed(self) -> None:
        self._facts.body = self._outgoing.body = ()  # others know the first one too
        self._errand.end()
        self._answer.end()

    def cancel(self) -> bool:
        if not self._errand.is_under_way:
            return False  # it is being read, waits, or the engine has done its part
        self._give_up(errors.CancelledRunning(model=self._target.model))
        return True

    # Ends.

    def _refuse(self, error: errors.GatewayError) -> None:
        """Answer with an error; nothing of an answer has gone out yet, but perhaps the promise of a stream."""
        self.call.leave()
        if error.detail is not None and not self._may_see_detail():
            error.detail = None
        record = self.call.record
        record.http_status, record.error_code, record.error_detail = error.status, error.code, error.message
        outcome = Outcome.CLIENT_ABANDONED if record.abandoned_in is not None else Outcome(error.outcome)
        if self._answer.is_committed:
            self._answer.break_off(error)
            self.call.close(outcome)
            return
        reply = refusal(self.call, self._endpoint.dialect, error)
        if (capture := self.call.capture) is not None:
            capture.response_head(reply.status, reply.headers)
            capture.response(reply.body)
        self.call.close(outcome)
        self._client.reply(reply)

    def _may_see_detail(self) -> bool:
        """What an engine printed is for those who may look at its log."""
        if self._context.keyring.is_open:
            return is_loopback(self._head.client_address)
        return self.call.key is not None and self.call.key.may_look

    def _fail(self, error: errors.GatewayError) -> None:
        """The engine will not complete its answer."""
        if not self._answer.is_begun:
            if self._may_try_another(error):
                self._try_another(error)
            else:
                self._refuse(error)
            return
        call, record = self.call, self.call.record
        call.leave()
        record.error_code, record.error_detail = error.code, error.message
        self._answer.break_off(error)
        call.close(Outcome.CLIENT_ABANDONED if record.abandoned_in is not None else Outcome(error.outcome))

    def _may_try_another(self, error: errors.GatewayError) -> bool:
        """Whether the selector has another model for a call of which its client has seen nothing yet."""
        has_failed = isinstance(error, errors.UpstreamFailed | errors.StartFailed)
        tried = self._tried | {self._target.model}
        return has_failed and not self.call.has_been_left and self._wanted.may_fail_over(tried)

    def _try_another(self, error: errors.GatewayError) -> None:
        self._tried |= {self._target.model}
        self.call.enter_again(self._wanted, self._facts, self, self._tried, failed=error)

    def _written(self, is_written: bool) -> None:
        """The engine had ended; now the client has the last byte, or has left."""
        call = self.call
        if call.phase is DONE:  # interrupted in between
            return
        record, failure = call.record, self._answer.meter.failure
        if not is_written:
            record.abandoned_in = record.abandoned_in or STREAMING.value
            call.close(Outcome.CLIENT_ABANDONED)
            return
        record.error_detail = failure
        call.close(outcome_of_answer(record.http_status or 0, failure))

    def _let_go(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            self._reading = None
        self._errand.drop()
