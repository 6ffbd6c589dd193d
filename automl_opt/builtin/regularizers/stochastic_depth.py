"""Stochastic depth: leave residual branches out at random while training, deep ones more often.

Huang et al. 2016, arXiv:1603.09382, with their linear rule: block l of L is dropped with
probability ``p · l / L``. As timm and torchvision do, it is dropped for each example on its own,
and what stays is divided by the probability of staying; the paper drops for a whole batch and
scales in evaluation. Dropped branches are computed all the same, so no time is saved.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, RegularizerSpec

if TYPE_CHECKING:
    from torch.nn import Module


def model(model: Module, *, p: float) -> Module:
    """Set or insert dropped paths, in *model* itself, and hand it back.

    A model that has modules of timm's ``DropPath`` or torchvision's ``StochasticDepth`` gets the
    probability set in all of them. Else one follows each residual branch: a submodule named
    ``residual``, whose output, batch first, is added to its input; and the branches of torch's own
    transformer layers. Depth is the order in which the modules were registered.

    Raises:
        ValueError: there is none of these.
    """
    from torch import nn

    from automl_opt.builtin.regularizers.layers import DropPath

    present = [m for m in model.modules() if type(m).__name__ in ("DropPath", "StochasticDepth")]
    for depth, path in enumerate(present, 1):
        name = "drop_prob" if hasattr(path, "drop_prob") else "p"
        setattr(path, name, p * depth / len(present))
    if present:
        return model

    blocks = [(block, ends) for block in model.modules() if (ends := _branch_ends(block))]
    if not blocks:
        raise ValueError(
            f"stochastic_depth: {type(model).__name__} has no residual branch that can be seen; "
            "name the submodule whose output is added to its input `residual`, as in "
            "`return x + self.residual(x)`, or put timm's DropPath or torchvision's "
            "StochasticDepth at the end of each branch, or leave stochastic_depth out of the study"
        )
    done: dict[Module, Module] = {}
    for depth, (block, ends) in enumerate(blocks, 1):
        for name, batch_axis in ends.items():
            end = getattr(block, name)
            if end not in done:
                path = DropPath(p * depth / len(blocks), batch_axis)
                done[end] = nn.Sequential(end, path).train(end.training)
            setattr(block, name, done[end])
    return model


def _branch_ends(block: Module) -> dict[str, int]:
    """Name of the child that ends a residual branch -> the batch's dimension in its output."""
    from torch import nn

    if isinstance(block, (nn.TransformerEncoderLayer, nn.TransformerDecoderLayer)):
        ends = ("dropout1", "dropout2", "dropout3")
        batch_axis = 0 if block.self_attn.batch_first else 1
        return {name: batch_axis for name in ends if hasattr(block, name)}
    return {"residual": 0} if isinstance(getattr(block, "residual", None), nn.Module) else {}


spec = RegularizerSpec(
    name="stochastic_depth",
    summary="leaves residual branches out at random while training",
    paper="Huang et al. 2016, arXiv:1603.09382, eq. 4",
    model=model,
    params={"p": Float(0.05, 0.5, default=0.2)},
    identity={"p": 0.0},
)
