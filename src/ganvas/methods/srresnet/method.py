"""SRResNet: super-resolution by a residual network trained on squared error."""

from __future__ import annotations

from collections.abc import Iterator

from torch import Tensor

from ganvas.losses import l1_loss, mse_loss
from ganvas.methods import SRResNetConfig
from ganvas.methods.architectures import check_residual
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import Direction
from ganvas.methods.srresnet.networks import SRResNet


class SuperResolution(Method):
    """One network enlarges pictures and minimizes the squared error.

    Ledig et al. 2017, "Photo-Realistic Single Image Super-Resolution Using a Generative Adversarial Network",
    arXiv:1609.04802: SRResNet. As the paper.
    """

    config_type = SRResNetConfig
    capturable = True
    generators = ("generator",)

    def __init__(
        self, config: SRResNetConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        check_residual(residual=config.residual, input_channels=input_channels, output_channels=output_channels)
        self.config = config
        self.players = {"generator": ("generator",)}
        self.generator = SRResNet(
            input_channels,
            output_channels,
            scale=config.scale,
            width=config.width,
            num_blocks=config.num_blocks,
            norm=config.norm,
            residual_scale=config.residual_scale,
            residual=config.residual,
        )

    @classmethod
    def needs_equal_channels(cls, config: SRResNetConfig) -> bool:
        """Return whether the network adds its input to its output."""
        return config.residual

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield one step of the generator (Eq. 1)."""
        del progress  # every step is alike
        yield Turn("generator", {self.config.loss: self.pixel_loss(self.generator(batch.a), batch.b)})

    def pixel_loss(self, made: Tensor, wanted: Tensor) -> Tensor:
        """Return Eq. 4, or L1."""
        return mse_loss(made, wanted) if self.config.loss == "mse" else l1_loss(made, wanted)

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, scale H, scale W) in [-1, 1].

        Raises:
            ConfigError: direction b_to_a.
        """
        self.check_direction(direction)
        made: Tensor = self.generator(images)
        return made.clamp(-1, 1)

    @property
    def scale(self) -> int:
        """Pixels made for one given, along each side."""
        return self.config.scale

    @property
    def size_multiple(self) -> int:
        """Any size."""
        return 1

    @property
    def context(self) -> int | None:
        """Pixels of the input; at test time batch norm is a fixed scale and offset."""
        return self.generator.context


METHOD = SuperResolution
