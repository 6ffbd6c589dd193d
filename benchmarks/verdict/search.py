"""From search to verdict where the truth is known: what the best value names, what we say."""

from __future__ import annotations

import argparse
from collections import Counter
from dataclasses import dataclass

import numpy as np
import optuna

from automl_opt.core.verdict import Outcome, Score
from automl_opt.study.judge import judge

ARMS = 5
TRIALS = 100
NOISE = 0.1
SCORE = Score(metric="log loss", maximize=False, scale="plain", margin=0.01)


@dataclass(frozen=True)
class Landscape:
    """The log of a loss over learning rate and decay, an arm each; lower is better.

    Args:
        floors: what each arm reaches at its optimum.
        centres: of each arm, ``[arms, 2]``, in decades.
        widths: decades, by arm, at which the log loss is 1 above its floor.
    """

    floors: np.ndarray
    centres: np.ndarray
    widths: np.ndarray

    @classmethod
    def drawn(cls, rng: np.random.Generator, gap: float) -> Landscape:
        """*gap* lies between the floors of the first two arms; the others are further behind."""
        return cls(
            floors=gap * np.array([0.0, 1.0, 1.5, 2.0, 2.0]),
            centres=rng.uniform([-4, -5], [-2, -2], (ARMS, 2)),
            widths=rng.uniform(0.5, 2.0, ARMS),
        )

    def truth(self, arm: int, lr: float, decay: float) -> float:
        away = (np.log10([lr, decay]) - self.centres[arm]) / self.widths[arm] * [1.0, 0.3]
        return float(self.floors[arm] + np.minimum(away @ away, 3.0))

    def suggest(self, trial: optuna.Trial, arm: int) -> tuple[int, float, float]:
        lr = trial.suggest_float(f"lr{arm}", 1e-5, 1e-1, log=True)
        return arm, lr, trial.suggest_float(f"decay{arm}", 1e-6, 1e-1, log=True)


def tuned(land: Landscape, arms: range, trials: int, seed: int) -> tuple[int, float, float]:
    """The point with the best value of one TPE study over *arms*."""
    rng = np.random.default_rng(seed)
    tried: list[tuple[float, tuple[int, float, float]]] = []

    def objective(trial: optuna.Trial) -> float:
        only = len(arms) == 1
        arm = arms[0] if only else trial.suggest_categorical("optimizer", list(arms))
        point = land.suggest(trial, arm)
        tried.append((land.truth(*point) + rng.normal(0, NOISE), point))
        return tried[-1][0]

    sampler = optuna.samplers.TPESampler(seed=seed)
    optuna.create_study(sampler=sampler).optimize(objective, n_trials=trials)
    return min(tried)[1]


def verdict(land: Landscape, points: list[tuple[int, float, float]], seed: int) -> tuple[str, int]:
    """The outcome on three tuned recipes, and the arm of the leader; seeds have common noise."""
    rng = np.random.default_rng((seed, 1))
    common = rng.normal(0, 2 * NOISE, 40)
    values = {
        str(point[0]): (land.truth(*point) + common + rng.normal(0, NOISE, 40)).tolist()
        for point in points
    }
    found = judge(values, SCORE)
    truth = {str(point[0]): land.truth(*point) for point in points}
    leader = found.live[0]
    if found.outcome is Outcome.BETTER and min(truth.values()) < truth[leader]:
        return "false better", int(leader)
    if found.outcome is Outcome.EQUIVALENT and any(
        abs(truth[r] - truth[leader]) >= SCORE.delta for r in found.live
    ):
        return "false equivalent", int(leader)
    return str(found.outcome), int(leader)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repetitions", type=int, default=200)
    repetitions = parser.parse_args().repetitions
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    for gap in (0.0, 0.1):
        counts: Counter[str] = Counter()
        for seed in range(repetitions):
            land = Landscape.drawn(np.random.default_rng((seed, 0)), gap)
            one = tuned(land, range(ARMS), TRIALS, seed)
            counts["one study: first arm named"] += one[0] == 0
            each = [
                tuned(land, range(a, a + 1), TRIALS // ARMS, 1000 * seed + a) for a in range(ARMS)
            ]
            # who leads is taken from the truth plus a trial's noise, as a search would see it
            seen = np.random.default_rng((seed, 2)).normal(0, NOISE, ARMS)
            order = sorted(each, key=lambda p: land.truth(*p) + seen[p[0]])
            counts["a study an arm: first arm named"] += order[0][0] == 0
            outcome, arm = verdict(land, order[:3], seed)
            counts[f"verdict on its recipes: {outcome}"] += 1
            counts["verdict: better, of the first arm"] += outcome == "better" and arm == 0
        print(f"\ngap {gap:g} (seed noise {NOISE:g}), {TRIALS} trials in all, {repetitions} times")
        for what, n in sorted(counts.items()):
            print(f"| {what} | {n / repetitions:.1%} |")


if __name__ == "__main__":
    main()
