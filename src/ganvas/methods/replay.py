"""A memory of made pictures, so that a discriminator does not forget what it has caught before."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Replay(nn.Module):
    """Past fakes, half of the time in the place of the newest: Zhu et al. 2017, Sec. 4, after Shrivastava et al.

    While it fills, a fake is stored and shown. Once full, each fake is either shown and forgotten or, half of the time,
    changes places with a stored one drawn at random, which is shown. What is stored are buffers, so a checkpoint keeps
    them; each process has its own, and after a resumption all go on from the first's. No decision waits for the device.

    Args:
        capacity: fakes that it holds; 0 shows the newest alone.
        shape: (C, H, W) of one.
    """

    images: Tensor
    """(capacity, C, H, W), zero where nothing is stored yet."""
    count: Tensor
    """How many are stored."""

    def __init__(self, capacity: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.capacity = capacity
        if capacity:
            self.register_buffer("images", torch.zeros(capacity, *shape))
            self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, fakes: Tensor) -> Tensor:
        """Fakes (N, C, H, W), shown and stored one after another -> those to show, without gradients."""
        if not self.capacity:
            return fakes.detach()
        places = torch.randint(self.capacity, (len(fakes),), device=fakes.device)
        swaps = torch.rand(len(fakes), device=fakes.device) < 0.5
        shown = torch.empty_like(fakes, dtype=self.images.dtype)  # in their order of memory
        for index, fake in enumerate(torch.split(fakes.to(shown.dtype), 1)):
            shown[index] = self._exchange(fake, places[index], swaps[index])[0]
        return shown

    def _exchange(self, fake: Tensor, place: Tensor, swap: Tensor) -> Tensor:
        """Show one fake (1, C, H, W) or, where `swap` says so, what lies at `place`."""
        full = self.count == self.capacity
        place = torch.where(full, place, self.count).view(1)
        stored = self.images.index_select(0, place)
        self.images.index_copy_(0, place, torch.where(full & ~swap, stored, fake))
        self.count += ~full
        return torch.where(full & swap, stored, fake)
