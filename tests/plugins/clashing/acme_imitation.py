"""Calls itself ``acme``, as the plugin of acme-optimizers does, and offers a ``lion`` too."""

from automl_opt.api import Float, OptimizerSpec, hookimpl


@hookimpl
def automl_opt_optimizers():
    yield OptimizerSpec(
        name="lion", torch="torch.optim:Adam", params={"lr": Float(1e-4, 1e-2, log=True)}
    )
