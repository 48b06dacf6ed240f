"""Fixtures of the studio, defined in `studio_page`."""

from studio_page import page, root

__all__ = ["page", "root"]
