"""What the strategies are compared with: Optuna's own samplers, nevergrad's and SciPy's.

nevergrad and SciPy search the unit cube, to which Optuna's transformation takes all parameters that
a problem declares: those that a trial has not are in their points all the same.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable
from typing import Any, Protocol, TypeAlias

import numpy as np
import optuna
from optuna import samplers
from optuna._transform import _SearchSpaceTransform
from optuna.samplers import BaseSampler
from optuna.study import StudyDirection

from automl_opt.api import SearchSpace
from automl_opt.builtin.search.encoding import declared

Peer: TypeAlias = Callable[[int, int, SearchSpace], BaseSampler]
"""``(seed, budget, space) -> sampler``."""


class Engine(Protocol):
    """A sequential minimiser over the unit cube."""

    def ask(self) -> np.ndarray: ...

    def tell(self, loss: float) -> None: ...


class EngineSampler(BaseSampler):
    """An :class:`Engine` behind Optuna's sampler; one worker."""

    def __init__(self, seed: int, space: SearchSpace, make: Callable[[int], Engine]) -> None:
        self._random = samplers.RandomSampler(seed=seed)
        self._space = {n: d for n, d in declared(space)[0].items() if not d.single()}
        self._transform = _SearchSpaceTransform(self._space, transform_0_1=True)
        self._engine, self._asked = make(len(self._transform.bounds)), False

    def infer_relative_search_space(self, study, trial):
        return self._space

    def sample_relative(self, study, trial, search_space):
        self._asked = True
        point = np.clip(np.asarray(self._engine.ask(), float), 0, 1)
        return self._transform.untransform(point)

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


def _nevergrad(name: str) -> Peer:
    def make(seed: int, budget: int, space: SearchSpace) -> BaseSampler:
        return EngineSampler(
            seed, space, lambda dimension: Nevergrad(name, dimension, seed, budget)
        )

    return make


def _dual_annealing(seed: int, budget: int, space: SearchSpace) -> BaseSampler:
    from scipy.optimize import dual_annealing

    rng = np.random.default_rng(seed)

    def minimise(objective, bounds):
        return dual_annealing(objective, bounds, maxfun=budget, rng=rng)

    return EngineSampler(seed, space, lambda dimension: Callback(minimise, dimension))


def _optuna(sampler: Callable[..., BaseSampler], **settings: Any) -> Peer:
    return lambda seed, budget, space: sampler(seed=seed, **settings)


PEERS: dict[str, Peer] = {
    "optuna-random": _optuna(samplers.RandomSampler),
    "optuna-tpe": _optuna(samplers.TPESampler),
    "optuna-gp": _optuna(samplers.GPSampler, warn_independent_sampling=False),
    "optuna-cmaes": _optuna(samplers.CmaEsSampler, warn_independent_sampling=False),
    "optuna-nsga2": _optuna(samplers.NSGAIISampler, population_size=20),
    "nevergrad-ngopt": _nevergrad("NGOpt"),
    "nevergrad-de": _nevergrad("DE"),
    "scipy-dual-annealing": _dual_annealing,
}

optuna.logging.set_verbosity(optuna.logging.ERROR)
