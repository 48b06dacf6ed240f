"""Pairs of pictures: found, decoded once into a memory map, cropped and degraded on the device.

Import from the submodules: config, pairs, cache, loading, degrade, prepare.
"""
