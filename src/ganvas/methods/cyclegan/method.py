"""CycleGAN: unpaired translation with cycle consistency, and its image buffer of past fakes."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from ganvas.errors import ConfigError
from ganvas.losses import fake_loss, generator_loss, l1_loss, real_loss
from ganvas.methods import CycleGANConfig
from ganvas.methods.architectures import TwoWayMethod, choose_blocks, make_discriminator, make_generator
from ganvas.methods.base import Batch, Progress, Turn
from ganvas.methods.config import Domain

Losses = dict[str, Tensor]
CYCLES = {"both": ("a", "b"), "forward": ("a",), "backward": ("b",)}
"""Setting -> domains with a cycle loss."""


class CycleGAN(TwoWayMethod):
    """Two generators, each trained against the discriminator of its output domain and to invert the other.

    Zhu et al. 2017, "Unpaired Image-to-Image Translation using Cycle-Consistent Adversarial Networks",
    arXiv:1703.10593, where `a_to_b` is G, `b_to_a` F, `discriminator_a` D_X and `discriminator_b` D_Y. Follows the
    paper; details that it does not specify follow the released PyTorch code.
    """

    config_type = CycleGANConfig
    capturable = True

    def __init__(
        self, config: CycleGANConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        if config.identity_weight > 0 and input_channels != output_channels:
            raise ConfigError(
                f"the identity loss applies each generator to pictures of its output domain ({input_channels} and "
                f"{output_channels} channels): use equal numbers of channels, or set identity_weight to 0"
            )
        self.config = config
        self.players = {"generators": ("a_to_b", "b_to_a"), "discriminators": ("discriminator_a", "discriminator_b")}
        a, b = input_channels, output_channels
        blocks = choose_blocks(config.residual_blocks, image_size)
        self.a_to_b = make_generator(config, a, b, image_size=image_size, residual_blocks=blocks)
        self.b_to_a = make_generator(config, b, a, image_size=image_size, residual_blocks=blocks)
        self.discriminator_a = make_discriminator(config, a, norm=config.norm, image_size=image_size)
        self.discriminator_b = make_discriminator(config, b, norm=config.norm, image_size=image_size)
        self.replay_a = Replay(config.pool_size, (a, *image_size))
        self.replay_b = Replay(config.pool_size, (b, *image_size))

    @classmethod
    def needs_equal_channels(cls, config: CycleGANConfig) -> bool:
        """Return whether there is an identity loss, which applies each generator to its own output domain."""
        return config.identity_weight > 0

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield a step of both generators, then of both discriminators, or in reverse, depending on `order`."""
        del progress  # every step is identical
        fake_b, losses = self._translate_and_cycle(self.a_to_b, self.b_to_a, batch.a, domain="a")
        fake_a, backward = self._translate_and_cycle(self.b_to_a, self.a_to_b, batch.b, domain="b")
        if self.config.order == "discriminators_first":
            yield self._discriminator_losses(batch, fake_a=fake_a, fake_b=fake_b)
        losses |= backward | self._identity_losses(batch) | self._adversarial_losses(fake_a=fake_a, fake_b=fake_b)
        yield Turn("generators", losses)
        if self.config.order == "generators_first":
            yield self._discriminator_losses(batch, fake_a=fake_a, fake_b=fake_b)

    def _translate_and_cycle(
        self, generator: nn.Module, inverse: nn.Module, real: Tensor, *, domain: Domain
    ) -> tuple[Tensor, Losses]:
        """Return the fake, and lambda times the cycle-consistency loss, Eq. 2."""
        fake, weight = generator(real), self.config.cycle_weights[domain]
        if weight == 0 or domain not in CYCLES[self.config.cycle]:
            return fake, {}
        return fake, {f"cycle_{domain}": weight * l1_loss(inverse(fake), real)}

    def _identity_losses(self, batch: Batch) -> Losses:
        """Return the identity loss of Sec. 5.2: a generator keeps pictures of its output domain unchanged."""
        losses: Losses = {}
        sides: dict[Domain, tuple[nn.Module, Tensor]] = {"a": (self.b_to_a, batch.a), "b": (self.a_to_b, batch.b)}
        for domain, (generator, real) in sides.items():
            weight = self.config.identity_weight * self.config.cycle_weights[domain]
            if weight > 0:
                losses[f"identity_{domain}"] = weight * l1_loss(generator(real), real)
        return losses

    def _adversarial_losses(self, *, fake_a: Tensor, fake_b: Tensor) -> Losses:
        """Return Eq. 1 for the generators, least squares in place of the logarithm (Sec. 4)."""
        objective = self.config.objective
        return {
            "adversarial_a": generator_loss(self.discriminator_a(fake_a), objective),
            "adversarial_b": generator_loss(self.discriminator_b(fake_b), objective),
        }

    def _discriminator_losses(self, batch: Batch, *, fake_a: Tensor, fake_b: Tensor) -> Turn:
        """Return Eq. 1 for the discriminators, halved (Sec. 7.1), on present and past fakes (Sec. 4)."""
        objective = self.config.objective
        past_a, past_b = self.replay_a(fake_a), self.replay_b(fake_b)
        losses = {
            "real_a": 0.5 * real_loss(self.discriminator_a(batch.a), objective),
            "fake_a": 0.5 * fake_loss(self.discriminator_a(past_a), objective),
            "real_b": 0.5 * real_loss(self.discriminator_b(batch.b), objective),
            "fake_b": 0.5 * fake_loss(self.discriminator_b(past_b), objective),
        }
        return Turn("discriminators", losses)


METHOD = CycleGAN


class Replay(nn.Module):
    """Image pool, a buffer of past fakes: Zhu et al. 2017, Sec. 4, after Shrivastava et al.

    While it fills, each fake is stored and returned. Once full, each fake is returned unchanged or, half of the time,
    exchanged for a random stored one, which is returned. The images are buffers, so checkpoints contain them; each
    process has its own pool, and after resuming all continue with that of the first process. No operation synchronizes
    with the device.

    Args:
        capacity: number of stored fakes; 0 always returns the newest.
        shape: (C, H, W) of one fake.
    """

    images: Tensor
    """Stored fakes, (capacity, C, H, W); zero for empty entries."""
    count: Tensor
    """Number of stored fakes."""

    def __init__(self, capacity: int, shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.capacity = capacity
        if capacity:
            self.register_buffer("images", torch.zeros(capacity, *shape))
            self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    @torch.no_grad()
    def forward(self, fakes: Tensor) -> Tensor:
        """Store fakes (N, C, H, W) one after another, and return those for the discriminator, detached."""
        if not self.capacity:
            return fakes.detach()
        places = torch.randint(self.capacity, (len(fakes),), device=fakes.device)
        swaps = torch.rand(len(fakes), device=fakes.device) < 0.5
        shown = torch.empty_like(fakes, dtype=self.images.dtype)  # in their memory format
        for index, fake in enumerate(torch.split(fakes.to(shown.dtype), 1)):
            shown[index] = self._exchange(fake, places[index], swaps[index])[0]
        return shown

    def _exchange(self, fake: Tensor, place: Tensor, swap: Tensor) -> Tensor:
        """Return one fake (1, C, H, W) or, if `swap` is set, the one stored at `place`."""
        full = self.count == self.capacity
        place = torch.where(full, place, self.count).view(1)
        stored = self.images.index_select(0, place)
        self.images.index_copy_(0, place, torch.where(full & ~swap, stored, fake))
        self.count += ~full
        return torch.where(full & swap, stored, fake)
