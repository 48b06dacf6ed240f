"""Inference with a trained run: translator, tiling, prepacking, folders and films. Import from the submodules."""
