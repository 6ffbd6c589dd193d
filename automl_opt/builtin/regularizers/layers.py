"""The modules that regularizers put into a model. No component; imports torch, so loaded late."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class BatchNormLast(nn.BatchNorm1d):
    """Batch normalisation of the last dimension, where a linear layer has its features.

    ``nn.BatchNorm1d`` has them in the second, which for ``[batch, time, features]`` is the time.
    """

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.reshape(-1, x.shape[-1])).reshape(x.shape)


class DropPath(nn.Module):
    """Sets the whole of an example to 0 with probability *drop_prob* while training.

    What stays is divided by ``1 - drop_prob``, so that the mean is that of evaluation.

    Args:
        batch_axis: the dimension whose entries are the examples.
    """

    def __init__(self, drop_prob: float, batch_axis: int = 0) -> None:
        super().__init__()
        self.drop_prob, self.batch_axis = drop_prob, batch_axis

    def forward(self, x: Tensor) -> Tensor:
        if not self.training or self.drop_prob == 0:
            return x
        keep = 1 - self.drop_prob
        shape = [1] * x.ndim
        shape[self.batch_axis] = x.shape[self.batch_axis]
        kept = torch.rand(shape, device=x.device) < keep
        return x * (kept.to(x.dtype) / keep)

    def extra_repr(self) -> str:
        return f"drop_prob={self.drop_prob:g}, batch_axis={self.batch_axis}"
