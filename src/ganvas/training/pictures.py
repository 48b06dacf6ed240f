"""Data of a run: a training loader, and whole pictures for validation and previews."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ganvas.data.batch import Loader
from ganvas.data.cache import (
    Cache,
    UnpairedCache,
    agree_across_sides,
    agree_across_splits,
    build_cache,
    build_unpaired_cache,
)
from ganvas.data.config import PairedData, UnpairedData
from ganvas.data.layouts import Split, has_sides, has_split
from ganvas.data.loading import TrainLoader, UnpairedLoader, evaluation_pairs, evaluation_pictures
from ganvas.data.memmap import Side
from ganvas.filesystem.atomic import write_json
from ganvas.image.picture import PictureSpec
from ganvas.methods.registry import method_type
from ganvas.progress import Progress, progress_bars
from ganvas.runs.folder import REFUSED_NAME
from ganvas.training.config import RunConfig
from ganvas.training.distributed import Processes
from ganvas.weights import cache_folder

Pair = tuple[str, Tensor, Tensor]
"""Name, input and target, (1, C, H, W) in [-1, 1]."""
Named = tuple[str, Tensor]
"""Name and picture, (1, C, H, W) in [-1, 1]."""


@dataclass(frozen=True)
class PairedPictures:
    """Data of a run on pairs.

    Attributes:
        loader: batches for training.
        training: the training split.
        validation: the validation split, or None where there is none.
        config: how both are cut.
        device: where pairs are wanted.
    """

    loader: Loader
    training: Cache
    validation: Cache | None
    config: PairedData
    device: torch.device

    @property
    def input_spec(self) -> PictureSpec:
        """Channels and value type of the input side."""
        return self.training.input_spec

    @property
    def output_spec(self) -> PictureSpec:
        """Channels and value type of the target side."""
        return self.training.output_spec

    def validation_count(self, limit: int) -> int:
        """Return how many pictures a validation translates, at most `limit`."""
        return 0 if self.validation is None else min(len(self.validation), limit)

    def validation_pairs(self, limit: int) -> Iterator[Pair]:
        """Return at most `limit` pairs, evenly spread over the validation split; none where there is none."""
        if self.validation is not None:
            yield from self._spread(self.validation, limit)

    def shown_pairs(self, limit: int) -> Iterator[Pair]:
        """The same few pairs each time, of the validation split where there is one, else of the training split."""
        yield from self._spread(self.validation if self.validation is not None else self.training, limit)

    def _spread(self, cache: Cache, limit: int) -> Iterator[Pair]:
        every = -(-len(cache) // limit)
        return evaluation_pairs(cache, self.config, device=self.device, every=every)


@dataclass(frozen=True)
class UnpairedPictures:
    """Data of a run on unpaired sides.

    Attributes:
        loader: batches for training.
        training: the training split.
        validation: the validation split, or None where there is none.
        device: where pictures are wanted.
    """

    loader: Loader
    training: UnpairedCache
    validation: UnpairedCache | None
    device: torch.device

    @property
    def input_spec(self) -> PictureSpec:
        """Channels and value type of side a."""
        return self.training.a.spec

    @property
    def output_spec(self) -> PictureSpec:
        """Channels and value type of side b."""
        return self.training.b.spec

    def validation_count(self, limit: int) -> int:
        """Return how many pictures a validation translates: at most `limit` of each side, there and back."""
        return 0 if self.validation is None else 4 * min(max(len(self.validation.a), len(self.validation.b)), limit)

    def validation_sides(self, limit: int) -> tuple[Iterator[Named], Iterator[Named]] | None:
        """At most `limit` pictures of each side, evenly spread over the validation split; None where there is none."""
        return None if self.validation is None else self._sides(self.validation, limit)

    def shown_sides(self, limit: int) -> tuple[Iterator[Named], Iterator[Named]]:
        """Return the same few each time, of the validation split where there is one, else of the training split."""
        return self._sides(self.validation if self.validation is not None else self.training, limit)

    def _sides(self, cache: UnpairedCache, limit: int) -> tuple[Iterator[Named], Iterator[Named]]:
        return self._spread(cache.a, limit), self._spread(cache.b, limit)

    def _spread(self, side: Side, limit: int) -> Iterator[Named]:
        return evaluation_pictures(side, device=self.device, every=-(-len(side) // limit))


Pictures = PairedPictures | UnpairedPictures


def open_pictures(config: RunConfig, processes: Processes, run: Path, *, quiet: bool = True) -> Pictures:
    """Open the data of a run: the first process decodes what is not cached yet, and lists the refusals in `run`.

    Args:
        config: whose data.
        processes: that share the pictures.
        run: the run folder.
        quiet: show no bar while pictures are decoded.

    Raises:
        DataError, ImageError: pictures that cannot be found, read or used together.
        PolicyRefusal: too many training pictures are refused.
    """
    if not processes.first:
        processes.wait()
    with progress_bars(shown=processes.first and not quiet) as tell:
        data = config.data
        pictures: Pictures
        if isinstance(data, PairedData):
            pictures = _open_paired(data, config, processes, tell)
        else:
            pictures = _open_unpaired(data, config, processes, tell)
    if processes.first:
        refusals = [*pictures.training.refusals, *(pictures.validation.refusals if pictures.validation else ())]
        write_json(run / REFUSED_NAME, [refusal.as_record() for refusal in refusals])
        processes.wait()
    return pictures


def _open_paired(data: PairedData, config: RunConfig, processes: Processes, tell: Progress) -> PairedPictures:
    def cache(split: Split) -> Cache:
        return build_cache(data, split, _folder(), report=partial(tell, f"read {split}"))

    training, validation = cache("train"), cache("val") if has_split(data, "val") else None
    _agree(config, training, validation)
    loader: Loader
    if data.aligned:
        loader = TrainLoader(training, data, **_sharing(config, processes))
    else:
        loader = UnpairedLoader(_Apart(training.a, training.b), data, **_sharing(config, processes))
    return PairedPictures(loader, training, validation, data, processes.device)


@dataclass(frozen=True)
class _Apart:
    """The sides of pairs, for a method that does not use the pairing."""

    a: Side
    b: Side


def _open_unpaired(data: UnpairedData, config: RunConfig, processes: Processes, tell: Progress) -> UnpairedPictures:
    def cache(split: Split) -> UnpairedCache:
        return build_unpaired_cache(data, split, _folder(), report=partial(tell, f"read {split}"))

    training, validation = cache("train"), cache("val") if has_sides(data, "val") else None
    _agree(config, training, validation)
    loader = UnpairedLoader(training, data, **_sharing(config, processes))
    return UnpairedPictures(loader, training, validation, processes.device)


def _agree(config: RunConfig, training: Cache | UnpairedCache, validation: Cache | UnpairedCache | None) -> None:
    """Check that the splits hold one kind of pictures, before training."""
    splits: dict[Split, Cache | UnpairedCache] = {"train": training}
    if validation is not None:
        splits["val"] = validation
    agree_across_splits(splits)
    if method_type(config.method).needs_equal_channels(config.method):
        agree_across_sides(splits.values())


def _sharing(config: RunConfig, processes: Processes) -> dict[str, Any]:
    """Return the loader arguments for batches and this process's share."""
    return {
        "batch_size": config.training.batch_size,
        "seed": config.training.seed,
        "device": processes.device,
        "rank": processes.rank,
        "world": processes.world,
    }


def _folder() -> Path:
    return cache_folder() / "pictures"
