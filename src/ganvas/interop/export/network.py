"""Plain network of a trained method for exporters: PyTorch's own layers, input and output in [0, 1], any size.

Each picture of a batch is normalized separately, as by the translator.
"""

from __future__ import annotations

import copy
import io
import logging
import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ganvas.errors import ExportError
from ganvas.image.ranges import signed_from_unit, unit_from_signed
from ganvas.inference.onnx_file import INTERNALS, beginning
from ganvas.inference.onnx_file import first_line as runtime_message
from ganvas.inference.tiling import SMALLEST_SIDE, padded_size
from ganvas.interop.export.plain_layers import Draw, GivenDropout, first, halve, plain_layer
from ganvas.methods.base import Method
from ganvas.methods.config import Direction
from ganvas.networks import Generator, NAFNet, UNet

PROBE = 32
"""Side in pixels of the picture with which the use of the layers is determined."""
EXAMPLE = (37, 53)
"""Height and width of the picture with which a network of dynamic size is exported."""
SEED = 20
"""Seed of the pictures of random numbers."""


@dataclass(frozen=True)
class NoiseInput:
    """Input of random numbers for one dropout layer of the exported network.

    Attributes:
        name: name of the input.
        layer: path of the layer in the method.
        channels: channels of the input, (N, channels, h, w), uniform in [0, 1).
        stride: h and w are the height and width of the padded picture divided by the stride; larger inputs are cropped.
    """

    name: str
    layer: str
    channels: int
    stride: int


class ExportedNetwork(nn.Module):
    """A translation as one network: (N, C, H, W) in [0, 1], of any size -> (N, C', scale H, scale W) in [0, 1].

    Args:
        method: method with plain layers only.
        direction: direction of the translation.
        noise: the inputs after the image, in order.
        dropout: paths of the dropout layers that are noise, even if they are switched off.
        draws: store from which the dropout layers take their inputs.
        sides: `size_multiple` and `smallest_side` of the whole method.
    """

    def __init__(
        self,
        method: Method,
        direction: Direction,
        noise: Sequence[NoiseInput],
        draws: dict[str, Draw],
        dropout: Iterable[str],
        sides: tuple[int, int],
    ) -> None:
        super().__init__()
        self.method, self.direction, self.noise, self.dropout = method, direction, tuple(noise), tuple(dropout)
        (self.size_multiple, self.smallest_side), self.scale = sides, method.scale
        self._draws = [draws[one.layer] for one in noise]

    def forward(self, image: Tensor, *noise: Tensor) -> Tensor:
        """Pad by mirroring, scale, translate, crop, clamp and scale back."""
        for draw, values in zip(self._draws, noise, strict=True):
            draw.values = values
        height, width = image.shape[-2:]
        least = max(SMALLEST_SIDE, self.smallest_side)
        padded = mirror(mirror(image, 2, self.size_multiple, least=least), 3, self.size_multiple, least=least)
        made = self.method.translate(signed_from_unit(padded), direction=self.direction)
        for draw in self._draws:
            draw.values = None
        made = first(first(made, 2, self.scale * height), 3, self.scale * width)
        return unit_from_signed(made.float()).clamp(0, 1)


def sides_of(method: Method) -> tuple[int, int]:
    """Return `size_multiple` and `smallest_side`, which a method needs its generators for."""
    return method.size_multiple, method.smallest_side


def mirror(images: Tensor, dim: int, multiple: int, *, least: int = SMALLEST_SIDE) -> Tensor:
    """Pad the end of a dimension by mirroring up to the next size that the network accepts, like `pad_to_multiple`."""
    size = images.shape[dim]
    wanted = (larger(size, least) + multiple - 1) // multiple * multiple
    if isinstance(wanted, int) and wanted == size:
        return images
    # 0 1 2 1 0 1 ...: the period is a tensor, because ONNX has no remainder by a size
    period = torch.scalar_tensor(larger(2 * size - 2, 1), dtype=torch.int64)
    index = torch.arange(wanted).remainder(period)
    return images.index_select(dim, torch.where(index < size, index, 2 * size - 2 - index))


def with_zeros(images: Tensor, *, multiple: int) -> Tensor:
    """Append rows and columns of zeros up to multiples of `multiple`, as `NAFNet.padded`."""
    for dim in (2, 3):
        size = images.shape[dim]
        wanted = (size + multiple - 1) // multiple * multiple
        if not (isinstance(wanted, int) and wanted == size):
            index = torch.arange(wanted)
            inside = (index < size).to(images.dtype)
            kept = images.index_select(dim, torch.where(index < size, index, torch.zeros_like(index)))
            images = kept * (inside[:, None] if dim == 2 else inside)
    return images


def cropped(images: Tensor, like: Tensor) -> Tensor:
    """Return the rows and columns that another picture has, as `NAFNet.cropped`."""
    return first(first(images, 2, like.shape[2]), 3, like.shape[3])


def larger(size: int, least: int) -> int:
    """Return the larger of two sizes, which may be symbolic sizes of an exporter."""
    most: Callable[[int, int], int] = torch.sym_max
    return most(size, least)


@dataclass(frozen=True)
class LayerUse:
    """Use of the layers of a method by a translation.

    Attributes:
        called: paths of the executed layers.
        picture_norms: norms that take their statistics from the picture.
        dropout: active dropout layers: path, and channels and height of their features for the probing picture.
        height: height of the padded probing picture.
    """

    called: frozenset[str]
    picture_norms: frozenset[str]
    dropout: dict[str, tuple[int, int]]
    height: int


def layer_use(method: Method, direction: Direction, channels: int) -> LayerUse:
    """Translate a picture of random numbers and record which norms and dropout layers are in training mode.

    Raises:
        ExportError: the method searches, or draws random numbers other than by dropout.
    """
    name = type(method).__name__
    if method.translates_by_search:
        raise ExportError(
            f"{name} translates by a gradient-based search, which cannot be exported; use ganvas translate, or a "
            "method that translates in one pass"
        )
    called, norms, dropout = set[str](), set[str](), dict[str, tuple[int, int]]()

    def note(path: str, layer: nn.Module, features: Tensor) -> None:
        called.add(path)
        if isinstance(layer, nn.Dropout) and layer.training and layer.p > 0:
            dropout[path] = (features.shape[1], features.shape[2])
        elif isinstance(layer, nn.BatchNorm2d):
            norms.update([path] if layer.training or layer.running_mean is None else [])
        elif isinstance(layer, nn.InstanceNorm2d):
            norms.add(path)

    side = -(-max(PROBE, method.smallest_side) // method.size_multiple) * method.size_multiple
    picture = torch.rand(1, channels, side, side, generator=torch.Generator().manual_seed(SEED)) * 2 - 1
    with ExitStack() as hooks, torch.no_grad(), torch.random.fork_rng(devices=[]), without_draws(method):
        for path, layer in method.named_modules():
            watch = layer.register_forward_pre_hook(
                lambda layer, inputs, path=path: note(path, layer, inputs[0]) if inputs else None
            )
            hooks.callback(watch.remove)
        before = torch.get_rng_state()
        method.translate(picture, direction=direction)
        drawn = not torch.equal(before, torch.get_rng_state())
    if drawn:
        raise ExportError(
            f"{name} draws random numbers other than by dropout when it translates; such noise cannot be exported"
        )
    return LayerUse(frozenset(called), frozenset(norms), dropout, side)


@contextmanager
def without_draws(method: Method) -> Iterator[None]:
    """Make the dropout layers of a method return their input, without drawing random numbers."""
    layers = [layer for layer in method.modules() if isinstance(layer, nn.Dropout)]
    for layer in layers:
        layer.forward = lambda input: input  # type: ignore[method-assign]  # noqa: A006
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward


def exported_network(
    method: Method, direction: Direction, channels: int, *, with_noise: bool, half: bool
) -> ExportedNetwork:
    """Return a method's translation as a plain network; the method itself does not change.

    Args:
        method: method on the CPU, in evaluation mode, as returned by `load_generators`.
        direction: direction of the translation.
        channels: number of channels of the input, all frames together.
        with_noise: turn the random numbers of dropout into inputs; otherwise dropout is switched off.
        half: compute in float16.

    Raises:
        ExportError: the method cannot be exported; gives the reason.
    """
    use, draws, noise = layer_use(method, direction, channels), dict[str, Draw](), list[NoiseInput]()
    plain = copy.deepcopy(method)
    prune(plain, use.called)
    for parent_path, parent in list(plain.named_modules()):
        for name, layer in list(parent.named_children()):
            path = f"{parent_path}.{name}" if parent_path else name
            if with_noise and path in use.dropout:
                assert isinstance(layer, nn.Dropout)
                draws[path] = Draw()
                made, rows = use.dropout[path]
                noise.append(NoiseInput(f"noise_{len(noise)}", path, made, use.height // rows))
                setattr(parent, name, GivenDropout(layer.p, draws[path]))
            else:
                setattr(parent, name, plain_layer(layer, of_picture=path in use.picture_norms))
    for network in plain.modules():
        if isinstance(network, Generator):
            network.norm = "instance"  # pictures of a batch are independent
        if isinstance(network, UNet):
            setattr(network, "ordered", lambda features: features)  # noqa: B010 - in one memory format throughout
        if isinstance(network, NAFNet):  # by index, as an exporter would assume odd sizes otherwise
            setattr(network, "padded", partial(with_zeros, multiple=network.stride))  # noqa: B010
            setattr(network, "cropped", cropped)  # noqa: B010
    if half:
        halve(plain)
    plain.requires_grad_(False)
    return ExportedNetwork(plain, direction, noise, draws, use.dropout, sides_of(method)).eval()


def prune(method: Method, called: frozenset[str]) -> None:
    """Remove networks that a translation does not run: discriminators, the reverse direction, the other domain."""
    for path, holder in list(method.named_modules()):
        for name, _ in list(holder.named_children()) if holder is method or isinstance(holder, nn.ModuleDict) else ():
            own = f"{path}.{name}" if path else name
            if not any(one == own or one.startswith(f"{own}.") for one in called):
                setattr(holder, name, nn.Identity())


def example_inputs(network: ExportedNetwork, channels: int, size: tuple[int, int] | None) -> tuple[Tensor, ...]:
    """Return example inputs for tracing the network: two pictures of odd size, or one of the fixed size.

    Args:
        network: the network.
        channels: number of channels of the input, all frames together.
        size: fixed height and width; None: dynamic.
    """
    count, sides = (2, EXAMPLE) if size is None else (1, size)
    shapes = [(one.channels, *(noise_side(side, network, one) for side in sides)) for one in network.noise]
    random = torch.Generator().manual_seed(SEED)
    return tuple(torch.rand(count, *shape, generator=random) for shape in [(channels, *sides), *shapes])


def free_sizes(network: ExportedNetwork) -> dict[str, Any]:
    """Return the dynamic shapes for torch.export: batch size, height and width."""
    count = torch.export.Dim("count")
    free = torch.export.Dim.DYNAMIC
    noise = tuple({0: count, 2: free, 3: free} for _ in network.noise)
    return {"image": {0: count, 2: free, 3: free}} | ({"noise": noise} if noise else {})


def noise_side(side: int, network: ExportedNetwork, noise: NoiseInput) -> int:
    """Return the height or width of a noise input for a height or width of pictures."""
    return padded_size(side, network.size_multiple, smallest=network.smallest_side) // noise.stride


@contextmanager
def quiet() -> Iterator[None]:
    """Silence an exporter, which prints its progress and logs missing optional packages and operations."""
    level = logging.root.manager.disable
    logging.disable(logging.ERROR)
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), redirect_stderr(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(level)


def first_line(error: Exception) -> str:
    """Return the first line of the innermost cause, which names the operation, or of a runtime's own message."""
    while error.__cause__ is not None and isinstance(error.__cause__, Exception):
        error = error.__cause__
    if INTERNALS.search(" ".join(str(error).split())):
        return runtime_message(error)
    return beginning(str(error).strip().partition("\n")[0] or type(error).__name__)
