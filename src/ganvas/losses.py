"""Loss functions: pixel and feature losses, adversarial losses, divergences and likelihoods.

Adversarial losses take raw scores (N, 1, h, w), higher for more real:

vanilla        -log sigmoid, the generator's in its non-saturating form (Goodfellow et al. 2014, arXiv:1406.2661)
least_squares  squared distance to 1 for real and 0 for fake (Mao et al. 2017, arXiv:1611.04076)
hinge          max(0, 1 - score) and max(0, 1 + score) (Lim and Ye 2017, arXiv:1705.02894)
wasserstein    plain scores (Arjovsky et al. 2017, arXiv:1701.07875), to be used with `gradient_penalty`
relativistic   compares each score with the mean of the other class (Jolicoeur-Martineau 2018, arXiv:1807.00734)

`entropy`, `cross_entropy` and `kl_divergence` take densities on a grid (Cover and Thomas 2006, ch. 2 and 8): (..., n),
nonnegative, each summing to 1 / step over the last axis, and return nats. Where `p` is 0 the integrand is 0, whatever
`q` is; where only `q` is 0 it is infinite. The other terms of a variational bound are averaged over the batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import Tensor, nn


def at_least_float32(values: Tensor) -> Tensor:
    """Return bfloat16 and float16 values as float32; losses are summed in at least float32."""
    return values.float() if values.dtype in (torch.bfloat16, torch.float16) else values


def l1_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean absolute difference of two (N, C, H, W) in [-1, 1]: Isola et al. 2017, Eq. 3."""
    return nn.functional.l1_loss(at_least_float32(made), at_least_float32(wanted))


def mse_loss(made: Tensor, wanted: Tensor) -> Tensor:
    """Return the mean squared difference of two tensors of equal shape."""
    return nn.functional.mse_loss(at_least_float32(made), at_least_float32(wanted))


def feature_matching(made: Sequence[Tensor], wanted: Sequence[Tensor]) -> Tensor:
    """Return the squared difference of mean features, averaged over positions and channels, summed over layers.

    Salimans et al. 2016, arXiv:1606.03498, Sec. 3.1.

    Args:
        made: features of a batch of generated pictures, (N, C, h, w) of each layer.
        wanted: features of a batch of real pictures.
    """
    differences = [
        mse_loss(at_least_float32(fake).mean(dim=0), at_least_float32(real).mean(dim=0))
        for fake, real in zip(made, wanted, strict=True)
    ]
    return torch.stack(differences).sum()


TEMPERATURE = 0.07
"""tau of Park et al. 2020, Sec. 3."""


def patch_nce(queries: Tensor, keys: Tensor, *, temperature: float = TEMPERATURE) -> Tensor:
    """Return the cross-entropy of classifying each query's key among all keys of its picture, by cosine similarity.

    Park et al. 2020, arXiv:2007.15651, Eq. 2 and 3, the mean over patches and pictures. No gradient reaches the keys.

    Args:
        queries: (N, patches, D), of any norm except 0.
        keys: (N, patches, D); keys[n, i] belongs to queries[n, i], and the others of the picture are its negatives.
        temperature: divisor of the cosines.
    """
    queries, keys = (nn.functional.normalize(at_least_float32(given), dim=-1) for given in (queries, keys.detach()))
    likeness = torch.bmm(queries, keys.transpose(1, 2)) / temperature  # (N, queries, keys)
    wanted = torch.arange(keys.shape[1], device=keys.device).expand(len(keys), -1)
    return nn.functional.cross_entropy(likeness.flatten(0, 1), wanted.flatten())


Objective = Literal["vanilla", "least_squares", "hinge", "wasserstein"]


def _cross_entropy(scores: Tensor, *, real: bool) -> Tensor:
    """Return the mean of -log sigmoid(score) or -log(1 - sigmoid(score)); gradients equal the released code's."""
    wanted = torch.ones_like(scores) if real else torch.zeros_like(scores)
    return nn.functional.binary_cross_entropy_with_logits(scores, wanted)


_REAL: dict[Objective, Callable[[Tensor], Tensor]] = {
    "vanilla": lambda scores: _cross_entropy(scores, real=True),
    "least_squares": lambda scores: (scores - 1) ** 2,
    "hinge": lambda scores: torch.relu(1 - scores),
    "wasserstein": lambda scores: -scores,
}
_FAKE: dict[Objective, Callable[[Tensor], Tensor]] = {
    "vanilla": lambda scores: _cross_entropy(scores, real=False),
    "least_squares": lambda scores: scores**2,
    "hinge": lambda scores: torch.relu(1 + scores),
    "wasserstein": lambda scores: scores,
}
_GENERATOR: dict[Objective, Callable[[Tensor], Tensor]] = {**_REAL, "hinge": lambda scores: -scores}


def real_loss(scores: Tensor, objective: Objective) -> Tensor:
    """Return the discriminator loss on scores of real images."""
    return _REAL[objective](at_least_float32(scores)).mean()


def fake_loss(scores: Tensor, objective: Objective) -> Tensor:
    """Return the discriminator loss on scores of generated images."""
    return _FAKE[objective](at_least_float32(scores)).mean()


def discriminator_loss(*, real: Tensor, fake: Tensor, objective: Objective) -> Tensor:
    """Return the discriminator loss on scores of real and of generated images."""
    return real_loss(real, objective) + fake_loss(fake, objective)


def generator_loss(scores: Tensor, objective: Objective) -> Tensor:
    """Return the generator loss on the discriminator's scores of its images."""
    return _GENERATOR[objective](at_least_float32(scores)).mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], *, real: Tensor, fake: Tensor) -> Tensor:
    """Return the mean of (|| grad critic(x) || - 1)^2 at random points x between real and fake.

    Gulrajani et al. 2017, arXiv:1704.00028, Eq. 3, where its weight is 10.

    Args:
        critic: images -> scores, without batch norm, with which scores would depend on the batch (Sec. 4).
        real: (N, C, H, W) in [-1, 1].
        fake: (N, C, H, W) in [-1, 1].
    """
    share = torch.rand(real.shape[0], 1, 1, 1, device=real.device, dtype=real.dtype)
    between = (share * real + (1 - share) * fake.detach()).requires_grad_()
    scores = at_least_float32(critic(between)).sum()
    (gradient,) = torch.autograd.grad(scores, between, create_graph=True)
    length = torch.linalg.vector_norm(gradient.flatten(1), dim=1)
    return torch.square(length - 1).mean()


def relativistic_discriminator_loss(*, real: Tensor, fake: Tensor) -> Tensor:
    """Return the relativistic discriminator loss: half of Eq. 11 plus half of Eq. 12, as ESRGAN. arXiv:1807.00734."""
    return 0.5 * (real_loss(real - fake.mean(), "vanilla") + fake_loss(fake - real.mean(), "vanilla"))


def relativistic_generator_loss(*, real: Tensor, fake: Tensor) -> Tensor:
    """Return the relativistic generator loss: the discriminator loss with real and fake swapped."""
    return relativistic_discriminator_loss(real=fake, fake=real)


def entropy(p: Tensor, *, step: float) -> Tensor:
    """Return the entropy H(P) = - integral p log p, (...)."""
    total: Tensor = step * torch.special.entr(p).sum(-1)
    return total


def cross_entropy(p: Tensor, q: Tensor, *, step: float) -> Tensor:
    """Return H(P, Q) = - integral p log q, (...): the negative log-likelihood per sample of P under the model Q."""
    total: Tensor = -step * torch.special.xlogy(p, q).sum(-1)
    return total


def kl_divergence(p: Tensor, q: Tensor, *, step: float) -> Tensor:
    """Return KL(P || Q) = integral p log (p / q), (...): at least 0, and 0 only where the two agree."""
    ratio = torch.where(p > 0, p / q, 1.0)
    total: Tensor = step * torch.special.xlogy(p, ratio).sum(-1)
    return total


def kl_to_standard_normal(mean: Tensor, log_variance: Tensor) -> Tensor:
    """Return KL(N(mean, variance) || N(0, I)) of (N, Z) each: Kingma and Welling 2014, appendix B, negated."""
    mean, log_variance = at_least_float32(mean), at_least_float32(log_variance)
    return 0.5 * (mean**2 + log_variance.exp() - log_variance - 1).sum(dim=1).mean()


def gaussian_negative_log_likelihood(made: Tensor, wanted: Tensor, *, deviation: float = 1.0) -> Tensor:
    """Return -log N(wanted; made, deviation^2 I) of (N, ...) each, without the constant."""
    squares = torch.square(at_least_float32(made) - at_least_float32(wanted)).flatten(1)
    return squares.sum(dim=1).mean() / (2 * deviation**2)


def bernoulli_negative_log_likelihood(logits: Tensor, wanted: Tensor) -> Tensor:
    """Return -log p(wanted), (N, ...) in [0, 1], of independent Bernoullis: Kingma and Welling 2014, appendix C.1."""
    entropies = nn.functional.binary_cross_entropy_with_logits(
        at_least_float32(logits), at_least_float32(wanted), reduction="none"
    )
    return entropies.flatten(1).sum(dim=1).mean()
