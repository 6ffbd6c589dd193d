"""An evolution strategy: children around the mean of the best of late.

Its step size evolves with the trials; see
:class:`~automl_opt.builtin.strategies.samplers.evolution_strategy.EvolutionStrategy`.
"""

from __future__ import annotations

from automl_opt.api import Float, Int, OneOf, StrategySpec

spec = StrategySpec(
    name="evolution_strategy",
    summary="children around the mean of the best of late, with steps that evolve",
    paper="Beyer & Schwefel 2002, doi:10.1023/A:1015059928466",
    sampler="automl_opt.builtin.strategies.samplers.evolution_strategy:EvolutionStrategy",
    priors=True,
    params={
        "screen": OneOf((True, False)),
        "children": Int(2, 100, log=True, default=12),
        "parents": Int(1, 50, log=True, default=4),
        "elitism": Int(0, 50, default=1),
        "sigma": Float(0.01, 0.5, log=True, default=0.25),
    },
)
