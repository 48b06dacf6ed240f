"""Content gate of every path into and out of ganvas: admits or refuses a picture by its Open NSFW score.

A toolkit that learns to restore covered regions can be misused on pictures of people, to uncover what they or a
publisher chose to hide. ganvas therefore neither trains on sexual imagery nor translates or generates it: `admit`
scores each picture with Yahoo's Open NSFW (2016, BSD-2) and refuses scores above `THRESHOLD`, above which its authors
call a picture unsafe. Redaction (`ganvas redact`) and localization (`ganvas locate`) are never gated.

The gate fails closed: no model, a model that is not the published one, any exception and any score that is not a number
in [0, 1] all refuse. No setting, flag or environment variable disables it or changes the threshold.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ganvas.content_gate.score_cache import ScoreCache
from ganvas.errors import PolicyRefusal
from ganvas.image.files import write_image
from ganvas.image.label import SyntheticLabel
from ganvas.image.picture import Picture
from ganvas.image.ranges import strips
from ganvas.image.views import views
from ganvas.video import FilmInfo, Frame, WriteOptions, write_segment

__all__ = [
    "THRESHOLD",
    "AdmittedPicture",
    "admit",
    "admit_many",
    "as_sheet",
    "check_share",
    "forget_scorer",
    "load_scorer",
    "loading_scorer",
    "write_synthetic",
    "write_synthetic_segment",
]

LARGEST_REFUSED_SHARE: Final = 0.05
"""Largest share of refused pictures in a data set; above it the whole set is refused."""
LEAST_PICTURES: Final = 20
LEAST_REFUSALS: Final = 3
"""The share applies from this many pictures or refusals on: below both, a single false refusal would exceed it."""
NUM_NAMED = 3
"""Number of refused pictures that a message names with their reasons."""


def check_share(refusals: Sequence[PolicyRefusal], total: int) -> None:
    """Refuse a whole data set if the gate refuses too many of its pictures.

    The rule applies to pictures supplied by a user. Outputs of a model are refused one by one, excluded and listed,
    since a blurry output does not indicate a bad data set.

    Args:
        refusals: one for each refused picture.
        total: number of pictures in the data set, including the refused ones.

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
    """Return the counts of refused and of all pictures, and the first refused ones by name with the reason of each."""
    named = [f"{refusal.name}: {refusal.reason}" for refusal in refusals[:NUM_NAMED]]
    more = [f"and {len(refusals) - NUM_NAMED} more"] if len(refusals) > NUM_NAMED else []
    return f"{len(refusals)} of {total} {what} ({'; '.join(named + more)})"


THRESHOLD: Final = 0.8
"""Scores above it are refused; README of yahoo/open_nsfw: "> 0.8 indicates that the image is highly probable NSFW"."""
VIEWS_VERSION: Final = 2
"""Increased whenever `ganvas.image.views` or the preprocessing changes, so that cached scores of older versions are
ignored."""
MISTAKEN: Final = "; a sheet of many pictures can score high by mistake: split it into its pictures"

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
    """Load the scorer, Open NSFW with Yahoo's preprocessing.

    Raises:
        WeightsError: the model cannot be found or is not the published one.
    """
    from ganvas.localization.open_nsfw import SHA256, NSFWScorer  # slow to import

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


_KEY: Final = object()
"""Private key of the gate, so that no other code creates an `AdmittedPicture`."""


@dataclass(frozen=True, eq=False, kw_only=True)
class AdmittedPicture:
    """Picture that the content gate has admitted; networks and writers of synthetic pictures accept nothing else.

    Only `admit`, `admit_many` and `as_sheet` create instances.

    Attributes:
        picture: the picture, unchanged.
        name: name of the picture, for messages.
        score: in [0, THRESHOLD]: the largest over `views`.
    """

    picture: Picture
    name: str
    score: float
    key: object = field(repr=False)

    def __post_init__(self) -> None:
        if self.key is not _KEY:
            raise TypeError("only the content gate creates admitted pictures: call ganvas.content_gate.admit")


def admit(picture: Picture, *, name: str) -> AdmittedPicture:
    """Admit a picture, or refuse it.

    Args:
        picture: any number of channels and any depth; opacity is ignored.
        name: name of the picture, for the message.

    Raises:
        PolicyRefusal: the score is above THRESHOLD, or no trustworthy score is available.
    """
    (outcome,) = admit_many([(name, picture)])
    if isinstance(outcome, PolicyRefusal):
        raise outcome
    return outcome


def admit_many(pictures: Sequence[tuple[str, Picture]]) -> list[AdmittedPicture | PolicyRefusal]:
    """Admit or refuse each of several pictures, independently of the others.

    The cache of scores is opened once for all of them. May be called from several threads.

    Args:
        pictures: (name, picture).
    """
    outcomes: list[AdmittedPicture | PolicyRefusal] = []
    with ScoreCache() as kept:
        for name, picture in pictures:
            try:
                outcomes.append(_admitted(picture, name, kept))
            except PolicyRefusal as refusal:
                outcomes.append(refusal)
    return outcomes


def _admitted(picture: Picture, name: str, kept: ScoreCache) -> AdmittedPicture:
    try:
        score = _score(picture, kept)
    except Exception as error:
        raise PolicyRefusal(name, f"the content gate could not score it ({type(error).__name__}: {error})") from error
    if not 0.0 <= score <= 1.0:  # also NaN
        raise PolicyRefusal(name, f"the content gate gave no usable score ({score})")
    if score > THRESHOLD:
        raise PolicyRefusal(name, f"Open NSFW scores it {score:.3f}, above {THRESHOLD}{MISTAKEN}", score)
    return AdmittedPicture(picture=picture, name=name, score=score, key=_KEY)


def as_sheet(sheet: Picture, of: Sequence[AdmittedPicture], *, name: str) -> AdmittedPicture:
    """Return a sheet of admitted pictures as admitted; the scorer would see its pictures at too small a size.

    Args:
        sheet: pictures side by side with captions, without any other content.
        of: all pictures on it; at least one.
        name: name of the sheet.
    """
    assert of, "a sheet of nothing that the gate has admitted"
    return AdmittedPicture(picture=sheet, name=name, score=max(one.score for one in of), key=_KEY)


def write_synthetic(path: Path, admitted: AdmittedPicture, label: SyntheticLabel) -> None:
    """Write a generated picture, labeled as synthetic; the only writer of such pictures.

    Raises:
        ImageError: see `ganvas.image.files.write_image`.
    """
    write_image(path, admitted.picture, synthetic=label)


def write_synthetic_segment(
    part: Path,
    frames: Iterable[tuple[Frame, AdmittedPicture]],
    *,
    like: FilmInfo,
    out: Path,
    options: WriteOptions,
) -> int:
    """Write a segment of a generated film and return its number of frames; the only writer of such films.

    Args:
        part: see `ganvas.video.write_segment`.
        frames: pairs of an original frame and its translation.
        like: see `ganvas.video.write_segment`.
        out: see `ganvas.video.write_segment`.
        options: options with the label that marks the film as synthetic; pass the same to `join_segments`.

    Raises:
        VideoError: see `ganvas.video.write_segment`.
    """
    assert options.label is not None, "a synthetic film without a label"
    made = (frame.with_picture(admitted.picture) for frame, admitted in frames)
    return write_segment(part, made, like=like, out=out, options=options)


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
    scores = [float(score) for score in map(scorer, views(picture))]  # map frees a view before the next one is made
    return float(np.max(scores))  # unlike max(), propagates NaN


def content_hash(picture: Picture) -> str:
    """Return the SHA-256 of shape, data type and pixel values without opacity."""
    color = picture.color
    digest = hashlib.sha256(f"{color.shape} {color.dtype.str}".encode())
    for rows in strips(color):
        digest.update(np.ascontiguousarray(color[rows]).data)
    return digest.hexdigest()
