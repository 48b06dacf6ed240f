"""Content gate: one function that every path into and out of ganvas calls.

A toolkit that learns to restore what was covered can be turned on pictures of people, to uncover what they or a
publisher chose to hide. Sexual imagery is therefore neither learned from, nor translated, nor produced here: `admit`
scores each picture with Yahoo's Open NSFW (2016, BSD-2) and refuses above `THRESHOLD`, the score from which its authors
call a picture unsafe. Covering (`ganvas redact`) and locating (`ganvas locate`) are never gated.

The gate fails closed: no model, a model that is not the published one, any exception and any score that is not a number
in [0, 1] all refuse. No setting, flag or environment variable opens it or moves the threshold.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import math
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ganvas.content_gate.score_cache import ScoreCache
from ganvas.errors import PolicyRefusal
from ganvas.image.picture import Picture, Pixels
from ganvas.image.ranges import all_finite, strips, tail_percentiles

__all__ = [
    "THRESHOLD",
    "admit",
    "admit_all",
    "admit_many",
    "check_share",
    "forget_scorer",
    "load_scorer",
    "loading_scorer",
]

LARGEST_REFUSED_SHARE: Final = 0.05
"""A data set of which a larger share is refused is not an accident: the whole set is refused."""
LEAST_PICTURES: Final = 20
LEAST_REFUSALS: Final = 3
"""The share counts from so many pictures or so many refusals on: below both, a single false refusal exceeds it."""
NUM_NAMED = 3
"""Refused pictures that a message names with their reasons."""


def check_share(refusals: Sequence[PolicyRefusal], total: int) -> None:
    """Refuse a whole data set if the gate refuses too many of its pictures.

    The rule applies to pictures that a user gives. Outputs of a model are refused picture by picture, left out and
    listed, since a blurry output is no sign of a bad data set.

    Args:
        refusals: one for each refused picture.
        total: pictures in the data set, the refused ones included.

    Raises:
        PolicyRefusal: every picture is refused, or more than LARGEST_REFUSED_SHARE of them where there are at least
            LEAST_PICTURES pictures or LEAST_REFUSALS refusals.
    """
    refused = len(refusals)
    counts = total >= LEAST_PICTURES or refused >= LEAST_REFUSALS
    too_many = counts and refused > LARGEST_REFUSED_SHARE * total
    if refused and (too_many or refused == total):
        limit = f", more than {LARGEST_REFUSED_SHARE:.0%}" if refused < total else ""
        raise PolicyRefusal("the data set", f"the content gate refuses {describe_refusals(refusals, total)}{limit}")


def describe_refusals(refusals: Sequence[PolicyRefusal], total: int, *, what: str = "pictures") -> str:
    """Return how many of how many are refused, and the first few by name with the reason of each."""
    named = [f"{refusal.name}: {refusal.reason}" for refusal in refusals[:NUM_NAMED]]
    more = [f"and {len(refusals) - NUM_NAMED} more"] if len(refusals) > NUM_NAMED else []
    return f"{len(refusals)} of {total} {what} ({'; '.join(named + more)})"


THRESHOLD: Final = 0.8
"""Scores above it are refused; README of yahoo/open_nsfw: "> 0.8 indicates that the image is highly probable NSFW"."""
VIEWS_VERSION: Final = 2
"""Raised whenever `views` or the preprocessing changes, so that no older score is taken from the cache."""
LEAST_CONTRAST: Final = 64
"""Levels of 255 between the 0.5th and the 99.5th percentile; 8-bit pictures with fewer are also scored stretched."""
THINNED: Final = 2**17
"""Pixels."""
MISTAKEN: Final = "; a sheet of many pictures can score so by mistake: cut it into its pictures"

Scorer = Callable[[NDArray[np.uint8]], float]
"""(H, W, 3) uint8 -> probability in [0, 1] that the picture is sexual."""


@dataclass(frozen=True)
class _RecordedScorer:
    """Scorer with a fingerprint of its weights, so that its scores can be cached.

    Attributes:
        score: the function itself.
        fingerprint: SHA-256 of the model file.
    """

    score: Scorer
    fingerprint: str

    def __call__(self, rgb: NDArray[np.uint8]) -> float:
        return self.score(rgb)


def load_scorer() -> Scorer:
    """Load the scorer of record, Open NSFW with Yahoo's preprocessing.

    Raises:
        WeightsError: the model cannot be found or is not the published one.
    """
    from ganvas.localization.open_nsfw import SHA256, NSFWScorer

    return _RecordedScorer(NSFWScorer(), SHA256)


_LOADING = threading.Lock()


@functools.cache
def _loaded_scorer() -> Scorer:
    return load_scorer()


def _scorer() -> Scorer:
    with _LOADING:  # pictures may be scored in several threads
        return _loaded_scorer()


def forget_scorer() -> None:
    """Discard the loaded scorer; the next picture loads it again."""
    _loaded_scorer.cache_clear()


@contextlib.contextmanager
def loading_scorer() -> Iterator[None]:
    """Load the scorer in a thread while the block runs; if it cannot be loaded, the first picture is refused."""

    def load() -> None:
        with contextlib.suppress(Exception):
            _scorer()

    thread = threading.Thread(target=load)
    thread.start()
    try:
        yield
    finally:
        thread.join()


def admit(picture: Picture, *, name: str) -> float:
    """Admit a picture, or refuse it.

    Args:
        picture: any number of channels and any depth; opacity is ignored.
        name: of the picture, for the message.

    Returns:
        Its score in [0, THRESHOLD]: the largest over `views`.

    Raises:
        PolicyRefusal: the score is above THRESHOLD, or no trustworthy score could be had.
    """
    (outcome,) = admit_many([(name, picture)])
    if isinstance(outcome, PolicyRefusal):
        raise outcome
    return outcome


def admit_many(pictures: Sequence[tuple[str, Picture]]) -> list[float | PolicyRefusal]:
    """Score several pictures: return the score or the refusal of each, independently of the others.

    The cache of scores is opened once for all of them. May be called from several threads.

    Args:
        pictures: (name, picture).
    """
    outcomes: list[float | PolicyRefusal] = []
    with ScoreCache() as kept:
        for name, picture in pictures:
            try:
                outcomes.append(_admitted(picture, name, kept))
            except PolicyRefusal as refusal:
                outcomes.append(refusal)
    return outcomes


def _admitted(picture: Picture, name: str, kept: ScoreCache) -> float:
    try:
        score = _score(picture, kept)
    except Exception as error:
        raise PolicyRefusal(name, f"the content gate could not judge it ({type(error).__name__}: {error})") from error
    if not 0.0 <= score <= 1.0:  # also NaN
        raise PolicyRefusal(name, f"the content gate gave no usable score ({score})")
    if score > THRESHOLD:
        raise PolicyRefusal(name, f"Open NSFW scores it {score:.3f}, above {THRESHOLD}{MISTAKEN}", score)
    return score


def admit_all(pictures: Iterable[tuple[str, Picture]]) -> tuple[list[str], list[PolicyRefusal]]:
    """Pass the pictures of a data set through the gate, one at a time.

    Args:
        pictures: (name, picture); may be a generator. The two halves of a pair carry the same name: the
            pair is admitted when both are.

    Returns:
        The admitted names in order, and the refusals (the first one of each name).

    Raises:
        PolicyRefusal: the gate has no model, or `check_share` refuses the whole set.
    """
    names: dict[str, PolicyRefusal | None] = {}
    for name, picture in pictures:
        if not names:
            _require_scorer(name)
        if names.setdefault(name, None) is None:
            names[name] = _refusal(picture, name)
    refusals = [refusal for refusal in names.values() if refusal is not None]
    check_share(refusals, len(names))
    return [name for name, refusal in names.items() if refusal is None], refusals


def _refusal(picture: Picture, name: str) -> PolicyRefusal | None:
    try:
        admit(picture, name=name)
    except PolicyRefusal as refusal:
        return refusal
    return None


def _require_scorer(name: str) -> None:
    """Raise at the first picture of a data set where the model is missing, instead of once for each."""
    try:
        _scorer()
    except Exception as error:
        raise PolicyRefusal(name, f"the content gate has no model ({type(error).__name__}: {error})") from error


def _score(picture: Picture, kept: ScoreCache) -> float:
    scorer = _scorer()
    if not isinstance(scorer, _RecordedScorer):
        return _largest(scorer, picture)
    key = f"{scorer.fingerprint} {VIEWS_VERSION} {content_hash(picture)}"
    if (known := kept.recall(key)) is not None:
        return known
    score = _largest(scorer, picture)
    if 0.0 <= score <= 1.0:
        kept.remember(key, score)
    return score


def _largest(scorer: Scorer, picture: Picture) -> float:
    scores = [float(score) for score in map(scorer, views(picture))]  # map lets go of a view before the next is made
    return float(np.max(scores))  # unlike max(), keeps NaN


def content_hash(picture: Picture) -> str:
    """Return the SHA-256 of shape, data type and pixel values without opacity."""
    color = picture.colour
    digest = hashlib.sha256(f"{color.shape} {color.dtype.str}".encode())
    for rows in strips(color):
        digest.update(np.ascontiguousarray(color[rows]).data)
    return digest.hexdigest()


def views(picture: Picture) -> Iterator[NDArray[np.uint8]]:
    """Yield the views that are scored: the first three channels as RGB, each further one as gray, (H, W, 3) uint8.

    Deep and float pictures, and 8-bit ones that are very dark, very bright or flat, are scored a second time with
    their own range stretched to the screen's: 12 bits in 16, radiances beyond 1, or a picture darkened to a few levels
    would otherwise look black or white to the classifier.

    Raises:
        ValueError: a sample is not finite.
    """
    if not all_finite(picture.colour):
        raise ValueError("it holds samples that are NaN or infinite")
    for group in _groups(picture.colour):
        yield Picture(group).as_rgb8()
        low, high = tail_percentiles(_thinned(group), 0.5)  # a few hot pixels do not count
        if group.dtype != np.uint8 or 0 < high - low < LEAST_CONTRAST:
            yield _stretched(group, low, high)


def _groups(color: Pixels) -> list[Pixels]:
    num_together = 3 if color.shape[2] >= 3 else 1
    further = [color[:, :, index : index + 1] for index in range(num_together, color.shape[2])]
    return [color[:, :, :num_together], *further]


def _thinned(group: Pixels) -> Pixels:
    """Return every n-th row and column of 8-bit pictures, about `THINNED` pixels, enough to measure contrast."""
    if group.dtype != np.uint8:
        return group
    step = max(1, math.isqrt(group.shape[0] * group.shape[1] // THINNED))
    return group[::step, ::step]


def _stretched(group: Pixels, low: float, high: float) -> NDArray[np.uint8]:
    span = max(high - low, float(np.finfo(np.float32).tiny))
    screen = np.empty((*group.shape[:2], 3), np.uint8)
    for rows in strips(group):
        unit = (group[rows].astype(np.float64) - low) / span
        screen[rows] = np.rint(255 * np.clip(unit, 0, 1))
    return screen
