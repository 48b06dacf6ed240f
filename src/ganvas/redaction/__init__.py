"""Redaction of pictures for release: regions are found, covered, verified, and widened until they pass."""
