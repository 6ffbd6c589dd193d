"""Simulated quantum annealing: a ring of walkers, coupled more and more.

Path-integral Monte Carlo with a fading transverse field; see
:class:`~automl_opt.builtin.strategies.samplers.quantum_annealing.QuantumAnnealing`.
"""

from __future__ import annotations

from automl_opt.api import Float, Int, OneOf, StrategySpec

spec = StrategySpec(
    name="quantum_annealing",
    summary="a ring of walkers, coupled more and more as a field fades",
    paper="Santoro et al. 2002, doi:10.1126/science.1068774",
    sampler="automl_opt.builtin.strategies.samplers.quantum_annealing:QuantumAnnealing",
    priors=True,
    params={
        "screen": OneOf((True, False)),
        "replicas": Int(2, 50, log=True, default=3),
        "temperature": Float(0.0001, 0.5, log=True, default=0.02),
        "field": Float(0.01, 5.0, log=True, default=0.5),
        "cooling": Float(0.8, 1.0, default=0.99),
        "width": Float(0.01, 1.0, log=True, default=0.4),
    },
)
