"""Base class of image-to-image generators."""

from __future__ import annotations

from abc import ABC, abstractmethod

import torch
from torch import Tensor, nn

from ganvas.errors import ImageError
from ganvas.networks.blocks import Norm, initialize
from ganvas.networks.receptive_field import Interval, context


class Generator(nn.Module, ABC):
    """Turns images into images of the same height and width.

    Attributes:
        size_multiple: height and width must be multiples of this.
        residual: the raw output is added to the input, without tanh.
    """

    size_multiple: int

    def __init__(self, *, norm: Norm, residual: bool) -> None:
        super().__init__()
        self.norm = norm
        self.residual = residual

    @abstractmethod
    def needed_inputs(self, needed: Interval) -> Interval:
        """Return the input pixels along one axis that the output pixels `needed` depend on, norms left aside."""

    @property
    @abstractmethod
    def last_layer(self) -> nn.Conv2d | nn.ConvTranspose2d:
        """The convolution that makes the image."""

    @property
    def context(self) -> int | None:
        """Pixels around an output pixel that can reach it; None where a norm makes it the whole picture."""
        return context(self.needed_inputs, period=self.size_multiple) if self.norm == "none" else None

    def initialize(self) -> None:
        """Initialize as Isola et al. 2017, Sec. 6.2; a residual generator starts as the identity (last weights 0)."""
        initialize(self)
        if self.residual:
            nn.init.zeros_(self.last_layer.weight)

    def finish(self, images: Tensor, raw: Tensor) -> Tensor:
        """Return tanh of the raw output, or the input plus it, not clamped (a clamp would stop the gradient)."""
        return images + raw if self.residual else torch.tanh(raw)

    def check_size(self, images: Tensor) -> None:
        """Raise ImageError unless height and width suit the network."""
        height, width = images.shape[-2:]
        if height % self.size_multiple or width % self.size_multiple:
            raise ImageError(
                None,
                f"{height}x{width} pixels: this network needs multiples of {self.size_multiple}; "
                "pad the picture, or go through ganvas.load, which pads and crops back",
            )
