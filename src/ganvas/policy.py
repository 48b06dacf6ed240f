"""The content gate: one function that every way into and out of ganvas asks.

A toolkit that learns to restore what was covered can be turned on pictures of people, to uncover what they or
a publisher chose to hide. So sexual imagery is neither learnt from, nor translated, nor produced here: `admit`
asks Yahoo's Open NSFW (2016, BSD-2) about each picture and refuses above `THRESHOLD`, the score from which its
authors call a picture unsafe. Covering (`ganvas redact`) and looking (`ganvas locate`) are never gated.

The gate fails closed: no model, a model that is not the published one, any exception and any score that is not
a number in [0, 1] all refuse. There is no setting, flag or environment variable that opens it or moves the threshold.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import PolicyRefusal
from ganvas.image.picture import Picture, Pixels
from ganvas.weights import cache_folder

__all__ = ["LARGEST_REFUSED_SHARE", "THRESHOLD", "admit", "admit_all", "check_share", "forget_scorer", "load_scorer"]

THRESHOLD: Final = 0.8
"""Scores above it are refused; README of yahoo/open_nsfw: "> 0.8 indicates that the image is highly probable NSFW"."""
LARGEST_REFUSED_SHARE: Final = 0.05
"""A data set of which a larger share is refused is not an accident: the run is refused."""
VIEWS_VERSION: Final = 1
"""Raised whenever `views` or the preprocessing changes, so that no older score is taken from the cache."""

Scorer = Callable[[NDArray[np.uint8]], float]
"""(H, W, 3) uint8 -> probability in [0, 1] that the picture is sexual."""


@dataclass(frozen=True)
class _RecordedScorer:
    """A scorer that can say which weights it runs, so that its scores may be kept.

    Attributes:
        score: the function itself.
        fingerprint: SHA-256 of the model file.
    """

    score: Scorer
    fingerprint: str

    def __call__(self, rgb: NDArray[np.uint8]) -> float:
        return self.score(rgb)


def load_scorer() -> Scorer:
    """The scorer of record, Open NSFW with Yahoo's preprocessing.

    Raises:
        WeightsError: the model cannot be found or is not the published one.
    """
    from ganvas.localization.open_nsfw import SHA256, OpenNSFW

    return _RecordedScorer(OpenNSFW().score, SHA256)


@functools.cache
def _scorer() -> Scorer:
    return load_scorer()


def forget_scorer() -> None:
    """The next picture loads the scorer anew."""
    _scorer.cache_clear()


def admit(picture: Picture, *, name: str) -> float:
    """Let a picture through, or refuse it.

    Args:
        picture: any number of channels and any depth; opacity is not looked at.
        name: what the user calls it, for the message.

    Returns:
        Its score in [0, THRESHOLD]: the largest over `views`.

    Raises:
        PolicyRefusal: the score is above THRESHOLD, or no trustworthy score could be had.
    """
    try:
        score = _score(picture)
    except Exception as error:
        raise PolicyRefusal(name, f"the content gate could not judge it ({type(error).__name__}: {error})") from error
    if not 0.0 <= score <= 1.0:  # also NaN
        raise PolicyRefusal(name, f"the content gate gave no usable score ({score})")
    if score > THRESHOLD:
        raise PolicyRefusal(name, f"Open NSFW scores it {score:.3f}, above {THRESHOLD}", score)
    return score


def admit_all(pictures: Iterable[tuple[str, Picture]]) -> tuple[list[str], list[PolicyRefusal]]:
    """Ask the gate about a data set, one picture at a time.

    Args:
        pictures: (name, picture); may be a generator. The two halves of a pair carry the same name: the
            pair is admitted when both are.

    Returns:
        The admitted names in order, and the refusals (the first one of each name).

    Raises:
        PolicyRefusal: the gate has no model, or more than LARGEST_REFUSED_SHARE of the names are refused.
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


def check_share(refusals: list[PolicyRefusal], total: int) -> None:
    """Refuse a whole run of `total` pictures when too many of them were.

    Raises:
        PolicyRefusal: more than LARGEST_REFUSED_SHARE; it names the first refused pictures.
    """
    if len(refusals) <= LARGEST_REFUSED_SHARE * total:
        return
    first = "; ".join(f"{refusal.name}: {refusal.reason}" for refusal in refusals[:3])
    share = f"{len(refusals)} of {total} pictures are refused, more than {LARGEST_REFUSED_SHARE:.0%}"
    raise PolicyRefusal("the data set", f"{share} ({first})")


def _refusal(picture: Picture, name: str) -> PolicyRefusal | None:
    try:
        admit(picture, name=name)
    except PolicyRefusal as refusal:
        return refusal
    return None


def _require_scorer(name: str) -> None:
    """A missing model ends a data set at its first picture instead of failing once for each."""
    try:
        _scorer()
    except Exception as error:
        raise PolicyRefusal(name, f"the content gate has no model ({type(error).__name__}: {error})") from error


def _score(picture: Picture) -> float:
    scorer = _scorer()
    if not isinstance(scorer, _RecordedScorer):
        return _largest(scorer, picture)
    key = f"{scorer.fingerprint} {VIEWS_VERSION} {content_hash(picture)}"
    if (known := _recall(key)) is not None:
        return known
    score = _largest(scorer, picture)
    if 0.0 <= score <= 1.0:
        _remember(key, score)
    return score


def _largest(scorer: Scorer, picture: Picture) -> float:
    scores = [float(scorer(view)) for view in views(picture)]
    return float(np.max(scores))  # unlike max(), keeps NaN


def content_hash(picture: Picture) -> str:
    """SHA-256 over shape, sample type and the pixels without opacity."""
    colour = np.ascontiguousarray(picture.colour)
    digest = hashlib.sha256(f"{colour.shape} {colour.dtype.str}".encode())
    digest.update(colour.data)
    return digest.hexdigest()


def views(picture: Picture) -> Iterator[NDArray[np.uint8]]:
    """What the gate looks at: the first three channels as RGB and each further one as grey, (H, W, 3) uint8.

    Deep and float pictures are looked at a second time with their own range stretched to the screen's, for
    12 bits in 16, or radiances beyond 1, would else look black or white to the classifier.

    Raises:
        ValueError: a sample is not finite.
    """
    if picture.pixels.dtype.kind == "f" and not np.isfinite(picture.colour).all():
        raise ValueError("it holds samples that are NaN or infinite")
    for group in _groups(picture.colour):
        yield Picture(group).as_rgb8()
        if group.dtype != np.uint8:
            yield _stretched(group)


def _groups(colour: Pixels) -> list[Pixels]:
    num_together = 3 if colour.shape[2] >= 3 else 1
    further = [colour[:, :, index : index + 1] for index in range(num_together, colour.shape[2])]
    return [colour[:, :, :num_together], *further]


def _stretched(group: Pixels) -> NDArray[np.uint8]:
    values = group.astype(np.float64)
    low, high = np.percentile(values, (0.5, 99.5))  # a few hot pixels do not count
    unit = np.clip((values - low) / max(high - low, np.finfo(np.float32).tiny), 0, 1)
    return np.broadcast_to(np.rint(255 * unit).astype(np.uint8), (*group.shape[:2], 3)).copy()


# The cache of scores: one SQLite file that may vanish, rot or be read-only; then a picture is scored again.


def _open_cache() -> contextlib.closing[sqlite3.Connection]:
    connection = sqlite3.connect(cache_folder() / "scores.sqlite", timeout=5)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, score REAL, proof TEXT)")
    except BaseException:
        connection.close()
        raise
    return contextlib.closing(connection)


def _proof(key: str, score: float) -> str:
    """A row that rotted on disk does not carry it."""
    return hashlib.sha256(f"{key} {score!r}".encode()).hexdigest()


def _recall(key: str) -> float | None:
    """The score kept under that key, or None for none or none that can be trusted."""
    try:
        with _open_cache() as connection:
            row = connection.execute("SELECT score, proof FROM scores WHERE key = ?", (key,)).fetchone()
    except (sqlite3.Error, OSError) as error:
        _discard_cache(error)
        return None
    return row[0] if row and isinstance(row[0], float) and row[1] == _proof(key, row[0]) else None


def _remember(key: str, score: float) -> None:
    try:
        with _open_cache() as connection, connection:
            connection.execute("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", (key, score, _proof(key, score)))
    except (sqlite3.Error, OSError) as error:
        _discard_cache(error)


def _discard_cache(error: Exception) -> None:
    """Remove a file that is no database any more; leave one that is only locked or read-only."""
    if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
        with contextlib.suppress(OSError):
            (cache_folder() / "scores.sqlite").unlink(missing_ok=True)
