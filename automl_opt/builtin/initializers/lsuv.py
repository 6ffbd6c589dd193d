"""LSUV: orthogonal weights, then each layer scaled until its outputs on a batch have variance 1.

Mishkin & Matas 2016, arXiv:1511.06422, Algorithm 1, with their tolerance of 0.05 and at most 10
rounds a layer. Where they leave it open: the network runs in evaluation mode, so dropout is off and
batch normalisation uses, and keeps, the statistics it starts with. They start with biases of 0;
here biases keep what the layer chose, and their variance counts. All rounds see the same batch.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from automl_opt.api import InitializerSpec

if TYPE_CHECKING:
    from torch import Generator, Tensor
    from torch.nn import Module

TOLERANCE = 0.05
ROUNDS = 10


def init(tensor: Tensor, generator: Generator) -> None:
    from torch.nn.init import orthogonal_

    orthogonal_(tensor, generator=generator)


def fit(model: Module, x: Any) -> None:
    """Scale the weight of each linear layer and convolution, in the order in which they run.

    A layer that runs several times is scaled by its first; one whose weight is frozen or computed
    from others, or whose inputs are all 0 (behind dead units), is left as it is.

    Raises:
        ValueError: no linear layer or convolution runs, the outputs of one are not finite, or its
            biases alone have variance 1.
    """
    import torch

    with torch.no_grad(), _evaluating(model):
        layers = list(_variances(model, x))
        if not layers:
            raise ValueError(
                f"lsuv: {type(model).__name__} runs no trainable nn.Linear or nn.Conv module whose "
                "outputs could be given variance 1; build the model of these, or choose another "
                "initializer"
            )
        for layer in layers:
            if layer.bias is not None and float(layer.bias.var(correction=0)) >= 1:
                raise ValueError(
                    f"lsuv: the biases of {_name(model, layer)} alone have variance 1 or more, so "
                    "no weight can give its outputs variance 1; start them nearer to 0, or "
                    "choose another initializer"
                )
            for _ in range(ROUNDS):
                variance = _variances(model, x)[layer]
                if not math.isfinite(variance):
                    raise ValueError(
                        f"lsuv: the outputs of {_name(model, layer)} have variance {variance} on a "
                        "training batch; look for infinite or missing numbers in the inputs, scale "
                        "them to mean 0 and variance 1, or choose another initializer"
                    )
                if variance == 0 or abs(variance - 1) < TOLERANCE:
                    break
                layer.weight.div_(math.sqrt(variance))


def _variances(model: Module, x: Any) -> dict[Any, float]:
    """Every layer that may be scaled -> the variance of its first outputs, in running order."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    variances: dict[Any, float] = {}

    def measure(layer: Module, inputs: Any, outputs: Tensor) -> None:
        if layer not in variances:
            alive = bool(inputs[0].any())  # else the outputs are the biases, at any scale
            variances[layer] = float(outputs.var(correction=0)) if alive else 0.0

    hooks = [
        layer.register_forward_hook(measure)
        for layer in model.modules()
        if isinstance(layer, (nn.Linear, _ConvNd))
        and (weight := layer._parameters.get("weight")) is not None
        and weight.requires_grad
    ]
    try:
        model(x)
    finally:
        for hook in hooks:
            hook.remove()
    return variances


@contextmanager
def _evaluating(model: Module) -> Iterator[None]:
    """Inside, every module is in evaluation mode; afterwards each in the mode it was in."""
    training = {module: module.training for module in model.modules()}
    try:
        model.eval()
        yield
    finally:
        for module, mode in training.items():
            module.training = mode


def _name(model: Module, layer: Module) -> str:
    path = next(path for path, module in model.named_modules() if module is layer)
    return f"layer {path!r}" if path else "the model"


def variance(shape: Sequence[int]) -> float:
    """That of the orthogonal weights *fit* starts from."""
    return 1 / max(shape[0], math.prod(shape[1:]))


spec = InitializerSpec(
    name="lsuv",
    summary="orthogonal, then scaled so that every layer's outputs on a batch have variance 1",
    paper="Mishkin & Matas 2016, arXiv:1511.06422, Algorithm 1",
    init=init,
    fit=fit,
    variance=variance,
)
