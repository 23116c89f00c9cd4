"""Who may speak to a gateway that trusts its own machine: checks against DNS rebinding and foreign pages.

A page on the internet can make a browser send requests to 127.0.0.1. Two headers give it away:
`Host`, when its own name was made to point here, and `Origin`, when it posts across sites.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Collection
from functools import lru_cache
from urllib.parse import urlsplit

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


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


def client_of(peer: str | None, forwarded_for: str | None, trusted: Collection[Network]) -> str | None:
    """Who really asks: the peer, or whom a trusted proxy names.

    X-Forwarded-For grows at its end, so the last address that is no trusted proxy is the client; what
    stands before it anybody can have written.
    """
    client = peer
    for named in reversed((forwarded_for or "").split(",")):
        if not _is_among(client, trusted):
            return client
        client = named.strip() or client
    return client


def _is_among(address: str | None, networks: Collection[Network]) -> bool:
    try:
        ip = ipaddress.ip_address(address or "127.0.0.1")
    except ValueError:
        return False
    return any(ip in network for network in networks)


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
