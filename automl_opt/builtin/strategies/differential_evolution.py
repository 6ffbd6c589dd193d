"""Differential evolution: move towards one of the best, along the difference of two others.

Storn & Price 1997 in the form of SHADE, whose two factors follow what succeeded; see
:class:`~automl_opt.builtin.strategies.samplers.differential_evolution.DifferentialEvolution`.
"""

from __future__ import annotations

from automl_opt.api import Float, Int, OneOf, StrategySpec

spec = StrategySpec(
    name="differential_evolution",
    summary="moves trials towards the best along differences of others (current-to-pbest, SHADE)",
    paper="Tanabe & Fukunaga 2013, doi:10.1109/CEC.2013.6557555",
    sampler="automl_opt.builtin.strategies.samplers.differential_evolution:DifferentialEvolution",
    priors=True,
    params={
        "screen": OneOf((True, False)),
        "population": Int(4, 100, log=True, default=12),
        "greed": Float(0.05, 1.0, default=0.1),
        "memory": Int(1, 20, default=5),
    },
)
