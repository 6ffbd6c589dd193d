"""Search strategies: Optuna samplers behind one door."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from automl_opt.api.component import Code, ComponentSpec, is_code


@dataclass(frozen=True, kw_only=True)
class StrategySpec(ComponentSpec):
    """Proposes the next trial.

    Args:
        sampler: ``sampler(*, space, seed, **params) -> optuna.samplers.BaseSampler``; ``space``
            is the arm's :class:`~automl_opt.core.space.SearchSpace`, or ``None`` in a user's own
            study. A study makes a fresh one for every trial, seeded by the trial's number: what a
            sampler must remember lies in the history of the Optuna study it is given.
        priors: proposals are pulled towards the :class:`~automl_opt.core.params.Prior` of a range;
            a study that gives one to a strategy without this is told that it has no effect.
    """

    kind: ClassVar[str] = "strategy"

    sampler: Code
    priors: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        self._need(is_code(self.sampler), "sampler must be a function or 'module:name'")
