"""Adam-atan2: Adam with the arctangent of its two moments for their quotient.

Everett et al. 2024, "Scaling Exponents Across Parameterizations and Optimizers", arXiv:2407.05872:
``atan2(mean, sqrt(square))`` needs no eps, so that scaling all gradients by one number changes
nothing, however small they are. The moments are corrected for their start as in Adam, the weight
decay is AdamW's. Unlike there, the arctangent is divided by that of 1, so that a steady gradient
makes steps of one learning rate, as in Adam, and Adam's learning rates carry over.
"""

import math

from automl_opt.api import Float, OptimizerSpec, Rule, hookimpl


def init(param):
    return {"mean": param.new_zeros(param.shape), "square": param.new_zeros(param.shape)}


def coefficients(t, *, lr, beta1, beta2, weight_decay):
    root = math.sqrt(1 - beta2**t) / (1 - beta1**t)
    step, keep = -lr / math.atan(1), 1 - lr * weight_decay
    return {"keep": keep, "step": step, "root": root, "blend1": 1 - beta1, "blend2": 1 - beta2}


def update(param, grad, state, *, keep, step, root, blend1, blend2):
    mean = state["mean"].lerp(grad, blend1)
    square = state["square"].lerp(grad * grad, blend2)
    direction = (root * mean).atan2(square.sqrt())
    return keep * param + step * direction, {"mean": mean, "square": square}


PARAMS = {
    "lr": Float(1e-4, 3e-2, log=True, default=1e-3),
    "beta1": Float(0.8, 0.99, default=0.9),
    "beta2": Float(0.9, 0.9999, default=0.999),
    "weight_decay": Float(1e-6, 0.3, log=True, default=1e-2),
}


@hookimpl
def automl_opt_optimizers():
    rule = Rule(init, update, coefficients, elementwise=True)
    about = {"summary": "Adam without eps", "paper": "Everett et al. 2024, arXiv:2407.05872"}
    yield OptimizerSpec(name="adam_atan2", rule=rule, params=PARAMS, decay="weight_decay", **about)
