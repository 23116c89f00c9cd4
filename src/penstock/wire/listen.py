"""Addresses as operators write them, and the sockets that listen there."""

from __future__ import annotations

import socket
from dataclasses import dataclass

from penstock.core.calls.origin import is_loopback

BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Address:
    host: str
    port: int

    @property
    def is_loopback(self) -> bool:
        return self.host == "localhost" or is_loopback(self.host)


def parse_address(text: str, *, default_host: str = "127.0.0.1") -> Address:
    """`HOST:PORT`, `[IPV6]:PORT`, `:PORT` or `PORT`. Raises ValueError."""
    host, colon, port = text.strip().rpartition(":")
    host = host.removeprefix("[").removesuffix("]") if colon else ""
    if not port.isdecimal() or not 0 <= int(port) <= 65535:
        raise ValueError(f"{text!r} is not an address: expected HOST:PORT, [IPV6]:PORT or :PORT")
    return Address(host or default_host, int(port))


def open_sockets(addresses: tuple[Address, ...]) -> list[socket.socket]:
    """Listening sockets, all of them or none. Raises OSError, naming the address."""
    opened: list[socket.socket] = []
    try:
        opened.extend(_listen(address) for address in addresses)
    except OSError:
        for each in opened:
            each.close()
        raise
    return opened


def _listen(address: Address) -> socket.socket:
    try:
        family, kind, protocol, _, where = socket.getaddrinfo(
            address.host, address.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.socket(family, kind, protocol)
    except OSError as exc:
        raise OSError(exc.errno, f"cannot listen on {address.host}:{address.port}: {exc.strerror}") from exc
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            listener.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        listener.bind(where)
        listener.listen(BACKLOG)
        listener.setblocking(False)
    except OSError as exc:
        listener.close()
        raise OSError(exc.errno, f"cannot listen on {address.host}:{address.port}: {exc.strerror}") from exc
    return listener
