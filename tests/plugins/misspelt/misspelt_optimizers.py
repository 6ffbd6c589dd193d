"""Offers optimizers under a hook that does not exist."""

from automl_opt.api import Float, OptimizerSpec, hookimpl


@hookimpl
def automl_opt_optimisers():
    yield OptimizerSpec(
        name="sgd", torch="torch.optim:SGD", params={"lr": Float(1e-3, 1.0, log=True)}
    )
