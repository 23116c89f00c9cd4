"""What the process that writes the store tells the gateway about itself. Imports no database."""

from __future__ import annotations

import msgspec


class StoreStatus(msgspec.Struct):
    """Told once per second, as one line of JSON.

    lag_bytes: of the journal, not yet in the store; lag_s: for how long something has not been; neither means anything
    until the journal has been looked at (is_lag_known), as while another bookkeeper still writes. records: closed ones
    carried over by this process. poisoned: lines set aside, ever. shed: records deleted for their age or number.
    store: "ok", "locked", or what else it is busy or in trouble with. address: the store's, without its password.
    """

    lag_bytes: int = 0
    lag_s: float = 0.0
    records: int = 0
    poisoned: int = 0
    shed: int = 0
    store: str = "starting"
    address: str = ""
    is_lag_known: bool = False
