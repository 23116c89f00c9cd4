"""What an engine inherits of the gateway's environment: all but what opens the gateway's own doors.

An engine may be any program, and shows its environment to whoever can ask it to. `env:` of a model gives it what is
kept back here: `DATABASE_URL=${env.DATABASE_URL}`.
"""

from __future__ import annotations

from collections.abc import Mapping

from penstock.config.store_address import DATABASE_URL, STORE_VARIABLE, is_ours

KEY_VARIABLE = "PENSTOCK_KEY"


def inherited(environ: Mapping[str, str]) -> dict[str, str]:
    """A DATABASE_URL of a kind that no store of ours has is meant for somebody else, and passes."""
    kept_back = {STORE_VARIABLE, KEY_VARIABLE}
    if is_ours(environ.get(DATABASE_URL, "")):
        kept_back.add(DATABASE_URL)
    return {name: value for name, value in environ.items() if name not in kept_back}
