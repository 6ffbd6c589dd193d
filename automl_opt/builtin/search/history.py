"""The history: a study's trials as arrays, decoded once each and seen as a strategy needs them.

What a strategy knows is this and its seed, nothing else: a fresh sampler on the same trials
proposes the same. The decoded rows are kept as long as the study's storage lives; that saves time
and changes no number.
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from optuna.distributions import BaseDistribution, CategoricalDistribution
from optuna.storages import BaseStorage
from optuna.study import Study, StudyDirection
from optuna.study._multi_objective import _fast_non_domination_rank
from optuna.trial import FrozenTrial, TrialState

from automl_opt.api import SearchSpace
from automl_opt.builtin.search.encoding import (
    Array,
    Mask,
    Space,
    Tree,
    declared,
    internal_value,
    learnt,
)
from automl_opt.builtin.search.priors import PULL, Priors, priors_of

NOTE = "automl_opt:search"
"""The trial's system attribute with what its sampler noted: seed, reason, plan and its own."""

COMPLETE, PRUNED, FAILED, RUNNING, EMPTY = range(5)
_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL)


@dataclass(frozen=True, kw_only=True)
class History:
    """What is known when one trial is proposed; arrays are read, never written.

    Rows are the finished trials in the order of their numbers, ``n`` of them.

    Args:
        space: the parameters that are proposed.
        number, index: of the trial that is proposed: its number, and how many trials of this study
            have a lower one (a pruner's bracket leaves gaps in the numbers, not in the index).
        seed: of the study: the one that the first of its trials noted, so that what belongs to all
            trials (a Sobol scramble) is drawn once though every trial has a sampler of its own.
        numbers: int ``[n]``.
        genes: ``[n, p]``; cube: ``[n, width]``.
        values: ``[n, objectives]``, all to be minimised; NaN where there is none.
        loss: ``[n]``, finite, lower is better. A complete trial has its value; several objectives
            have the rank of the front, within it the crowded ones later. A pruned trial has its
            last report, and at best the best value of a complete one (of several objectives, where
            a report says nothing, their median). Violated constraints, failures, NaN, ±inf and no
            report at all come after everything, in this order.
        bad: mask ``[n]`` of those last.
        complete: mask ``[n]``: finished, and not bad.
        notes: what each row's sampler noted (:meth:`newest` finds a key).
        pending_numbers, pending_genes, pending_cube, pending_notes: of the running trials, by
            their plan.
        defaults: genes ``[p]`` where the search starts: declared defaults, else the middle.
        priors: where the declared space expects the best, ``None`` where it says nothing of that.
        seen: fingerprints of all rows and pending ones; :meth:`was_tried` asks it.
    """

    space: Space
    number: int
    index: int
    seed: int
    numbers: Array
    genes: Array
    cube: Array
    values: Array
    loss: Array
    bad: Mask
    complete: Mask
    notes: Sequence[Mapping[str, Any]]
    pending_numbers: Array
    pending_genes: Array
    pending_cube: Array
    pending_notes: Sequence[Mapping[str, Any]]
    defaults: Array
    priors: Priors | None
    seen: frozenset[bytes] | set[bytes]

    def __len__(self) -> int:
        return len(self.numbers)

    @cached_property
    def order(self) -> Any:
        """Rows from best to worst; of equal ones the older first."""
        return np.argsort(self.loss, kind="stable")

    def best(self, k: int) -> Any:
        """The up to *k* best rows that are not bad, best first."""
        return self.order[: self.good][:k]  # the bad ones come last

    @cached_property
    def good(self) -> int:
        """How many rows are not bad."""
        return len(self) - int(self.bad.sum())

    def newest(self, key: str) -> Any:
        """What the newest trial that noted *key* noted, or ``None``."""
        ended = _newest(self.numbers, self.notes, key)
        running = _newest(self.pending_numbers, self.pending_notes, key)
        return max(ended, running, key=lambda found: found[0])[1]

    @property
    def weight(self) -> float:
        """Of the priors: it fades with the finished trials."""
        return PULL / max(1, len(self)) if self.priors else 0.0

    def pull(self, genes: Array) -> Array:
        """The weighted log priors ``[n]`` of *genes*, to be added to a log acquisition."""
        if self.priors is None:
            return np.zeros(len(genes))
        return self.weight * self.priors.log_density(genes)

    def was_tried(self, genes: Array) -> bool:
        """Whether a finished or running trial has just these snapped *genes* ``[p]``."""
        return fingerprint(genes) in self.seen


def _newest(numbers: Array, notes: Sequence[Mapping[str, Any]], key: str) -> tuple[int, Any]:
    for k in range(len(notes) - 1, -1, -1):
        if key in notes[k]:
            return int(numbers[k]), notes[k][key]
    return -1, None


def fingerprint(genes: Array) -> bytes:
    """Equal for rows of genes that name the same values."""
    return np.nan_to_num(genes, nan=-1.0).round(9).tobytes()


class _Rows:
    """The decoded trials of one study, in the order of the storage's list."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.trials: list[FrozenTrial] = []
        self.open: list[int] = []
        self.distributions: dict[str, BaseDistribution] = {}
        self.since: dict[str, int] = {}
        self.at: dict[str, int] = {}
        self.number = np.zeros(64, int)
        self.raw: Array = np.full((64, 8), np.nan)
        self.state = np.zeros(64, np.int8)
        self.value: Array = np.full((64, 1), np.nan)
        self.violation: Array = np.zeros(64)
        self.notes: list[Mapping[str, Any]] = []
        self.patterns: dict[Any, dict[str, float]] = {}
        self.tree: Tree | None = None
        self.last_tree: Tree = {}
        self.declared: tuple[Any, dict[str, BaseDistribution], Tree] | None = None
        self.points: _Points | None = None

    def continues(self, trials: Sequence[FrozenTrial]) -> bool:
        """Whether *trials* are those already decoded, and later ones."""
        known = len(self.trials)
        if len(trials) < known:
            return False
        return all(
            trials[i] is self.trials[i] or _same(trials[i], self.trials[i])
            for i in {0, known // 2, known - 1} - {-1}
            if known
        )

    def update(self, trials: Sequence[FrozenTrial], signs: Array) -> None:
        known = len(self.trials)
        again = self.open
        self.open = []
        self._reserve(len(trials), len(signs))
        self.trials.extend(trials[known:])
        self.notes.extend([{}] * (len(trials) - known))
        changed = again + list(range(known, len(trials)))
        for i in changed:
            self.trials[i] = trials[i]
            self._decode(i, trials[i], signs)
            if _is_open(trials[i]):
                self.open.append(i)
        if self.points is not None:
            self.points.forget([i for i in changed if i < known])

    def _reserve(self, n: int, objectives: int) -> None:
        if self.value.shape[1] != objectives:
            self.value = np.full((len(self.state), objectives), np.nan)
        if n > len(self.state):
            size = max(n, 2 * len(self.state))
            self.raw = _longer(self.raw, size)
            self.value = _longer(self.value, size)
            self.violation = _longer(self.violation, size)
            self.state, self.number = _longer(self.state, size), _longer(self.number, size)

    def _decode(self, i: int, trial: FrozenTrial, signs: Array) -> None:
        attrs = trial.system_attrs
        note = attrs.get(NOTE, {})
        self.notes[i], self.number[i] = note, trial.number
        self.raw[i] = np.nan
        self.value[i] = np.nan
        self.violation[i] = 0.0
        plan = {} if trial.state in _FINISHED[:2] else note.get("plan", {})
        params, distributions = trial.params, trial.distributions
        for name, value in plan.items():
            self._add(name)
            self.raw[i, self.at[name]] = value
        pattern: dict[str, float] = {}
        for name, value in params.items():
            distribution = distributions[name]
            self._add(name)
            known = self.distributions.get(name)
            if known is not distribution and known != distribution and i >= self.since.get(name, 0):
                self.distributions[name], self.since[name] = distribution, i
                self.tree = None
            number = internal_value(distribution, value)
            self.raw[i, self.at[name]] = number
            pattern[name] = number if isinstance(distribution, CategoricalDistribution) else 0.0
        self.state[i] = self._state(i, trial, signs)
        if trial.state in _FINISHED[:2] and params:
            key = frozenset(pattern.items())
            if key not in self.patterns:
                self.patterns[key] = pattern
                self.tree = None

    def _add(self, name: str) -> None:
        if name in self.at:
            return
        self.at[name] = len(self.at)
        if len(self.at) > self.raw.shape[1]:
            more = np.full((len(self.raw), self.raw.shape[1]), np.nan)
            self.raw = np.concatenate([self.raw, more], axis=1)

    def _state(self, i: int, trial: FrozenTrial, signs: Array) -> int:
        if trial.state == TrialState.WAITING:
            return EMPTY
        if np.isnan(self.raw[i]).all():
            return EMPTY  # failed or running before anything was asked
        if trial.state == TrialState.RUNNING:
            return RUNNING
        if trial.state == TrialState.FAIL:
            return FAILED
        violated = [c for c in trial.constraints.values() if not c <= 0.0]
        if trial.state == TrialState.PRUNED:
            steps = trial.intermediate_values
            value = steps[max(steps)] if steps else np.nan
            self.value[i, 0] = signs[0] * value
        else:
            self.value[i] = signs * np.asarray(trial.values, float)
        if violated:
            self.violation[i] = sum(c if np.isfinite(c) else 1e300 for c in violated)
        if not np.isfinite(self.value[i][: len(signs) if trial.values else 1]).all():
            self.value[i] = np.nan
            if not violated:
                return FAILED
        return PRUNED if trial.state == TrialState.PRUNED else COMPLETE

    def learnt_space(self) -> tuple[dict[str, BaseDistribution], Tree]:
        """Everything that trials were asked for, and what they show of when."""
        if self.tree is None:
            found = learnt(self.distributions, list(self.patterns.values())[:500])
            self.tree = self.last_tree = found if found != self.last_tree else self.last_tree
        return self.distributions, self.tree


class _Points:
    """Genes and cube of the rows in one space, grown with them."""

    def __init__(self, space: Space, tree: Tree) -> None:
        self.space, self.tree = space, tree
        self.genes: Array = np.empty((0, len(space)))
        self.cube: Array = np.empty((0, space.width))
        self.known = 0
        self.stale: list[int] = []
        self.seen: set[bytes] = set()

    def forget(self, rows: Sequence[int]) -> None:
        self.stale.extend(i for i in rows if i < self.known)

    def update(self, rows: _Rows) -> None:
        n = len(rows.trials)
        changed = np.array(sorted({*self.stale, *range(self.known, n)}), int)
        if n > len(self.genes):
            size = max(n, 2 * len(self.genes), 64)
            self.genes, self.cube = _longer(self.genes, size), _longer(self.cube, size)
        if len(changed):
            columns = [rows.at.get(name, -1) for name in self.space.names]
            raw = rows.raw[changed][:, columns]
            raw[:, [c < 0 for c in columns]] = np.nan
            genes = self.space.genes(raw)
            self.genes[changed], self.cube[changed] = genes, self.space.cube(genes)
            running = rows.state[changed] == RUNNING
            for row in genes[~running]:
                self.seen.add(fingerprint(row))
        self.known, self.stale = n, []


_memories: weakref.WeakKeyDictionary[BaseStorage, dict[tuple[int, int], _Rows]]
_memories = weakref.WeakKeyDictionary()
"""A memo, no state: what it holds is decoded from the storage and can be forgotten at any time."""
_lock = threading.Lock()


def rows_of(study: Study, trials: Sequence[FrozenTrial]) -> _Rows:
    """The rows of *study* decoded so far; a bracket of Hyperband is a study of its own."""
    key = (study._study_id, trials[0].number if trials else 0)
    with _lock:
        memory = _memories.setdefault(study._storage, {})
        if key not in memory or not memory[key].continues(trials):
            memory[key] = _Rows()
        return memory[key]


def search_space(study: Study, space: SearchSpace | None) -> dict[str, BaseDistribution]:
    """What can be proposed together: what is declared, else everything that trials were asked."""
    trials = study.get_trials(deepcopy=False)
    rows = rows_of(study, trials)
    with rows.lock:
        trials = study.get_trials(deepcopy=False)  # another thread may have read on meanwhile
        if space is not None:
            return {n: d for n, d in _declared(rows, space)[0].items() if not d.single()}
        rows.update(trials, _signs(study))
        return {n: d for n, d in sorted(rows.distributions.items()) if not d.single()}


def read(
    study: Study,
    trial: FrozenTrial,
    asked: Mapping[str, BaseDistribution],
    space: SearchSpace | None,
    seed: int,
) -> History:
    """The history of *study* as *trial* is about to be proposed in the space *asked*."""
    trials = study.get_trials(deepcopy=False)
    rows = rows_of(study, trials)
    with rows.lock:
        trials = study.get_trials(deepcopy=False)  # another thread may have read on meanwhile
        rows.update(trials, _signs(study))
        if space is None:
            known, tree = rows.learnt_space()
            wanted = dict(sorted(asked.items()))
        else:
            known, tree = _declared(rows, space)
            wanted = {n: d for n, d in known.items() if d.single()} | dict(asked)
            wanted = {n: wanted[n] for n in known if n in wanted} | wanted
        points = rows.points
        if points is None or points.tree is not tree or not _is_of(points.space, wanted):
            points = rows.points = _Points(Space(wanted, tree), tree)
        points.update(rows)
        return _snapshot(rows, points, trial, space, seed)


def _snapshot(
    rows: _Rows, points: _Points, trial: FrozenTrial, declared_space: SearchSpace | None, seed: int
) -> History:
    n = len(rows.trials)
    state = rows.state[:n]
    finished: Any = np.flatnonzero(state <= FAILED)
    running = [
        i for i in rows.open if state[i] == RUNNING and rows.trials[i].number != trial.number
    ]
    if len(finished) and finished[-1] == len(finished) - 1:
        finished = slice(0, len(finished))  # a view, not a copy
        notes: Sequence[Any] = rows.notes[finished]
    else:
        notes = [rows.notes[i] for i in finished]
    values, violation = rows.value[:n][finished], rows.violation[:n][finished]
    loss, bad = losses(values, violation, state[finished])
    space = points.space
    if declared_space is None:
        defaults = space.middle
    else:
        defaults = space.snap(space.row(declared_space.defaults())[None])[0]
    noted = next((note["seed"] for note in rows.notes if "seed" in note), seed)
    pending = points.genes[running]
    return History(
        space=space,
        number=trial.number,
        index=int(np.count_nonzero(rows.number[:n] < trial.number)),
        seed=noted,
        numbers=rows.number[:n][finished],
        genes=points.genes[:n][finished],
        cube=points.cube[:n][finished],
        values=values,
        loss=loss,
        bad=bad,
        complete=(state[finished] == COMPLETE) & ~bad,
        notes=notes,
        pending_numbers=rows.number[running],
        pending_genes=pending,
        pending_cube=points.cube[running],
        pending_notes=[rows.notes[i] for i in running],
        defaults=defaults,
        priors=priors_of(space, declared_space),
        seen=points.seen | {fingerprint(row) for row in pending} if running else points.seen,
    )


def losses(values: Array, violation: Array, state: Any) -> tuple[Array, Mask]:
    """``loss`` and ``bad`` of :class:`History`, from ``values [n, m]`` to be minimised."""
    failed = state == FAILED
    violated = (violation > 0) & ~failed
    bad = failed | violated
    complete, pruned = (state == COMPLETE) & ~bad, (state == PRUNED) & ~bad
    loss = np.zeros(len(values))
    if values.shape[1] == 1:
        loss[complete | pruned] = values[complete | pruned, 0]
    elif complete.any():
        loss[complete] = _front_order(values[complete])
    if complete.any():
        limit = loss[complete].min() if values.shape[1] == 1 else np.median(loss[complete])
        loss[pruned] = np.maximum(loss[pruned], limit)
    good = loss[complete | pruned]
    worst = good.max() if len(good) else 0.0
    best = good.min() if len(good) else 0.0
    spread = worst / 2 - best / 2 or 1.0
    loss[violated] = worst + spread * (1e-3 + violation[violated] / (1 + violation[violated]))
    loss[failed] = worst + 2 * spread
    return np.clip(loss, -1e300, 1e300), bad


def _front_order(values: Array) -> Array:
    """Rank of the non-dominated front plus, in [0, 1), the place within it by crowding distance.

    Deb et al. 2002, "A Fast and Elitist Multiobjective Genetic Algorithm: NSGA-II", II.B.
    """
    rank = _fast_non_domination_rank(values).astype(float)
    order: Array = rank.copy()
    for front in np.unique(rank):
        members = np.flatnonzero(rank == front)
        distance = np.zeros(len(members))
        for column in values[members].T:
            by = np.argsort(column, kind="stable")
            extent = (column[by[-1]] - column[by[0]]) or 1.0
            distance[by[[0, -1]]] = np.inf
            distance[by[1:-1]] += (column[by[2:]] - column[by[:-2]]) / extent
        place = np.empty(len(members))
        place[np.argsort(-distance, kind="stable")] = np.arange(len(members))
        order[members] += place / len(members)
    return order


def _signs(study: Study) -> Array:
    return np.array([-1.0 if d == StudyDirection.MAXIMIZE else 1.0 for d in study.directions])


def _declared(rows: _Rows, space: SearchSpace) -> tuple[dict[str, BaseDistribution], Tree]:
    if rows.declared is None or rows.declared[0] is not space:
        rows.declared = (space, *declared(space))
        for name, distribution in rows.declared[1].items():
            rows.distributions.setdefault(name, distribution)
            rows._add(name)
    return rows.declared[1], rows.declared[2]


def _is_of(space: Space, wanted: Mapping[str, BaseDistribution]) -> bool:
    return space.names == tuple(wanted) and all(
        wanted[n] is d or wanted[n] == d for n, d in space.distributions.items()
    )


def _is_open(trial: FrozenTrial) -> bool:
    return trial.state not in _FINISHED


def _same(one: FrozenTrial, other: FrozenTrial) -> bool:
    return (one.number, one._trial_id, one.datetime_start) == (
        other.number,
        other._trial_id,
        other.datetime_start,
    )


def _longer(array: Any, size: int) -> Any:
    """*array* with *size* rows, the new ones of any content: a row is written before it is read."""
    grown = np.empty((size, *array.shape[1:]), array.dtype)
    grown[: len(array)] = array
    return grown
