"""Iterated local search: climb, and where the climb ends, jump and climb again.

The climb's steps adapt; see
:class:`~automl_opt.builtin.strategies.samplers.iterated_local_search.IteratedLocalSearch`.
"""

from __future__ import annotations

from automl_opt.api import Float, Int, OneOf, StrategySpec

spec = StrategySpec(
    name="iterated_local_search",
    summary="climbs, and jumps where the climb ends",
    paper="Lourenço et al. 2003, doi:10.1007/0-306-48056-5_11",
    sampler="automl_opt.builtin.strategies.samplers.iterated_local_search:IteratedLocalSearch",
    priors=True,
    params={
        "screen": OneOf((True, False)),
        "width": Float(0.01, 0.5, log=True, default=0.15),
        "patience": Int(3, 100, log=True, default=20),
        "strength": Float(0.05, 1.0, default=0.4),
        "tolerance": Float(0.0, 1.0, default=0.0),
    },
)
