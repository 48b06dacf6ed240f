"""Data set of a run: the training loader, and whole pictures for validation and previews."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ganvas.data.cache import Cache, Side, agree_across_sides, agree_across_splits
from ganvas.data.cache_writer import build_cache
from ganvas.data.config import DataConfig
from ganvas.data.films import has_pictures
from ganvas.data.layouts import Split
from ganvas.data.loader import TrainLoader, evaluation_pairs, evaluation_pictures
from ganvas.filesystem.atomic import write_json
from ganvas.filesystem.paths import cache_folder
from ganvas.image.picture import PictureSpec
from ganvas.methods.base import method_type
from ganvas.progress import Progress, progress_bars
from ganvas.runs.folder import REFUSED_NAME
from ganvas.training.config import RunConfig
from ganvas.training.distributed import Processes

Pair = tuple[str, Tensor, Tensor]
"""Name, input and target, (1, C, H, W) in [-1, 1]."""
Named = tuple[str, Tensor]
"""Name and picture, (1, C, H, W) in [-1, 1]."""


@dataclass(frozen=True)
class Dataset:
    """Data of a run.

    Attributes:
        loader: batches for training.
        training: the training split.
        validation: the validation split, or None if there is none.
        config: settings of reading and cropping.
        device: device of the pictures.
    """

    loader: TrainLoader
    training: Cache
    validation: Cache | None
    config: DataConfig
    device: torch.device

    @property
    def paired(self) -> bool:
        """Return whether the pictures of side b are targets of those of side a."""
        return self.config.paired

    @property
    def input_spec(self) -> PictureSpec:
        """Return the specification of side a."""
        return self.training.a.spec

    @property
    def output_spec(self) -> PictureSpec:
        """Return the specification of side b."""
        return self.training.b.spec

    @property
    def shown(self) -> Cache:
        """Return the split of the previews: validation if there is one, else training."""
        return self.training if self.validation is None else self.validation

    def validation_count(self, limit: int) -> int:
        """Return the number of pictures that a validation with `limit` pictures per side translates."""
        if self.validation is None:
            return 0
        return (1 if self.paired else 4) * min(len(self.validation), limit)

    def pairs(self, split: Cache, limit: int) -> Iterator[Pair]:
        """Yield at most `limit` pairs, evenly spread over a split, always the same ones."""
        return evaluation_pairs(split, self.config, device=self.device, every=-(-len(split) // limit))

    def sides(self, split: Cache, limit: int) -> tuple[Iterator[Named], Iterator[Named]]:
        """Return at most `limit` pictures of each side, evenly spread over a split, always the same ones."""
        return self._spread(split.a, limit), self._spread(split.b, limit)

    def _spread(self, side: Side, limit: int) -> Iterator[Named]:
        return evaluation_pictures(side, device=self.device, every=-(-len(side) // limit))


def open_dataset(config: RunConfig, processes: Processes, run: Path, *, quiet: bool = True) -> Dataset:
    """Open the data of a run; the first process decodes uncached pictures, and lists refusals in `run`.

    Args:
        config: method, data and training.
        processes: processes that train together.
        run: the run folder.
        quiet: show no progress bar while pictures are decoded.

    Raises:
        DataError, ImageError: pictures that cannot be found, read or used together.
        PolicyRefusal: too many training pictures are refused.
    """
    if not processes.first:
        processes.wait()
    with progress_bars(shown=processes.first and not quiet) as progress:
        dataset = _open(config, processes, progress)
    if processes.first:
        refusals = [*dataset.training.refusals, *(dataset.validation.refusals if dataset.validation else ())]
        write_json(run / REFUSED_NAME, [refusal.as_record() for refusal in refusals])
        processes.wait()
    return dataset


def _open(config: RunConfig, processes: Processes, progress: Progress) -> Dataset:
    # Pairs and unpaired sides differ only in the config; cache, loader and split view are shared.
    data, folder = config.data, cache_folder() / "pictures"
    make = partial(build_cache, config=data, folder=folder, num_frames=config.num_frames, progress=progress)
    splits: dict[Split, Cache] = {"train": make(split="train")}
    if has_pictures(data, "val"):
        splits["val"] = make(split="val")
    # Repeat gray pictures here, before any network is built for their channels.
    agree_across_splits(splits)
    if method_type(config.method).needs_equal_channels(config.method):
        agree_across_sides(splits.values())
    training = config.training
    loader = TrainLoader(
        splits["train"],
        data,
        batch_size=training.batch_size,
        seed=training.seed,
        device=processes.device,
        rank=processes.rank,
        world=processes.world,
    )
    return Dataset(loader, splits["train"], splits.get("val"), data, processes.device)
