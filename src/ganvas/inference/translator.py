"""Translator: a trained run as an image -> image callable."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from io import BytesIO
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ganvas.content_gate import AdmittedPicture, admit_many
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.threads import computing_with
from ganvas.image.picture import Picture
from ganvas.inference.adapt import (
    AnyImage,
    Indices,
    as_kind_of,
    as_picture,
    blank_result,
    input_notes,
    signed_digest,
    signed_part,
    write_part,
)
from ganvas.inference.device import cores_for_networks, enough_memory, pick_device, pick_precision
from ganvas.inference.frames import translated_frames
from ganvas.inference.prepacking import make_ready
from ganvas.inference.tiling import (
    Span,
    TilePlan,
    TilingWarning,
    mirrored,
    padded_size,
    plan_tiles,
    run_tiles,
    whole,
)
from ganvas.inference.translation import ConversionWarning, InProgress, Translation, admit_each, or_raised, still_going
from ganvas.methods.base import Method
from ganvas.methods.config import Direction
from ganvas.progress import SILENT, Progress
from ganvas.runs import SnapshotName
from ganvas.runs.hub import resolve_run
from ganvas.runs.record import RunRecord, load_generators, read_run_record
from ganvas.video import Frame

Floats = NDArray[np.float32]


class Translator:
    """Trained run as an image -> image callable: `Translator.load(run)(image)`.

    The output has the size of the input; every picture and its translation pass the content gate; the
    same picture gives the same output each time, alone or in a batch, since the method's noise is seeded by the
    picture's content.

    Args:
        method: with its generators loaded.
        record: the specification of input and output.
        device: device to which the method is moved.
        seed: of the method's noise, if it has any.
        direction: for b_to_a, the record's output specification applies to the input and vice versa.

    Raises:
        ConfigError: the method does not translate in that direction.
    """

    def __init__(
        self,
        method: Method,
        record: RunRecord,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        direction: Direction = "a_to_b",
    ) -> None:
        method.check_direction(direction)
        if direction == "b_to_a":
            record = replace(record, input=record.output, output=record.input)
        self.device = pick_device(str(device))
        self.method, self.record, self.seed, self.direction = method.to(self.device), record, seed, direction
        self._threads = cores_for_networks()

    @property
    def num_frames(self) -> int:
        """Frames of a film that the run takes together, the one to translate in the middle."""
        return self.method.num_frames

    @classmethod
    def load(
        cls,
        run: Path | str,
        *,
        snapshot: SnapshotName | Path = "auto",
        device: str = "auto",
        seed: int = 0,
        precision: PrecisionChoice = "float32",
        direction: Direction = "a_to_b",
    ) -> Translator:
        """Load a run folder.

        Args:
            run: the folder that training wrote, one that `ganvas export` published, or `hf://user/name[@revision]`.
            snapshot: `best`, `last`, `auto` (best where there is one) or a snapshot file.
            device: auto, cpu, cuda, cuda:1 or mps.
            seed: of the method's noise, if it has any.
            precision: of the convolutions; auto is bfloat16 where that is fast, else float32 (docs/translate.md).
            direction: b_to_a for the reverse direction of methods that learn both.

        Raises:
            RunError: the folder cannot be read as a run.
            ConfigError: the run's method does not translate in that direction, or bfloat16 is not fast on the device.
        """
        chosen = pick_precision(precision, device)
        run = resolve_run(run)
        method, record = load_generators(run, snapshot), read_run_record(run)
        translator = cls(method, record, device=device, seed=seed, direction=direction)
        make_ready(method, precision=chosen)
        return translator

    @overload
    def __call__(self, image: Picture | Path | str | bytes | BytesIO) -> Picture: ...
    @overload
    def __call__(self, image: Image.Image) -> Image.Image: ...
    @overload
    def __call__(self, image: NDArray[Any]) -> NDArray[Any]: ...
    @overload
    def __call__(self, image: torch.Tensor) -> torch.Tensor: ...
    def __call__(self, image: AnyImage) -> Any:
        """Translate one image, in one piece.

        Args:
            image: a Picture, a file, the bytes of a file, a Pillow image, an array (H, W[, C]), or a tensor (C, H, W);
                arrays and tensors of uint8, uint16 or float in [0, 1].

        Returns:
            The same kind of thing (a Picture for a file or its bytes), upright, in the model's output type, of the same
            height and width.

        Raises:
            ImageError: it cannot be read, has channels or samples that the model cannot take, or needs too much memory.
            PolicyRefusal: the gate refused the picture or its translation.
            TypeError: another kind of object.
        """
        return self._of_any_kind(image, tile=None, overlap=None)

    @overload
    def tiled(
        self, image: Picture | Path | str | bytes | BytesIO, *, tile: int = ..., overlap: int | None = ...
    ) -> Picture: ...
    @overload
    def tiled(self, image: Image.Image, *, tile: int = ..., overlap: int | None = ...) -> Image.Image: ...
    @overload
    def tiled(self, image: NDArray[Any], *, tile: int = ..., overlap: int | None = ...) -> NDArray[Any]: ...
    @overload
    def tiled(self, image: torch.Tensor, *, tile: int = ..., overlap: int | None = ...) -> torch.Tensor: ...
    def tiled(self, image: AnyImage, *, tile: int = 512, overlap: int | None = None) -> Any:
        """Translate a picture that is too large for memory in overlapped tiles.

        The result equals the untiled one where the network's reach is finite and the tile large enough;
        otherwise seams are blended and a TilingWarning says why.

        Args:
            image: as for a call.
            tile: largest side in pixels that the network is given at once.
            overlap: surroundings that each tile sees on each side; unset: as much as exactness needs.
        """
        return self._of_any_kind(image, tile=tile, overlap=overlap)

    def translate_picture(
        self,
        picture: Picture,
        *,
        name: str | None = None,
        window: Sequence[Picture] = (),
        tile: int | None = None,
        overlap: int | None = None,
        progress: Progress = SILENT,
    ) -> Translation:
        """Translate one picture, gated on both sides, with notes instead of warnings; see `translate_many`.

        Raises:
            ImageError: the model cannot take it, or memory runs out.
            PolicyRefusal: the gate refused it or its translation.
            Cancelled: see `Progress.check`.
        """
        named = (name or str(picture.source or "picture"), picture)
        (outcome,) = self.translate_many([named], windows=[window], tile=tile, overlap=overlap, progress=progress)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    def translate_many(
        self,
        pictures: Sequence[tuple[str, Picture]],
        *,
        windows: Sequence[Sequence[Picture]] | None = None,
        tile: int | None = None,
        overlap: int | None = None,
        places: Callable[[Picture], AbstractContextManager[None]] = lambda _picture: nullcontext(),
        progress: Progress = SILENT,
    ) -> list[Translation | Exception]:
        """Translate several pictures, each on its own: the one path of pictures through a run.

        Single pictures, folders, films and Python calls all come this way: check, gate, network, gate.

        Args:
            pictures: (name, picture).
            windows: of each picture, if it is a frame, the `num_frames` frames around it; unset: it repeats itself.
            tile: see `tiled`; None for whole pictures.
            overlap: see `tiled`.
            places: waits for a place in the network, where several threads share it.
            progress: receives the number of finished tiles of a picture, if there are several, and cancels.

        Returns:
            For each picture its translation, or the error because of which there is none.

        Raises:
            Cancelled: see `Progress.check`.
        """
        around = windows if windows is not None and self.num_frames > 1 else [()] * len(pictures)
        work = [InProgress(*named, window) for named, window in zip(pictures, around, strict=True)]
        # 1. Gate the pictures that the model can take; the cache of scores is opened once for all of them.
        for one in work:
            with one.failing_alone():
                any_scale = self.method.resizes or self.method.scale > 1
                one.notes = input_notes(one.picture, self.record.input, self.record.data, any_scale=any_scale)
        admit_each(still_going(work))
        # 2. Apply the network to each picture alone: batch norm then uses the picture's own statistics.
        for one in still_going(work):
            assert one.admitted is not None
            with places(one.picture), one.failing_alone():
                progress.check()
                one.made, one.tiling_note = translate_admitted(
                    self, one.admitted, one.neighbors, tile=tile, overlap=overlap, progress=progress
                )
        # 3. Gate the translations.
        finished = [(one, one.made) for one in still_going(work) if one.made is not None]
        translations = [(f"{one.name} (translated)", made) for one, made in finished]
        for (one, _), outcome in zip(finished, admit_many(translations), strict=True):
            with one.failing_alone():
                one.outcome = Translation(or_raised(outcome), one.notes, one.tiling_note)
        return [one.outcome for one in work if one.outcome is not None]

    def translate_frames(
        self, frames: Iterable[Frame], *, name: str = "film", tile: int | None = None, overlap: int | None = None
    ) -> Iterator[Frame]:
        """Yield the frames of a film translated, each at its time; `ganvas.translate` also labels the film.

        Args:
            frames: as `ganvas.video.read_video` yields them; `ganvas.video.write_video` writes them.
            name: of the film, for messages.
            tile: see `tiled`.
            overlap: see `tiled`.

        Raises:
            PolicyRefusal: the gate refused a frame or its translation; names frame and second.
            ImageError: the model cannot take the frames, or memory runs out.
            VideoError: see `ganvas.video.read_video`.
        """
        return translated_frames(self, frames, name=name, tile=tile, overlap=overlap)

    def _of_any_kind(self, image: AnyImage, *, tile: int | None, overlap: int | None) -> Any:
        picture = as_picture(image, channels=self.record.input.channels)
        translation = self.translate_picture(picture, tile=tile, overlap=overlap)
        for note in translation.notes:
            warnings.warn(note, ConversionWarning, stacklevel=3)
        if translation.tiling_note:
            warnings.warn(translation.tiling_note, TilingWarning, stacklevel=3)
        return as_kind_of(image, translation.picture)

    def _plan(self, rows: int, columns: int, tile: int | None, overlap: int | None) -> tuple[TilePlan, str | None]:
        if tile is None:
            return whole(rows, columns), None
        multiple, context = self.method.size_multiple, self.method.context
        return plan_tiles(rows, columns, tile=tile, overlap=overlap, multiple=multiple, context=context)

    def _network(self, signed: Floats) -> Floats:
        """Run one forward pass, (C, H, W) -> (C', H, W), as a batch of one: its statistics are the picture's own."""
        with torch.inference_mode(), computing_with(self._threads):
            images = torch.from_numpy(signed)[None].to(self.device)
            result: Floats = self.method.translate(images, direction=self.direction)[0].float().cpu().numpy()
        return result

    @contextmanager
    def _seeded(self, picture: Picture) -> Iterator[None]:
        """Seed the method's noise from the seed and the picture's content; restore the global random state after."""
        if not self.method.draws_noise:
            yield
            return
        seed = signed_digest(picture, self.record.input, str(self.seed))
        devices = [self.device] if self.device.type == "cuda" else []
        with torch.random.fork_rng(devices=devices):
            torch.manual_seed(seed)
            yield


def translate_admitted(
    translator: Translator,
    admitted: AdmittedPicture,
    neighbors: Sequence[AdmittedPicture] = (),
    *,
    tile: int | None = None,
    overlap: int | None = None,
    progress: Progress = SILENT,
) -> tuple[Picture, str | None]:
    """Apply the network alone. The caller has checked the picture, and gates the result.

    `neighbors` are the frames around it, itself among them, of a run that takes several; else the picture repeats.

    Returns:
        The translation, and a note where tiles are not exact.

    Raises:
        ImageError: memory runs out.
    """
    picture = admitted.picture
    multiple, scale = translator.method.size_multiple, translator.method.scale
    plan, note = translator._plan(
        padded_size(picture.height, multiple), padded_size(picture.width, multiple), tile, overlap
    )
    given, made = translator.record.input, translator.record.output
    window = neighbors or [admitted] * translator.num_frames
    with enough_memory(picture, translator.device), translator._seeded(picture):
        result = blank_result(picture, made, scale=scale)

        def make(row: Span, column: Span) -> Floats:
            places = _places(picture.height, row, scale), _places(picture.width, column, scale)
            parts = [signed_part(one.picture, given, *places) for one in window]
            return translator._network(parts[0] if len(parts) == 1 else np.concatenate(parts))

        run_tiles(
            plan.enlarged(scale), make, partial(write_part, result, made), channels=made.channels, progress=progress
        )
    return result, note


def _places(size: int, span: Span, scale: int) -> Indices:
    """Return the input rows or columns of a tile of the result; beyond the picture's size they are mirrored."""
    start, stop = span.start // scale, span.stop // scale
    return slice(start, stop) if stop <= size else mirrored(size, start, stop)
