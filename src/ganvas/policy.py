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
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from ganvas.errors import PolicyRefusal
from ganvas.image.picture import Picture, Pixels
from ganvas.image.samples import all_finite, percentiles, strips
from ganvas.refusals import check_share
from ganvas.weights import cache_folder

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

THRESHOLD: Final = 0.8
"""Scores above it are refused; README of yahoo/open_nsfw: "> 0.8 indicates that the image is highly probable NSFW"."""
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
    from ganvas.localization.open_nsfw import SHA256, NSFWScorer

    return _RecordedScorer(NSFWScorer(), SHA256)


_LOADING = threading.Lock()


@functools.cache
def _loaded_scorer() -> Scorer:
    return load_scorer()


def _scorer() -> Scorer:
    with _LOADING:  # pictures may be judged in several threads
        return _loaded_scorer()


def forget_scorer() -> None:
    """The next picture loads the scorer anew."""
    _loaded_scorer.cache_clear()


@contextlib.contextmanager
def loading_scorer() -> Iterator[None]:
    """Load the scorer in a thread, beside what the block does; one that cannot be loaded refuses once it is asked."""

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
    """Let a picture through, or refuse it.

    Args:
        picture: any number of channels and any depth; opacity is not looked at.
        name: what the user calls it, for the message.

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
    """`admit` for several pictures: of each its score, or its refusal. One picture's refusal is no other's.

    The cache of scores is opened once for all of them. May be called from several threads.

    Args:
        pictures: (name, picture).
    """
    outcomes: list[float | PolicyRefusal] = []
    with _KeptScores() as kept:
        for name, picture in pictures:
            try:
                outcomes.append(_admitted(picture, name, kept))
            except PolicyRefusal as refusal:
                outcomes.append(refusal)
    return outcomes


def _admitted(picture: Picture, name: str, kept: _KeptScores) -> float:
    try:
        score = _score(picture, kept)
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
    """A missing model ends a data set at its first picture instead of failing once for each."""
    try:
        _scorer()
    except Exception as error:
        raise PolicyRefusal(name, f"the content gate has no model ({type(error).__name__}: {error})") from error


def _score(picture: Picture, kept: _KeptScores) -> float:
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
    """SHA-256 over shape, sample type and the pixels without opacity."""
    colour = picture.colour
    digest = hashlib.sha256(f"{colour.shape} {colour.dtype.str}".encode())
    for rows in strips(colour):
        digest.update(np.ascontiguousarray(colour[rows]).data)
    return digest.hexdigest()


def views(picture: Picture) -> Iterator[NDArray[np.uint8]]:
    """What the gate looks at: the first three channels as RGB and each further one as grey, (H, W, 3) uint8.

    Deep and float pictures are looked at a second time with their own range stretched to the screen's, for
    12 bits in 16, or radiances beyond 1, would else look black or white to the classifier.

    Raises:
        ValueError: a sample is not finite.
    """
    if not all_finite(picture.colour):
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
    low, high = percentiles(group, (0.5, 99.5))  # a few hot pixels do not count
    span = max(high - low, float(np.finfo(np.float32).tiny))
    screen = np.empty((*group.shape[:2], 3), np.uint8)
    for rows in strips(group):
        unit = (group[rows].astype(np.float64) - low) / span
        screen[rows] = np.rint(255 * np.clip(unit, 0, 1))
    return screen


class _KeptScores:
    """The cache of scores for some pictures: one SQLite file that may vanish, rot or be read-only.

    Then a picture is scored again. New scores are written together, at the end of the block.
    """

    def __init__(self) -> None:
        self._connection: sqlite3.Connection | None = None
        self._new: dict[str, float] = {}

    def __enter__(self) -> Self:
        with self._discarding():
            self._connection = _open_cache()
        return self

    def __exit__(self, *_: object) -> None:
        rows = [(key, score, _proof(key, score)) for key, score in self._new.items()]
        with self._discarding():
            if rows and (connection := self._connection):
                with connection:
                    connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?)", rows)
        self._close()

    def recall(self, key: str) -> float | None:
        """The score kept under that key, or None for none or none that can be trusted."""
        if key in self._new:
            return self._new[key]
        row = None
        with self._discarding():
            if self._connection:
                row = self._connection.execute("SELECT score, proof FROM scores WHERE key = ?", (key,)).fetchone()
        return row[0] if row and isinstance(row[0], float) and row[1] == _proof(key, row[0]) else None

    def remember(self, key: str, score: float) -> None:
        """Keep a score from the end of the block on."""
        self._new[key] = score

    @contextlib.contextmanager
    def _discarding(self) -> Iterator[None]:
        """Where the file fails, go on without; remove what is no database, leave what is locked or read-only."""
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            self._close()
            if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError):
                with contextlib.suppress(OSError):
                    (cache_folder() / "scores.sqlite").unlink(missing_ok=True)

    def _close(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = None


def _open_cache() -> sqlite3.Connection:
    connection = sqlite3.connect(cache_folder() / "scores.sqlite", timeout=5)
    try:
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("CREATE TABLE IF NOT EXISTS scores (key TEXT PRIMARY KEY, score REAL, proof TEXT)")
    except BaseException:
        connection.close()
        raise
    return connection


def _proof(key: str, score: float) -> str:
    """A row that rotted on disk does not carry it."""
    return hashlib.sha256(f"{key} {score!r}".encode()).hexdigest()
