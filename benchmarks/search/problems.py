"""Search problems with known answers: YAHPO Gym's surrogates and COCO's BBOB functions.

A surrogate is a network that foretells what a training run would have reached (Pfisterer et al.
2022, arXiv:2109.03670; its files are Apache-2.0 and are read from a folder, see README.md). BBOB:
Hansen et al. 2021, arXiv:1603.08785.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from automl_opt.api import Float, Int, OneOf, SearchSpace
from automl_opt.core.space import Entry

Key = tuple[Any, ...]
"""Names a problem across processes: its kind and what the kind needs."""

RANDOM_LENGTH = 50  # a regret of 1 is the median result of a random search this long
LCBENCH_TASK, RBV2_TASK = "OpenML_task_id", "task_id"
FULL_FIDELITY = {"epoch": 52, "trainsize": 1.0, "repl": 10}
NOT_SEARCHED = {LCBENCH_TASK, RBV2_TASK, *FULL_FIDELITY}
BBOB_FUNCTIONS = (1, 3, 5, 6, 8, 10, 13, 15, 17, 20, 21, 24)
SUITES = ("lcbench", "conditional", "bbob-5", "bbob-20")

# the order of the columns of each network's inputs and outputs, from YAHPO Gym's metadata
LAYOUTS: dict[str, dict[str, str]] = {
    "lcbench": {
        "numbers": "epoch batch_size learning_rate momentum weight_decay num_layers max_units "
        "max_dropout",
        "categories": LCBENCH_TASK,
        "outputs": "time val_accuracy val_cross_entropy val_balanced_accuracy test_cross_entropy "
        "test_balanced_accuracy",
    },
    "rbv2_xgboost": {
        "numbers": "nrounds eta gamma lambda alpha subsample max_depth min_child_weight "
        "colsample_bytree colsample_bylevel rate_drop skip_drop trainsize repl",
        "categories": "task_id booster num.impute.selected.cpo",
        "outputs": "acc bac auc brier f1 logloss timetrain timepredict memory",
    },
    "rbv2_rpart": {
        "numbers": "cp maxdepth minbucket minsplit trainsize repl",
        "categories": "task_id num.impute.selected.cpo",
        "outputs": "acc bac auc brier f1 logloss timetrain timepredict memory",
    },
}


@dataclass(frozen=True)
class Problem:
    """A declared space and what its points are worth; lower is better.

    Args:
        losses: of a batch of points, each with a value for every active entry of *space*.
        optimum: the lowest loss there is, where it is known.
    """

    name: str
    space: SearchSpace
    losses: Callable[[Sequence[Mapping[str, Any]]], np.ndarray]
    optimum: float | None = None


class Surrogate:
    """One network of YAHPO Gym."""

    def __init__(self, data: Path, scenario: str) -> None:
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        self.layout = {kind: names.split() for kind, names in LAYOUTS[scenario].items()}
        self._codes = json.loads((data / f"{scenario}.encoding.json").read_text())
        model = str(data / f"{scenario}.model.onnx")
        self._session = onnxruntime.InferenceSession(model, options)
        declared = json.loads((data / f"{scenario}.config_space.json").read_text())
        self._declared = {entry["name"]: entry for entry in declared["hyperparameters"]}
        self._conditions = {
            entry["child"]: (
                entry["parent"],
                tuple(entry["values"] if entry["type"] == "IN" else [entry["value"]]),
            )
            for entry in declared["conditions"]
        }
        self.task_name = LCBENCH_TASK if scenario == "lcbench" else RBV2_TASK
        self.tasks = sorted(self._declared[self.task_name]["choices"], key=int)

    def entries(self, *, conditional: bool, prefix: str = "", under: tuple = ()) -> list[Entry]:
        """The searched parameters, parents first.

        Args:
            conditional: whether a parameter exists only where it matters.
            under: the conditions of all of them.
        """
        names = [name for name in self._declared if name not in NOT_SEARCHED]
        return [
            Entry(
                prefix + name,
                _range(self._declared[name]),
                under + self._when(name, prefix) if conditional else (),
            )
            for name in sorted(names, key=lambda name: name in self._conditions)
        ]

    def _when(self, name: str, prefix: str) -> tuple:
        if name not in self._conditions:
            return ()
        parent, values = self._conditions[name]
        return ((prefix + parent, values),)

    def losses(self, task: str, metric: str, points: Sequence[Mapping[str, Any]]) -> np.ndarray:
        """Minus *metric*; a parameter that does not matter at a point is 0 or ``#na#``."""
        full = [
            {
                **{name: value for name, value in point.items() if self._matters(name, point)},
                **FULL_FIDELITY,
                self.task_name: task,
            }
            for point in points
        ]
        numbers = [[point.get(name, 0.0) for name in self.layout["numbers"]] for point in full]
        codes = [
            [self._codes[name][point.get(name, "#na#")] for name in self.layout["categories"]]
            for point in full
        ]
        feeds = {"x_cont": np.asarray(numbers, np.float32), "x_cat": np.asarray(codes, np.int32)}
        column = self.layout["outputs"].index(metric)
        return -self._session.run(None, feeds)[0][:, column].astype(float)

    def _matters(self, name: str, point: Mapping[str, Any]) -> bool:
        parent, values = self._conditions.get(name, (None, ()))
        return parent is None or point.get(parent) in values


def _range(declared: Mapping[str, Any]) -> Float | Int | OneOf:
    if declared["type"] == "categorical":
        return OneOf(tuple(declared["choices"]))
    kind = Int if declared["type"] == "uniform_int" else Float
    return kind(declared["lower"], declared["upper"], log=declared["log"])


class Problems:
    """The problems of every suite.

    Args:
        data: the folder of YAHPO Gym's files; without it only BBOB is there.
    """

    def __init__(self, data: Path | None) -> None:
        self._data = data
        self.surrogate = cache(self._surrogate)
        self.get = cache(self._get)

    def _surrogate(self, scenario: str) -> Surrogate:
        if self._data is None:
            raise SystemExit(f"{scenario} needs YAHPO Gym's files: name their folder with --data")
        return Surrogate(self._data, scenario)

    def keys(self, suite: str, count: int | None = None) -> list[Key]:
        """The problems of *suite*, or *count* of them spread over it.

        Tasks are left out evenly over the list: they are for checks of what was tuned on these.
        """
        if suite == "lcbench":
            tasks = self.surrogate("lcbench").tasks
            aside = spread(tasks, 12)
            return [("lcbench", t) for t in spread([t for t in tasks if t not in aside], count)]
        if suite == "conditional":
            return self._conditional(count)
        dimension = int(suite.removeprefix("bbob-"))
        return [("bbob", f, 3, dimension) for f in spread(list(BBOB_FUNCTIONS), count)]

    def _conditional(self, count: int | None) -> list[Key]:
        both = set(self.surrogate("rbv2_xgboost").tasks) & set(self.surrogate("rbv2_rpart").tasks)
        shared = sorted(both, key=int)
        half = count and max(1, count // 2)
        keys: list[Key] = []
        for kind, start in (("booster", 1), ("learner", 3)):
            tasks = shared[start::4]
            aside = spread(tasks, 4)
            keys += [(kind, t) for t in spread([t for t in tasks if t not in aside], half)]
        return keys

    def _get(self, key: Key) -> Problem:
        kind, *rest = key
        if kind == "lcbench":
            return self._flat(rest[0])
        if kind == "booster":
            return self._booster(rest[0])
        if kind == "learner":
            return self._learner(rest[0])
        return bbob(*rest)

    def _flat(self, task: str) -> Problem:
        model = self.surrogate("lcbench")
        space = SearchSpace(tuple(model.entries(conditional=False)))
        return Problem(
            f"lcbench-{task}", space, lambda points: model.losses(task, "val_accuracy", points)
        )

    def _booster(self, task: str) -> Problem:
        """xgboost, where the booster decides which parameters there are."""
        model = self.surrogate("rbv2_xgboost")
        space = SearchSpace(tuple(model.entries(conditional=True)))
        return Problem(f"xgb-cond-{task}", space, lambda points: model.losses(task, "bac", points))

    def _learner(self, task: str) -> Problem:
        """A learner, then its own parameters: conditions two deep."""
        models = {
            "rpart": self.surrogate("rbv2_rpart"),
            "xgboost": self.surrogate("rbv2_xgboost"),
        }
        entries = [Entry("learner", OneOf(tuple(models)))]
        for name, model in models.items():
            under = (("learner", (name,)),)
            entries += model.entries(conditional=True, prefix=f"{name}.", under=under)

        def losses(points: Sequence[Mapping[str, Any]]) -> np.ndarray:
            found = np.empty(len(points))
            for name, model in models.items():
                rows = [i for i, point in enumerate(points) if point["learner"] == name]
                own = [
                    {
                        key.removeprefix(f"{name}."): value
                        for key, value in points[i].items()
                        if key != "learner"
                    }
                    for i in rows
                ]
                if rows:
                    found[rows] = model.losses(task, "bac", own)
            return found

        return Problem(f"learner-{task}", SearchSpace(tuple(entries)), losses)


_alive: list[Any] = []  # a suite of COCO that is collected frees its problems


def bbob(function: int, instance: int, dimension: int) -> Problem:
    import cocoex

    options = f"dimensions: {dimension} function_indices: {function} instance_indices: {instance}"
    suite = cocoex.Suite("bbob", "", options)
    handle = suite[0]
    _alive.append(suite)
    names = [f"x{i}" for i in range(dimension)]
    return Problem(
        f"f{function}-i{instance}-d{dimension}",
        SearchSpace(tuple(Entry(name, Float(-5.0, 5.0)) for name in names)),
        lambda points: np.array([handle(np.array([p[n] for n in names])) for p in points]),
        optimum=float(handle(_optimum(handle))),
    )


def _optimum(handle: Any) -> np.ndarray:
    """Where it is: COCO tells it only through a file in the working directory."""
    before = os.getcwd()
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        try:
            handle._best_parameter("print")
            return np.loadtxt(next(Path(folder).iterdir()))
        finally:
            os.chdir(before)


def spread(items: list, count: int | None) -> list:
    """*count* of *items*, evenly; all of them where *count* is not given."""
    if not count or count >= len(items):
        return items
    return [items[i] for i in np.linspace(0, len(items) - 1, count).round().astype(int)]


class Drawing:
    """Stands in for a trial: draws every value from a point of the unit cube, and records it."""

    def __init__(self, at: Mapping[str, float], rng: np.random.Generator) -> None:
        self.at, self._rng, self.used = at, rng, {}

    def _unit(self, name: str) -> float:
        return self.used.setdefault(name, self.at.get(name, self._rng.random()))

    def suggest_categorical(self, name: str, choices: Sequence[Any]) -> Any:
        return choices[min(int(self._unit(name) * len(choices)), len(choices) - 1)]

    def suggest_float(self, name, low, high, *, step=None, log=False) -> float:
        unit = self._unit(name)
        value = math.exp(math.log(low) + unit * math.log(high / low)) if log else None
        return low + unit * (high - low) if value is None else value

    def suggest_int(self, name, low, high, *, step=1, log=False) -> int:
        if not log:
            return min(int(low + self._unit(name) * (high - low + 1)), high)
        value = self.suggest_float(name, low - 0.499, high + 0.499, log=True)
        return round(min(max(value, low), high))


def reference(problem: Problem, sample: int = 20_000, rounds: int = 40) -> dict[str, float]:
    """``best``, the zero of regret, and ``random``, the median of random searches.

    Where the optimum is not known, ``best`` is what a local search of 40 × 200 points finds from
    the best of *sample* random ones.
    """
    rng = np.random.default_rng(12345)

    def score(places: Sequence[Mapping[str, float]]) -> list[tuple[float, dict[str, float]]]:
        drawings = [Drawing(place, rng) for place in places]
        losses = problem.losses([problem.space.suggest_values(drawing) for drawing in drawings])
        return [(float(loss), d.used) for loss, d in zip(losses, drawings, strict=True)]

    drawn = score([{}] * (sample if problem.optimum is None else 5_000))
    searches = np.array([loss for loss, _ in drawn])
    searches = searches[: len(searches) // RANDOM_LENGTH * RANDOM_LENGTH]
    level = float(np.median(searches.reshape(-1, RANDOM_LENGTH).min(axis=1)))
    if problem.optimum is not None:
        return {"best": problem.optimum, "random": level}
    best = sorted(drawn, key=lambda pair: pair[0])[:40]
    for width in np.geomspace(0.2, 0.002, rounds):
        children = [_near(place, width, rng) for _, place in best for _ in range(5)]
        best = sorted(itertools.chain(best, score(children)), key=lambda pair: pair[0])[:40]
    return {"best": best[0][0], "random": level}


def _near(place: Mapping[str, float], width: float, rng: np.random.Generator) -> dict[str, float]:
    moved = {name for name in place if rng.random() < 0.4} or {rng.choice(sorted(place))}
    return {
        name: float(np.clip(at + width * rng.standard_normal(), 0, 1)) if name in moved else at
        for name, at in place.items()
    }
