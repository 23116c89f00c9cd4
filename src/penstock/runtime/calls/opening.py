"""The first look at a call: whose it is, and whether it leaves a record of its own."""

from __future__ import annotations

from penstock.core.calls.message import Body, Head
from penstock.errors import GatewayError, JournalFull, Unauthorized
from penstock.protocols.endpoints import Endpoint
from penstock.runtime.calls.call import CallContext
from penstock.runtime.calls.relay import Relay
from penstock.runtime.calls.told import CHALLENGE
from penstock.wire.exchange import Client, Exchange

RETRY_AFTER_S = 5.0


def open_call(context: CallContext, endpoint: Endpoint, client: Client, head: Head) -> Exchange:
    """The exchange that serves a request to this endpoint."""
    if context.recorder.has_no_room():
        return TurnedAway(client, endpoint, JournalFull(retry_after_s=RETRY_AFTER_S))
    judged = None if context.keyring.is_open else context.keyring.judge(head)
    if not isinstance(judged, Unauthorized):
        return Relay(context, client, head, endpoint, judged, None)
    if context.keyring.flood.note(head.client_address, context.clock()):
        return Relay(context, client, head, endpoint, None, judged)
    return TurnedAway(client, endpoint, judged)


class TurnedAway:
    """One of very many requests that are refused for one reason: answered, and counted together."""

    def __init__(self, client: Client, endpoint: Endpoint, error: GatewayError) -> None:
        reply = endpoint.dialect.refusal(error, "")
        if isinstance(error, Unauthorized):
            reply.headers.append(CHALLENGE)
        client.reply(reply)

    def receive(self, body: Body) -> None: ...
    def receive_more(self, data: bytes) -> None: ...
    def refuse_body(self, error: GatewayError) -> None: ...
    def gone(self) -> None: ...
    def pause(self) -> None: ...
    def resume(self) -> None: ...
