"""Several methods under the same budget on the same data, measured alike. Import from the submodules."""
