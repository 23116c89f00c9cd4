"""From the body of a request to what is asked of whom, and as its engine is to read it."""

from __future__ import annotations

from dataclasses import dataclass

from penstock.core.message import Body, CallFacts, Head
from penstock.errors import UnknownModel
from penstock.protocols.endpoints import Endpoint, ModelIn
from penstock.runtime.call import Call
from penstock.runtime.catalog import Target
from penstock.runtime.outgoing import edited


@dataclass(slots=True)
class Understood:
    """facts: what was asked. target: what the name led to.

    outgoing: the same as facts as the engine is to read it; where a selector chooses, that is made once it has.
    """

    facts: CallFacts
    outgoing: CallFacts
    target: Target


def understand(call: Call, endpoint: Endpoint, head: Head, body: Body) -> Understood:
    """Raises BadRequest, UnknownModel. Touches nothing but the record, so that it may run on a thread.

    A name that is not known here may be known to the gateway behind us: it goes there, as its other paths do.
    """
    facts = endpoint.dialect.read(head, body)
    if endpoint.model_in is ModelIn.NONE and call.context.behind is not None:
        return Understood(facts, facts, call.context.behind)
    call.record.model_requested = facts.model or None
    target = _resolved(call, facts.model)
    if target is call.context.behind:
        return Understood(facts, facts, target)
    return Understood(facts, edited(endpoint, head, facts, target) if target.choice is None else facts, target)


def _resolved(call: Call, name: str) -> Target:
    try:
        return call.context.catalog.resolve(name)
    except UnknownModel as exc:
        if call.key is None or not call.key.models:
            if call.context.behind is not None:
                return call.context.behind
            raise
        raise UnknownModel(model=name, hint="") from exc  # names that the key may not use are no hint for it
