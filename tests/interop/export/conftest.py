"""The hub on loopback, for the tests of uploads."""

from hub_server import hub

__all__ = ["hub"]
