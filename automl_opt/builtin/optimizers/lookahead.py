"""Lookahead: slow weights that follow those of another optimizer every few steps.

Zhang et al. 2019, arXiv:1907.08610, Algorithm 1. The state of the wrapped optimizer stays as it is
when the weights are set back: the first of the paper's three choices, and the default of its code.
"""

from __future__ import annotations

from automl_opt.api import Float, Int, OptimizerSpec

spec = OptimizerSpec(
    name="lookahead",
    summary="slow weights go part of the way to the wrapped optimizer's every few steps",
    paper="Zhang et al. 2019, arXiv:1907.08610, Algorithm 1",
    wrap="automl_opt.builtin.optimizers.wrapper:Lookahead",
    params={
        "k": Int(5, 10, default=5),
        "alpha": Float(0.5, 0.8, default=0.5),
    },
)
