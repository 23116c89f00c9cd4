"""Reading small files in tests."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping

import pytest

from penstock.config.faults import ConfigError, Fault
from penstock.config.load import Loaded, loads
from penstock.config.schema import ModelSettings, Settings


def read(text: str, environ: Mapping[str, str] | None = None, *, upstream: str | None = None) -> Loaded:
    return loads(textwrap.dedent(text), name="c.yaml", environ=environ or {}, upstream=upstream)


def native(text: str, environ: Mapping[str, str] | None = None) -> Settings:
    return read(f"penstock: 1\n{textwrap.dedent(text)}", environ).settings


def model(text: str, environ: Mapping[str, str] | None = None) -> ModelSettings:
    """The one model `m` of a native file."""
    return native("models:\n  m:\n" + textwrap.indent(textwrap.dedent(text), "    "), environ).models["m"]


def faults(text: str, environ: Mapping[str, str] | None = None, *, upstream: str | None = None) -> tuple[Fault, ...]:
    with pytest.raises(ConfigError) as caught:
        read(text, environ, upstream=upstream)
    return caught.value.faults


def messages(text: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """The faults of a native file, one line each; line 1 is `penstock: 1`."""
    return [str(fault) for fault in faults(f"penstock: 1\n{textwrap.dedent(text)}", environ)]
