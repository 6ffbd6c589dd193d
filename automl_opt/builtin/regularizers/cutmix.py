"""CutMix: paste a box from another image, and train on both targets in the shares of the area.

Yun et al. 2019, arXiv:1905.04899, Algorithm A1: the box has the image's proportions and a share of
its area drawn from Beta(*alpha*, *alpha*); its centre lies anywhere, and what reaches over the edge
is cut off. One box holds for a whole batch, and every batch is mixed; for CIFAR the authors' code
mixes one in two.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor


def mix(x: Any, y: Tensor, rng: Generator, *, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Paste into every image the same box of the batch in another order.

    Args:
        x: ``[batch, channels, height, width]`` or ``[batch, height, width]``.

    Raises:
        ValueError: *x* has another shape.
    """
    import torch

    from automl_opt.builtin.regularizers.shares import symmetric_beta

    if not isinstance(x, torch.Tensor) or x.ndim not in (3, 4):
        given = list(x.shape) if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(
            f"cutmix: x must be images, [batch, channels, height, width] or [batch, height, width],"
            f" not {given}; give the images this shape in the task and flatten them inside the "
            "model, or leave cutmix out of the study (mixup takes any shape)"
        )
    share = symmetric_beta(alpha, rng)
    order = torch.randperm(len(x), generator=rng, device=rng.device)
    centre = torch.rand(2, generator=rng, device=rng.device)
    inside = []
    for size, middle in zip(x.shape[-2:], centre, strict=True):
        half = (size * (1 - share).sqrt()).floor() // 2
        middle = (size * middle).floor()
        at = torch.arange(size, device=rng.device)
        inside.append((at >= middle - half) & (at < middle + half))
    box = inside[0][:, None] & inside[1]
    return torch.where(box, x[order], x), y[order], 1 - box.float().mean()


spec = RegularizerSpec(
    name="cutmix",
    summary="pastes a box from another image and mixes the targets by area",
    paper="Yun et al. 2019, arXiv:1905.04899, Algorithm A1",
    mix=mix,
    params={"alpha": Float(0.1, 2.0, log=True, default=1.0)},
)
