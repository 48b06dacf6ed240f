"""Pictures, paired or not: found, decoded once into a memory map, cropped and degraded for training.

Import from the submodules: config, pairs, unpaired, cache, loading, unpaired_loading, prefetch, degrade, prepare.
"""
