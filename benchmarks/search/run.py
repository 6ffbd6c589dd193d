"""Compare search strategies on problems whose answers are known; see README.md.

A sampler is a peer of peers.py, a strategy of ours, or ``strategy:key=value,key=value``.
"""

from __future__ import annotations

import argparse
import ast
import csv
import functools
import heapq
import itertools
import json
import math
import time
import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

import numpy as np
import optuna
from optuna.samplers import BaseSampler
from optuna.trial import TrialState
from peers import PEERS
from problems import SUITES, Key, Problem, Problems, reference

from automl_opt.api import SearchSpace
from automl_opt.plugin.host import load_host

CHECKPOINTS = (25, 50, 100, 200, 500, 1000)
CLIP = 2.0  # no single bad run may decide a mean
COLUMNS = ("sampler", "suite", "problem", "seed", "trials", "loss", "ms", "error")
LOST: dict[str, Callable[[int], TrialState | None]] = {
    "none": lambda number: None,
    "maximize": lambda number: None,
    "first-fails": lambda number: TrialState.FAIL if number == 0 else None,
    "third-pruned": lambda number: TrialState.PRUNED if number % 3 == 2 else None,
}
"""For each trouble the state in which a trial is lost."""
REFERENCES = Path(__file__).parent / "references.json"


def make_sampler(
    name: str, seed: int, budget: int, space: SearchSpace, declared: bool = False
) -> BaseSampler:
    """The sampler called *name*; one of ours is given the *space* only where it is *declared*."""
    if name in PEERS:
        return PEERS[name](seed, budget, space)
    name, _, given = name.partition(":")
    component = load_host().catalog.find("strategy", name)
    params = component.defaults() | {
        key: ast.literal_eval(value)
        for key, _, value in (pair.partition("=") for pair in filter(None, given.split(",")))
    }
    return component.code(component.spec.sampler)(
        space=space if declared else None, seed=seed, **params
    )


def search(
    problem: Problem, sampler: BaseSampler, options: argparse.Namespace, seed: int
) -> tuple[list[float], float]:
    """The best loss after every trial told, and the CPU time of ask, suggest and tell in seconds.

    Several workers are simulated: trials last log-normal times and are told in the order in which
    they end.
    """
    budget, workers, trouble = options.trials, options.workers, options.trouble
    sign = -1 if trouble == "maximize" else 1
    study = optuna.create_study(sampler=sampler, direction="maximize" if sign < 0 else "minimize")
    durations = np.random.default_rng(seed)
    running: list[tuple[float, int, optuna.Trial, float]] = []
    best, clock, spent = [math.inf], 0.0, 0.0
    for asked in range(budget + workers - 1):
        if asked < budget:
            began = time.process_time()
            trial = study.ask()
            point = problem.space.suggest_values(trial)
            spent += time.process_time() - began
            loss = float(problem.losses([point])[0])
            end = clock + durations.lognormal(0.0, 0.5)
            heapq.heappush(running, (end, trial.number, trial, loss))
        if asked >= workers - 1:
            clock, _, trial, loss = heapq.heappop(running)
            lost = LOST[trouble](trial.number)
            if lost == TrialState.PRUNED:
                trial.report(loss, 0)
            began = time.process_time()
            study.tell(trial, None if lost else sign * loss, state=lost)
            spent += time.process_time() - began
            best.append(best[-1] if lost else min(best[-1], loss))
    return best[1:], spent


def run_one(
    data: Path | None, suite: str, key: Key, name: str, seed: int, options: argparse.Namespace
) -> list[dict]:
    """A row for every checkpoint; a sampler that raises has rows with its error and no loss."""
    warnings.simplefilter("ignore")
    problem, best, spent, error = _problems(data).get(key), [], 0.0, ""
    try:
        sampler = make_sampler(name, seed, options.trials, problem.space, options.declared)
        best, spent = search(problem, sampler, options, seed)
    except Exception as raised:  # a peer's failure is a result too
        error = f"{type(raised).__name__}: {raised}"[:200]
    return [
        {
            "sampler": _label(name, options),
            "suite": suite,
            "problem": problem.name,
            "seed": seed,
            "trials": trials,
            "loss": best[trials - 1] if best else math.inf,
            "ms": round(1000 * spent / options.trials, 3),
            "error": error,
        }
        for trials in CHECKPOINTS
        if trials <= options.trials
    ]


@functools.cache
def _problems(data: Path | None) -> Problems:
    return Problems(data)


def _label(name: str, options: argparse.Namespace) -> str:
    workers = f"@{options.workers}w" if options.workers > 1 else ""
    trouble = f"!{options.trouble}" if options.trouble != "none" else ""
    return name + ("+declared" if options.declared else "") + workers + trouble


def run(options: argparse.Namespace) -> None:
    """Add what is missing to the table of results."""
    problems = _problems(options.data)
    chosen = [(s, k) for s in options.suite for k in problems.keys(s, options.problems)]
    _refer([problems.get(key) for _, key in chosen])
    out = Path(options.out)
    rows = read(out) if out.exists() else []
    done = {(row["sampler"], row["problem"], row["seed"]) for row in rows}
    seeds = range(options.first_seed, options.first_seed + options.seeds)
    jobs = [
        (options.data, suite, key, name, seed, options)
        for seed, (suite, key), name in itertools.product(seeds, chosen, options.sampler)
        if (_label(name, options), problems.get(key).name, seed) not in done
    ]
    with ProcessPoolExecutor(options.jobs) as pool, out.open("a", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS)
        if not rows:
            writer.writeheader()
        for future in as_completed([pool.submit(run_one, *job) for job in jobs]):
            writer.writerows(future.result())
            file.flush()


def _refer(problems: list[Problem]) -> None:
    """Compute the references that are not known yet."""
    known = _references()
    for problem in problems:
        if problem.name not in known:
            known[problem.name] = reference(problem)
            REFERENCES.write_text(json.dumps(known, indent=1, sort_keys=True) + "\n")


def _references() -> dict[str, dict[str, float]]:
    return json.loads(REFERENCES.read_text()) if REFERENCES.exists() else {}


def read(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return [
            {
                **row,
                "seed": int(row["seed"]),
                "trials": int(row["trials"]),
                "loss": float(row["loss"]),
                "ms": float(row["ms"]),
            }
            for row in csv.DictReader(file)
        ]


def report(rows: list[dict], against: str, zero: str = "best") -> str:
    """A table for every suite, over the problems, seeds and budgets that all its samplers have.

    Args:
        zero: of a problem's references the loss whose regret is 0: no run of the report moves it,
            and what is below counts as 0.
    """
    lines = []
    for suite in dict.fromkeys(row["suite"] for row in rows):
        of_suite = [row for row in rows if row["suite"] == suite]
        samplers = list(dict.fromkeys(row["sampler"] for row in of_suite))
        reached = [{row["trials"] for row in of_suite if row["sampler"] == s} for s in samplers]
        budgets = sorted(set.intersection(*reached))
        runs = {name: set() for name in samplers}
        losses = {}
        for row in of_suite:
            losses[row["sampler"], row["problem"], row["seed"], row["trials"]] = row["loss"]
            runs[row["sampler"]].add((row["problem"], row["seed"]))
        shared = sorted(set.intersection(*runs.values()))
        lines += [f"\n{suite}: {len(shared)} runs of each (problems × seeds)", ""]
        lines += _table(of_suite, samplers, budgets, shared, losses, against, zero)
    return "\n".join(lines)


def _table(rows, samplers, budgets, shared, losses, against, zero) -> list[str]:
    known = _references()

    def regret(name: str, problem: str, seed: int, trials: int) -> float:
        best = known[problem].get(zero, known[problem]["best"])
        scale = max(known[problem]["random"] - best, 1e-9)
        return float(np.clip((losses[name, problem, seed, trials] - best) / scale, 0, CLIP))

    def mean(name: str, trials: int) -> float:
        return float(np.mean([regret(name, *run, trials) for run in shared]))

    def wins(name: str, trials: int) -> str:
        if against not in samplers:
            return "–"
        pairs = [(losses[name, *run, trials], losses[against, *run, trials]) for run in shared]
        return f"{100 * np.mean([(a < b) + 0.5 * (a == b) for a, b in pairs]):.0f} %"

    header = [f"@{b}" for b in budgets] + [f"wins @{b}" for b in budgets] + ["ms", "failed"]
    lines = [f"| sampler | {' | '.join(header)} |", "| --- |" + " ---: |" * len(header)]
    for name in sorted(samplers, key=lambda name: mean(name, budgets[-1])):
        own = [row for row in rows if row["sampler"] == name]
        failed = {(row["problem"], row["seed"]) for row in own if row["error"]}
        cells = [f"{mean(name, b):.3f}" for b in budgets] + [wins(name, b) for b in budgets]
        cells += [f"{np.median([row['ms'] for row in own]):.1f}", str(len(failed))]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sampler", nargs="+", default=[])
    parser.add_argument("--suite", nargs="+", default=["bbob-5"], choices=SUITES)
    parser.add_argument("--data", type=Path, help="the folder of YAHPO Gym's files")
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--first-seed", type=int, default=0)
    parser.add_argument("--problems", type=int, help="so many of each suite, spread over it")
    parser.add_argument("--workers", type=int, default=1, help="simulated, asynchronous")
    parser.add_argument(
        "--trouble", default="none", choices=LOST, help="what a sampler has to put up with"
    )
    parser.add_argument(
        "--declared", action="store_true", help="give strategies of ours the declared space"
    )
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--out", default="search.csv")
    parser.add_argument("--against", default="optuna-tpe", help="whom to win against")
    parser.add_argument("--report", nargs="+", type=Path, help="tables of these results; no runs")
    parser.add_argument(
        "--zero",
        default="best",
        choices=["best", "lowest"],
        help="the loss whose regret is 0: what a search of 28 000 points found, or any run so far",
    )
    options = parser.parse_args()
    if options.report:
        rows = [row for path in options.report for row in read(path)]
        print(report(rows, options.against, options.zero))
    else:
        run(options)


if __name__ == "__main__":
    main()
