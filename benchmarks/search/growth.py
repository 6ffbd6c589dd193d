"""CPU time of a trial as a study grows: ``python benchmarks/search/growth.py [NAME …]``.

One study of random trials in a mixed, conditional space of 12 parameters is grown to each length;
every strategy is then asked and told 15 % more of it, 150 at most, after three that are not
counted: in these it reads the study and begins, among the others its models are fitted anew. All
strategies do so five times in turn, the same each time, and what counts is a trial's least time:
another program on the machine can only add to it.
"""

from __future__ import annotations

import statistics
import sys
import time

import optuna
from optuna.samplers import RandomSampler
from run import make_sampler

from automl_opt.api import Float, Int, OneOf, SearchSpace
from automl_opt.core.space import Entry

LENGTHS = (100, 200, 1000, 10_000)
MORE = 0.15
"""Trials that are counted, of those there are: a model is fitted again after 14 % more of them."""
MOST = 150
PASSES = 5
SPACE = SearchSpace(
    (
        *(Entry(f"x{k}", Float(0.0, 1.0)) for k in range(4)),
        *(Entry(f"lr{k}", Float(1e-5, 1.0, log=True)) for k in range(2)),
        *(Entry(f"n{k}", Int(1, 512, log=True)) for k in range(2)),
        Entry("kind", OneOf(("a", "b", "c"))),
        *(Entry(f"of_b{k}", Float(0.0, 1.0), when=(("kind", ("b",)),)) for k in range(3)),
    )
)


def one(study: optuna.Study) -> float:
    """CPU milliseconds of ask, suggest and tell."""
    began = time.process_time()
    trial = study.ask()
    values = SPACE.suggest_values(trial)
    study.tell(trial, sum(v for v in values.values() if not isinstance(v, str)))
    return 1000 * (time.process_time() - began)


def times(name: str, before: list[optuna.trial.FrozenTrial]) -> list[float]:
    """Those of *name* in a study of the trials *before*, a trial each."""
    study = optuna.create_study()
    study.add_trials(before)
    study.sampler = make_sampler(name, seed=0, budget=len(before), space=SPACE)
    return [one(study) for _ in range(3 + min(round(MORE * len(before)), MOST))][3:]


def main() -> None:
    names = sys.argv[1:]
    study = optuna.create_study(sampler=RandomSampler(seed=0))
    print("| strategy | " + " | ".join(map(str, LENGTHS)) + " |")
    cells: dict[str, list[str]] = {name: [] for name in names}
    for length in LENGTHS:
        while len(before := study.get_trials(deepcopy=False)) < length:
            one(study)
        passes = [{name: times(name, before) for name in names} for _ in range(PASSES)]
        for name in names:
            least = map(min, zip(*(found[name] for found in passes), strict=True))
            cells[name].append(f"{statistics.mean(least):.1f}")
    for name, row in cells.items():
        print(f"| {name} | {' | '.join(row)} |")


if __name__ == "__main__":
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    main()
