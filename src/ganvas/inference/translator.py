"""Translator: a trained run, or an ONNX file, as an image -> image callable."""

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
    gives the same output each time, alone or in a batch, since its content seeds the method's noise.

    Args:
        model: a method with its generators loaded, or a network from elsewhere.
        record: the specification of input and output.
        device: device to which a method is moved.
        seed: of the method's noise, if it has any.
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
            ConfigError: the translator holds an ONNX file, which has none.
        """
        if not isinstance(self.model, Method):
            raise ConfigError("an ONNX file has no method, only a network; give the run folder")
        return self.model

    @property
    def num_frames(self) -> int:
        """Frames of a film that the run takes together, the one to translate in the middle."""
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
        """Load a run folder, or any ONNX file with one picture in and one out (docs/translate.md).

        Args:
            run: the folder that training wrote, one that `ganvas export` published, `hf://user/name[@revision]`, or an
                .onnx file.
            snapshot: `best`, `last`, `auto` (best where there is one) or a snapshot file.
            device: auto, cpu, cuda, cuda:1 or mps.
            seed: of the method's noise, if it has any.
            precision: of the convolutions; auto is bfloat16 where that is fast, else float32 (docs/translate.md).
            direction: b_to_a for the reverse direction of methods that learn both.
            runtime: what computes the network; `ganvas.load` takes its name.

        Raises:
            RunError: the folder cannot be read as a run, or the file as a network from picture to picture.
            ConfigError: the run's method does not translate in that direction, or bfloat16 is not fast on the device;
                or a setting is given that an ONNX file or the runtime lacks.
            ExportError: the runtime needs an export of the run, and there is none within a gray level.
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
        """Translate several pictures, each on its own: the one path of pictures through a run.

        Single pictures, folders, films and Python calls all come this way: check, gate, network, gate.

        Args:
            pictures: (name, picture).
            windows: of each frame of a film, the `num_frames` frames around it; unset for pictures, which repeat
                themselves.
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
                any_scale = self.model.resizes or self.model.scale > 1
                one.notes = input_notes(
                    one.picture, self.record.input, self.record.data, any_scale=any_scale, is_frame=windows is not None
                )
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

    def _network(self, signed: NDArray[np.float32]) -> NDArray[np.float32]:
        """Run one forward pass, (C, H, W) -> (C', H, W), as a batch of one: its statistics are the picture's own."""
        with torch.inference_mode(), computing_with(self._threads):
            images = torch.from_numpy(signed)[None].to(self.device)
            made = self.model.translate(images, direction=self.direction)
            result: NDArray[np.float32] = made[0].float().cpu().numpy()
        return result
