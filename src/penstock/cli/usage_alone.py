"""`penstock usage --listen`: the usage API beside a store, without a gateway; and `--rebuild`."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Any

from penstock.cli.usual import FAILED, USAGE
from penstock.cli.where import Where, opened
from penstock.store.opening import DriverMissing
from penstock.store.patience import patiently
from penstock.store.queries.roller import Roller
from penstock.store.queries.tables import SPANS
from penstock.store.sql import SqlStore
from penstock.wire.listen import Address, open_sockets, parse_address


def serve(where: Where, listen: str, key: str | None) -> int:
    """The usage API beside a store, read-only, until it is told to end; gives the exit code.

    Without a key it is answered to this machine only.
    """
    try:
        address = parse_address(listen)
    except ValueError as exc:
        print(f"penstock: --listen: {exc}", file=sys.stderr)
        return USAGE
    if key is None and not address.is_loopback:
        print("penstock: beyond loopback it needs a --key that askers must show", file=sys.stderr)
        return USAGE
    try:
        app = _app(where, address, key)
    except DriverMissing as exc:
        print(f"penstock: {exc}", file=sys.stderr)
        return FAILED
    return _run(app, address, where)


def _app(where: Where, address: Address, key: str | None) -> Any:
    from penstock.store.queries.queries import Queries
    from penstock.web.heads import AnswersHead
    from penstock.web.usage import create_app
    from penstock.web.usage_door import UsageDoor

    usage = AnswersHead(create_app(Queries(where.address), also_at_root=True))
    return UsageDoor(usage, key, checks_host=address.is_loopback)


def _run(app: Any, address: Address, where: Where) -> int:
    import uvicorn

    try:
        sockets = open_sockets((address,))
    except OSError as exc:
        print(f"penstock: {exc.strerror}", file=sys.stderr)
        return FAILED
    config = uvicorn.Config(app, ws="none", lifespan="off", access_log=False, log_level="warning", server_header=False)
    port = sockets[0].getsockname()[1]
    print(f"Answering questions about {where.address} on http://{address.host}:{port}/usage/now", flush=True)
    with suppress(KeyboardInterrupt):  # Ctrl-C, which it tells on once it has ended
        uvicorn.Server(config).run(sockets=sockets)
    return 0


def rebuild(where: Where) -> int:
    """Make all rollups of a store anew, of its records; gives the exit code. A gateway may go on meanwhile."""
    with opened(where.address) as store:
        assert isinstance(store, SqlStore)
        roller = Roller(store, settled_after_s=dict.fromkeys(SPANS, 0.0), rest_s=0.0)
        patiently(roller.prepare)
        patiently(roller.rebuild)
        while patiently(roller.step):
            pass
    print(f"the rollups of {where.address} are made anew")
    return 0
