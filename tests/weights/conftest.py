"""Fixtures for weights: no waiting, no proxy, and no weights of this machine's user."""

import pytest


@pytest.fixture(autouse=True)
def loopback_only(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    monkeypatch.delenv("GANVAS_WEIGHTS", raising=False)
    monkeypatch.delenv("GANVAS_OFFLINE", raising=False)
    monkeypatch.setattr("ganvas.weights.download.PAUSE", 0.0)
