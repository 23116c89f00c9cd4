"""GET /v1/models: the names a client may use, in OpenAI's shape."""

from __future__ import annotations

from typing import TypedDict

from fastapi import Request
from fastapi.responses import Response

from penstock.core.model import Phase
from penstock.errors import UnknownModel
from penstock.runtime.gateway import Gateway
from penstock.web.answers import json_answer
from penstock.web.door import KEY


class Listed(TypedDict):
    """One row. `created` is when the gateway started: nobody knows when a model was made."""

    id: str
    object: str
    created: int
    owned_by: str
    name: str
    description: str
    aliases: list[str]
    status: dict[str, str]
    meta: dict[str, object]


class Listing:
    def __init__(self, gateway: Gateway) -> None:
        self._gateway = gateway

    async def all(self, request: Request) -> Response:
        """Those that the key may use."""
        key, may_use = request.scope[KEY], self._gateway.keyring.may_use
        models = self._gateway.settings.models.items()
        names = [name for name, model in models if not model.unlisted and may_use(key, name, model) is None]
        return json_answer({"object": "list", "data": [self._row(name) for name in sorted(names)]})

    async def one(self, request: Request, name: str) -> Response:
        """By its name or an alias. Raises UnknownModel, KeyForbidden."""
        target = self._gateway.context.catalog.resolve(name)
        if error := self._gateway.keyring.may_use(request.scope[KEY], target.model, target.settings):
            raise error
        return json_answer(self._row(target.model))

    def _row(self, name: str) -> Listed:
        model = self._gateway.settings.models.get(name)
        replica = self._gateway.dispatcher.replicas.get(name)
        if model is None or replica is None:
            raise UnknownModel(model=name, hint="")
        is_loaded = replica.phase in (Phase.READY, Phase.DRAINING)
        return Listed(
            id=name,
            object="model",
            created=int(self._gateway.started_at),
            owned_by="penstock",
            name=model.name,
            description=model.description,
            aliases=list(model.aliases),
            status={"value": "loaded" if is_loaded else "unloaded", "phase": replica.phase.value},
            meta=dict(model.metadata),
        )
