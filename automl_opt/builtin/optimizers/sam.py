"""SAM: the steps of another optimizer, with the gradient of the worst point nearby.

Foret et al. 2021, arXiv:2010.01412, Algorithm 1: a first gradient says where uphill is, a second is
taken *rho* away in that direction, and the wrapped optimizer steps with it. Two gradients a step.
Where gradients are clipped, both are, and the clipped one says where uphill is.
"""

from __future__ import annotations

from automl_opt.api import Float, OptimizerSpec

spec = OptimizerSpec(
    name="sam",
    summary="the wrapped optimizer with the gradient of the worst point nearby",
    paper="Foret et al. 2021, arXiv:2010.01412, Algorithm 1",
    wrap="automl_opt.builtin.optimizers.wrapper:Sam",
    closure=True,
    params={"rho": Float(0.01, 0.5, log=True, default=0.05)},
)
