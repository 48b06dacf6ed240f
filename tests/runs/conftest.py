"""Fixture of a Hugging Face Hub on loopback, for all tests in this folder."""

from hub_server import hub

__all__ = ["hub"]
