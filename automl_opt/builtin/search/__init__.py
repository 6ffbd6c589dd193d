"""The common ground of the search strategies; a strategy only says which points it would try next.

How a strategy is written on it (``strategies/<name>.py`` imports it inside ``sampler()``):

    class Mine(HistorySampler):
        def __init__(self, *, space, seed, screen, width):
            super().__init__(space=space, seed=seed, screen=screen)   # start=5: defaults, Sobol
            self._width = width

        def propose(self, history, rng, n):
            parents = history.genes[history.best(6)]                  # [≤6, p], best first
            picked = parents[rng.integers(len(parents), size=n)]
            picked = history.space.filled(picked, by=history.defaults)  # no NaN to compute with
            moved = picked + self._width * rng.standard_normal(picked.shape) * history.space.numeric
            return Drafts(mirror(moved, history.space), why="perturbed the best six")

- *Genes* ``[n, p]``: numbers in [0, 1] on their scale, categories as the index of the choice, NaN
  where the parameter does not exist. Drafts need not be legal: they are snapped (grid, whole
  indices, branches) and the first that was not tried becomes the trial. Draft in the *cube*
  ``[n, width]`` (categories one-hot) where that suits: ``history.cube`` and
  ``Drafts(history.space.from_cube(points), …)``.
- ``history`` is all that a strategy may know: ``genes``, ``cube``, ``loss`` (minimised, finite;
  failures last), ``bad``, ``order``, ``best(k)``, ``good`` (how many are not bad; ``propose`` may
  meet 0), the running trials' plans ``pending_genes``, ``pending_cube``, the trial's ``index``, the
  study's ``seed``, and ``notes``, which strategies left on the trials (``Drafts(notes=[{…}, …])``,
  plain data; ``why``, ``plan``, ``seed``, ``pull``, ``screened`` and ``kernel.…`` are taken). No
  memory of its own: every trial may have a fresh sampler; population, temperature, accepted point
  are computed from the rows, which are in the order of the trials' numbers.
- ``rng`` is the trial's own. What must be one for the whole study comes from ``history.seed``.
- ``screen=True`` asks for ``drafted = 60`` drafts, lets the best four climb in the expected
  improvement of a Gaussian process, and tries the best then; *n* is then 60, else 8 (the later ones
  only serve where the first was already tried). What climbs keeps its draft's note. In a flat space
  of more than eight parameters each of them is first moved once, and ``propose`` waits.
  ``Drafts(ranked=True)`` keeps the strategy's own order.
- Priors of the declared space act on what was drafted: screened drafts gain ``history.pull(genes)``
  beside their expected improvement, others are drawn by it. A strategy that ranks adds it itself.
- ``multi_objective = True``: ``loss`` is the order of non-dominated fronts; else a clear error.
- ``space``: ``snap``, ``filled``, ``draw(rng, n)``, ``active``, ``cube``, ``from_cube``,
  ``numeric``, ``choices`` (categories: how many), ``stepped``; ``sobol(space, seed, index)``.
"""

from automl_opt.builtin.search.encoding import Space, mirror
from automl_opt.builtin.search.history import History
from automl_opt.builtin.search.sampler import Drafts, HistorySampler
from automl_opt.builtin.search.start import sobol

__all__ = ["Drafts", "History", "HistorySampler", "Space", "mirror", "sobol"]
