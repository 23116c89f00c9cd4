"""The bytes of one call: the client on one side, the engine on the other.

A relay is told everything by plain calls (by the client's connection, by the dispatcher, by the
engine's connection) and never waits; only opening a new connection to an engine is a task.
"""

from __future__ import annotations

import asyncio

from penstock import errors
from penstock.core.message import CallFacts, Edits, Head, Headers
from penstock.core.origin import is_allowed_origin, is_loopback, is_own_host
from penstock.core.record import CallPhase, Outcome
from penstock.protocols.dialect import Meter
from penstock.protocols.endpoints import Endpoint
from penstock.protocols.metering import BlindMeter
from penstock.runtime.call import Call, CallContext
from penstock.runtime.catalog import Target
from penstock.wire.exchange import Client
from penstock.wire.headers import CODINGS, CREDENTIALS, request_head
from penstock.wire.upstream import Connection, Failure, Pool

NOTHING: frozenset[bytes] = frozenset()
MAX_SENT_BACK = 3
"""An engine that is ready and dead again so many times in a row is broken, and whoever asks is told so."""


class Relay:
    """An Exchange for the client's connection, a Waiter for the dispatcher, a Sink for the engine's connection."""

    __slots__ = (
        "_client",
        "_connecting",
        "_connection",
        "_context",
        "_endpoint",
        "_facts",
        "_head",
        "_heard_s",
        "_is_begun",
        "_is_event_stream",
        "_is_retried",
        "_meter",
        "_replica_id",
        "_sent_back",
        "_target",
        "call",
    )

    _facts: CallFacts
    _target: Target
    _meter: Meter

    def __init__(self, context: CallContext, client: Client, head: Head, endpoint: Endpoint) -> None:
        self._context = context
        self._client = client
        self._head = head
        self._endpoint = endpoint
        self._connection: Connection | None = None
        self._connecting: asyncio.Task[None] | None = None
        self._is_begun = self._is_event_stream = self._is_retried = False
        self._sent_back = 0  # how often its engine was dead before anything was sent
        self._replica_id = ""
        self._heard_s = 0.0  # when the engine, or a client that had stopped reading, last gave a sign of life
        self.call = Call(context, head, endpoint.dialect.name)
        context.active[self.call.record.id] = self
        if error := self._refused_by_head():
            self._refuse(error)

    def _refused_by_head(self) -> errors.GatewayError | None:
        context, head, caller = self._context, self._head, self.call.caller
        if context.checks_host and not is_own_host(caller.host):
            return errors.ForeignHost(host=caller.host)
        if caller.origin is not None and not is_allowed_origin(caller.origin, caller.host, context.allowed_origins):
            return errors.ForeignOrigin(origin=caller.origin)
        if head.method not in self._endpoint.methods:
            allowed, method = b", ".join(self._endpoint.methods).decode("ascii"), head.method.decode("ascii")
            return errors.MethodNotAllowed(path=self.call.record.path, allowed=allowed, method=method)
        return None

    # Exchange: what the client's connection tells.

    def receive(self, body: bytes | bytearray) -> None:
        if self.call.phase is not CallPhase.READING:  # refused by its head alone
            return
        record, dialect = self.call.record, self._endpoint.dialect
        record.request_bytes = len(body)
        try:
            self._facts = facts = dialect.read(self._head, body)
            record.model_requested = facts.model
            self._target = target = self._context.catalog.resolve(facts.model)
        except errors.GatewayError as error:
            self._refuse(error)
            return
        if target.engine_name is not None and target.engine_name != facts.model:
            dialect.edit(self._head, facts, Edits(model=target.engine_name))
        self.call.enter(target.model, facts, self)

    def refuse_body(self, limit_bytes: int) -> None:
        if self.call.phase is CallPhase.READING:
            self._refuse(errors.TooLarge(limit_bytes=limit_bytes))

    def gone(self) -> None:
        call = self.call
        if call.is_done:
            return
        phase = CallPhase.LOADING if call.is_waiting_for_load() else call.phase
        call.record.abandoned_in = phase.value
        if self._is_begun:
            call.keep_usage(self._meter.usage)
        self._let_go()
        call.leave()
        call.close(Outcome.CLIENT_ABANDONED)

    def pause(self) -> None:
        if self._connection is not None:
            self._connection.pause()

    def resume(self) -> None:
        self._heard_s = self._context.clock()
        if self._connection is not None:
            self._connection.resume()

    # Waiter: what the dispatcher tells.

    def admitted(self, replica_id: str, now_s: float) -> None:
        self.call.take_slot(replica_id, now_s)
        self._replica_id = replica_id
        self._heard_s = now_s
        self._reach()

    def refused(self, error: errors.GatewayError, now_s: float) -> None:
        if self.call.phase is CallPhase.QUEUED:
            self.call.note_wait()
        if isinstance(error, errors.StartFailed):
            error.detail = self._context.engines[self._target.model].log_tail() or None
        self._refuse(error)

    # To the engine.

    def _reach(self) -> None:
        """Send the request on an idle connection, or on a new one."""
        pool = self._context.engines[self._replica_id].pool
        if pool is not None and not self._is_retried and (connection := pool.take()):
            self._send(connection, pool)
        else:
            self._connecting = asyncio.create_task(self._connect(pool))

    async def _connect(self, pool: Pool | None) -> None:
        """`pool` None = the engine died in the moment of the decision."""
        try:
            if pool is None:
                raise ConnectionRefusedError("it is gone")
            connection = await pool.connect()
        except OSError as exc:
            may_wait = self._sent_back < MAX_SENT_BACK
            is_ending = may_wait and await self._context.engines[self._replica_id].is_ending(pool)
            self._connecting = None
            if is_ending:
                self._sent_back += 1
                self.call.enter_again(self._facts, self)
            else:
                self._fail(errors.EngineUnreachable(model=self._target.model, reason=str(exc) or type(exc).__name__))
            return
        self._connecting = None
        self._send(connection, pool)

    def _send(self, connection: Connection, pool: Pool) -> None:
        target, facts, asked = self._target, self._facts, self._head
        headers, dropped = asked.headers, CREDENTIALS
        if target.api_key is not None:
            headers = [*(h for h in headers if h[0].lower() not in CREDENTIALS), _bearer(target.api_key)]
            dropped = NOTHING
        elif target.forwards_client_key:
            dropped = NOTHING
        if facts.hides_usage_chunk:  # from a compressed stream nothing can be taken out
            dropped |= CODINGS
        endpoint = self._endpoint
        path = pool.prefix + (endpoint.engine_path or endpoint.path) + facts.query
        head = request_head(asked.method, path, pool.host_header, headers, dropped, facts.body_bytes)
        self.call.record.sent_s = self.call.now_s()
        self._connection = connection
        connection.send(head, b"".join(facts.body), self)
        if self._client.is_write_paused:
            connection.pause()

    # Sink: what the engine's connection tells.

    def on_head(self, status: int, headers: Headers, length: bytes | None) -> None:
        record = self.call.record
        self._heard_s = self._context.clock()
        record.first_byte_s = self._heard_s - self.call.opened_s
        record.http_status = status
        content_type = content_encoding = b""
        for name, value in headers:
            if len(name) == 12:
                lower = name.lower()
                if lower == b"content-type":
                    content_type = value
                elif lower == b"x-request-id":  # the caller gets its own back
                    headers = _without(headers, b"x-request-id")
            elif len(name) == 16 and name.lower() == b"content-encoding":
                content_encoding = value
        record.response_content_type = content_type.decode("latin-1") or None
        record.response_bytes = 0
        is_plain = content_encoding in (b"", b"identity")
        self._meter = self._endpoint.dialect.meter(self._facts, content_type) if is_plain else BlindMeter()
        self._is_event_stream = content_type.startswith(b"text/event-stream")
        if self._is_event_stream and self._facts.hides_usage_chunk and length is not None:
            headers, length = _without(headers, b"content-length"), None
        self._is_begun = True
        self.call.phase = CallPhase.STREAMING
        self._client.start_reply(status, headers, self.call.reply_headers(), length)

    def on_data(self, data: bytes) -> None:
        meter, record = self._meter, self.call.record
        self._heard_s = self._context.clock()
        data = meter.feed(data)
        if record.first_token_s is None and meter.has_token:
            record.first_token_s = self._heard_s - self.call.opened_s
        record.response_bytes = (record.response_bytes or 0) + len(data)
        self._client.send(data)

    def on_end(self) -> None:
        self._connection = None
        if rest := self._meter.finish():
            self.call.record.response_bytes = (self.call.record.response_bytes or 0) + len(rest)
            self._client.send(rest)
        self.call.keep_usage(self._meter.usage)
        self.call.leave()
        self._client.finish(self._written)

    def on_fail(self, failure: Failure) -> None:
        self._connection = None
        model = self._target.model
        if failure.is_untouched and not self._is_retried:
            # The engine had closed the idle connection before our request reached it: it saw nothing.
            self._is_retried = True
            self._reach()
        elif failure.kind == "garbage":
            self._fail(errors.EngineGarbage(model=model, reason=failure.reason))
        else:
            self._fail(errors.EngineDied(model=model))

    # Time.

    def check_limits(self, now_s: float) -> None:
        """Called by the sweeper about once a second."""
        call, limits = self.call, self._context.limits
        if call.phase not in (CallPhase.SENT, CallPhase.STREAMING):
            return
        if self._connection is None and self._connecting is None:
            return  # the engine has done its part
        if now_s - call.opened_s - (call.record.admitted_s or 0.0) > limits.call_s:
            self._give_up(limits.call_s, "limits.call")
        elif now_s - self._heard_s > limits.idle_s and not self._client.is_write_paused:
            self._give_up(limits.idle_s, "limits.idle")

    def _give_up(self, seconds: float, limit: str) -> None:
        self._let_go()
        self._fail(errors.EngineTimeout(model=self._target.model, seconds=f"{seconds:g}", limit=limit))

    def interrupt(self) -> None:
        """The gateway ends before the call does."""
        if not self.call.is_done:
            self._let_go()
            self.call.leave()
            self._client.abort()
            self.call.close(Outcome.INTERRUPTED)

    def cancel(self) -> bool:
        if self._connection is None and self._connecting is None:
            return False  # it is being read, waits, or the engine has done its part
        self._let_go()
        self._fail(errors.CancelledRunning(model=self._target.model))
        return True

    # Ends.

    def _refuse(self, error: errors.GatewayError) -> None:
        """Answer with an error; nothing of an answer has gone out yet."""
        self.call.leave()
        if error.detail is not None and not is_loopback(self._head.client_address):
            error.detail = None
        record = self.call.record
        record.http_status, record.error_code, record.error_detail = error.status, error.code, error.message
        reply = self._endpoint.dialect.refusal(error, self.call.request_id)
        reply.headers += self.call.identity()
        self.call.close(Outcome(error.outcome))
        self._client.reply(reply)

    def _fail(self, error: errors.GatewayError) -> None:
        """The engine will not complete its answer."""
        if not self._is_begun:
            self._refuse(error)
            return
        call = self.call
        call.keep_usage(self._meter.usage)
        call.leave()
        call.record.error_code, call.record.error_detail = error.code, error.message
        call.close(Outcome(error.outcome))
        if self._is_event_stream:  # told in the stream, and ended without the dialect's mark of completeness
            self._client.send(self._meter.finish() + self._endpoint.dialect.stream_failure(error, self.call.request_id))
            self._client.finish(_nobody_asks)
        else:
            self._client.abort()

    def _written(self, is_written: bool) -> None:
        """The engine had ended; now the client has the last byte, or has left."""
        call = self.call
        if call.is_done:  # interrupted in between
            return
        record, status, failure = call.record, call.record.http_status or 0, self._meter.failure
        if not is_written:
            record.abandoned_in = CallPhase.STREAMING.value
            call.close(Outcome.CLIENT_ABANDONED)
            return
        record.error_detail = failure
        if status >= 500 or (failure is not None and status < 400):
            call.close(Outcome.UPSTREAM_ERROR)
        else:
            call.close(Outcome.UPSTREAM_REFUSED if status >= 400 else Outcome.COMPLETED)

    def _let_go(self) -> None:
        """Take the work away from the engine, which learns of it by the closed connection."""
        if self._connecting is not None:
            self._connecting.cancel()
            self._connecting = None
        if self._connection is not None:
            self._connection.drop()
            self._connection = None


def _without(headers: Headers, name: bytes) -> Headers:
    return [header for header in headers if header[0].lower() != name]


def _bearer(api_key: str) -> tuple[bytes, bytes]:
    return b"authorization", b"Bearer " + api_key.encode("utf-8")


def _nobody_asks(is_written: bool) -> None:
    """The record is closed already: the engine failed, whether the client read of it or not."""
