"""Forgets the marker that makes a function a hook."""

from automl_opt.api import Float, OptimizerSpec


def automl_opt_optimizers():
    yield OptimizerSpec(
        name="sgd", torch="torch.optim:SGD", params={"lr": Float(1e-3, 1.0, log=True)}
    )
