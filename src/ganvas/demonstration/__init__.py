"""Demonstration on photographs that ship inside two packages: find, cover, train to restore, measure."""
