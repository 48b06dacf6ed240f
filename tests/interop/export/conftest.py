"""Fixture of a Hugging Face Hub on loopback, for the tests of uploads."""

from hub_server import hub

__all__ = ["hub"]
