"""Newton-CG: Newton's equations solved roughly by conjugate gradients, then a line search.

Nocedal & Wright 2006, Algorithm 7.1, by SciPy's ``minimize(method="Newton-CG")``. The Hessian is
never formed: its product with a vector is a central difference of two gradients along it (section
8.1), because the closure hands over gradients without their graph. One step is up to *max_iter*
iterations on the whole training set, each of up to *max_products* products and so twice as many
gradients. The learning rate is the share of the way to the point found that is gone: 1, unless a
schedule lowers it.
"""

from __future__ import annotations

from automl_opt.api import Int, OneOf, OptimizerSpec

spec = OptimizerSpec(
    name="newton_cg",
    summary="Newton's method, its equations solved by a few Hessian-vector products",
    paper="Nocedal & Wright 2006, Numerical Optimization, Algorithm 7.1",
    torch="automl_opt.builtin.optimizers.scipy_minimizer:NewtonCG",
    closure=True,
    full_batch=True,
    params={
        "lr": OneOf((1.0,)),
        "max_iter": Int(1, 5, default=2),
        "max_products": Int(4, 32, log=True, default=10),
        "tolerance_change": OneOf((1e-9,)),
    },
)
