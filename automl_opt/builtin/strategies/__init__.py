"""The built-in search strategies."""

from __future__ import annotations

from automl_opt.api import StrategySpec
from automl_opt.builtin.strategies import (
    auto,
    cmaes,
    differential_evolution,
    evolution_strategy,
    genetic,
    gp,
    grid,
    iterated_local_search,
    nsga2,
    quantum_annealing,
    quantum_evolution,
    random,
    simulated_annealing,
    sobol,
    tabu,
    tpe,
)

SPECS: tuple[StrategySpec, ...] = (
    auto.spec,
    random.spec,
    sobol.spec,
    grid.spec,
    tpe.spec,
    gp.spec,
    cmaes.spec,
    nsga2.spec,
    simulated_annealing.spec,
    genetic.spec,
    evolution_strategy.spec,
    differential_evolution.spec,
    tabu.spec,
    iterated_local_search.spec,
    quantum_evolution.spec,
    quantum_annealing.spec,
)
