"""Metrics of pictures as pure functions of arrays: fidelity, perceptual and distribution distances, localization."""
