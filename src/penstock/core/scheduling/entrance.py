"""Who is let in: the model that a call goes to, and why a call is refused before anything is charged or loaded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from penstock.core.calls.choose import Candidate, FitsBeside, choose
from penstock.core.model import FAILED, Choice, Phase, Replica, Strategy, Ticket
from penstock.core.scheduling.expiry import missed
from penstock.core.scheduling.fleet import Fleet
from penstock.core.scheduling.lines import Room
from penstock.errors import DeadlineMissed, GatewayError, PromptTooLong, Unadmittable, UnknownModel


def unknown(model: str) -> UnknownModel:
    """What is told who asks for a model that is not there, or no more."""
    return UnknownModel(model=model, hint="")


class Entrance:
    """faults: why a model could never be served, empty if it can; a model that is not there is not known."""

    def __init__(
        self, room: Room, fleet: Fleet, replicas: Mapping[str, Replica], faults: Mapping[str, str],
        fits_beside: FitsBeside,
    ) -> None:  # fmt: skip
        self._room, self._fleet, self._replicas, self._faults = room, fleet, replicas, faults
        self._fits_beside = fits_beside
        self._choices = 0
        self._chosen: dict[str, int] = {}  # the number of the last choice that fell on a model

    def resolved(self, ticket: Ticket, choice: Choice, now_s: float) -> Ticket:
        """The ticket for the model that is chosen; as it is if none of the choice's models is known."""
        candidates = [
            Candidate(self._replicas[name], self._room.queues[name].count, is_usable, self._chosen.get(name, 0))
            for name in choice.models
            if name in self._faults
            for is_usable in [self._is_usable(replace(ticket, model=name), now_s)]
        ]
        if not candidates or (choice.strategy is Strategy.PIN and choice.models[0] not in self._faults):
            return replace(ticket, model=choice.models[0]) if choice.models else ticket
        model = choose(choice.strategy, candidates, choice.spillover, self._fits_beside)
        self._choices += 1
        self._chosen[model] = self._choices
        return replace(ticket, model=model)

    def refusal(self, ticket: Ticket, now_s: float) -> GatewayError | None:
        """Why the call is not even let in; None if it is."""
        fault = self._faults.get(ticket.model)
        if fault is None:
            return unknown(ticket.model)
        if fault:
            return Unadmittable(model=ticket.model, reason=fault)
        replica = self._replicas[ticket.model]
        limit = replica.model.max_prompt_tokens
        if limit is not None and ticket.prompt_tokens > limit:
            return PromptTooLong(model=replica.id, prompt_tokens=ticket.prompt_tokens, limit_tokens=limit)
        if replica.phase is FAILED and self._fleet.rest_s(replica, now_s) > 0:
            return self._fleet.start_failed(replica, now_s)
        return None if ticket.deadline_s is None else self._too_late(ticket, ticket.deadline_s, replica, now_s)

    def revive(self, model: str, now_s: float) -> None:
        """Whoever is let in after a failure's pause is worth one more attempt."""
        replica = self._replicas[model]
        if replica.phase is Phase.FAILED:
            self._fleet.revive(replica, now_s)

    def _is_usable(self, ticket: Ticket, now_s: float) -> bool:
        return not self._fleet.is_paused(ticket.model) and self.refusal(ticket, now_s) is None

    def _too_late(self, ticket: Ticket, deadline_s: float, replica: Replica, now_s: float) -> DeadlineMissed | None:
        """Whether it cannot begin in time, whatever the others do: its model has never been loaded as fast as that."""
        if deadline_s <= now_s:
            return missed(ticket, "before it was let in")
        ready_s = self._fleet.soonest_s(replica, now_s)
        if ready_s < deadline_s:
            return None
        is_coming = replica.phase in (Phase.STARTING, Phase.WAKING)
        phase = f"before it was let in, as `{replica.id}` will not be loaded by then"
        return missed(ticket, phase, ready_s - now_s if is_coming else None)
