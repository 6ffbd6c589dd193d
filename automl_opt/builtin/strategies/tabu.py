"""Tabu search: go to the best neighbour, better or not, and not back.

What a move gave up is forbidden for a while; see
:class:`~automl_opt.builtin.strategies.samplers.tabu.Tabu`.
"""

from __future__ import annotations

from automl_opt.api import Float, Int, OneOf, StrategySpec

spec = StrategySpec(
    name="tabu",
    summary="goes to the best neighbour and not back to what it left",
    paper="Glover 1989, doi:10.1287/ijoc.1.3.190",
    sampler="automl_opt.builtin.strategies.samplers.tabu:Tabu",
    priors=True,
    params={
        "screen": OneOf((True, False)),
        "neighbours": Int(1, 50, log=True, default=5),
        "tenure": Int(1, 50, log=True, default=5),
        "radius": Float(0.0, 0.5, default=0.2),
        "width": Float(0.01, 0.5, log=True, default=0.3),
        "patience": Int(1, 50, log=True, default=3),
    },
)
