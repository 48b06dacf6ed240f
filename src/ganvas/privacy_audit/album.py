"""Labeled pictures of a privacy audit, their splits, and the planned covers."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ganvas.content_gate import admit, check_share
from ganvas.data.config import DegradationName
from ganvas.errors import ConfigError, DataError, InputError, PolicyRefusal
from ganvas.image.cover import Cover, Style, bicubic_resize, cover
from ganvas.image.files import list_images, read_image, write_image
from ganvas.image.picture import Box, Picture
from ganvas.progress import track

__all__ = ["Album", "Pictures", "album_files", "open_album", "write_training_pictures"]

Rgb = NDArray[np.uint8]
"""(H, W, 3)."""
TEST_EVERY = 4
"""Without train and test folders, every n-th picture of each kind is a test picture."""
LEAST = 4
"""Smallest number of pictures of a kind, for training pictures and one test picture."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """N labeled pictures of equal size.

    Attributes:
        names: kind/file.
        kinds: (N,) indices of their kinds.
        images: N of (size, size, 3) uint8.
    """

    names: tuple[str, ...]
    kinds: NDArray[np.int64]
    images: tuple[Rgb, ...]

    def __len__(self) -> int:
        return len(self.names)


@dataclass(frozen=True, eq=False)
class Album:
    """Labeled pictures of an audit.

    Attributes:
        kinds: their names, by index.
        train: training pictures of the attackers.
        test: test pictures.
        left_out: kind/file -> reason why it was not usable.
    """

    kinds: tuple[str, ...]
    train: Pictures
    test: Pictures
    left_out: dict[str, str]

    @property
    def chance(self) -> float:
        """Return the accuracy on test pictures of always predicting the most frequent training kind."""
        guess = np.bincount(self.train.kinds, minlength=len(self.kinds)).argmax()
        return float((self.test.kinds == guess).mean())

    @property
    def digest(self) -> str:
        """Return the SHA-256 of all pictures as used, their kinds and their split."""
        found = sha256(repr(self.kinds).encode())
        for pictures in (self.train, self.test):
            found.update(repr((pictures.kinds.tolist(), [image.shape for image in pictures.images])).encode())
            for image in pictures.images:
                found.update(image.tobytes())
        return found.hexdigest()


def open_album(folder: Path, *, size: int, seed: int = 0, progress: bool = True) -> Album:
    """Read FOLDER/KIND/*, or FOLDER/train/KIND/* and FOLDER/test/KIND/*; without these, `seed` draws the test pictures.

    Each picture is converted to RGB, resized to shorter side `size` (antialiased bicubic), and cropped to its center.

    Raises:
        DataError: fewer than two kinds, too few pictures of a kind, or a test kind without training pictures.
        PolicyRefusal: more than 5 % of the pictures are refused by the content gate.
    """
    parts = _find(folder, seed)
    kinds = tuple(sorted({kind for kind, _ in parts["train"]}))
    if len(kinds) < 2:
        raise DataError(
            f"{folder}: training pictures of {len(kinds)} kinds; expected one folder for each of at least two kinds"
        )
    if strange := sorted({kind for kind, _ in parts["test"]} - set(kinds)):
        raise DataError(f"{folder}: no training pictures of {', '.join(strange)}; put some into train")
    left_out: dict[str, str] = {}
    paths = parts["train"] + parts["test"]
    read = dict(zip(paths, _read(paths, size, left_out, progress), strict=True))
    train, test = (_collected(parts[part], read, kinds) for part in ("train", "test"))
    for part, pictures in (("train", train), ("test", test)):
        if not len(pictures):
            raise DataError(f"{folder}: no picture to {part} could be used: {'; '.join(list(left_out.values())[:3])}")
    return Album(kinds, train, test, left_out)


def album_files(folder: Path, seed: int) -> list[Path]:
    """Return the picture files of an album, of both splits."""
    return [path for entries in _find(folder, seed).values() for _, path in entries]


def write_training_pictures(album: Album, folder: Path) -> None:
    """Write FOLDER/train/*.png, the training pictures of a restorer."""
    (folder / "train").mkdir(parents=True, exist_ok=True)
    for number, image in enumerate(album.train.images):
        path = folder / "train" / f"{number:06d}.png"
        if not path.exists():
            write_image(path, Picture(image))


Entry = tuple[str, Path]
"""Kind and file."""


def _find(folder: Path, seed: int) -> dict[str, list[Entry]]:
    if (folder / "train").is_dir() and (folder / "test").is_dir():
        return {part: _of_kinds(folder / part) for part in ("train", "test")}
    parts: dict[str, list[Entry]] = {"train": [], "test": []}
    entries = _of_kinds(folder)
    for number, kind in enumerate(dict.fromkeys(kind for kind, _ in entries)):
        own = [entry for entry in entries if entry[0] == kind]
        if len(own) < LEAST:
            raise DataError(f"{folder / kind}: {len(own)} pictures; at least {LEAST} are needed for training and test")
        order = np.random.default_rng([seed, number]).permutation(len(own))
        chosen = set(order[: len(own) // TEST_EVERY].tolist())
        for index, entry in enumerate(own):
            parts["test" if index in chosen else "train"].append(entry)
    return parts


def _of_kinds(folder: Path) -> list[Entry]:
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder; pass one that contains a folder of pictures for each kind")
    kinds = sorted(path for path in folder.iterdir() if path.is_dir() and not path.name.startswith("."))
    return [(kind.name, path) for kind in kinds for path in list_images(kind)]


def _read(entries: Sequence[Entry], size: int, left_out: dict[str, str], progress: bool) -> list[Rgb | None]:
    """Read each picture at `size`; None if it is not usable."""
    refusals, made = list[PolicyRefusal](), list[Rgb | None]()
    for kind, path in track(entries, "read", total=len(entries), shown=progress):
        name = f"{kind}/{path.name}"
        try:
            picture = read_image(path)
            admit(picture, name=str(path))
            made.append(_squared(picture.as_rgb8(), size))
            continue
        except PolicyRefusal as refusal:
            refusals.append(refusal)
            left_out[name] = refusal.reason
        except InputError as error:
            left_out[name] = str(error)
        made.append(None)
    check_share(refusals, len(entries))
    return made


def _squared(rgb: Rgb, size: int) -> Rgb:
    """Resize the shorter side to `size` and crop the center: (size, size, 3)."""
    height, width = rgb.shape[:2]
    scale = size / min(height, width)
    resized = bicubic_resize(rgb, max(round(height * scale), size), max(round(width * scale), size))
    top, left = (resized.shape[0] - size) // 2, (resized.shape[1] - size) // 2
    return np.ascontiguousarray(resized[top : top + size, left : left + size])


def _collected(entries: Sequence[Entry], read: dict[Entry, Rgb | None], kinds: Sequence[str]) -> Pictures:
    used = [(kind, path, image) for kind, path in entries if (image := read[kind, path]) is not None]
    numbers = np.array([kinds.index(kind) for kind, _, _ in used], dtype=np.int64)
    names = tuple(f"{kind}/{path.name}" for kind, path, _ in used)
    return Pictures(names, numbers, tuple(image for _, _, image in used))


@dataclass(frozen=True, kw_only=True)
class PlannedCover:
    """Planned cover over a whole square picture.

    Attributes:
        name: name in tables.
        style: solid, mosaic or blur.
        strength: blocks across, or sigma in pixels; 0 for solid.
        cover: the cover in pixels.
    """

    name: str
    style: Style
    strength: float
    cover: Cover

    @property
    def degradation(self) -> tuple[DegradationName, float] | None:
        """Return the degradation of a restorer's training pictures; None for solid covers, which preserve nothing."""
        if self.style == "mosaic":
            return "mosaic", float(self.cover.block_size or 0)
        return ("blur", self.strength) if self.style == "blur" else None

    def apply(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Cover a picture: (H, W, 3) -> (H, W, 3)."""
        covered: NDArray[np.uint8] = cover(image, Box(0, 0, image.shape[1], image.shape[0]), self.cover)
        return covered


def plan_covers(
    styles: Sequence[Style], *, blocks: Sequence[int], sigmas: Sequence[float], size: int
) -> tuple[PlannedCover, ...]:
    """Return every style at every strength, the weakest of each first.

    Args:
        styles: distinct styles.
        blocks: blocks of a mosaic, across the picture.
        sigmas: sigmas of a blur, in pixels.
        size: side of the pictures.

    Raises:
        ConfigError: no style, a repeated style, a style without strengths, or a mosaic with blocks of one pixel.
    """
    if not styles or len(set(styles)) < len(styles):
        raise ConfigError("expected one or more distinct styles: mosaic, blur, solid")
    planned: list[PlannedCover] = []
    for style in styles:
        if style == "solid":
            planned.append(PlannedCover(name="solid", style=style, strength=0.0, cover=Cover()))
        elif style == "mosaic":
            planned += [_mosaic(count, size) for count in sorted(blocks, reverse=True)]
        else:
            planned += [_blur(sigma) for sigma in sorted(sigmas)]
    if missing := set(styles) - {plan.style for plan in planned}:
        raise ConfigError(f"{', '.join(sorted(missing))}: pass strengths, --blocks 8 16 or --sigmas 2 4")
    return tuple(planned)


def _mosaic(blocks: int, size: int) -> PlannedCover:
    if not 1 <= blocks <= size // 2:
        raise ConfigError(f"{blocks} blocks across {size} pixels: expected 1 to {size // 2}, or a larger --size")
    side = math.ceil(size / blocks)
    name = f"mosaic, {blocks} blocks across"
    return PlannedCover(name=name, style="mosaic", strength=blocks, cover=Cover(style="mosaic", block_size=side))


def _blur(sigma: float) -> PlannedCover:
    return PlannedCover(
        name=f"blur, sigma {sigma:g}", style="blur", strength=sigma, cover=Cover(style="blur", sigma=sigma)
    )
