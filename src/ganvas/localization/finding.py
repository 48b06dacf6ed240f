"""Localization of a class in a picture."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import ConfigError, ImageError
from ganvas.image.picture import Box, Picture
from ganvas.localization.activation import warn_if_assumed
from ganvas.localization.cam import THRESHOLD, boxes_from_map, heat, mask_from_map
from ganvas.localization.evidence import Classifier, Evidence, Floats
from ganvas.localization.preprocess import Bytes, require_rgb

NEAR = 0.75
"""Least likeness of a suggested name, as difflib measures it; at 0.6 "face" suggests "racer"."""
FEW = 8
"""Names that a message shows."""
IMAGENET_ONLY = ("tench", "zebra", "toilet tissue")
"""Classes by which the 1,000 of ILSVRC 2012 are recognized."""


@dataclass(frozen=True, eq=False)
class Finding:
    """Class and its location.

    Attributes:
        class_name: its name in the classifier.
        score: its probability in the evidence of record, in [0, 1].
        heat: (H, W) in [0, 1], of the dense evidence, the maximum 1; all 0 without evidence for the class.
        boxes: of the mask's connected parts, largest first.
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
    """Locate `class_name` in a picture: by default the most likely class, of a softmax of two the second.

    Args:
        picture: a Picture, or (H, W, 3) uint8.
        classifier: see `load_classifier`.
        class_name: one of its names.
        threshold: share of the heat's maximum above which a pixel counts, in [0, 1).
        largest_only: one box instead of one for each part.

    Raises:
        ConfigError: no such class (the message names near ones), or a threshold out of range.
        ImageError: the classifier gives numbers that are not finite.
    """
    if not 0 <= threshold < 1:
        raise ConfigError(f"threshold {threshold} is out of range; give 0 <= threshold < 1")
    rgb = picture.as_rgb8() if isinstance(picture, Picture) else picture
    require_rgb(rgb)
    warn_if_assumed(classifier.activation)
    with np.errstate(over="ignore", invalid="ignore"):  # of damaged weights; the results are checked below
        seen = classifier.evidence(rgb)
        scores = seen.scores
        index = default_class(seen) if class_name is None else class_index(classifier, class_name)
        found = heat(classifier.dense_evidence(rgb), index, height=rgb.shape[0], width=rgb.shape[1])
    if not (np.isfinite(found).all() and np.isfinite(scores).all()):
        source = picture.source if isinstance(picture, Picture) else None
        raise ImageError(source, "the classifier gives numbers that are not finite; its weights are damaged")
    return Finding(
        class_name=classifier.class_names[index],
        score=float(scores[index]),
        heat=found,
        boxes=tuple(boxes_from_map(found, threshold=threshold, largest_only=largest_only)),
        mask=mask_from_map(found, threshold=threshold),
    )


def default_class(evidence: Evidence) -> int:
    """Return the most likely class; of a softmax of two the second, since the first then means its absence."""
    of_two = len(evidence.scores) == 2 and evidence.activation != "sigmoid"
    return 1 if of_two else int(evidence.scores.argmax())


def class_index(classifier: Classifier, name: str) -> int:
    """Return the position of a class by its name, whatever its case.

    Raises:
        ConfigError: no such class, with near names and the kinds of things that the classifier knows; or several.
    """
    names = [known.casefold() for known in classifier.class_names]
    same = [index for index, known in enumerate(names) if known == name.casefold()]
    exact = [index for index in same if classifier.class_names[index] == name]
    if len(found := exact or same) > 1:
        raise ConfigError(
            f"classes {', '.join(map(str, found))} of the classifier (counted from 0) are all called {name!r};"
            " give each a name of its own in class_names"
        )
    if found:
        return found[0]
    within = [known for known in classifier.class_names if name.casefold() in known.casefold()]
    near = get_close_matches(name.casefold(), names, n=3, cutoff=NEAR)
    suggested = dict.fromkeys([classifier.class_names[names.index(match)] for match in near] + within)
    hint = f"did you mean {', '.join(map(repr, list(suggested)[:4]))}? " if suggested else ""
    raise ConfigError(f"the classifier knows no class {name!r}; {hint}{kinds_of(classifier)}")


def kinds_of(classifier: Classifier) -> str:
    """Return a sentence on the classes that a classifier knows, for error messages."""
    names = classifier.class_names
    every = "`ganvas locate --list-classes --classifier NAME` lists them"
    if len(names) <= FEW:
        return f"it knows {', '.join(names)}"
    examples = ", ".join(names[index * (len(names) - 1) // (FEW - 1)] for index in range(FEW))
    if set(IMAGENET_ONLY) <= set(names):
        return (
            f"it knows the {len(names)} classes of ImageNet: animals, plants, food, vehicles and other objects, but no"
            f" people, faces, number plates or text ({examples}, ...); {every}"
        )
    return f"it knows {len(names)} classes ({examples}, ...); {every}"
