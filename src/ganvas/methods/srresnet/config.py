"""Config of SRResNet."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ganvas.errors import ConfigError
from ganvas.methods.config import RestorationSizes, check_frames


@dataclass(frozen=True, kw_only=True)
class SRResNetConfig(RestorationSizes):
    """Super-resolution by a residual network and pixel shuffle. Ledig et al. 2017, arXiv:1609.04802."""

    paired: ClassVar[bool] = True
    """Trains on paired data only."""
    generator: Literal["srresnet", "rrdb", "compact", "nafnet", "residual_unet"] = "srresnet"
    """Generator: `srresnet` is the paper's; `rrdb` (ESRGAN, arXiv:1809.00219), `compact` (Real-ESRGAN's fast network,
    arXiv:2107.10833) and `nafnet` (arXiv:2204.04676) are those of many community models; `residual_unet` is a U-Net of
    residual blocks. Only `srresnet` has norms."""
    scale: Literal[1, 2, 3, 4, 8, 16] = 4
    """Upscaling factor along each side; 1 keeps the size."""
    width: int = 64
    """Channels before the upscaling layers (Fig. 4); for `nafnet` and `residual_unet`, channels at full size."""
    num_blocks: int = 16
    """Number of residual blocks (Sec. 3.2), of RRDBs of `rrdb` (23 in its paper), or of inner convolutions of
    `compact`."""
    norm: Literal["batch", "none"] = "batch"
    """For `srresnet`: the paper uses batch norm; without it colors stay exact (Lim et al. 2017, arXiv:1707.02921)."""
    residual_scale: float = 1.0
    """For `srresnet`: factor of a block's output before it is added; 0.1 to 0.2 stabilizes deep networks without
    norm."""
    residual: bool = False
    """Add the bicubically upscaled input, so that the network learns the difference. Not in the paper. `compact`,
    `nafnet` and `residual_unet` always add their input, with simpler upscaling."""
    frames: int = 1
    """Number of neighboring frames of a film that are concatenated as input, with the one to upscale in the middle;
    odd. Not in the paper: frames at different subpixel offsets contain more detail than one frame. The window of a
    still picture repeats the picture."""
    loss: Literal["mse", "l1"] = "mse"
    """Pixel loss on pictures in [-1, 1]; the paper uses MSE (Eq. 4)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.width, self.num_blocks) < 1:
            raise ConfigError("width and num_blocks must be at least 1")
        check_frames(self.frames)
        if self.residual_scale <= 0:
            raise ConfigError(f"residual_scale {self.residual_scale} must be positive")
