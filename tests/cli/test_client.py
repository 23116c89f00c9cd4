"""What a command is told by a gateway that refuses it."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from penstock.cli.client import GatewayClient, Refused


class Refusing(BaseHTTPRequestHandler):
    """`GET /STATUS` is answered with that status."""

    def do_GET(self) -> None:
        body = json.dumps({"error": {"message": "Not so."}}).encode()
        self.send_response(int(self.path[1:]))
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def client() -> Iterator[GatewayClient]:
    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield GatewayClient(f"http://127.0.0.1:{server.server_port}", None)
        server.shutdown()
        thread.join()


def test_whoever_shows_no_good_key_is_told_how_a_command_is_given_one(client: GatewayClient) -> None:
    with pytest.raises(Refused, match=r"^Not so\. Give a command its key with --key or PENSTOCK_KEY\.$"):
        client.get("/401")


def test_other_refusals_are_told_as_they_came(client: GatewayClient) -> None:
    with pytest.raises(Refused, match=r"^Not so\.$"):
        client.get("/403")
