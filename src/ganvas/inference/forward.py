"""Forward pass of a translation: padding, tiles, threads and seeded noise. The caller gates input and output."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from ganvas.content_gate import AdmittedPicture
from ganvas.image.picture import Picture
from ganvas.inference.adapt import Indices, blank_result, signed_digest, signed_part, write_part
from ganvas.inference.models import Model
from ganvas.inference.tiling import Span, TilePlan, enough_memory, mirrored, padded_size, plan_tiles, run_tiles, whole
from ganvas.progress import SILENT, Progress

if TYPE_CHECKING:
    from ganvas.inference.translator import Translator

__all__ = ["translate_admitted"]

Floats = NDArray[np.float32]


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

    `neighbors` is the window of frames, including the picture itself, for a run that takes several frames; if it is
    missing, the picture is repeated.

    Returns:
        The translation, and a note if tiles are not exact.

    Raises:
        ImageError: memory runs out.
    """
    picture = admitted.picture
    model, scale = translator.model, translator.model.scale
    rows, columns = (
        padded_size(side, model.size_multiple, fixed, smallest=model.smallest_side)
        for side, fixed in zip((picture.height, picture.width), model.fixed_size, strict=True)
    )
    plan, note = _plan(model, rows, columns, tile, overlap)
    given, made = translator.record.input, translator.record.output
    window = neighbors or [admitted] * translator.num_frames
    with enough_memory(picture, translator.device), _seeded(translator, picture):
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
    """Return the input rows or columns of a tile of the result; indices beyond the picture are mirrored."""
    start, stop = span.start // scale, span.stop // scale
    return slice(start, stop) if stop <= size else mirrored(size, start, stop)


def _plan(model: Model, rows: int, columns: int, tile: int | None, overlap: int | None) -> tuple[TilePlan, str | None]:
    if tile is None and model.fixed_size == (None, None):
        return whole(rows, columns), None
    return plan_tiles(
        rows, columns, tile=tile, overlap=overlap, multiple=model.size_multiple, context=model.context,
        smallest=model.smallest_side, fixed_size=model.fixed_size, blend_reason=model.blend_reason,
    )  # fmt: skip


@contextmanager
def _seeded(translator: Translator, picture: Picture) -> Iterator[None]:
    """Seed the model's noise from the seed and the picture's content; restore the global random state afterwards."""
    if not translator.model.draws_noise:
        yield
        return
    seed = signed_digest(picture, translator.record.input, str(translator.seed))
    devices = [translator.device] if translator.device.type == "cuda" else []
    with torch.random.fork_rng(devices=devices):
        torch.manual_seed(seed)
        yield
