"""Recipes, trials, tasks and engines for the tests of the training floor."""

from __future__ import annotations

import io
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import optuna
import torch
from torch import Tensor, nn

from automl_opt.api import ComponentSpec
from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.result import EpochReport, Status, Trial, TrialResult
from automl_opt.core.seeds import Seeds
from automl_opt.core.space import Entry, SearchSpace
from automl_opt.plugin.catalog import Catalog
from automl_opt.plugin.host import load_host
from automl_opt.training.build import TorchBuilder
from automl_opt.training.live import Setup
from automl_opt.training.plain import PlainEngine
from automl_opt.training.task import Task

BUILTIN = load_host(allow=()).catalog


def components(kind: str, **has: bool) -> list[Any]:
    """The built-in components of *kind*; ``twin=True``: those that declare a twin."""
    return [
        component
        for component in BUILTIN.components(kind)
        if all(
            (getattr(component.spec, field) is not None) == is_set for field, is_set in has.items()
        )
    ]


def drawn(spec: ComponentSpec, sample: int) -> dict[str, Any]:
    """The defaults for sample 0, else the sample-th random draw from the ranges."""
    space = SearchSpace(
        tuple(
            Entry(name, param, () if param.when is None else (param.when,))
            for name, param in spec.params.items()
        )
    )
    if sample == 0:
        return space.defaults()
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=sample))
    return space.suggest_values(study.ask())


def whole(kind: str, base: str) -> list[Any]:
    """The built-in components of *kind* that work by themselves, and each wrapper around *base*."""
    return [
        BUILTIN.find(kind, f"{c.id}({base})") if c.wraps else c for c in BUILTIN.components(kind)
    ]


def part(catalog: Catalog, kind: str, name: str, **params: Any) -> Part:
    """*params* are those of the outermost component; everything else is at its defaults."""
    made = catalog.whole(kind, name).part()
    return replace(made, params={**made.params, **params})


def given(value: str | Part, catalog: Catalog, kind: str) -> Part:
    return value if isinstance(value, Part) else part(catalog, kind, value)


def recipe(
    catalog: Catalog = BUILTIN,
    *,
    optimizer: str | Part = "sgd",
    scheduler: str | Part = "constant",
    regularizers: tuple[str | Part, ...] = (),
    initializer: str | Part = "default",
    batch_size: int | None = 8,
    accumulate: int = 1,
    **model: Any,
) -> Recipe:
    return Recipe(
        optimizer=given(optimizer, catalog, "optimizer"),
        scheduler=given(scheduler, catalog, "scheduler"),
        regularizers=tuple(given(name, catalog, "regularizer") for name in regularizers),
        initializer=given(initializer, catalog, "initializer"),
        batch_size=batch_size,
        accumulate=accumulate,
        model=model,
    ).bound(TorchBuilder(catalog))


def trial(recipe: Recipe, *, number: int = 0, seed: int = 0) -> Trial:
    seeds = Seeds.of_trial(seed, "arm", number)
    return Trial(arm="arm", number=number, trial_id=number, recipe=recipe, seeds=seeds)


def mlp(width: int = 6) -> nn.Module:
    return nn.Sequential(nn.Linear(4, width), nn.ReLU(), nn.Linear(width, 3))


def blobs(n: int = 42) -> tuple[Tensor, Tensor]:
    """Three noisy classes that four numbers tell apart; float64, so that a task may cast."""
    source = torch.Generator().manual_seed(5)
    y = torch.arange(n) % 3
    centres = torch.randn(3, 4, generator=source, dtype=torch.float64) * 2
    return centres[y] + torch.randn(n, 4, generator=source, dtype=torch.float64), y


def task(**changes: Any) -> Task:
    given = {"model": mlp, "metrics": ["accuracy"], **changes}
    return Task(**given) if "train" in given else Task(**{"data": blobs(), **given})


class Residual(nn.Module):
    """A block that adds to its input: the branch is named as stochastic depth looks for it."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.residual = nn.Sequential(nn.Linear(width, width), nn.ReLU())

    def forward(self, x: Tensor) -> Tensor:
        return x + self.residual(x)


def for_everything(**changes: Any) -> Task:
    """A task that every component can train: small images, activations, a residual branch."""

    def network() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(4, 6), nn.ReLU(), Residual(6), nn.Linear(6, 3))

    x, y = blobs()
    return task(model=network, data=(x.reshape(-1, 2, 2), y), **changes)


def setup(**changes: Any) -> Setup:
    given = {
        "epochs": 4,
        "device": torch.device("cpu"),
        "dtype": torch.float32,
        "autocast": None,
        "metric": "loss",
        "maximize": False,
    }
    return Setup(**{**given, **changes})


def engine(task: Task, catalog: Catalog = BUILTIN, **changes: Any) -> PlainEngine:
    return PlainEngine(task, setup(**changes), TorchBuilder(catalog))


@dataclass
class Run:
    """What training one trial gave."""

    reports: list[EpochReport]
    result: TrialResult
    weights: dict[str, Tensor]

    @property
    def curves(self) -> list[Any]:
        return [(r.epoch, r.value, r.measurements, r.status, r.reason) for r in self.reports]

    @property
    def reason(self) -> str:
        return self.result.reason or ""

    @property
    def status(self) -> Status:
        return self.result.status

    def curve(self, split: str, metric: str) -> list[float | None]:
        return [
            m.value
            for report in self.reports
            for m in report.measurements
            if (m.split, m.metric) == (split, metric)
        ]


def finish(engine: PlainEngine, trial: Trial) -> Run:
    """Advance the admitted *trial* to its end and retire it."""
    reports: list[EpochReport] = []
    while not reports or not reports[-1].finished:
        reports += engine.advance()
    live = engine._slots[0].live
    weights = {k: v.clone() for k, v in live.model.state_dict().items()} if live else {}
    return Run(reports, engine.retire(trial), weights)


def train(engine: PlainEngine, trial: Trial) -> Run:
    engine.admit(trial)
    return finish(engine, trial)


def same_bits(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    return first.keys() == second.keys() and all(
        torch.equal(first[name], second[name]) for name in first
    )


def through_a_file(state: Any) -> Any:
    """*state* written and read as a checkpoint is."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    return torch.load(file, weights_only=True)


class Norms(nn.Module):
    """Running statistics and dropout: more to keep than weights."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            nn.Linear(4, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Dropout(0.2), nn.Linear(6, 3)
        )

    def forward(self, x: Tensor) -> Tensor:
        return self.layers(x)


def resumed(make_engine: Any, one: Trial, checkpoint: Path, at: int) -> Run:
    """Train to epoch *at*, write a checkpoint, and go on in another engine."""
    first = make_engine()
    first.admit(one)
    reports = [report for _ in range(at) for report in first.advance()]
    first.save(one, checkpoint)

    second = make_engine()
    assert second.admit(one, checkpoint) == at
    run = finish(second, one)
    run.reports = reports + run.reports
    return run


def assert_same(run: Run, undisturbed: Run) -> None:
    assert run.curves == undisturbed.curves
    assert run.result.test == undisturbed.result.test
    assert same_bits(run.weights, undisturbed.weights)
