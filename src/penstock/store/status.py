"""What the process that writes the store tells the gateway about itself. Imports no database."""

from __future__ import annotations

import msgspec


class StoreStatus(msgspec.Struct):
    """Told once per second, as one line of JSON.

    lag_bytes: of the journal, not yet in the store. records: closed ones carried over by this process.
    poisoned: lines set aside, ever. store: "ok", "locked", or what else it is busy or in trouble with.
    """

    lag_bytes: int = 0
    records: int = 0
    poisoned: int = 0
    store: str = "starting"
