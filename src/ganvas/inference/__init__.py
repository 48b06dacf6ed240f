"""Inference with a trained run: translator, tiling, prepacking, folders and videos. Import from the submodules."""
