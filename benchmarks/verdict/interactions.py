"""How often pairs of parameters are said to interact, where the truth is known; see README.md."""

from __future__ import annotations

import argparse

import numpy as np
import optuna

from automl_opt.search.interaction import interactions

PAIR = {"lr", "momentum"}


def value(trial: optuna.Trial, rng: np.random.Generator, shape: str, tied: float) -> float:
    """To maximize: eight parameters, of which the best *lr* moves with *tied* times momentum."""
    lr = np.log10(trial.suggest_float("lr", 1e-4, 1e-1, log=True)) / 3 + 4 / 3
    momentum = trial.suggest_float("momentum", 0, 1)
    trial.suggest_int("width", 8, 64, log=True)
    on = [trial.suggest_categorical(f"on{i}", [True, False]) for i in range(4)]
    kind = trial.suggest_categorical("kind", ["a", "b", "c"])
    away = lr - 0.6 - tied * (momentum - 0.5)
    alone = 0.1 * on[0] + 0.2 * (kind == "a") + rng.normal(0, 0.05)
    if shape == "cliff":
        return -1.5 * (lr > 0.85) - away**2 - 0.3 * momentum**2 + alone
    return -2 * away**2 - (momentum - 0.5) ** 2 + alone


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    print("| shape | tied | search | trials | the pair | any other |")
    for shape in ("smooth", "cliff"):
        for tied in (0.0, 1.0):
            for search in ("random", "tpe"):
                for trials in (20, 50):
                    right = other = 0
                    for seed in range(repetitions):
                        rng = np.random.default_rng(seed)
                        sampler = (
                            optuna.samplers.TPESampler(seed=seed, n_startup_trials=5)
                            if search == "tpe"
                            else optuna.samplers.RandomSampler(seed=seed)
                        )
                        storage = optuna.storages.InMemoryStorage()
                        study = optuna.create_study(
                            study_name="s", storage=storage, direction="maximize", sampler=sampler
                        )
                        for _ in range(trials):
                            trial = study.ask()
                            study.tell(trial, value(trial, rng, shape, tied))
                        told = [i for i in interactions(storage, ["s"], shuffles=199) if i.told]
                        right += any({i.first, i.second} == PAIR for i in told)
                        other += any({i.first, i.second} != PAIR for i in told)
                    cells = (f"{right / repetitions:.1%}", f"{other / repetitions:.1%}")
                    row = (shape, tied, search, trials, *cells)
                    print("| " + " | ".join(map(str, row)) + " |", flush=True)


if __name__ == "__main__":
    main()
