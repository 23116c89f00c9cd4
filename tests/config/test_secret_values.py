"""The secrets of a configuration are found, so that they can be masked."""

from __future__ import annotations

from penstock.config.secret_values import secret_values
from tests.config.worlds import native


def test_keys_for_others_and_telling_variables_are_secrets_and_nothing_else_is() -> None:
    settings = native("""
        models:
          far: {upstream: "http://h", api_key: k-far}
          near: {cmd: "x ${PORT}", env: {HF_TOKEN: k-hub, HOME: /root}}
          open: {upstream: "http://h"}
        peers:
          box: {proxy: "http://b", api_key: k-box, models: [m]}
    """)
    assert sorted(secret_values(settings)) == ["k-box", "k-far", "k-hub"]
