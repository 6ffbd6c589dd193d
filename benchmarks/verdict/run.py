"""How often the verdict errs, where the truth is known; see README.md for the figures."""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from automl_opt.core.verdict import Outcome, Score, Verdict
from automl_opt.study.judge import judge, judge_arms
from automl_opt.study.paired import looks, reach

Array = NDArray[np.float64]
Noise = Callable[[np.random.Generator, int, int], Array]
"""``(rng, recipes, seeds) -> [recipes, seeds]``: mean 0; a paired difference has the sd 1."""

LAST = 160
UNIT = Score(metric="score", maximize=True, scale="plain", margin=0.01)
N_TEST = 20


def normal(rng: np.random.Generator, recipes: int, seeds: int) -> Array:
    return rng.normal(0, math.sqrt(0.5), (recipes, seeds))


def t3(rng: np.random.Generator, recipes: int, seeds: int) -> Array:
    """Student's t with three degrees of freedom: its variance is 3."""
    return rng.standard_t(3, (recipes, seeds)) / math.sqrt(6)


def correlated(rng: np.random.Generator, recipes: int, seeds: int) -> Array:
    """Nine tenths of a seed's variance are the seed's, common to all recipes."""
    return normal(rng, recipes, seeds) + math.sqrt(4.5) * rng.normal(size=(1, seeds))


def unequal(rng: np.random.Generator, recipes: int, seeds: int) -> Array:
    """One recipe is three times as noisy as the others."""
    scale = np.where(np.arange(recipes) == 0, 3.0, 1.0)[:, None]
    return rng.normal(0, math.sqrt(0.1), (recipes, seeds)) * scale


NOISES: dict[str, Noise] = {
    "normal": normal,
    "t, 3 degrees": t3,
    "correlated seeds": correlated,
    "unequal spread": unequal,
}


@dataclass(frozen=True)
class Scene:
    """Runs with a known truth.

    Args:
        draw: ``(rng, seeds) -> [recipes, seeds]`` of the metric; NaN is a failed run.
        truth: the expected score of each recipe.
    """

    name: str
    score: Score
    draw: Callable[[np.random.Generator, int], Array]
    truth: tuple[float, ...]


def additive(name: str, noise: Noise, truth: tuple[float, ...], score: Score = UNIT) -> Scene:
    means = np.array(truth)[:, None]
    return Scene(name, score, lambda rng, seeds: means + noise(rng, len(truth), seeds), truth)


def lognormal(truth: tuple[float, ...], scale: str) -> Scene:
    """Losses with a long tail, one recipe's longer than the others', of equal centre or mean.

    With ``log`` the truth is about the mean of the logarithm, with ``plain`` about the mean.
    """
    score = Score(metric="loss", maximize=False, scale=scale, margin=0.01)
    spread = np.where(np.arange(len(truth)) == 0, 1.2, 0.4)[:, None]
    shift = 0.0 if scale == "log" else -(spread**2) / 2

    def draw(rng: np.random.Generator, seeds: int) -> Array:
        noise = rng.normal(0, 1, (len(truth), seeds)) * spread
        return np.exp(noise + shift - np.array(truth)[:, None])

    return Scene(f"lognormal losses, {scale}", score, draw, truth)


def ceiling(rates: tuple[float, ...], margin: float = 0.01, floor: bool = True) -> Scene:
    """Accuracies on 20 examples, most of them 1."""
    score = Score(
        metric="accuracy",
        maximize=True,
        scale="plain",
        margin=margin,
        resolution=0.5 / N_TEST if floor else 1e-12,
    )
    p = np.array(rates)[:, None]

    def draw(rng: np.random.Generator, seeds: int) -> Array:
        return rng.binomial(N_TEST, p, (len(rates), seeds)) / N_TEST

    return Scene("ties at a ceiling" + ("" if floor else ", no floor"), score, draw, rates)


def failing(recipes: int) -> Scene:
    def draw(rng: np.random.Generator, seeds: int) -> Array:
        values = normal(rng, recipes, seeds)
        return np.where(rng.random(values.shape) < 0.05, np.nan, values)

    return Scene("5 % of runs fail", UNIT, draw, (0.0,) * recipes)


def verdict_of(scene: Scene, rng: np.random.Generator, last: int) -> Verdict | None:
    """The verdict after at most *last* seeds; ``None`` where it is refused: one value in all."""
    table = scene.draw(rng, last)
    if np.all(table == table[0, 0]):
        return None
    names = [str(i) for i in range(len(scene.truth))]
    rows = [[None if v != v else v for v in row] for row in table.tolist()]
    return judge(dict(zip(names, rows, strict=True)), scene.score)


def is_false(verdict: Verdict, scene: Scene) -> bool:
    """Whether it says what is not so."""
    truth = np.array(scene.truth)
    leader = truth[int(verdict.live[0])] if verdict.looks else math.nan
    if verdict.outcome is Outcome.BETTER:
        return bool((np.delete(truth, int(verdict.live[0])) >= leader - 1e-12).any())
    if verdict.outcome is Outcome.EQUIVALENT:
        return any(abs(truth[int(r)] - leader) >= scene.score.delta for r in verdict.live)
    return False


def outcomes(scene: Scene, repetitions: int, last: int) -> Iterator[tuple[Outcome, bool]]:
    rng = np.random.default_rng(sum(map(ord, scene.name)) + len(scene.truth))
    for _ in range(repetitions):
        verdict = verdict_of(scene, rng, last)
        if verdict is None:
            yield Outcome.UNDECIDED, False
        else:
            yield verdict.outcome, is_false(verdict, scene)


def share(found: list[tuple[Outcome, bool]], outcome: Outcome, *, false: bool) -> float:
    return sum(o is outcome and wrong is false for o, wrong in found) / len(found)


def line(*cells: object) -> None:
    print("| " + " | ".join(f"{c:.1%}" if isinstance(c, float) else str(c) for c in cells) + " |")


def false_better(repetitions: int) -> None:
    print(f"\nfalse 'better' over looks at 10 … {LAST} seeds, all recipes alike")
    for k in (2, 3, 5):
        same = (0.0,) * k
        scenes = [
            *(additive(name, noise, same) for name, noise in NOISES.items()),
            ceiling((0.97,) * k, margin=0.0001),
            lognormal(same, "log"),
            failing(k),
        ]
        if k > 2:
            two = (0.0, 0.0, *(-1.0 for _ in range(k - 2)))
            scenes.append(additive("two alike, the others behind", normal, two))
        for scene in (*scenes, lognormal(same, "plain")):
            found = list(outcomes(scene, repetitions, LAST))
            line(k, scene.name, share(found, Outcome.BETTER, false=True))


def false_equivalent(repetitions: int) -> None:
    """True differences of exactly the margin, and noise that lets the intervals fit inside."""
    print(
        f"\nfalse 'equivalent' over looks at 10 … {LAST} seeds, differences as wide as the margin"
    )
    for k in (2, 3, 5):
        for sd in (0.3, 1.0, 3.0):
            score = Score(metric="score", maximize=True, scale="plain", margin=1 / sd)
            apart = (0.0, *(-1 / sd for _ in range(k - 1)))
            for name, noise in NOISES.items():
                scene = additive(f"{name}, sd = {sd:g} margins", noise, apart, score)
                found = list(outcomes(scene, repetitions, LAST))
                line(k, scene.name, share(found, Outcome.EQUIVALENT, false=True))
    for floor in (True, False):
        scene = ceiling((0.9999, 0.989), floor=floor)
        found = list(outcomes(scene, repetitions, LAST))
        line(2, scene.name, share(found, Outcome.EQUIVALENT, false=True))


def coverage(repetitions: int) -> None:
    print("\ncoverage of the interval at each look, and at all looks together")
    at = list(islice(looks(), 5))
    for name, noise in NOISES.items():
        rng = np.random.default_rng(7)
        tables = np.stack([noise(rng, 2, LAST) for _ in range(repetitions)])
        d = tables[:, 0] - tables[:, 1]
        held = np.stack(
            [
                np.abs(d[:, :n].mean(1)) <= reach(n, alpha) * d[:, :n].std(1, ddof=1)
                for n, alpha in at
            ]
        )
        line(name, *(float(row.mean()) for row in held), float(held.all(0).mean()))


def reported(repetitions: int) -> None:
    """The leader is the one that was lucky: its intervals against the others suffer from that."""
    print("\ncoverage of the intervals that a verdict reports, the leader against each live other")
    for k in (2, 3, 5):
        for gap in (0.0, 0.25, 0.5):
            scene = additive("normal", normal, tuple(-gap * i for i in range(k)))
            rng = np.random.default_rng(5)
            held: dict[int, list[bool]] = {}
            for _ in range(repetitions):
                verdict = verdict_of(scene, rng, LAST)
                for look in verdict.looks if verdict else ():
                    for pair in look.pairs:
                        assert pair.low is not None
                        assert pair.high is not None
                        gone = scene.truth[int(pair.leader)] - scene.truth[int(pair.other)]
                        held.setdefault(look.seeds, []).append(pair.low <= gone <= pair.high)
            line(k, f"gap {gap:g}", *(f"{n}: {np.mean(row):.1%}" for n, row in held.items()))


def power(repetitions: int) -> None:
    print("\npower: the right recipe is called better by 40 seeds; by gap in sd of the difference")
    for k in (2, 3, 5):
        for gap in (0.5, 0.75, 1.0):
            behind = {
                "each a gap behind the one before": tuple(-gap * i for i in range(k)),
                "all others one gap behind": (0.0, *(-gap for _ in range(k - 1))),
            }
            for how, truth in behind.items():
                scene = additive("normal", normal, truth)
                found = list(outcomes(scene, repetitions, 40))
                wrong = share(found, Outcome.BETTER, false=True)
                line(k, f"gap {gap:g}", how, share(found, Outcome.BETTER, false=False), wrong)


def arms(repetitions: int) -> None:
    print("\narm verdict: called better, by true share of wins; 10-20-40 pairs, and the quick six")
    rng = np.random.default_rng(1)
    for truth in (0.5, 0.7, 0.8, 0.9):
        for quick, pairs in ((False, 40), (True, 6)):
            right = wrong = 0
            for won in rng.random((repetitions, pairs)) < truth:
                results = [(1.0, 0.0) if w else (0.0, 1.0) for w in won]
                verdict = judge_arms(("a", "b"), results, maximize=True, trials=20, quick=quick)
                right += verdict.outcome is Outcome.BETTER and verdict.first == "a"
                wrong += verdict.outcome is Outcome.BETTER and verdict.first == "b"
            line(
                f"share {truth:g}",
                "6" if quick else "10-20-40",
                right / repetitions,
                wrong / repetitions,
            )


def bootstrap(repetitions: int, resamples: int = 1000) -> None:
    """The usual rule: resample the differences, and call it better where P > .95."""
    print("\npercentile bootstrap, P > .95, recipes alike: called better at 10 seeds, at 10/20/40")
    for name, noise in NOISES.items():
        rng = np.random.default_rng(2)
        at_ten = at_any = 0
        for _ in range(repetitions):
            table = noise(rng, 2, 40)
            d = table[0] - table[1]
            said = []
            for n in (10, 20, 40):
                means = d[rng.integers(0, n, (resamples, n))].mean(1)
                above = (means > 0).mean()
                said.append(max(above, 1 - above) > 0.95)
            at_ten += said[0]
            at_any += any(said)
        line(name, at_ten / repetitions, at_any / repetitions)


PARTS = {
    "false-better": false_better,
    "false-equivalent": false_equivalent,
    "coverage": coverage,
    "reported": reported,
    "power": power,
    "arms": arms,
    "bootstrap": bootstrap,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("parts", nargs="*", choices=[*PARTS, []], help="default: all")
    parser.add_argument("--repetitions", type=int, default=4000)
    given = parser.parse_args()
    for name in given.parts or PARTS:
        PARTS[name](given.repetitions)


if __name__ == "__main__":
    main()
