"""The trainer: the only package that knows optimizers, processes, checkpoints and clocks."""
