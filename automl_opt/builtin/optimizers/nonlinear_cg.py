"""Nonlinear conjugate gradient: each search direction is conjugate to the last, with a line search.

Polak & Ribière 1969 with the restarts of Gilbert & Nocedal 1992, doi:10.1137/0802003 ("PR+"), by
SciPy's ``minimize(method="CG")``. One step is up to *max_iter* iterations on the whole training
set, and begins along the gradient: a restart after every *max_iter* iterations. The learning rate
is the share of the way to the point found that is gone: 1, unless a schedule lowers it.
"""

from __future__ import annotations

from automl_opt.api import Int, OneOf, OptimizerSpec

spec = OptimizerSpec(
    name="nonlinear_cg",
    summary="conjugate search directions with a line search, on the whole training set",
    paper="Gilbert & Nocedal 1992, doi:10.1137/0802003; Nocedal & Wright 2006, section 5.2",
    torch="automl_opt.builtin.optimizers.scipy_minimizer:NonlinearCG",
    closure=True,
    full_batch=True,
    params={
        "lr": OneOf((1.0,)),
        "max_iter": Int(2, 20, log=True, default=5),
        "tolerance_grad": OneOf((1e-7,)),
    },
)
