"""The gateway's own log, with secrets masked: whatever is logged, whoever logs it."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import TextIO

from penstock.core.calls.redact import Redactor

FORMAT = "%(asctime)s %(levelname)s %(message)s"


class Masked(logging.Formatter):
    """Masks what has the shape of a secret, and what is known to be one."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        super().__init__(FORMAT)
        self._redactor = Redactor(known)

    def format(self, record: logging.LogRecord) -> str:
        return self._redactor.text(super().format(record))


def log_to(stream: TextIO) -> logging.StreamHandler[TextIO]:
    """Begin to log; give the handler another Masked once more secrets are known."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Masked())
    logging.basicConfig(handlers=[handler])
    return handler
