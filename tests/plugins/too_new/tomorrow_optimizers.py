"""Asks for a plugin API that does not exist yet."""

from automl_opt.api import Float, OptimizerSpec, hookimpl

AUTOML_OPT_API = 99


@hookimpl
def automl_opt_optimizers():
    yield OptimizerSpec(
        name="sgd", torch="torch.optim:SGD", params={"lr": Float(1e-3, 1.0, log=True)}
    )
