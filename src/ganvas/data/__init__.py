"""Data sets of paired and unpaired pictures: layouts, caches, loaders, degradations and preparation.

Import from the submodules: config, layouts, cache, loader, sampler, degradations, prepare.
"""
