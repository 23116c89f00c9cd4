"""From the body of a request to what is asked of whom, and as its engine is to read it."""

from __future__ import annotations

from penstock.core.calls.message import Body, CallFacts, Head
from penstock.errors import UnknownModel
from penstock.protocols.endpoints import Endpoint, ModelIn
from penstock.runtime.calls.call import Call
from penstock.runtime.calls.catalog import Target
from penstock.runtime.calls.outgoing import edited


def understand(call: Call, endpoint: Endpoint, head: Head, body: Body) -> tuple[CallFacts, CallFacts, Target]:
    """What was asked, the same as the engine is to read it, and what the name led to.

    Where a selector chooses, the second is made once it has. Raises BadRequest, UnknownModel. Touches nothing but the
    record, so that it may run on a thread. A name that is not known here may be known to the gateway behind us: it
    goes there, as its other paths do.
    """
    facts = endpoint.dialect.read(head, body)
    behind = call.context.behind
    if behind is not None and endpoint.model_in is ModelIn.NONE:
        _note(call, facts)
        return facts, facts, behind
    call.record.model_requested = facts.model or None
    target = _resolved(call, facts.model)
    if target is behind:
        _note(call, facts)
        return facts, facts, target
    if target.choice is not None:
        return facts, facts, target
    return facts, edited(endpoint, head, facts, target), target


def _note(call: Call, facts: CallFacts) -> None:
    """Keep what was asked of the gateway behind us: such a call enters no queue, where that is done for the others."""
    record = call.record
    record.streamed, record.prompt_tokens_estimated = facts.is_stream, facts.prompt_tokens
    record.workload = record.workload or facts.workload
    record.session = record.session or facts.session


def _resolved(call: Call, name: str) -> Target:
    try:
        return call.context.catalog.resolve(name)
    except UnknownModel as exc:
        if call.key is None or not call.key.models:
            if call.context.behind is not None:
                return call.context.behind
            raise
        raise UnknownModel(model=name, hint="") from exc  # names that the key may not use are no hint for it
