"""Profiles: which there are, and which is active. At most one is; another start of the gateway begins with none."""

from __future__ import annotations

import logging

from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict

from penstock.runtime.gateway import Gateway
from penstock.web.answers import json_answer

log = logging.getLogger("penstock.profiles")


class Active(BaseModel):
    """The body that switches: the name of a profile, or null for none."""

    model_config = ConfigDict(extra="forbid", strict=True)

    name: str | None


class Profiles:
    """A switch holds for every call that comes after it."""

    def __init__(self, gateway: Gateway) -> None:
        self._catalog, self._feed = gateway.context.catalog, gateway.feed

    async def all(self) -> Response:
        profiles = [
            {"name": name, "description": profile.description, "pins": profile.pins}
            for name, profile in self._catalog.profiles.items()
        ]
        return json_answer({"active": self._catalog.active, "profiles": profiles})

    async def all_by_id(self) -> Response:
        """The same as llama-swap says it."""
        profiles = [
            {"id": name, "description": profile.description, "pins": profile.pins}
            for name, profile in sorted(self._catalog.profiles.items())
        ]
        return json_answer({"active": self._catalog.active, "profiles": profiles})

    async def activate(self, body: Active) -> Response:
        """Raises UnknownProfile."""
        self._catalog.activate(body.name)
        log.info("profile_activated name=%s", body.name)
        self._feed.changed()
        return json_answer({"active": self._catalog.active})
