"""NSGA-II: a population of trials, of which the best by non-dominated sorting have children.

Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm", by Optuna's NSGAIISampler,
with uniform crossover where the paper has a simulated binary one, and a fresh draw as mutation.
It takes several objectives. Parameters that exist in only some trials are drawn at random.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from automl_opt.api import Float, Int, SearchSpace, StrategySpec

if TYPE_CHECKING:
    from optuna.samplers import BaseSampler


def sampler(
    *,
    space: SearchSpace | None,
    seed: int,
    population_size: int,
    crossover_prob: float,
    swapping_prob: float,
) -> BaseSampler:
    """Optuna's sampler.

    Args:
        population_size: trials of a generation; the first is drawn at random. Ours is 20, where
            Optuna's default of 50 leaves a search of 200 trials three generations.
        crossover_prob: the chance that a child has two parents.
        swapping_prob: the chance that a parameter is of the second.
    """
    from optuna.samplers import NSGAIISampler

    return NSGAIISampler(
        seed=seed,
        population_size=population_size,
        crossover_prob=crossover_prob,
        swapping_prob=swapping_prob,
    )


spec = StrategySpec(
    name="nsga2",
    summary="genetic search by non-dominated sorting, for several objectives too",
    paper="Deb et al. 2002, doi:10.1109/4235.996017",
    sampler=sampler,
    params={
        "population_size": Int(2, 200, log=True, default=20),
        "crossover_prob": Float(0.0, 1.0, default=0.9),
        "swapping_prob": Float(0.0, 1.0, default=0.5),
    },
)
