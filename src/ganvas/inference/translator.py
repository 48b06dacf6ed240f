"""Translator, which applies a trained run or an ONNX file to images."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any, overload

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image

from ganvas.content_gate import admit_many
from ganvas.errors import ConfigError
from ganvas.hardware import PrecisionChoice
from ganvas.hardware.device import choose_device, cores_for_networks
from ganvas.hardware.threads import computing_with
from ganvas.image.picture import Picture
from ganvas.inference.adapt import AnyImage, as_kind_of, as_picture, input_notes
from ganvas.inference.forward import translate_admitted
from ganvas.inference.frames import translated_frames
from ganvas.inference.models import Model, checked_precision
from ganvas.inference.onnx_file import names_onnx
from ganvas.inference.onnx_model import OnnxModel
from ganvas.inference.prepacking import make_ready
from ganvas.inference.runtimes import TORCH, RuntimeChoice
from ganvas.inference.tiling import TilingWarning
from ganvas.inference.translation import ConversionWarning, InProgress, Translation, admit_each, or_raised, still_going
from ganvas.methods.base import Method
from ganvas.methods.config import Direction
from ganvas.progress import SILENT, Progress
from ganvas.runs import SnapshotName
from ganvas.runs.hub import resolve_run
from ganvas.runs.record import RunRecord, load_generators, read_run_record
from ganvas.video import Frame


class Translator:
    """Trained run, or ONNX file, as an image -> image callable: `Translator.load(run)(image)`.

    The output has the size of the input; every picture and its translation pass the content gate; the same picture
    always gives the same output, alone or in a batch, since its content seeds the method's noise.

    Args:
        model: a method with loaded generators, or another model such as an ONNX file.
        record: specification of input and output.
        device: device to which a method is moved.
        seed: seed of the method's noise, if it has any.
        direction: for b_to_a, the record's output specification applies to the input and vice versa.

    Raises:
        ConfigError: the model does not translate in that direction.
    """

    def __init__(
        self,
        model: Model,
        record: RunRecord,
        *,
        device: str | torch.device = "cpu",
        seed: int = 0,
        direction: Direction = "a_to_b",
    ) -> None:
        model.check_direction(direction)
        if direction == "b_to_a":
            record = replace(record, input=record.output, output=record.input)
        self.device = choose_device(str(device))
        self.model: Model = model.to(self.device) if isinstance(model, Method) else model
        self.record, self.seed, self.direction = record, seed, direction
        self._threads = cores_for_networks()

    @property
    def method(self) -> Method:
        """The run's method.

        Raises:
            ConfigError: the model is an ONNX file, which has no method.
        """
        if not isinstance(self.model, Method):
            raise ConfigError("an ONNX file contains a network but no method; pass the run folder")
        return self.model

    @property
    def num_frames(self) -> int:
        """Number of frames in a window, of which the middle one is translated."""
        return self.model.num_frames

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
        runtime: RuntimeChoice = TORCH,
    ) -> Translator:
        """Load a run, or an ONNX file of a network from a picture to a picture (docs/translate.md).

        Args:
            run: a run folder, a folder written by `ganvas export --format huggingface`, `hf://user/name[@revision]`, or
                an .onnx file.
            snapshot: `best`, `last`, `auto` (best where there is one) or a snapshot file.
            device: auto, cpu, cuda, cuda:1 or mps.
            seed: seed of the method's noise, if it has any.
            precision: precision of the convolutions; auto is bfloat16 where that is fast, else float32
                (docs/translate.md).
            direction: b_to_a translates in the reverse direction, for methods that learn both.
            runtime: runtime that executes the network; `ganvas.load` accepts its name.

        Raises:
            RunError: the folder cannot be read as a run, or the file as a network from picture to picture.
            ConfigError: the run's method does not translate in that direction, or bfloat16 is not fast on the device;
                or a setting does not apply to ONNX files or the runtime.
            ExportError: the runtime needs an export of the run, and the export differs by more than a gray level.
            MissingDependency: the runtime is not installed.
        """
        run = resolve_run(run)
        chosen = checked_precision(run, precision, snapshot=snapshot, device=device, runtime=runtime)
        if names_onnx(run):
            model = OnnxModel(run, runtime)
            model.check_direction(direction)
            return cls(model, model.record(), seed=seed)
        if runtime.exports_runs:
            model = OnnxModel(runtime.exported(run, snapshot, direction), runtime)
            model.require_no_noise(run, runtime.name)
            return cls(model, read_run_record(run), seed=seed, direction=direction)
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
        """Translate one image without tiles.

        Args:
            image: a Picture, a file, the bytes of a file, a Pillow image, an array (H, W[, C]), or a tensor (C, H, W);
                arrays and tensors of uint8, uint16 or float in [0, 1].

        Returns:
            The result in the type of the input (a Picture for a file or its bytes), upright, in the model's output data
                type, with the height and width of the input times the scale.

        Raises:
            ImageError: the image cannot be read, has unsuitable channels or pixel values, or needs too much memory.
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

        The result equals the untiled one if the network's receptive field is finite and the tile is large enough;
        otherwise seams are blended and a TilingWarning gives the reason.

        Args:
            image: as for a call.
            tile: side of a tile in pixels.
            overlap: overlap of the tiles on each side in pixels; unset: as much as exact results need.
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
        """Translate one picture, with the gate before and after, and notes instead of warnings; see `translate_many`.

        Raises:
            ImageError: the model cannot take it, or memory runs out.
            PolicyRefusal: the gate refused the picture or its translation.
            Cancelled: see `Progress.check`.
        """
        named = (name or str(picture.source or "picture"), picture)
        (outcome,) = self.translate_many(
            [named], windows=[window] if window else None, tile=tile, overlap=overlap, progress=progress
        )
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
        places: Callable[[Picture], AbstractContextManager[object]] = lambda _picture: nullcontext(),
        progress: Progress = SILENT,
    ) -> list[Translation | Exception]:
        """Translate several pictures independently; all translations use this method.

        Single pictures, folders, films and Python calls share its steps: check, gate, network, gate.

        Args:
            pictures: (name, picture).
            windows: for each picture that is a frame, the window of `num_frames` frames around it; unset for pictures,
                which are repeated.
            tile: see `tiled`; None for whole pictures.
            overlap: see `tiled`.
            places: returns the lock to hold in the network, if several threads share it.
            progress: receives the number of finished tiles of a picture, if there are several, and can cancel.

        Returns:
            For each picture its translation, or the error that prevented it.

        Raises:
            Cancelled: see `Progress.check`.
        """
        around = windows if windows is not None and self.num_frames > 1 else [()] * len(pictures)
        work = [InProgress(*named, window) for named, window in zip(pictures, around, strict=True)]
        # 1. Gate the pictures that the model accepts; the cache of scores is opened once for all of them.
        for one in work:
            with one.failing_alone():
                any_scale = self.model.resizes or self.model.scale > 1
                one.notes = input_notes(
                    one.picture, self.record.input, self.record.data, any_scale=any_scale, is_frame=windows is not None
                )
        admit_each(still_going(work))
        # 2. Apply the network to each picture separately, so that batch norm uses the picture's own statistics.
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
        """Yield the translated frames of a film with their timestamps; `ganvas.translate` also labels the film.

        Args:
            frames: frames as yielded by `ganvas.video.read_video`; `ganvas.video.write_video` writes the results.
            name: name of the film, for messages.
            tile: see `tiled`.
            overlap: see `tiled`.

        Raises:
            PolicyRefusal: the gate refused a frame or its translation; names frame and second.
            ImageError: the model does not accept the frames, or memory runs out.
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

    def _network(self, signed: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one forward pass, (C, H, W) -> (C', H, W), with a batch of one, so norms use its own statistics."""
        with torch.inference_mode(), computing_with(self._threads):
            images = torch.from_numpy(signed)[None].to(self.device)
            made = self.model.translate(images, direction=self.direction)
            result: NDArray[np.float32] = made[0].float().cpu().numpy()
        return result
