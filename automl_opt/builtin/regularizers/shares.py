"""The share of the first of two mixed examples, drawn from a symmetric beta distribution.

No component: what `mixup` and `cutmix` share.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Generator, Tensor


def symmetric_beta(alpha: float, rng: Generator) -> Tensor:
    """One draw from Beta(*alpha*, *alpha*), a tensor without dimensions on the device of *rng*.

    torch's own distributions take no generator. Exact, from four uniform numbers: Ulrich 1984,
    "Computer Generation of Distributions on the m-Sphere", for Beta(alpha + 1, alpha + 1), which
    is a ratio of gamma variables of shape alpha + 1; each of them times ``uniform^(1 / alpha)``
    has shape alpha (Stuart 1962). In logarithms, so that small *alpha* end at 0 and 1, not at NaN.
    """
    import torch

    radius, angle, first, second = torch.rand(4, generator=rng, device=rng.device).unbind()
    length = (1 - (1 - radius) ** (2 / (2 * alpha + 1))).sqrt()
    inner = (1 + length * torch.cos(2 * torch.pi * angle)) / 2
    boost = (torch.log1p(-first) - torch.log1p(-second)) / alpha
    return torch.sigmoid(torch.logit(inner, eps=1e-7) + boost)
