"""Which requests are calls: those of the table, those below `/upstream`, and those for a gateway behind us."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import unquote_to_bytes

from penstock.core.calls.message import Head
from penstock.core.model import Phase
from penstock.errors import GatewayError, NotLoaded
from penstock.protocols.endpoints import BY_PATH, Endpoint
from penstock.protocols.raw import UPSTREAM, below_upstream, passed_through
from penstock.runtime.calls.catalog import Catalog, Target
from penstock.runtime.engines.dispatcher import Dispatcher

OWN_PATHS = frozenset({b"/", b"/health", b"/metrics", b"/v1/models", b"/models", b"/upstream"})
OWN_FOLDERS = (b"/health/detail", b"/v1/models/", b"/api/v1/", b"/api/openapi.json", b"/page/", b"/usage", b"/__queue/",
               b"/compat/", UPSTREAM)  # fmt: skip
"""What the gateway answers itself, also where everything else goes to the gateway behind it."""


class Router:
    """Finds the row of a request; None = it is no call, and the gateway's own routes have it."""

    def __init__(
        self, catalog: Catalog, dispatcher: Dispatcher, *, ignored: Iterable[str], passes_through: bool
    ) -> None:
        """ignored: regular expressions for paths below `/upstream/MODEL` that load nothing."""
        self._catalog = catalog
        self._dispatcher = dispatcher
        self._ignored = [re.compile(pattern.encode("utf-8")) for pattern in ignored]
        self._passes_through = passes_through

    def endpoint(self, head: Head) -> Endpoint | None:
        path = head.path
        row = BY_PATH.get(path)  # what a row allows, an OPTIONS learns from the application
        if row is not None:
            return None if head.method == b"OPTIONS" else row
        if path.startswith(UPSTREAM):
            return None if _is_preflight(head) else self._below_upstream(head, path[len(UPSTREAM) :])
        if self._passes_through and path not in OWN_PATHS and not path.startswith(OWN_FOLDERS):
            return passed_through(head)
        return None

    def _below_upstream(self, head: Head, path: bytes) -> Endpoint | None:
        found = self._catalog.longest_prefix(path)
        if found is None:
            name = unquote_to_bytes(path.partition(b"/")[0]).decode("utf-8", "replace")
            return below_upstream(head, name, b"/", self._catalog.unknown(name))  # though it may be a selector's
        target, rest = found
        if not rest:
            return None  # a path relative to the engine's root needs the slash: the web sends there
        refusal = self._refusal(target, head, rest)
        name = unquote_to_bytes(path[: len(path) - len(rest)]).decode("utf-8", "surrogateescape")
        return below_upstream(head, name, rest, refusal)

    def _refusal(self, target: Target, head: Head, rest: bytes) -> GatewayError | None:
        """Why the request may not load the model; None = it may, or need not."""
        replica = self._dispatcher.replicas[target.model]
        if not replica.model.is_launched or replica.phase is Phase.READY:
            return None
        is_quiet = target.settings.ignore_websockets and b"upgrade" in head.fields
        if is_quiet or any(pattern.search(rest) for pattern in self._ignored):
            return NotLoaded(model=target.model, path=rest.decode("latin-1"))
        return None


def _is_preflight(head: Head) -> bool:
    """A browser asks whether a page may ask."""
    return head.method == b"OPTIONS" and b"access-control-request-method" in head.fields
