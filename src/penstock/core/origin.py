"""Who may speak to a gateway that trusts its own machine: checks against DNS rebinding and foreign pages.

A page on the internet can make a browser send requests to 127.0.0.1. Two headers give it away:
`Host`, when its own name was made to point here, and `Origin`, when it posts across sites.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit


@lru_cache(maxsize=1024)
def is_loopback(address: str | None) -> bool:
    """True for a peer on this machine; a Unix socket has no address and is one, too."""
    if address is None:
        return True
    try:
        ip = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(ip, "ipv4_mapped", None)
    return (mapped or ip).is_loopback


@lru_cache(maxsize=1024)
def is_own_host(host: str | None) -> bool:
    """True if a Host header names this machine as loopback: an address of it, `localhost`, or a name below that."""
    if not host:
        return True  # HTTP/1.0; no browser leaves it out
    name = (host.partition("]")[0].removeprefix("[") if host.startswith("[") else host.partition(":")[0]).lower()
    if name == "localhost" or name.endswith(".localhost"):
        return True
    return is_loopback(name)


def is_allowed_origin(origin: str | None, host: str | None, allowed: Collection[str]) -> bool:
    """True if a page of `origin` may post here: our own page, or one that the operator named; `*` names all."""
    if origin is None or "*" in allowed or origin in allowed:
        return True
    return host is not None and urlsplit(origin).netloc.lower() == host.lower()
