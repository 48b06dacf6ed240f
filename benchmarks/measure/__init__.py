"""Measurements of speed.py and growth.py: one module per part, with common timing, tables and machine description."""
