"""Simulated annealing: a walk that accepts what is worse, less and less often.

The energy is a trial's rank; see
:class:`~automl_opt.builtin.strategies.samplers.simulated_annealing.SimulatedAnnealing`.
"""

from __future__ import annotations

from automl_opt.api import Float, Int, OneOf, StrategySpec

spec = StrategySpec(
    name="simulated_annealing",
    summary="a walk that accepts what is worse, less and less often",
    paper="Kirkpatrick et al. 1983, doi:10.1126/science.220.4598.671",
    sampler="automl_opt.builtin.strategies.samplers.simulated_annealing:SimulatedAnnealing",
    priors=True,
    params={
        "screen": OneOf((True, False)),
        "temperature": Float(0.001, 1.0, log=True, default=0.03),
        "cooling": Float(0.8, 1.0, default=0.98),
        "width": Float(0.01, 1.0, log=True, default=0.5),
        "patience": Int(5, 200, log=True, default=30),
    },
)
