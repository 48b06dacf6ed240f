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
    """The paper's; or ESRGAN's (arXiv:1809.00219), Real-ESRGAN's fast one (arXiv:2107.10833), or NAFNet
    (arXiv:2204.04676), which many shared models are; or a U-Net of residual blocks. These have no norm."""
    scale: Literal[1, 2, 3, 4, 8, 16] = 4
    """Upscaling factor along each side; 1 keeps the size."""
    width: int = 64
    """Channels before the upscaling layers (Fig. 4); of `nafnet` and `residual_unet` those at full size."""
    num_blocks: int = 16
    """Residual blocks (Sec. 3.2); RRDBs of `rrdb`, 23 in its paper; inner convolutions of `compact`."""
    norm: Literal["batch", "none"] = "batch"
    """Of `srresnet`: batch norm is the paper's; without it colors stay exact (Lim et al. 2017, arXiv:1707.02921)."""
    residual_scale: float = 1.0
    """Of `srresnet`: factor of a block's output before it is added; 0.1 to 0.2 stabilizes deep networks without
    norm."""
    residual: bool = False
    """Add the bicubically upscaled input, so that the network learns the difference. Not in the paper. `compact`,
    `nafnet` and `residual_unet` always add their input, upscaled more simply."""
    frames: int = 1
    """Neighboring frames of a film that are given together, the one to enlarge in the middle; an odd number. Not the
    paper's: frames that lie between each other's pixels show more than one. A picture repeats itself."""
    loss: Literal["mse", "l1"] = "mse"
    """Per pixel, on pictures in [-1, 1]; the paper's is MSE (Eq. 4)."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if min(self.width, self.num_blocks) < 1:
            raise ConfigError("width and num_blocks must be at least 1")
        check_frames(self.frames)
        if self.residual_scale <= 0:
            raise ConfigError(f"residual_scale {self.residual_scale} must be positive")
