"""What an operator does to models. A command returns at once; what it set in motion shows in the live feed."""

from __future__ import annotations

from fastapi.responses import Response
from pydantic import BaseModel

from penstock.core.commands import Load, Reset, Unload
from penstock.runtime.gateway import Gateway
from penstock.web.answers import json_answer


class ModelName(BaseModel):
    """The body of every command about one model: its name or an alias."""

    model: str


class Control:
    """Each command answers with the model's phase after it. Raises UnknownModel."""

    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def load(self, body: ModelName) -> Response:
        model = self._resolve(body)
        self._gateway.dispatcher.command(Load(model))
        return self._phase(model)

    async def unload(self, body: ModelName) -> Response:
        """Calls in flight finish first."""
        model = self._resolve(body)
        self._gateway.dispatcher.command(Unload(model))
        return self._phase(model)

    async def reset(self, body: ModelName) -> Response:
        """Forget that it failed."""
        model = self._resolve(body)
        self._gateway.dispatcher.command(Reset(model))
        return self._phase(model)

    def _resolve(self, body: ModelName) -> str:
        return self._gateway.context.catalog.resolve(body.model).model

    def _phase(self, model: str) -> Response:
        phase = self._gateway.dispatcher.replicas[model].phase.value
        return json_answer({"model": model, "phase": phase}, 202)
