"""The exported script computes what we do, for every component that ships with us."""

from __future__ import annotations

import math
import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from scipy.stats import t

from automl_opt.core.errors import VerdictError
from automl_opt.core.recipe import Part, Recipe
from automl_opt.core.result import Trial
from automl_opt.core.seeds import Seeds
from automl_opt.core.spec import load_study
from automl_opt.core.verdict import Score
from automl_opt.study.export import script
from automl_opt.study.winner import Winner
from automl_opt.training.build import TorchBuilder
from automl_opt.training.engine import open_engine
from automl_opt.training.task import load_task

from .examples import write_study

LOSS = Score(metric="loss", maximize=False, scale="log", margin=0.01)
SEEDS = Seeds.of_trial(3, "export", 0)


TASK = '''
"""Small images, and a model with a residual branch: every component has something to do."""

import automl_opt
import torch
from automl_opt import Task
from torch import nn


class Block(nn.Module):
    def __init__(self, width):
        super().__init__()
        self.residual = nn.Sequential(nn.Linear(width, width), nn.Tanh(), nn.Linear(width, width))

    def forward(self, x):
        return x + self.residual(x)


def net(width):
    head = [nn.Flatten(), nn.Linear(9, width), nn.Tanh()]
    return nn.Sequential(*head, Block(width), nn.Linear(width, 3))


def clouds():
    rng = torch.Generator().manual_seed(7)
    y = torch.arange(90) % 3
    x = torch.randn(90, 1, 3, 3, generator=rng) + 0.7 * y[:, None, None, None]
    width = automl_opt.Int(2, 16, log=True, default=4)
    return Task(model=net, data=(x, y), metrics=["accuracy"], params={"width": width})
'''


@pytest.fixture(scope="module")
def spec(tmp_path_factory):
    study = write_study(tmp_path_factory.mktemp("export") / "study")
    (study / "task.py").write_text(TASK, "utf-8")
    return load_study(study, ['training.precision="float64"', "training.epochs=3"])


def recipe_of(catalog, **names: str) -> Recipe:
    def part(kind: str, name: str) -> Part:
        return catalog.whole(kind, name).part()

    regularizer = names.get("regularizer")
    return Recipe(
        optimizer=part("optimizer", names.get("optimizer", "momentum")),
        scheduler=part("scheduler", names.get("scheduler", "constant")),
        regularizers=(part("regularizer", regularizer),) if regularizer else (),
        initializer=part("initializer", names.get("initializer", "default")),
        batch_size=16,
        model={"width": 5},
    )


def winner_of(recipe: Recipe, *values: float) -> Winner:
    return Winner(
        title="a #1",
        recipe=recipe,
        score=LOSS,
        values=values,
        seeds=SEEDS,
        recorded=None,
        maximize=False,
    )


def ours(spec, host, recipe: Recipe) -> dict[str, float | None]:
    """The metrics on the test split as a study measures them."""
    task = load_task(spec)
    spec = replace(spec, direction="minimize")
    engine = open_engine(task, spec, TorchBuilder(host.catalog), recipe)
    trial = Trial(arm="a", number=0, trial_id=0, recipe=recipe, seeds=SEEDS)
    engine.admit(trial)
    while not (report := engine.advance()[0]).finished:
        pass
    assert report.reason in (None, "stopped early"), report.reason
    return {each.metric: each.value for each in engine.retire(trial).test}


def theirs(spec, catalog, recipe: Recipe) -> dict[str, float]:
    """The same from the script, run here without anything of ours in its names."""
    text = script(winner_of(recipe), spec, catalog)
    assert not re.search(r"^\s*(import|from) automl_opt", text, re.MULTILINE)
    names: dict = {"__name__": "train"}
    sys.modules["train"] = type(sys)("train")  # where dataclasses look for it
    try:
        exec(compile(text, "train.py", "exec"), names)
        return names["Training"](names["make_task"](), names["SEEDS"], torch.device("cpu")).run()
    finally:
        del sys.modules["train"]


def every(kind: str, around: str) -> list:
    from automl_opt.plugin.host import load_host

    components = load_host(allow=()).catalog.components(kind)
    names = [f"{c.spec.name}({around})" if c.wraps else c.spec.name for c in components]
    return [pytest.param(kind, name, id=f"{kind} {name}") for name in names]


COMPONENTS = [
    *every("optimizer", "adamw"),
    *every("scheduler", "cosine"),
    *every("regularizer", ""),
    *every("initializer", ""),
    pytest.param("optimizer", "lookahead(sam(sgd))", id="two wrappers"),
    pytest.param("scheduler", "warmup(reduce_on_plateau)", id="a wrapped observer"),
]


@pytest.mark.parametrize(("kind", "name"), COMPONENTS)
def test_the_script_ends_where_we_do(spec, host, kind, name):
    recipe = recipe_of(host.catalog, **{kind: name})

    mine, its = ours(spec, host, recipe), theirs(spec, host.catalog, recipe)

    assert its.keys() == mine.keys()
    for metric, value in mine.items():
        assert its[metric] == pytest.approx(value, rel=1e-9, abs=1e-9)


def test_a_recipe_of_everything_ends_where_we_do(spec, host):
    names = ["mixup", "dropout", "label_smoothing", "clip_norm", "ema", "max_norm", "batch_norm"]
    recipe = replace(
        recipe_of(host.catalog, optimizer="sam(muon)", scheduler="warmup(cosine)"),
        regularizers=tuple(host.catalog.whole("regularizer", name).part() for name in names),
        accumulate=3,
        lr_scaling="sqrt",
    )

    mine, its = ours(spec, host, recipe), theirs(spec, host.catalog, recipe)

    assert its["loss"] == pytest.approx(mine["loss"], rel=1e-9)


BLOCKED = """
import runpy, sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("automl_opt", "optuna", "sqlalchemy", "pluggy", "click"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Block())
sys.argv = [sys.argv[1], *sys.argv[2:]]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def run(text, tmp_path, *arguments):
    (tmp_path / "train.py").write_text(text, encoding="utf-8")
    words = [sys.executable, "-P", "-c", BLOCKED, "train.py", *arguments]
    return subprocess.run(words, cwd=tmp_path, capture_output=True, text=True)


def test_without_us_installed_it_trains_and_says_whether_it_ended_where_it_should(
    spec, host, tmp_path
):
    recipe = recipe_of(host.catalog, optimizer="adamw")
    value = ours(spec, host, recipe)["loss"]
    right = script(winner_of(recipe, value, value * 1.01, value * 0.99), spec, host.catalog)
    wrong = script(winner_of(recipe, value * 2, value * 2.01), spec, host.catalog)

    done = run(right, tmp_path, "--save", "weights.pt")
    assert done.returncode == 0, done.stderr
    assert f"loss {value:.6g} is inside the expected" in done.stdout
    assert (tmp_path / "weights.pt").is_file()
    failed = run(wrong, tmp_path)
    assert failed.returncode == 1
    assert "is OUTSIDE the expected" in failed.stdout


def test_another_seed_is_another_run(spec, host, tmp_path):
    text = script(winner_of(recipe_of(host.catalog)), spec, host.catalog)

    outputs = [run(text, tmp_path, *seed).stdout for seed in ((), ("--seed", "1"), ("--seed", "1"))]

    assert outputs[0] != outputs[1]
    assert outputs[1] == outputs[2]


def test_the_script_names_the_exact_versions_it_was_made_with(spec, host):
    text = script(winner_of(recipe_of(host.catalog)), spec, host.catalog)
    scipy = script(winner_of(recipe_of(host.catalog, optimizer="newton_cg")), spec, host.catalog)

    assert f'#   "torch=={torch.__version__.partition("+")[0]}",' in text
    assert '#   "numpy==' in text
    assert '#   "scipy==' not in text
    assert '#   "scipy==' in scipy


def test_the_interval_is_students_for_one_more_run():
    values = (0.5, 0.6, 0.7)
    low, high = winner_of(None, *values).expected()

    logs = [math.log(value) for value in values]
    mean = sum(logs) / 3
    sd = math.sqrt(sum((log - mean) ** 2 for log in logs) / 2)
    half = t.ppf(0.995, 2) * sd * math.sqrt(4 / 3)
    assert (math.log(low), math.log(high)) == pytest.approx((mean - half, mean + half))


def test_of_an_accuracy_no_more_than_all_is_expected():
    score = Score(metric="accuracy", maximize=True, scale="plain", margin=0.01, resolution=0.01)
    low, high = replace(winner_of(None, 1.0, 1.0, 0.99), score=score).expected()

    assert high == 1.0
    assert 0.8 < low < 0.99


def test_of_one_run_nothing_is_expected():
    assert winner_of(None, 0.5).expected() is None


@pytest.mark.parametrize(
    ("edit", "says"),
    [
        (("def mlp", "def accuracy"), "accuracy would clash with a name of the exported script"),
        (
            ("from automl_opt import Int, Task", "from automl_opt import Int, Task, bind"),
            "imports bind of automl_opt",
        ),
    ],
)
def test_a_task_that_cannot_be_written_out_is_named(tmp_path, host, edit, says):
    study = write_study(tmp_path / "study")
    file = study / "task.py"
    file.write_text(file.read_text("utf-8").replace(*edit), "utf-8")

    with pytest.raises(VerdictError, match=says):
        script(winner_of(recipe_of(host.catalog)), load_study(study), host.catalog)
