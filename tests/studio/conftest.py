"""Fixtures of the studio; see `studio_page`."""

from studio_page import page, root

__all__ = ["page", "root"]
