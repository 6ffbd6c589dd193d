"""Offers an ``adamw`` beside the one that ships with automl-opt, and a ``lion`` beside acme's."""

from automl_opt.api import Float, OptimizerSpec, hookimpl


@hookimpl
def automl_opt_optimizers():
    for name, path in (("adamw", "torch.optim:AdamW"), ("lion", "torch.optim:Adam")):
        yield OptimizerSpec(
            name=name, torch=path, params={"lr": Float(1e-4, 1e-2, log=True, default=1e-3)}
        )
