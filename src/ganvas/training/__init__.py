"""The engine: the only place that knows optimizers, processes, checkpoints and clocks."""
