"""Trainer: the only package that handles optimizers, processes, checkpoints and clocks."""
