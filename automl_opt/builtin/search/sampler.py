"""The sampler that every strategy is: Optuna's contract kept once, so that a strategy only drafts.

Proposals are relative: all parameters at once, from the declared tree or, in a study without one,
over everything that earlier trials were asked for. What the objective asks beyond that, in a new
branch for instance, is drawn on its own.
"""

from __future__ import annotations

import zlib
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution
from optuna.samplers import BaseSampler
from optuna.study import Study
from optuna.trial import FrozenTrial

from automl_opt.api import SearchSpace
from automl_opt.builtin.search import history as histories
from automl_opt.builtin.search.encoding import Array, Space
from automl_opt.builtin.search.history import NOTE, History
from automl_opt.builtin.search.start import one_moved, start_points


@dataclass(frozen=True)
class Drafts:
    """Points that a strategy would try next.

    Args:
        genes: ``[k, p]``, the one to try first coming first; they need be neither legal nor new.
        why: why these: the reason that is recorded on the trial.
        notes: one for each draft, or none: what the strategy wants to read again on the trial
            (the F and CR of a differential evolution); plain data.
        ranked: the first one is meant: screening leaves such drafts alone.
    """

    genes: Array
    why: str
    notes: Sequence[Mapping[str, Any]] | None = None
    ranked: bool = False

    def note(self, k: int) -> Mapping[str, Any]:
        return self.notes[k] if self.notes else {}


class HistorySampler(BaseSampler):
    """A strategy: :meth:`propose` is all that a subclass has to write.

    Args:
        space: the declared tree, or ``None`` in a study of the user's own.
        seed: with the trial's number it seeds the trial's generator; ``None`` draws one.
        start: trials before the strategy has its say: the defaults, then a scrambled Sobol
            sequence (Owen 1998), of which declared priors take quantiles. It also waits for 3
            finished ones, at most ``2 · start`` trials. Where a surrogate chooses, in a flat space
            of many parameters, each of them then has a turn (:func:`one_moved`).
        screen: let a surrogate choose among *drafted* drafts, and move the best of them, instead
            of trying the first one (:mod:`automl_opt.builtin.search.screening`). Declared priors
            pull either choice.
    """

    multi_objective = False
    """Whether :attr:`History.loss` as the order of fronts is what the strategy wants."""
    modelled = False
    """Whether a surrogate chooses what is tried even where drafts are not screened."""
    drafted = 60
    """How many drafts it is asked for when they are screened."""

    def __init__(
        self,
        *,
        space: SearchSpace | None = None,
        seed: int | None = None,
        start: int = 5,
        screen: bool = False,
    ) -> None:
        self._space = space
        self._seed = int(np.random.SeedSequence().generate_state(1)[0]) if seed is None else seed
        self._start, self._screen = start, screen

    @abstractmethod
    def propose(self, history: History, rng: np.random.Generator, n: int) -> Drafts:
        """Up to *n* drafts (at least one), best first; a function of its arguments alone."""

    def reseed_rng(self) -> None:
        """Nothing to do: trials have numbers of their own, and so generators of their own."""

    def infer_relative_search_space(
        self, study: Study, trial: FrozenTrial
    ) -> dict[str, BaseDistribution]:
        self._check(study)
        return histories.search_space(study, self._space)

    def sample_relative(
        self, study: Study, trial: FrozenTrial, search_space: dict[str, BaseDistribution]
    ) -> dict[str, Any]:
        self._check(study)
        if not search_space:
            return {}
        history = histories.read(study, trial, search_space, self._space, self._seed)
        rng = np.random.default_rng([self._seed, trial.number])
        genes, why, noted = self._choose(history, rng)
        values = history.space.values(genes)
        if self._space is not None:  # to the last digit, which a logarithm loses
            at_default = {history.space.names[j] for j in np.flatnonzero(genes == history.defaults)}
            values |= {n: v for n, v in self._space.defaults().items() if n in at_default}
        chosen = {name: value for name, value in values.items() if name in search_space}
        plan = dict(zip(history.space.names, history.space.internal(genes[None])[0], strict=True))
        note = {
            "why": why,
            "plan": {name: float(plan[name]) for name in chosen},
            "seed": history.seed,
            **({"pull": history.weight} if history.priors else {}),
            **noted,
        }
        study._storage.set_trial_system_attr(trial._trial_id, NOTE, note)
        if self._space is None:  # an inactive guess may be wrong: what is asked is then ready
            ready = history.space.values(history.space.filled(genes[None])[0])
            return {name: chosen.get(name, ready[name]) for name in search_space}
        return chosen

    def sample_independent(
        self,
        study: Study,
        trial: FrozenTrial,
        param_name: str,
        param_distribution: BaseDistribution,
    ) -> Any:
        """The middle in the first trial of a study, later a uniform draw on the range's scale."""
        self._check(study)
        alone = Space({param_name: param_distribution}, {})
        if trial.number == 0:
            return alone.values(alone.middle)[param_name]
        name = zlib.crc32(param_name.encode())
        rng = np.random.default_rng([self._seed, trial.number, name])
        return alone.values(alone.draw(rng, 1)[0])[param_name]

    def _check(self, study: Study) -> None:
        if not self.multi_objective:
            self._raise_error_if_multi_objective(study)

    def _choose(
        self, history: History, rng: np.random.Generator
    ) -> tuple[Array, str, Mapping[str, Any]]:
        begun = self._begun(history)
        if begun is not None:
            return self._first_new(history, rng, Drafts(*begun), [0])
        count = self.drafted if self._screen else 8
        drafts = self.propose(history, rng, count)
        drafts = replace(drafts, genes=history.space.snap(drafts.genes))
        surrogate: Mapping[str, Any] = {}
        open_choice = not drafts.ranked and len(drafts.genes) > 1
        if open_choice and self._screen:
            from automl_opt.builtin.search.screening import screened

            drafts, surrogate = screened(history, drafts, rng)
        order: Sequence[int] = range(len(drafts.genes))
        if open_choice and not self._screen and history.priors is not None:
            order = lottery(history.pull(drafts.genes), rng)
        genes, why, note = self._first_new(history, rng, drafts, order)
        return genes, why, {**surrogate, **note}

    def _begun(self, history: History) -> tuple[Array, str] | None:
        """Where a beginning goes and why, ``None`` where it is over."""
        if self.starts(history):
            return start_points(history)
        if self._screen or self.modelled:
            return one_moved(history, history.index - self._start)
        return None

    def starts(self, history: History) -> bool:
        """Whether this trial belongs to the start."""
        if history.index < self._start:
            return True
        return history.good < min(3, self._start) and history.index < 2 * self._start

    def _first_new(
        self,
        history: History,
        rng: np.random.Generator,
        drafts: Drafts,
        order: Sequence[int],
    ) -> tuple[Array, str, Mapping[str, Any]]:
        """The first draft that was not tried; where all were, a random point that was not."""
        for k in order:
            if not history.was_tried(drafts.genes[k]):
                return drafts.genes[k], drafts.why, drafts.note(k)
        for genes in history.space.draw(rng, 64):
            if not history.was_tried(genes):
                return genes, f"{drafts.why}, all tried: at random", {}
        return drafts.genes[order[0]], f"{drafts.why}, all tried", drafts.note(order[0])


def lottery(log_weights: Array, rng: np.random.Generator) -> list[int]:
    """An order of all, drawn without replacement by weight (Gumbel-max: Yellott 1977)."""
    lots = log_weights + rng.gumbel(size=len(log_weights))
    order: list[int] = np.argsort(-lots, kind="stable").tolist()
    return order
