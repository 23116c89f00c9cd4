"""The secrets that a configuration holds, so that they can be masked wherever they turn up."""

from __future__ import annotations

from collections.abc import Iterator

from penstock.config.schema import Settings
from penstock.config.store_address import password_of
from penstock.core.calls.redact import is_telling


def secret_values(settings: Settings) -> tuple[str, ...]:
    """Keys sent to upstreams and peers, the store's password, and engines' variables of a telling name. No order."""
    return tuple({each for each in _found(settings) if each})


def _found(settings: Settings) -> Iterator[str]:
    yield password_of(settings.store.url or "")
    yield from (peer.api_key or "" for peer in settings.peers.values())
    for model in settings.models.values():
        yield model.api_key or ""
        yield from (value for name, value in model.env if is_telling(name))
