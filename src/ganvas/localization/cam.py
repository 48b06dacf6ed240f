"""Class activation maps, localization of a class by its map, boxes and masks, and heat-map overlays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import Box, Picture
from ganvas.localization.classifier import Bytes, Classifier, Evidence, Floats, require_rgb, warn_if_assumed


def class_map(evidence: Evidence, index: int) -> Floats:
    """Return (h, w) M_k = sum_c W[k, c] F[c] (Eq. 2): its mean plus the bias is the class's logit."""
    weights: Floats = evidence.head[index]
    return np.tensordot(weights, evidence.features, axes=1)


def margin_map(evidence: Evidence, index: int, other: int) -> Floats:
    """Return (h, w) sum_c (W[a, c] - W[b, c]) F[c]: the evidence for class a over class b."""
    weights: Floats = evidence.head[index] - evidence.head[other]
    return np.tensordot(weights, evidence.features, axes=1)


def log_odds(evidence: Evidence, index: int, other: int) -> float:
    """Return log p_a - log p_b, which equals the mean of the margin map plus the difference of the biases."""
    return float(
        margin_map(evidence, index, other).mean(dtype=np.float64) + evidence.bias[index] - evidence.bias[other]
    )


def evidence_map(evidence: Evidence, index: int) -> Floats:
    """Return (h, w): the margin map for a softmax of two classes, which sees only their difference, else the CAM."""
    of_two = len(evidence.scores) == 2 and evidence.activation != "sigmoid"
    return margin_map(evidence, index, 1 - index) if of_two else class_map(evidence, index)


def grad_cam(features: Floats, gradients: Floats) -> Floats:
    """Return (h, w) ReLU(sum_c mean(dy/dF[c]) F[c]). Selvaraju et al. 2017, arXiv:1610.02391, Eq. 1 and 2.

    After pooling and a linear layer it is the positive part of the class map divided by h * w.

    Args:
        features: (C, h, w).
        gradients: (C, h, w), of one class's logit with respect to the features.
    """
    weights = gradients.mean(axis=(1, 2))  # Eq. 1
    return np.maximum(np.tensordot(weights, features, axes=1), 0)  # Eq. 2


def heat(evidence: Evidence, index: int, *, height: int, width: int) -> Floats:
    """Return the heat map (height, width) in [0, 1]: the positive part of the class's map, its maximum 1.

    It is upsampled bilinearly into the evidence's extent, and 0 outside and without evidence for the class.
    """
    extent = evidence.extent
    # 1. Upsample before clipping, so that the zero crossing between two cells is interpolated.
    upsampled = upsample(evidence_map(evidence, index), extent.bottom - extent.top, extent.right - extent.left)
    # 2. Negative values are evidence against the class; the rest is scaled to a maximum of 1.
    positive = np.maximum(upsampled, 0)
    peak = positive.max()
    placed = np.zeros((height, width), np.float32)
    placed[extent.top : extent.bottom, extent.left : extent.right] = positive / peak if peak > 0 else 0
    return placed


def upsample(values: Floats, height: int, width: int) -> Floats:
    """Upsample (h, w) to (height, width): bilinear, pixel centers aligned, edges replicated."""
    rows = _interpolation(values.shape[0], height)
    columns = _interpolation(values.shape[1], width)
    return (rows @ values @ columns.T).astype(np.float32)


def _interpolation(source: int, target: int) -> NDArray[np.float32]:
    """Return the (target, source) matrix of linear interpolation between the two nearest positions."""
    position = np.clip((np.arange(target) + 0.5) * source / target - 0.5, 0, source - 1)
    before = np.minimum(position.astype(int), max(source - 2, 0))
    share = (position - before).astype(np.float32)
    matrix = np.zeros((target, source), np.float32)
    rows = np.arange(target)
    matrix[rows, np.minimum(before + 1, source - 1)] = share
    matrix[rows, before] += 1 - share
    return matrix


THRESHOLD = 0.2


def mask_from_map(heat: Floats, *, threshold: float = THRESHOLD) -> NDArray[np.bool_]:
    """Return (H, W) bool: above `threshold` of the maximum (Zhou et al. 2016, Sec. 3.2: 20 %); all False for zeros.

    Args:
        heat: (H, W), not negative.
        threshold: share of the maximum, in [0, 1).
    """
    mask: NDArray[np.bool_] = heat > threshold * heat.max()
    return mask


def boxes_from_map(heat: Floats, *, threshold: float = THRESHOLD, largest_only: bool = True) -> list[Box]:
    """Return the boxes of the mask's connected parts, by area of the part, largest first; none for zeros.

    Args:
        heat: (H, W), not negative.
        threshold: share of the maximum, in [0, 1).
        largest_only: only the box of the largest part, as in the paper.
    """
    from scipy import ndimage  # slow to import, and only boxes need it

    labels, count = ndimage.label(mask_from_map(heat, threshold=threshold))
    areas = np.bincount(labels.ravel(), minlength=count + 1)[1:]
    order = np.argsort(-areas, kind="stable")[: 1 if largest_only else count]
    slices = ndimage.find_objects(labels)
    return [Box(columns.start, rows.start, columns.stop, rows.stop) for rows, columns in (slices[i] for i in order)]


# Black, violet, red, orange, pale yellow: brightness increases monotonically, so gray prints stay readable.
_STOPS = np.array([(0, 0, 4), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)], np.float64)


def overlay(rgb: Bytes, heat: Floats, *, boxes: Sequence[Box] = (), strength: float = 0.6) -> Bytes:
    """Return (H, W, 3) uint8: the picture in gray, colored by the heat map where it is high.

    Args:
        rgb: (H, W, 3) uint8.
        heat: (H, W) in [0, 1].
        boxes: drawn as frames.
        strength: opacity of the color map at the maximum, in [0, 1].
    """
    gray = rgb.mean(axis=2, keepdims=True)
    share = strength * np.sqrt(heat)[:, :, None]
    mixed = (1 - share) * gray + share * color_map(heat)
    drawn = Image.fromarray(np.rint(mixed).clip(0, 255).astype(np.uint8))
    line = max(round(min(rgb.shape[:2]) / 128), 1)
    for box in boxes:
        frame = (box.left, box.top, box.right - 1, box.bottom - 1)
        ImageDraw.Draw(drawn).rectangle(frame, outline=(255, 255, 255), width=line)
    return np.asarray(drawn)


def color_map(heat: Floats) -> Floats:
    """Return colors (H, W, 3) in 0..255 of a heat map (H, W) in [0, 1]."""
    positions = np.linspace(0, 1, len(_STOPS))
    channels = [np.interp(heat, positions, _STOPS[:, channel]) for channel in range(3)]
    return np.stack(channels, axis=2).astype(np.float32)


NEAR = 0.75
"""Smallest difflib ratio of a suggested name; at 0.6 "face" would suggest "racer"."""
FEW = 8
"""Number of names in a message."""
IMAGENET_ONLY = ("tench", "zebra", "toilet tissue")
"""Classes that identify the 1,000 of ILSVRC 2012."""


@dataclass(frozen=True, eq=False)
class Finding:
    """Class and its location.

    Attributes:
        class_name: name of the class in the classifier.
        score: probability in the center-crop evidence, in [0, 1].
        heat: (H, W) in [0, 1], of the dense evidence, the maximum 1; all 0 without evidence for the class.
        boxes: boxes of the mask's connected parts, largest first.
        mask: (H, W) bool, heat above the threshold.
    """

    class_name: str
    score: float
    heat: Floats
    boxes: tuple[Box, ...]
    mask: NDArray[np.bool_]

    def as_record(self) -> dict[str, object]:
        """Return name, score, share of the picture and boxes (left, top, right, bottom), ready for JSON."""
        return {
            "class": self.class_name,
            "score": round(self.score, 6),
            "mask_share": round(float(self.mask.mean()), 6),
            "boxes": [[box.left, box.top, box.right, box.bottom] for box in self.boxes],
        }


def locate(
    picture: Picture | Bytes,
    classifier: Classifier,
    *,
    class_name: str | None = None,
    threshold: float = THRESHOLD,
    largest_only: bool = False,
) -> Finding:
    """Locate `class_name` in a picture: by default the most likely class, or the second of two softmax classes.

    Args:
        picture: a Picture, or (H, W, 3) uint8.
        classifier: see `load_classifier`.
        class_name: one of its names.
        threshold: share of the heat's maximum above which a pixel counts, in [0, 1).
        largest_only: one box instead of one for each part.

    Raises:
        ConfigError: no such class (the message suggests similar names), or a threshold out of range.
        ImageError: the classifier returns values that are not finite.
    """
    if not 0 <= threshold < 1:
        raise ConfigError(f"threshold {threshold} is out of range; expected 0 <= threshold < 1")
    rgb = picture.as_rgb8() if isinstance(picture, Picture) else picture
    require_rgb(rgb)
    warn_if_assumed(classifier.activation)
    with np.errstate(over="ignore", invalid="ignore"):  # damaged weights overflow; the results are checked below
        # The score uses the published preprocessing of the network; the map covers the whole picture, including its
        # borders.
        seen = classifier.evidence(rgb)
        scores = seen.scores
        index = default_class(seen) if class_name is None else class_index(classifier, class_name)
        found = heat(classifier.dense_evidence(rgb), index, height=rgb.shape[0], width=rgb.shape[1])
    if not (np.isfinite(found).all() and np.isfinite(scores).all()):
        source = picture.source if isinstance(picture, Picture) else None
        raise ImageError(source, "the classifier returns values that are not finite; its weights are damaged")
    return Finding(
        class_name=classifier.class_names[index],
        score=float(scores[index]),
        heat=found,
        boxes=tuple(boxes_from_map(found, threshold=threshold, largest_only=largest_only)),
        mask=mask_from_map(found, threshold=threshold),
    )


def default_class(evidence: Evidence) -> int:
    """Return the most likely class; for a softmax of two classes the second, since the first stands for its absence."""
    of_two = len(evidence.scores) == 2 and evidence.activation != "sigmoid"
    return 1 if of_two else int(evidence.scores.argmax())


def class_index(classifier: Classifier, name: str) -> int:
    """Return the index of a class by its name, ignoring case.

    Raises:
        ConfigError: no such class (the message suggests similar names and describes the classes), or several.
    """
    names = [known.casefold() for known in classifier.class_names]
    same = [index for index, known in enumerate(names) if known == name.casefold()]
    exact = [index for index in same if classifier.class_names[index] == name]
    if len(found := exact or same) > 1:
        raise ConfigError(
            f"classes {', '.join(map(str, found))} of the classifier (counted from 0) have the same name {name!r}; "
            "use distinct names in class_names"
        )
    if found:
        return found[0]
    within = [known for known in classifier.class_names if name.casefold() in known.casefold()]
    near = get_close_matches(name.casefold(), names, n=3, cutoff=NEAR)
    suggested = dict.fromkeys([classifier.class_names[names.index(match)] for match in near] + within)
    hint = f"did you mean {', '.join(map(repr, list(suggested)[:4]))}? " if suggested else ""
    raise ConfigError(f"the classifier has no class {name!r}; {hint}{kinds_of(classifier)}")


def kinds_of(classifier: Classifier) -> str:
    """Return a sentence on the classes of a classifier, for error messages."""
    names = classifier.class_names
    every = "`ganvas locate --list-classes --classifier NAME` lists them"
    if len(names) <= FEW:
        return f"it knows {', '.join(names)}"
    examples = ", ".join(names[index * (len(names) - 1) // (FEW - 1)] for index in range(FEW))
    if set(IMAGENET_ONLY) <= set(names):
        return (
            f"it has the {len(names)} classes of ImageNet: animals, plants, food, vehicles and other objects, but no"
            f" people, faces, number plates or text ({examples}, ...); {every}"
        )
    return f"it knows {len(names)} classes ({examples}, ...); {every}"
