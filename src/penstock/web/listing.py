"""GET /v1/models: the names that a caller may use now."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import Request
from fastapi.responses import Response

from penstock.core.calls.key import Key
from penstock.errors import KeyForbidden
from penstock.runtime.calls.catalog import Target
from penstock.runtime.gateway import Gateway
from penstock.web.answers import json_answer
from penstock.web.door import ANTHROPIC_HEADER, KEY
from penstock.web.rows import Row, Rows


def is_anthropics(request: Request) -> bool:
    """Whether one of Anthropic's clients asks, and wants its own form."""
    return ANTHROPIC_HEADER.decode("ascii") in request.headers


def anthropic_row(row: Row) -> dict[str, object]:
    """What Anthropic's API says of a model, beside what ours says."""
    made_at = datetime.fromtimestamp(row["created"], UTC).isoformat().replace("+00:00", "Z")
    return {**row, "type": "model", "display_name": row["name"] or row["id"], "created_at": made_at}


def anthropic_page(rows: list[dict[str, object]]) -> dict[str, object]:
    """All there are on one page, whatever was asked for."""
    ids = [row["id"] for row in rows] or [None]
    return {"data": rows, "has_more": False, "first_id": ids[0], "last_id": ids[-1]}


class Listing:
    """A key sees what it may use."""

    def __init__(self, gateway: Gateway) -> None:
        self._catalog, self._keyring = gateway.context.catalog, gateway.keyring
        replicas = gateway.dispatcher.replicas
        self._rows = Rows(gateway.settings, int(gateway.started_at), lambda model: replicas[model].phase)

    async def all(self, request: Request) -> Response:
        """What is neither unlisted nor switched off by a profile."""
        key, targets = request.scope[KEY], self._catalog.names()
        shown = [name for name in self._rows.listed(self._catalog.pins()) if name in targets]
        rows = [self._rows.row(name, targets[name]) for name in shown if not self._forbidden(key, targets[name])]
        if is_anthropics(request):
            return json_answer(anthropic_page([anthropic_row(row) for row in rows]))
        return json_answer({"object": "list", "data": rows})

    async def one(self, request: Request, name: str) -> Response:
        """Whatever can be asked for, listed or not. Raises UnknownModel, KeyForbidden."""
        target = self._catalog.resolve(name)
        if error := self._forbidden(request.scope[KEY], target):
            raise error
        row = self._rows.row(name, target)
        return json_answer(anthropic_row(row) if is_anthropics(request) else row)

    def _forbidden(self, key: Key | None, target: Target) -> KeyForbidden | None:
        """Why the key may use none of the models that the name leads to."""
        errors = [self._keyring.may_use(key, each.model, each.settings) for each in target.candidates or (target,)]
        return None if None in errors else errors[0]
