"""The keys there are and what each has used. Never the keys themselves: nobody has them but their owners."""

from __future__ import annotations

from fastapi.responses import Response

from penstock.core.calls.key import Key
from penstock.runtime.gateway import Gateway
from penstock.web.answers import json_answer


class KeyRoutes:
    def __init__(self, gateway: Gateway) -> None:
        self._keyring = gateway.keyring

    async def all(self) -> Response:
        return json_answer([self._told(key) for key in self._keyring.keys])

    def _told(self, key: Key) -> dict[str, object]:
        used = self._keyring.used(key)
        return {
            "name": key.name,
            "fingerprint": key.fingerprint,
            "role": key.role.value,
            "priority": key.ceiling.name.lower(),
            "weight": key.weight,
            "models": list(key.models),
            "max_concurrent": key.max_concurrent,
            "expires_at": key.expires_at,
            "quotas": [
                {"counted": quota.counted.value, "limit": quota.limit, "per_s": quota.per_s, "used": amount}
                for quota, amount in zip(key.quotas, used, strict=True)
            ],
        }
