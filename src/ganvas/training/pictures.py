"""The pictures of a run: a loader for training, and whole pairs to validate on and to show."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from ganvas.data.cache import Cache, build_cache
from ganvas.data.config import PairedData
from ganvas.data.loading import TrainLoader, evaluation_pairs
from ganvas.data.pairs import has_split
from ganvas.image.atomic import write_json
from ganvas.image.picture import PictureSpec
from ganvas.training.config import RunConfig
from ganvas.training.distributed import Processes
from ganvas.training.run_folder import REFUSED_NAME
from ganvas.weights import cache_folder

Pair = tuple[str, Tensor, Tensor]
"""Name, given and made side, (1, C, H, W) in [-1, 1]."""


@dataclass(frozen=True)
class Pictures:
    """What a run reads.

    Attributes:
        loader: batches for training.
        training: the training split.
        validation: the validation split, or None where there is none.
        config: how both are cut.
        device: where pairs are wanted.
    """

    loader: TrainLoader
    training: Cache
    validation: Cache | None
    config: PairedData
    device: torch.device

    @property
    def input_spec(self) -> PictureSpec:
        """The numbers of the given side."""
        return self.training.input_spec

    @property
    def output_spec(self) -> PictureSpec:
        """The numbers of the made side."""
        return self.training.output_spec

    def validation_pairs(self, limit: int) -> Iterator[Pair]:
        """At most `limit` pairs, evenly spread over the validation split; none where there is none."""
        if self.validation is not None:
            yield from self._spread(self.validation, limit)

    def shown_pairs(self, limit: int) -> Iterator[Pair]:
        """The same few pairs each time, of the validation split where there is one, else of the training split."""
        yield from self._spread(self.validation if self.validation is not None else self.training, limit)

    def _spread(self, cache: Cache, limit: int) -> Iterator[Pair]:
        every = -(-len(cache) // limit)
        return evaluation_pairs(cache, self.config, device=self.device, every=every)


def open_pictures(config: RunConfig, processes: Processes, run: Path) -> Pictures:
    """Decode what is not decoded yet (the first process; the others wait), and list the refusals in `run`.

    Raises:
        DataError, ImageError: pairs that cannot be found, read or used together.
        PolicyRefusal: too many training pictures are refused.
    """
    if not processes.first:
        processes.wait()
    folder = cache_folder() / "pictures"
    training = build_cache(config.data, "train", folder)
    validation = build_cache(config.data, "val", folder) if has_split(config.data, "val") else None
    if processes.first:
        refusals = [*training.refusals, *(validation.refusals if validation else ())]
        write_json(run / REFUSED_NAME, [refusal.as_record() for refusal in refusals])
        processes.wait()
    loader = TrainLoader(
        training,
        config.data,
        batch_size=config.training.batch_size,
        seed=config.training.seed,
        device=processes.device,
        rank=processes.rank,
        world=processes.world,
    )
    return Pictures(loader, training, validation, config.data, processes.device)
