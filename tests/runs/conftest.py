"""The hub on loopback, for every test here."""

from hub_server import hub

__all__ = ["hub"]
