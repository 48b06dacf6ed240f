"""Redaction of pictures and films: locates and covers regions, and widens covers until a verifier passes."""
