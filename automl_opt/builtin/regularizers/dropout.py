"""Dropout: set each hidden value to 0 with probability *p* while training.

Srivastava et al. 2014, JMLR 15:1929, in torch's inverted form (scaled by 1 / (1 - p) in training).
A model that has dropout modules gets *p* set in all of them; one that has none gets one after each
of its activation modules. The paper also drops inputs; we do not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch.nn import Module


def model(model: Module, *, p: float) -> Module:
    """Set or insert dropout, in *model* itself, and hand it back.

    An activation that ends a ``Sequential`` model makes the prediction and stays without. An
    activation used in several places keeps being one module, and so does the pair made of it.

    Raises:
        ValueError: there is neither a dropout module nor a hidden activation module.
    """
    from torch import nn

    from automl_opt.builtin.regularizers.places import hidden_activations

    present = (
        nn.Dropout,
        nn.Dropout1d,
        nn.Dropout2d,
        nn.Dropout3d,
        nn.AlphaDropout,
        nn.FeatureAlphaDropout,
    )
    dropouts = [module for module in model.modules() if isinstance(module, present)]
    for dropout in dropouts:
        dropout.p = p
    if dropouts:
        return model

    pairs: dict[Module, Module] = {}
    for parent, name, activation in hidden_activations(model):
        if activation not in pairs:
            pair = nn.Sequential(activation, nn.Dropout(p))
            pairs[activation] = pair.train(activation.training)
        setattr(parent, name, pairs[activation])
    if not pairs:
        raise ValueError(
            f"dropout: {type(model).__name__} has neither a dropout module nor an activation "
            "module between its layers (functional.relu and the like cannot be seen); give it "
            "nn.Dropout modules where they belong, or nn.ReLU() and the like as modules, or leave "
            "dropout out of the study"
        )
    return model


spec = RegularizerSpec(
    name="dropout",
    summary="sets hidden values to 0 at random while training",
    paper="Srivastava et al. 2014, jmlr.org/papers/v15/srivastava14a.html",
    model=model,
    params={"p": Float(0.05, 0.6, default=0.2)},
    identity={"p": 0.0},
)
