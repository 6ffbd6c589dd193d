"""Soft orthogonality: pull the rows (or columns) of every weight towards right angles and length 1.

Bansal, Chen & Wang 2018, arXiv:1810.09102, section 3.1: *strength* times the squared Frobenius
norm of ``W^T W - I`` joins the loss. There ``W`` is always ``[fan in, fan out]``; here the smaller
of the two Gram matrices is taken, for the other cannot become ``I``. Convolution kernels are taken
as a matrix of one row an output channel.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec, hookimpl

if TYPE_CHECKING:
    from torch import Tensor


def loss(
    value: Tensor, weights: Sequence[Tensor], outputs: Tensor, y: Tensor, *, strength: float
) -> Tensor:
    """The loss with the penalty; *weights* are the parameters of two dimensions or more."""
    for weight in weights:
        matrix = weight.flatten(1)
        if matrix.shape[0] > matrix.shape[1]:
            matrix = matrix.T
        gram = matrix @ matrix.T
        excess = gram - gram.new_ones(len(gram)).diag()
        value = value + strength * (excess * excess).sum()
    return value


@hookimpl
def automl_opt_regularizers() -> Iterable[RegularizerSpec]:
    yield RegularizerSpec(
        name="soft_orthogonality",
        summary="pulls the weights of a layer towards right angles",
        paper="Bansal, Chen & Wang 2018, arXiv:1810.09102, section 3.1",
        loss=loss,
        identity={"strength": 0.0},
        params={"strength": Float(1e-6, 1e-2, log=True, default=1e-4)},
    )
