"""Mixup: train on weighted means of two examples, and on both their targets in the same weights.

Zhang et al. 2018, arXiv:1710.09412. As in the authors' code one share, drawn from
Beta(*alpha*, *alpha*), holds for a whole batch, each example is mixed with another of its own
batch, and the losses are averaged in place of the targets: for cross-entropy that is the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor


def mix(x: Any, y: Tensor, rng: Generator, *, alpha: float) -> tuple[Tensor, Tensor, Tensor]:
    """Mix the batch with itself in another order.

    Args:
        x: ``[batch, …]``, real numbers.

    Raises:
        ValueError: *x* is anything else.
    """
    import torch

    from automl_opt.builtin.regularizers.shares import symmetric_beta

    if not isinstance(x, torch.Tensor) or not x.is_floating_point():
        given = str(x.dtype) if isinstance(x, torch.Tensor) else type(x).__name__
        raise ValueError(
            f"mixup: takes means of inputs, which needs x to be one tensor of real numbers, not "
            f"{given}; turn x into floating-point numbers in the task, or leave mixup out of the "
            "study"
        )
    share = symmetric_beta(alpha, rng)
    order = torch.randperm(len(x), generator=rng, device=rng.device)
    return share * x + (1 - share) * x[order], y[order], share


spec = RegularizerSpec(
    name="mixup",
    summary="trains on weighted means of two examples",
    paper="Zhang et al. 2018, arXiv:1710.09412",
    mix=mix,
    params={"alpha": Float(0.1, 1.0, log=True, default=0.2)},
)
