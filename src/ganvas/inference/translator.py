"""A trained run as an image -> image object."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ganvas.errors import ImageError
from ganvas.image.picture import Picture
from ganvas.inference.adapt import AnyImage, as_kind_of, as_picture, picture_of, signed_input
from ganvas.inference.device import pick_device
from ganvas.inference.padding import pad_to_multiple
from ganvas.inference.record import RunRecord, SnapshotName, load_generators, read_run_record
from ganvas.inference.tiling import TilingWarning, plan_tiles, run_tiles
from ganvas.methods.base import Method
from ganvas.policy import admit

Floats = NDArray[np.float32]
OUT_OF_MEMORY = ("out of memory", "allocate memory")
"""In the messages of CUDA and MPS, and of a CPU, for which torch has no class of its own."""


class ConversionWarning(UserWarning):
    """A picture was changed to be what the model takes."""


@dataclass(frozen=True)
class Translation:
    """One translated picture.

    Attributes:
        picture: same size as the one that went in.
        notes: what a person should know: conversions, and tiles that are not exact.
    """

    picture: Picture
    notes: tuple[str, ...]
    tiling_note: str | None = None


class Translator:
    """A trained run as an image -> image object: `Translator.load(run)(image)`.

    Any size goes in and the same size comes out; every picture passes the content gate on its way in and out; the
    same picture gives the same output each time, for the method's noise is seeded by the picture's content.

    Args:
        method: with its generators loaded.
        record: what goes in and comes out.
        device: where to compute; the method is moved there.
        seed: of the method's noise, if it has any.
    """

    def __init__(self, method: Method, record: RunRecord, *, device: str | torch.device = "cpu", seed: int = 0) -> None:
        self.device = pick_device(str(device))
        self.method, self.record, self.seed = method.to(self.device), record, seed

    @classmethod
    def load(
        cls, run: Path | str, *, snapshot: SnapshotName | Path = "auto", device: str = "auto", seed: int = 0
    ) -> Translator:
        """Load a run folder.

        Args:
            run: the folder that training wrote.
            snapshot: `best`, `last`, `auto` (best where there is one) or a snapshot file.
            device: auto, cpu, cuda, cuda:1 or mps.
            seed: of the method's noise, if it has any.

        Raises:
            RunError: the folder cannot be read as a run.
        """
        run = Path(run)
        return cls(load_generators(run, snapshot), read_run_record(run), device=device, seed=seed)

    @overload
    def __call__(self, image: Picture | Path | str) -> Picture: ...
    @overload
    def __call__(self, image: Image.Image) -> Image.Image: ...
    @overload
    def __call__(self, image: NDArray[Any]) -> NDArray[Any]: ...
    def __call__(self, image: AnyImage) -> Any:
        """Translate one image, in one piece.

        Args:
            image: a Picture, a file, a Pillow image, or an array (H, W[, C]) of uint8, uint16 or float in [0, 1].

        Returns:
            The same kind of thing (a Picture for a file), in the model's output type, of the same height and width.

        Raises:
            ImageError: it cannot be read, has channels or samples that the model cannot take, or needs too much memory.
            PolicyRefusal: the gate refused the picture or its translation.
        """
        return self._of_any_kind(image, tile=None, overlap=None)

    @overload
    def tiled(self, image: Picture | Path | str, *, tile: int = ..., overlap: int | None = ...) -> Picture: ...
    @overload
    def tiled(self, image: Image.Image, *, tile: int = ..., overlap: int | None = ...) -> Image.Image: ...
    @overload
    def tiled(self, image: NDArray[Any], *, tile: int = ..., overlap: int | None = ...) -> NDArray[Any]: ...
    def tiled(self, image: AnyImage, *, tile: int = 512, overlap: int | None = None) -> Any:
        """As calling it, for pictures too large for memory: in overlapped tiles.

        The result equals the untiled one where the network's reach is finite and the tile large enough;
        otherwise seams are blended and a TilingWarning says why.

        Args:
            image: as for a call.
            tile: largest side in pixels that the network is given at once.
            overlap: surroundings that each tile sees on each side; unset: as much as exactness needs.
        """
        return self._of_any_kind(image, tile=tile, overlap=overlap)

    def translate_picture(
        self, picture: Picture, *, name: str | None = None, tile: int | None = None, overlap: int | None = None
    ) -> Translation:
        """One picture, through the gate on both sides; notes instead of warnings.

        Raises:
            ImageError: the model cannot take it, or the memory does not suffice.
            PolicyRefusal: the gate refused it or its translation.
        """
        name = name or str(picture.source or "picture")
        signed, notes = signed_input(picture, self.record.input)
        admit(picture, name=name)
        with _enough_memory(picture, self.device):
            result, tiling_note = self._run(signed, tile, overlap)
        translated = picture_of(result, self.record.output, picture)
        admit(translated, name=f"{name} (translated)")
        return Translation(translated, notes, tiling_note)

    def _of_any_kind(self, image: AnyImage, *, tile: int | None, overlap: int | None) -> Any:
        picture = as_picture(image, channels=self.record.input.channels)
        translation = self.translate_picture(picture, tile=tile, overlap=overlap)
        for note in translation.notes:
            warnings.warn(note, ConversionWarning, stacklevel=3)
        if translation.tiling_note:
            warnings.warn(translation.tiling_note, TilingWarning, stacklevel=3)
        return as_kind_of(image, translation.picture)

    def _run(self, signed: Floats, tile: int | None, overlap: int | None) -> tuple[Floats, str | None]:
        """(C, H, W) in [-1, 1] -> (C', H, W) in [-1, 1]: pad, translate whole or in tiles, crop."""
        height, width = signed.shape[1:]
        padded = pad_to_multiple(torch.from_numpy(signed), self.method.size_multiple).numpy()
        with self._seeded(signed):
            if tile is None:
                result, note = self._network(padded), None
            else:
                multiple, context = self.method.size_multiple, self.method.context
                plan, note = plan_tiles(
                    *padded.shape[1:], tile=tile, overlap=overlap, multiple=multiple, context=context
                )
                result = run_tiles(padded, plan, self._network)
        return result[:, :height, :width], note

    def _network(self, signed: Floats) -> Floats:
        """One forward pass: (C, H, W) -> (C', H, W). Batches of one: batch statistics are the picture's own."""
        with torch.inference_mode():
            images = torch.from_numpy(signed)[None].to(self.device)
            result: Floats = self.method.translate(images)[0].float().cpu().numpy()
        return result

    @contextmanager
    def _seeded(self, signed: Floats) -> Iterator[None]:
        """The method's noise follows from the seed and the picture's content; the global random state is put back."""
        digest = hashlib.sha256(f"{self.seed} {signed.shape}".encode())
        digest.update(np.ascontiguousarray(signed).data)
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(int.from_bytes(digest.digest()[:8], "big"))
            yield


@contextmanager
def _enough_memory(picture: Picture, device: torch.device) -> Iterator[None]:
    """Where the memory runs out, the error says what helps."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if isinstance(error, RuntimeError) and not any(sign in str(error) for sign in OUT_OF_MEMORY):
            raise
        needed = f"{picture.width} x {picture.height} pixels need more memory than {device} has free"
        raise ImageError(picture.source, f"{needed}; translate it in (smaller) tiles, such as --tile 512") from error
