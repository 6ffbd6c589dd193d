"""One optimizer of each sort: a rule, a torch optimizer, and one whose step wants a closure.

Lion follows the sign of an interpolated momentum (Chen et al. 2023, arXiv:2302.06675, Alg. 2).
"""

from automl_opt.api import Float, Int, OptimizerSpec, Rule, hookimpl


def init(param):
    return {"momentum": param.new_zeros(param.shape)}


def update(param, grad, state, *, lr, beta1, beta2, decay):
    direction = (beta1 * state["momentum"] + (1 - beta1) * grad).sign()
    momentum = beta2 * state["momentum"] + (1 - beta2) * grad
    return param - lr * (direction + decay * param), {"momentum": momentum}


@hookimpl
def automl_opt_optimizers():
    yield OptimizerSpec(
        name="lion",
        summary="the sign of an interpolated momentum",
        paper="arXiv:2302.06675",
        rule=Rule(init, update, elementwise=True),
        params={
            "lr": Float(1e-4, 1e-2, log=True, default=1e-3),
            "beta1": Float(0.8, 0.99, default=0.9),
            "beta2": Float(0.9, 0.999, default=0.99),
            "decay": Float(1e-6, 1.0, log=True, default=1e-2),
        },
    )
    yield OptimizerSpec(
        name="radam",
        summary="Adam with a rectified variance",
        paper="arXiv:1908.03265",
        torch="torch.optim:RAdam",
        params={
            "lr": Float(1e-4, 1e-1, log=True, default=1e-3),
            "weight_decay": Float(1e-6, 1e-1, log=True, default=1e-4),
        },
    )
    yield OptimizerSpec(
        name="lbfgs",
        summary="limited-memory BFGS",
        paper="Liu and Nocedal 1989",
        torch="torch.optim:LBFGS",
        closure=True,
        params={
            "lr": Float(1e-2, 1.0, log=True, default=1.0),
            "max_iter": Int(1, 20, default=4),
            "history_size": Int(2, 100, log=True, default=10),
        },
    )
