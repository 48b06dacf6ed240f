"""Attacks on covered pictures: reconstruction by interpolation and deconvolution, reidentification by classifiers.

Reidentification follows McPherson et al. 2016, arXiv:1609.00408, Sec. 3.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from numpy.typing import NDArray
from scipy import fft
from torch import Tensor, nn
from torch.nn import functional

from ganvas.content_gate import AdmittedPicture
from ganvas.image.cover import KERNEL_REACH, bicubic_resize
from ganvas.image.ranges import signed_from_value
from ganvas.metrics.features import FeatureExtractor, resize_antialiased
from ganvas.metrics.fidelity import Summary
from ganvas.privacy_audit.album import PlannedCover

AS_COVERED, ORIGINAL = "as covered", "original"
Shown = dict[str, AdmittedPicture]
"""Attempt -> picture for the report, without pictures that the content gate refuses."""
Rgb = NDArray[np.uint8]
Classifier = Callable[[Tensor], Tensor]
"""Function from features of N pictures to (N,) kinds."""
DECAYS = (1e-5, 1e-4, 1e-3, 1e-2, 1e-1)
"""Weight decays of the linear classifier; a fifth of the training pictures is held out to choose one."""
NOISE = 1e-3
"""Features that vary less than this share of their mean magnitude count as constant. Identical pictures differ only by
rounding errors, which depend on the position in the batch and would thus reveal the kind."""
HELD_OUT = 5
WIDTHS = (16, 32, 64, 128)
LARGEST_SIDE = 64
"""Side in pixels of the small network's input."""
BATCH = 64
RATE = 3e-3
SHIFT = 8
"""Largest random shift of the small network's pictures, as a share of their side."""
Floats = NDArray[np.float64]
Recover = Callable[[Rgb], Rgb]
"""Function from a covered picture (H, W, 3) to a reconstruction."""
NOISES = tuple(10.0 ** (exponent / 2) for exponent in range(-12, 1))
"""Candidate noise powers relative to the picture's power at the lowest frequency; training pictures select one."""
NUM_TRIED = 24
"""Number of training pictures for the selection."""


@dataclass(frozen=True)
class Attacker:
    """Attacker that learns to recognize the kind of a covered picture.

    Attributes:
        name: name in tables.
        see: pictures -> features, (N, ...).
        learn: features, (N,) kinds, number of kinds, seed -> a classifier.
    """

    name: str
    see: Callable[[Sequence[Rgb]], Tensor]
    learn: Callable[[Tensor, Tensor, int, int], Classifier]


def linear_probe(extractor: FeatureExtractor) -> Attacker:
    """Return an attacker with a linear classifier on the features of a pretrained network."""

    def see(pictures: Sequence[Rgb]) -> Tensor:
        return torch.from_numpy(extractor.vectors(pictures))

    return Attacker("linear", see, _learn_linear)


def small_network(*, steps: int) -> Attacker:
    """Return an attacker with a convolutional network trained from scratch for `steps` batches of 64 pictures."""

    def learn(seen: Tensor, kinds: Tensor, num_kinds: int, seed: int) -> Classifier:
        return _learn_network(seen, kinds, num_kinds, seed, steps)

    return Attacker("network", _see_small, learn)


def interval(right: int, total: int, *, deviations: float = 1.959964) -> tuple[float, float]:
    """Compute Wilson's interval for a share, 95 % by default. Wilson 1927, JASA 22, p. 209."""
    share, spread = right / total, deviations**2 / total
    middle = (share + spread / 2) / (1 + spread)
    half = deviations / (1 + spread) * math.sqrt(share * (1 - share) / total + spread / (4 * total))
    return max(middle - half, 0.0), min(middle + half, 1.0)


def _learn_linear(seen: Tensor, kinds: Tensor, num_kinds: int, seed: int) -> Classifier:
    vectors = seen.double()
    mean, deviation = vectors.mean(0), vectors.std(0)
    deviation[deviation < NOISE * vectors.abs().mean()] = torch.inf
    scaled = (vectors - mean) / deviation
    order = torch.from_numpy(np.random.default_rng(seed).permutation(len(scaled)))
    held, rest = order[::HELD_OUT], order[torch.arange(len(order)) % HELD_OUT != 0]

    def accuracy(decay: float) -> float:
        weights = _logistic(scaled[rest], kinds[rest], num_kinds, decay)
        return (_classify(scaled[held], weights) == kinds[held]).double().mean().item()

    decay = max(reversed(DECAYS), key=accuracy)  # the strongest of equals
    weights = _logistic(scaled, kinds, num_kinds, decay)
    return lambda vectors: _classify((vectors.double() - mean) / deviation, weights)


def _logistic(vectors: Tensor, kinds: Tensor, num_kinds: int, decay: float) -> Tensor:
    """Fit multinomial logistic regression with an L2 penalty: (D + 1, K) weights and, last, offsets."""
    weights = torch.zeros(vectors.shape[1] + 1, num_kinds, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = functional.cross_entropy(vectors @ weights[:-1] + weights[-1], kinds)
        value = value + decay * (weights[:-1] ** 2).sum()
        value.backward()  # type: ignore[no-untyped-call]
        return value

    optimizer.step(loss)  # type: ignore[no-untyped-call]
    return weights.detach()


def _classify(vectors: Tensor, weights: Tensor) -> Tensor:
    return (vectors @ weights[:-1] + weights[-1]).argmax(1)


def _see_small(pictures: Sequence[Rgb]) -> Tensor:
    """Return the input of the small network, (N, 3, side, side) in [-1, 1]."""
    side = min(pictures[0].shape[0], LARGEST_SIDE)
    signed = [signed_from_value(resize_antialiased(picture, side), (0, 255)) for picture in pictures]
    return torch.from_numpy(np.stack(signed)).permute(0, 3, 1, 2).contiguous()


def _learn_network(seen: Tensor, kinds: Tensor, num_kinds: int, seed: int, steps: int) -> Classifier:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = _make_network(num_kinds)
        optimizer = torch.optim.AdamW(network.parameters(), lr=RATE, weight_decay=1e-2)
        schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, RATE, total_steps=steps)
        for _ in range(steps):
            chosen = torch.randint(len(seen), (BATCH,))
            loss = functional.cross_entropy(network(_shifted(seen[chosen])), kinds[chosen])
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            schedule.step()
    network.eval()
    return lambda pictures: _classify_batches(network, pictures)


def _make_network(num_kinds: int) -> nn.Sequential:
    layers: list[nn.Module] = []
    for channels, made in zip((3, *WIDTHS), WIDTHS, strict=False):
        layers += [nn.Conv2d(channels, made, 3, padding=1), nn.BatchNorm2d(made), nn.ReLU(), nn.MaxPool2d(2)]
    head = nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(0.3), nn.Linear(WIDTHS[-1], num_kinds)
    return nn.Sequential(*layers, *head)


def _shifted(batch: Tensor) -> Tensor:
    """Shift each picture by up to a fraction of its side, with mirrored borders."""
    reach, side = batch.shape[-1] // SHIFT, batch.shape[-1]
    if reach == 0:
        return batch
    wide = functional.pad(batch, (reach,) * 4, mode="reflect")
    corners = torch.randint(2 * reach + 1, (len(batch), 2)).tolist()
    moved = [one[:, top : top + side, left : left + side] for one, (top, left) in zip(wide, corners, strict=True)]
    return torch.stack(moved)


@torch.inference_mode()
def _classify_batches(network: nn.Module, pictures: Tensor) -> Tensor:
    return torch.cat([network(part).argmax(1) for part in torch.split(pictures, BATCH)])


def fixed_attacks(plan: PlannedCover, pictures: Sequence[Rgb], covered: Sequence[Rgb]) -> dict[str, Recover]:
    """Return name -> attack; the noise of Wiener's filter is the best of `NOISES` for these training pictures.

    Args:
        plan: the attacked cover, whose kernel is known.
        pictures: uncovered pictures for the selection.
        covered: the same pictures, covered.
    """
    if plan.style == "solid":
        return {}
    attacks: dict[str, Recover] = {}
    if plan.style == "mosaic":
        side = plan.cover.block_size or 1
        attacks["bicubic"] = lambda image: interpolate(image, side)
    pairs = list(zip(pictures, covered, strict=True))[:NUM_TRIED]
    noise = min(NOISES, key=lambda noise: _error(_wiener_of(plan, noise), pairs))
    return attacks | {"Wiener": _wiener_of(plan, noise)}


def interpolate(image: Rgb, side: int) -> Rgb:
    """Upscale the means of a mosaic's blocks by bicubic interpolation. image: (H, W, C)."""
    height, width = image.shape[:2]
    means = np.ascontiguousarray(image[::side, ::side])
    enlarged: Rgb = bicubic_resize(means, side * means.shape[0], side * means.shape[1])[:height, :width]
    return enlarged


def kernel_of(plan: PlannedCover) -> Floats:
    """Return the weights (2 r + 1,) of pixels at distances -r ... r in one direction; their sum is 1.

    A mosaic averages a block around its center: for an even side the two outer pixels have half weight.
    """
    if plan.style == "blur":
        reach = int(KERNEL_REACH * plan.strength + 0.5)
        weights = np.exp(-0.5 * (np.arange(-reach, reach + 1) / plan.strength) ** 2)
    else:
        side = plan.cover.block_size or 1
        weights = np.ones(2 * (side // 2) + 1)
        if side % 2 == 0:
            weights[[0, -1]] = 0.5
    return np.asarray(weights / weights.sum())


def wiener(image: Rgb, kernel: Floats, noise: float) -> Rgb:
    """Undo a symmetric blur in both directions; borders are assumed mirrored, for which the cosine transform is exact.

    Wiener's filter H / (H^2 + N / S), with the power S of photographs falling as 1 / f^2 (Field 1987).

    Args:
        image: (H, W, C), blurred.
        kernel: kernel of one direction, from `kernel_of`.
        noise: N, relative to S = 1 at the lowest frequency.
    """
    height, width = image.shape[:2]
    response = np.outer(_response(kernel, height), _response(kernel, width))
    rows, columns = np.arange(height)[:, None] / height, np.arange(width)[None] / width
    inverse_power = (rows**2 + columns**2) * max(height, width) ** 2
    gain = response / (response**2 + noise * inverse_power + 1e-12)
    gain[0, 0] = 1.0  # the mean is unchanged
    spectrum = fft.dctn(image.astype(np.float64), axes=(0, 1), norm="ortho")
    sharpened = fft.idctn(spectrum * gain[:, :, None], axes=(0, 1), norm="ortho")
    return np.clip(np.rint(sharpened), 0, 255).astype(np.uint8)


def _response(kernel: Floats, size: int) -> Floats:
    """Return the kernel's response to the cosines of a line of `length` pixels."""
    reach = len(kernel) // 2
    distances = np.arange(-reach, reach + 1)
    cosines: Floats = np.cos(math.pi * np.arange(size)[:, None] * distances / size)
    return np.asarray(cosines @ kernel)


def _wiener_of(plan: PlannedCover, noise: float) -> Recover:
    kernel, side = kernel_of(plan), plan.cover.block_size or 1
    if plan.style == "mosaic":
        return lambda image: wiener(interpolate(image, side), kernel, noise)
    return lambda image: wiener(image, kernel, noise)


def _error(recover: Recover, pairs: Sequence[tuple[Rgb, Rgb]]) -> float:
    """Return the mean squared error over pairs of picture and covered picture."""
    return float(np.mean([np.mean((recover(covered).astype(float) - picture) ** 2) for picture, covered in pairs]))


@dataclass(frozen=True)
class Reidentified:
    """Number of test pictures that an attacker recognizes.

    Attributes:
        attacker: name of the attacker.
        untrained: count after training on clear pictures only.
        retrained: count after training on pictures under the same cover.
    """

    attacker: str
    untrained: int
    retrained: int


@dataclass(frozen=True, kw_only=True)
class AuditedCover:
    """Audit result of one cover.

    Attributes:
        plan: the cover.
        recovered: attack -> metric -> summary over the test pictures; the first entry is the unchanged covered picture.
        named: reidentification of each attacker.
        shown: name of a picture -> result of each attack.
        refused: picture and attack -> reason why the content gate refuses the result, which is not shown and, for a
            restorer, not measured.
    """

    plan: PlannedCover
    recovered: dict[str, dict[str, Summary]]
    named: tuple[Reidentified, ...]
    shown: dict[str, Shown]
    refused: dict[str, str] = field(default_factory=dict)

    @property
    def retrained(self) -> int:
        """Return the number of test pictures that the better retrained attacker recognizes."""
        return max(one.retrained for one in self.named)

    @property
    def untrained(self) -> int:
        """Return the number for attackers trained on uncovered pictures only."""
        return max(one.untrained for one in self.named)

    @property
    def gain(self) -> tuple[str, float] | None:
        """Return the attack nearest to the original, and its gain in dB over the covered picture."""
        means = {way: measures["psnr"].mean for way, measures in self.recovered.items()}
        start = means.pop(AS_COVERED)
        known = {way: mean for way, mean in means.items() if mean is not None}
        if start is None or not known:
            return None
        best = max(known, key=lambda way: known[way])
        return best, known[best] - start
