"""Command `ganvas studio`: checks, announcement, and cleanup after SIGTERM."""

from __future__ import annotations

import ipaddress
import os
import re
import signal
import socket
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from ganvas.cli import main
from ganvas.errors import ConfigError, InputError
from ganvas.studio import StudioConfig, serve
from ganvas.studio.serve import Listening

SRC = Path(__file__).parents[2] / "src"


@pytest.mark.parametrize("settings", [{"port": 70_000}, {"port": -1}, {"host": ""}, {"host": "a b"}])
def test_settings_are_checked(settings: dict[str, object]) -> None:
    with pytest.raises(ConfigError):
        StudioConfig(**settings)  # type: ignore[arg-type]


def test_only_another_address_needs_a_token() -> None:
    with Listening(StudioConfig(port=0)) as own, Listening(StudioConfig(port=0, host="0.0.0.0")) as open_to_all:
        assert own.token is None
        assert own.url == f"http://127.0.0.1:{own.port}/"
        assert open_to_all.token is not None
        assert open_to_all.url.endswith(f":{open_to_all.port}/?token={open_to_all.token}")
        assert "Whoever has this address" in open_to_all.announcement()


def test_all_interfaces_are_announced_by_name_and_address(monkeypatch: pytest.MonkeyPatch) -> None:
    with Listening(StudioConfig(port=0, host="0.0.0.0")) as open_to_all:
        monkeypatch.setattr(serve, "outgoing_address", lambda _family: "192.0.2.7")
        rest = f":{open_to_all.port}/?token={open_to_all.token}"
        assert f"http://{socket.gethostname()}{rest} or http://192.0.2.7{rest}\n" in open_to_all.announcement()
        monkeypatch.setattr(serve, "outgoing_address", lambda _family: None)
        assert f"ganvas studio: http://{socket.gethostname()}{rest}\n" in open_to_all.announcement()


def test_the_outgoing_address_is_found_or_missing_but_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    address = serve.outgoing_address(socket.AF_INET)
    assert address is None or ipaddress.ip_address(address) != ipaddress.ip_address("0.0.0.0")
    monkeypatch.setattr(socket.socket, "connect", unreachable)
    assert serve.outgoing_address(socket.AF_INET) is None


def unreachable(*_: object) -> None:
    raise OSError("network is unreachable")


def test_a_port_in_use_is_an_error_with_its_remedy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(InputError, match="use another --port"):
            Listening(StudioConfig(port=port))


def test_without_its_packages_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    assert main(["studio", "--no-browser"]) == 6
    assert "pip install" in capsys.readouterr().err


@pytest.mark.slow
def test_nothing_is_left_after_sigterm(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": str(SRC), "TMPDIR": str(tmp_path)}
    words = [sys.executable, "-u", "-m", "ganvas", "studio", "--port", "0", "--no-browser", "--root", str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        found = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())
        assert found
        with urllib.request.urlopen(found[0]) as answer:
            assert "default-src 'none'" in answer.headers["content-security-policy"]
        headers = {"origin": found[0].rstrip("/"), "content-type": "application/octet-stream"}
        picture = (Path(__file__).parents[2] / "docs" / "figures").glob("*.png")
        request = urllib.request.Request(f"{found[0]}api/files", next(picture).read_bytes(), headers)
        with urllib.request.urlopen(request) as answer:
            assert answer.status == 201
        assert list(tmp_path.glob("ganvas-studio-*/*"))
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
    assert process.returncode == 0
    assert "temporary files are removed" in rest
    assert list(tmp_path.iterdir()) == []
