"""What is followed, how long is waited, and which mark of a version is trusted."""

import socket
from email.message import Message
from urllib.request import Request

import pytest

from ganvas.errors import WeightsError
from ganvas.weights import http
from ganvas.weights.http import open_rest, version_mark


@pytest.mark.parametrize("address", ["http://example.org/w", "file:///etc/hostname", "ftp://example.org/w"])
def test_https_never_steps_down(address):
    with pytest.raises(WeightsError, match="only https"):
        http._SafeRedirect().redirect_request(Request("https://example.org/w"), None, 302, "", Message(), address)


def test_a_silent_server_is_left(monkeypatch):
    monkeypatch.setattr(http, "TIMEOUT", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/weights.bin"
        with pytest.raises(OSError, match="timed out"):
            open_rest(address, start=0, mark="")


@pytest.mark.parametrize(
    ("headers", "mark"),
    [
        ({"ETag": '"strong"', "Last-Modified": "Mon"}, '"strong"'),
        ({"ETag": 'W/"weak"', "Last-Modified": "Mon"}, "Mon"),
        ({"ETag": 'W/"weak"'}, ""),
        ({}, ""),
    ],
)
def test_only_a_strong_mark_lets_a_file_be_resumed(headers, mark):
    message = Message()
    for name, value in headers.items():
        message[name] = value
    assert version_mark(message) == mark
