"""UNIT: unpaired translation through a shared latent space."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from ganvas.losses import Objective, at_least_float32, fake_loss, generator_loss, l1_loss, real_loss
from ganvas.methods import UNITConfig
from ganvas.methods.architectures import check_crop
from ganvas.methods.base import Batch, Method, Progress, Turn
from ganvas.methods.config import Direction
from ganvas.methods.unit.networks import NUM_HALVINGS, DiscriminatorPyramid, SharedDecoder, SharedEncoder

Losses = dict[str, Tensor]


class UNIT(Method):
    """Two VAEs with a shared latent space; the generator of the other domain translates.

    Liu et al. 2017, "Unsupervised Image-to-Image Translation Networks", arXiv:1703.00848. Follows the paper; the
    residual blocks have as many channels as the convolution before them. KL and L1 are means over elements, not sums.
    """

    config_type = UNITConfig
    capturable = True
    directions = ("a_to_b", "b_to_a")
    paired = False
    samples = ("a", "b")
    generators = ("encoder", "decoder")

    def __init__(
        self, config: UNITConfig, *, input_channels: int, output_channels: int, image_size: tuple[int, int]
    ) -> None:
        super().__init__(config, input_channels=input_channels, output_channels=output_channels, image_size=image_size)
        smallest = max(2 * self.size_multiple, 4 * 2 ** (config.discriminator_scales - 1))
        check_crop(image_size, multiple=self.size_multiple, smallest=smallest, network="UNIT")
        self.config, channels = config, (input_channels, output_channels)
        self.players = {"generators": ("encoder", "decoder"), "discriminators": ("discriminator",)}
        self.latent_shape = (4 * config.width, *(side // self.size_multiple for side in image_size))
        blocks, shared = config.residual_blocks, config.shared_blocks
        self.encoder = SharedEncoder(
            channels, width=config.width, num_blocks=blocks, num_shared=shared, norm=config.norm
        )
        self.decoder = SharedDecoder(
            channels, width=config.width, num_blocks=blocks, num_shared=shared, norm=config.norm
        )
        self.discriminator = DiscriminatorPyramid(
            channels,
            size=image_size,
            scales=config.discriminator_scales,
            width=config.discriminator_width,
            num_shared=config.discriminator_shared_layers,
        )

    def training_step(self, batch: Batch, progress: Progress) -> Iterator[Turn]:
        """Yield a step of both discriminators, then one of encoders and generators (Sec. 3, "Learning")."""
        del progress  # every step is identical
        mean_a, mean_b = self.encoder(batch.a, "a"), self.encoder(batch.b, "b")
        code_a, code_b = noisy(mean_a), noisy(mean_b)
        prior = [torch.randn_like(code_a)] if self.config.judged == "all" else []
        fake_a = self._make([code_a, code_b, *prior], "a")
        fake_b = self._make([code_b, code_a, *prior], "b")
        shown_a, shown_b = self._shown(fake_a), self._shown(fake_b)
        yield Turn(
            "discriminators", self._discriminator_losses(batch, fake_a=shown_a.detach(), fake_b=shown_b.detach())
        )
        losses = self._likelihood(mean_a, fake_a[0], batch.a, domain="a")
        losses |= self._likelihood(mean_b, fake_b[0], batch.b, domain="b")
        losses |= self._translate_and_cycle(mean_a, fake_b[1], batch.a, there="b", domain="a")
        losses |= self._translate_and_cycle(mean_b, fake_a[1], batch.b, there="a", domain="b")
        yield Turn("generators", losses | self._adversarial_losses(shown_a, shown_b))

    def _make(self, codes: Sequence[Tensor], domain: str) -> tuple[Tensor, ...]:
        """Decode codes of the domain, of the other domain and of the prior: reconstructions, translations, samples."""
        pictures: Tensor = self.decoder(torch.cat([*codes]), domain)
        return pictures.chunk(len(codes))

    def _shown(self, fake: tuple[Tensor, ...]) -> Tensor:
        """Return the generated pictures for the discriminator of their domain."""
        return torch.cat(fake) if self.config.judged == "all" else fake[1]

    def _likelihood(self, mean: Tensor, reconstruction: Tensor, real: Tensor, *, domain: str) -> Losses:
        """Return L_VAE of a domain."""
        return self._weighted(
            {
                f"kl_{domain}": (self.config.kl_weight, divergence(mean)),
                f"reconstruction_{domain}": (self.config.reconstruction_weight, l1_loss(reconstruction, real)),
            }
        )

    def _translate_and_cycle(
        self, mean: Tensor, translation: Tensor, real: Tensor, *, there: str, domain: str
    ) -> Losses:
        """Return L_CC: the KL divergence of both codes of the cycle, and the cycle reconstruction error."""
        if self.config.cycle_weight == 0:
            return {}
        mean_there = self.encoder(translation, there)
        back = self.decoder(noisy(mean_there), domain)
        return self._weighted(
            {
                f"cycle_kl_{domain}": (self.config.kl_weight, divergence(mean) + divergence(mean_there)),
                f"cycle_{domain}": (self.config.cycle_weight, l1_loss(back, real)),
            }
        )

    @staticmethod
    def _weighted(losses: dict[str, tuple[float, Tensor]]) -> Losses:
        return {name: weight * loss for name, (weight, loss) in losses.items() if weight > 0}

    def _adversarial_losses(self, fake_a: Tensor, fake_b: Tensor) -> Losses:
        """Return L_GAN of both domains, non-saturating."""
        losses = {}
        for domain, fake in (("a", fake_a), ("b", fake_b)):
            fooled = self._over_scales(generator_loss, self.discriminator(fake, domain))
            losses[f"adversarial_{domain}"] = self.config.adversarial_weight * fooled
        return losses

    def _discriminator_losses(self, batch: Batch, *, fake_a: Tensor, fake_b: Tensor) -> Losses:
        """Return L_GAN, unweighted: Adam is invariant to the weight."""
        losses: Losses = {}
        for domain, real, fake in (("a", batch.a, fake_a), ("b", batch.b, fake_b)):
            losses[f"real_{domain}"] = self._over_scales(real_loss, self.discriminator(real, domain))
            losses[f"fake_{domain}"] = self._over_scales(fake_loss, self.discriminator(fake, domain))
        return losses

    def _over_scales(self, loss: Callable[[Tensor, Objective], Tensor], scores: Sequence[Tensor]) -> Tensor:
        """Return the sum over the discriminators of a domain."""
        return torch.stack([loss(scale, self.config.objective) for scale in scores]).sum()

    def sample(self, count: int) -> tuple[Tensor, ...]:
        """`count` pictures of a and of b, each pair of one code drawn from the prior: (count, C, H, W) in [-1, 1]."""
        device = next(self.decoder.parameters()).device
        codes = torch.randn(count, *self.latent_shape, device=device)
        return self.decoder(codes, "a"), self.decoder(codes, "b")

    def translate(self, images: Tensor, *, direction: Direction = "a_to_b") -> Tensor:
        """(N, C_in, H, W) in [-1, 1] -> (N, C_out, H, W) in [-1, 1], through the mean of the code: no noise."""
        self.check_direction(direction)
        translated: Tensor = self.decoder(self.encoder(images, direction[0]), direction[-1])
        return translated

    @property
    def size_multiple(self) -> int:
        """Product of the encoder's strides."""
        return int(2**NUM_HALVINGS)

    @property
    def smallest_side(self) -> int:
        """Twice the strides, because reflection needs two pixels."""
        return 2 * self.size_multiple

    @property
    def context(self) -> int | None:
        """None, because every output depends on the whole picture."""
        return None


METHOD = UNIT


def noisy(mean: Tensor) -> Tensor:
    """Return a code z ~ q(z | x) = N(E_mu(x), I), from torch's global generator."""
    return mean + torch.randn_like(mean)


def divergence(mean: Tensor) -> Tensor:
    """Return KL(N(mean, I) || N(0, I)), averaged over the elements of the code."""
    return 0.5 * at_least_float32(mean).square().mean()
