"""Batch normalisation: give each feature mean 0 and variance 1 over the batch, before activations.

Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.2, by ``torch.nn``. The layer before loses its
bias, as in the paper: the mean takes it out again, and an optimizer that divides a gradient by its
own size would be driven by the rounding errors that are left of the bias's.
A training batch of a single example has no variance, and torch refuses it.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from automl_opt.api import RegularizerSpec

if TYPE_CHECKING:
    from torch.nn import Module


def model(model: Module) -> Module:
    """Insert batch normalisation between layers and activations, in *model* itself.

    Seen are linear layers and convolutions right before a hidden activation module in an
    ``nn.Sequential``, or in several inside each other. A layer used in several places keeps being
    one module, and so does the pair made of it.

    Raises:
        ValueError: there is no such place.
    """
    from torch import nn

    from automl_opt.builtin.regularizers.layers import BatchNormLast
    from automl_opt.builtin.regularizers.places import hidden_activations, places, sequences

    norms = {
        nn.Linear: BatchNormLast,
        nn.Conv1d: nn.BatchNorm1d,
        nn.Conv2d: nn.BatchNorm2d,
        nn.Conv3d: nn.BatchNorm3d,
        nn.ConvTranspose1d: nn.BatchNorm1d,
        nn.ConvTranspose2d: nn.BatchNorm2d,
        nn.ConvTranspose3d: nn.BatchNorm3d,
    }
    hidden = set(hidden_activations(model))
    layers = {
        before.module
        for sequence in sequences(model)
        for before, after in pairwise(sequence)
        if after in hidden and isinstance(before.module, tuple(norms))
    }
    if not layers:
        raise ValueError(
            f"batch_norm: {type(model).__name__} has no linear layer or convolution with an "
            "activation module right after it in an nn.Sequential (the order of modules in a "
            "forward() of one's own cannot be seen); write such pairs as nn.Sequential(layer, "
            "activation), or put nn.BatchNorm1d and the like where they belong and leave "
            "batch_norm out of the study"
        )

    pairs: dict[Module, Module] = {}
    for parent, name, layer in places(model):
        if layer in layers:
            if layer not in pairs:
                norm = next(norms[kind] for kind in norms if isinstance(layer, kind))
                features = getattr(layer, "out_features", None) or layer.out_channels
                at = {"device": layer.weight.device, "dtype": layer.weight.dtype}
                layer.bias = None
                pairs[layer] = nn.Sequential(layer, norm(features, **at)).train(layer.training)
            setattr(parent, name, pairs[layer])
    return model


spec = RegularizerSpec(
    name="batch_norm",
    summary="normalises each feature over the batch, before activations",
    paper="Ioffe & Szegedy 2015, arXiv:1502.03167, section 3.2",
    model=model,
)
