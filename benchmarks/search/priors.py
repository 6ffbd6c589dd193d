"""What a right and a wrong expert prior do: ``python benchmarks/search/priors.py [NAME …]``.

A bowl over four parameters (two logarithmic, one of them whole), about .4 at a random point. The
right priors have their centers one spread or less from the best, the wrong ones three to eight
spreads; the defaults are the same in all runs, so the first trial is. Printed are geometric means
of the best loss after 15, 30 and 80 trials, over the seeds 20 to 25.
"""

from __future__ import annotations

import math
import sys

import numpy as np
import optuna

from automl_opt.api import Float, Int, Prior, SearchSpace
from automl_opt.core.space import Entry
from automl_opt.plugin.host import load_host

CENTRES = {"none": None, "right": (3e-3, 0.4, 32, 0.65), "wrong": (3e-1, 0.9, 4, 0.1)}
SPREADS = (3, 0.1, 2, 0.1)
SEEDS, TRIALS, SHOWN = range(20, 26), 80, (15, 30, 80)


def space_of(centres: tuple[float, ...] | None) -> SearchSpace:
    one, two, three, four = (
        [Prior(*pair) for pair in zip(centres, SPREADS, strict=True)] if centres else [None] * 4
    )
    return SearchSpace(
        (
            Entry("lr", Float(1e-5, 1.0, log=True, default=0.1, prior=one)),
            Entry("momentum", Float(0.0, 1.0, default=0.8, prior=two)),
            Entry("units", Int(2, 256, log=True, default=8, prior=three)),
            Entry("dropout", Float(0.0, 1.0, default=0.2, prior=four)),
        )
    )


def loss(values: dict[str, float]) -> float:
    lr = (math.log10(values["lr"]) + 3) / 5
    units = math.log2(values["units"] / 40) / 7
    return lr**2 + (values["momentum"] - 0.3) ** 2 + units**2 + (values["dropout"] - 0.75) ** 2


def main() -> None:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    strategies = [s for s in load_host(allow=()).catalog.components("strategy") if s.has("priors")]
    wanted = sys.argv[1:]
    print(f"| strategy | {' | '.join(CENTRES)} |\n|---|{'---|' * len(CENTRES)}")
    for strategy in strategies:
        if wanted and strategy.spec.name not in wanted:
            continue
        make = strategy.code(strategy.spec.sampler)
        for screen in (True, False) if "screen" in strategy.spec.params else (None,):
            params = strategy.defaults() | ({} if screen is None else {"screen": screen})
            cells = []
            for centres in CENTRES.values():
                space, logs = space_of(centres), []
                for seed in SEEDS:
                    study = optuna.create_study()
                    for _ in range(TRIALS):
                        study.sampler = make(space=space, seed=seed, **params)
                        trial = study.ask()
                        study.tell(trial, loss(space.suggest_values(trial)))
                    best = np.minimum.accumulate([trial.value for trial in study.trials])
                    logs.append(np.log(best[[n - 1 for n in SHOWN]]))
                cells.append(" / ".join(f"{mean:.1e}" for mean in np.exp(np.mean(logs, axis=0))))
            name = strategy.spec.name + (", unscreened" if screen is False else "")
            print(f"| {name} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
