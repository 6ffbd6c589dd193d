"""What the strategies are compared with: Optuna's own samplers, nevergrad's and SciPy's.

nevergrad and SciPy search the unit cube, to which Optuna's transformation takes the parameters that
every trial has; what exists in only some trials is drawn at random.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import optuna
from optuna import samplers
from optuna._transform import _SearchSpaceTransform
from optuna.samplers import BaseSampler
from optuna.search_space import IntersectionSearchSpace
from optuna.study import StudyDirection


class Engine(Protocol):
    """A sequential minimiser over the unit cube."""

    def ask(self) -> np.ndarray: ...

    def tell(self, loss: float) -> None: ...


class EngineSampler(BaseSampler):
    """An :class:`Engine` behind Optuna's sampler; one worker."""

    def __init__(self, seed: int, make: Callable[[int], Engine]) -> None:
        self._random = samplers.RandomSampler(seed=seed)
        self._space = IntersectionSearchSpace()
        self._make, self._engine, self._asked = make, None, False

    def infer_relative_search_space(self, study, trial):
        space = self._space.calculate(study)
        return {name: found for name, found in space.items() if not found.single()}

    def sample_relative(self, study, trial, search_space):
        if not search_space:
            return {}
        transform = _SearchSpaceTransform(search_space, transform_0_1=True)
        if self._engine is None:
            self._size = len(transform.bounds)
            self._engine = self._make(self._size)
        if len(transform.bounds) != self._size:
            return {}
        self._asked = True
        return transform.untransform(np.clip(np.asarray(self._engine.ask(), float), 0, 1))

    def sample_independent(self, study, trial, param_name, param_distribution):
        return self._random.sample_independent(study, trial, param_name, param_distribution)

    def after_trial(self, study, trial, state, values):
        if self._asked:
            sign = -1 if study.direction == StudyDirection.MAXIMIZE else 1
            self._engine.tell(sign * values[0] if values else float("inf"))
            self._asked = False


class Nevergrad:
    def __init__(self, name: str, dimension: int, seed: int, budget: int) -> None:
        import nevergrad

        space = nevergrad.p.Array(init=np.full(dimension, 0.5), lower=0.0, upper=1.0)
        space.random_state.seed(seed)
        self._optimizer = nevergrad.optimizers.registry[name](space, budget=budget)

    def ask(self) -> np.ndarray:
        self._candidate = self._optimizer.ask()
        return self._candidate.value

    def tell(self, loss: float) -> None:
        self._optimizer.tell(self._candidate, loss)


class Callback:
    """A minimiser that calls its objective, turned inside out by a thread."""

    def __init__(self, minimise: Callable[[Any, list], Any], dimension: int) -> None:
        self._points, self._losses = queue.Queue(), queue.Queue()
        arguments = (minimise, dimension)
        threading.Thread(target=self._loop, args=arguments, daemon=True).start()

    def _loop(self, minimise, dimension):
        while True:
            minimise(self._objective, [(0.0, 1.0)] * dimension)

    def _objective(self, point):
        self._points.put(np.array(point))
        return self._losses.get()

    def ask(self) -> np.ndarray:
        return self._points.get(timeout=30)

    def tell(self, loss: float) -> None:
        self._losses.put(loss)


def _nevergrad(name: str) -> Callable[[int, int], BaseSampler]:
    def make(seed: int, budget: int) -> BaseSampler:
        return EngineSampler(seed, lambda dimension: Nevergrad(name, dimension, seed, budget))

    return make


def _dual_annealing(seed: int, budget: int) -> BaseSampler:
    from scipy.optimize import dual_annealing

    rng = np.random.default_rng(seed)

    def minimise(objective, bounds):
        return dual_annealing(objective, bounds, maxfun=budget, rng=rng)

    return EngineSampler(seed, lambda dimension: Callback(minimise, dimension))


PEERS: dict[str, Callable[[int, int], BaseSampler]] = {
    "optuna-random": lambda seed, budget: samplers.RandomSampler(seed=seed),
    "optuna-tpe": lambda seed, budget: samplers.TPESampler(seed=seed),
    "optuna-gp": lambda seed, budget: samplers.GPSampler(
        seed=seed, warn_independent_sampling=False
    ),
    "optuna-cmaes": lambda seed, budget: samplers.CmaEsSampler(
        seed=seed, warn_independent_sampling=False
    ),
    "optuna-nsga2": lambda seed, budget: samplers.NSGAIISampler(seed=seed, population_size=20),
    "nevergrad-ngopt": _nevergrad("NGOpt"),
    "nevergrad-de": _nevergrad("DE"),
    "scipy-dual-annealing": _dual_annealing,
}
"""Name -> ``(seed, budget) -> sampler``."""

optuna.logging.set_verbosity(optuna.logging.ERROR)
