"""Formats of other projects: checkpoints of the reference PyTorch pix2pix, CycleGAN and CUT code."""
