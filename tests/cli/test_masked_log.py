"""No secret gets into the log, also not by way of an exception."""

from __future__ import annotations

import io
import logging

from penstock.cli.masked_log import Masked


def test_known_secrets_and_those_of_a_known_shape_are_masked_in_messages_and_tracebacks() -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(Masked(["hunter22"]))
    log = logging.getLogger("tests.masked")
    log.propagate = False
    log.addHandler(handler)
    log.warning("engine_started cmd=%s", "serve --pass hunter22 sk-penstock-0123456789abcdef0123")
    try:
        raise ValueError("the upstream refused hunter22")
    except ValueError:
        log.exception("failed")
    told = stream.getvalue()
    assert "hunter22" not in told
    assert "sk-penstock-0123" not in told
    assert "engine_started cmd=serve --pass [redacted] [redacted]" in told
