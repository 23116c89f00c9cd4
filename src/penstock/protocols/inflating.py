"""Watching a compressed answer: what is inside is metered, what passes stays as it is."""

from __future__ import annotations

from typing import Protocol

from penstock.core.calls.message import Usage
from penstock.errors import CannotInflate
from penstock.protocols.dialect import Meter

PIECE_BYTES = 16 * 1024
"""So much is inflated at once, so that no more memory is needed than one such piece can become."""


class Inflate(Protocol):
    """Undoes a compression, within bounds."""

    def feed(self, data: bytes) -> bytes:
        """As much as is known now. Raises CannotInflate: the data is broken, or too large inside."""


class InflatingMeter:
    """Lets another meter watch what is inside. From what cannot be inflated on, it is blind, and nothing is known."""

    __slots__ = ("_inflate", "_inside", "_is_blind")

    def __init__(self, inside: Meter, inflate: Inflate) -> None:
        self._inside = inside
        self._inflate = inflate
        self._is_blind = False

    @property
    def usage(self) -> Usage:
        return Usage() if self._is_blind else self._inside.usage

    @property
    def has_token(self) -> bool:
        return self._inside.has_token

    @property
    def failure(self) -> str | None:
        return None if self._is_blind else self._inside.failure

    def feed(self, data: bytes) -> bytes:
        if not self._is_blind:
            try:
                for at in range(0, len(data), PIECE_BYTES):
                    if plain := self._inflate.feed(data[at : at + PIECE_BYTES]):
                        self._inside.feed(plain)
            except CannotInflate:
                self._is_blind = True
        return data

    def finish(self) -> bytes:
        self._inside.finish()
        return b""
