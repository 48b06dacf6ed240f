"""The main job on photographs that ship inside two packages: find, mosaic, learn to restore, judge."""
