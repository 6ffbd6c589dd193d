"""Quantum-inspired evolution: strings of q-bits that turn towards the best.

A trial is an observation of one of them; see
:class:`~automl_opt.builtin.strategies.samplers.quantum_evolution.QuantumEvolution`.
"""

from __future__ import annotations

from automl_opt.api import Float, Int, OneOf, StrategySpec

spec = StrategySpec(
    name="quantum_evolution",
    summary="observes strings of q-bits that turn towards the best",
    paper="Han & Kim 2002, doi:10.1109/TEVC.2002.804320",
    sampler="automl_opt.builtin.strategies.samplers.quantum_evolution:QuantumEvolution",
    priors=True,
    params={
        "screen": OneOf((True, False)),
        "individuals": Int(1, 20, default=1),
        "bits": Int(2, 20, default=8),
        "rotation": Float(0.001, 0.25, log=True, default=0.04),
        "memory": Float(0.5, 1.0, default=0.95),
        "floor": Float(0.0, 0.3, default=0.03),
    },
)
