"""A genetic algorithm: select two parents, cross them, mutate the child.

Several objectives are selected by fronts; see
:class:`~automl_opt.builtin.strategies.samplers.genetic.Genetic`.
"""

from __future__ import annotations

from automl_opt.api import Float, Int, OneOf, StrategySpec

spec = StrategySpec(
    name="genetic",
    summary="children of selected parents, crossed and mutated",
    paper="Goldberg 1989; Syswerda 1991, doi:10.1016/B978-0-08-050684-5.50009-4",
    sampler="automl_opt.builtin.strategies.samplers.genetic:Genetic",
    priors=True,
    params={
        "screen": OneOf((True, False)),
        "population": Int(4, 200, log=True, default=6),
        "elitism": Int(0, 100, default=4),
        "selection": OneOf(("tournament", "rank", "truncation")),
        "crossover": OneOf(("uniform", "one_point", "blend", "sbx")),
        "crossover_rate": Float(0.0, 1.0, default=0.9),
        "mutation_rate": Float(0.0, 5.0, default=2.0),
        "mutation_width": Float(0.005, 0.5, log=True, default=0.15),
    },
)
