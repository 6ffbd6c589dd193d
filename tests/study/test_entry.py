"""The three ways in, from Python."""

from __future__ import annotations

import os
import signal

import optuna
import pytest
import torch
from torch import nn

import automl_opt
from automl_opt.core.errors import SpecError
from automl_opt.study.progress import Progress

from .examples import contents, run, write_study

STUDY = {
    "name": "points",
    "space": {"optimizer": ["sgd", "adamw"]},
    "search": {"trials": 2},
    "training": {"epochs": 2, "device": "cpu"},
}


def points() -> automl_opt.Task:
    rng = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    x = torch.randn(60, 4, generator=rng) + y[:, None]
    return automl_opt.Task(model=lambda: nn.Linear(4, 3), data=(x, y))


@pytest.fixture
def url(tmp_path) -> str:
    return f"sqlite:///{tmp_path}/study.db"


def test_a_mapping_and_a_task_are_a_study(url, host):
    ranking = automl_opt.run_study(STUDY, task=points(), storage=url, host=host)

    assert ranking.finished
    assert {arm.arm for arm in ranking.arms} == {"sgd", "adamw"}
    assert automl_opt.run_study(STUDY, task=points(), storage=url, host=host) == ranking


def test_a_study_that_was_run_is_confirmed(url, host):
    study = {**STUDY, "verdict": {"seeds": 10}}
    automl_opt.run_study(study, task=points(), storage=url, host=host)

    found = automl_opt.confirm_study(study, task=points(), storage=url, host=host)

    assert found.said
    assert found.verdict.looks[0].seeds == 10
    assert "adam untuned" in found.verdict.recipes
    again = automl_opt.confirm_study(study, task=points(), storage=url, host=host)
    assert again.verdict == found.verdict


def test_a_study_that_was_not_run_cannot_be_confirmed(url, host):
    with pytest.raises(automl_opt.AutomlOptError, match="run the study first"):
        automl_opt.confirm_study(STUDY, task=points(), storage=url, host=host)


def test_a_mapping_without_a_task_must_name_one(url, host):
    with pytest.raises(SpecError, match=r"run_study\(…\), task: is missing"):
        automl_opt.run_study(STUDY, storage=url, host=host)


@pytest.mark.parametrize(
    "form", [str, lambda f: f, lambda f: f / "study.toml", automl_opt.load_study]
)
def test_a_study_may_be_a_path_a_folder_or_read_before(tmp_path, url, host, form):
    study = write_study(tmp_path / "study")
    (study / "study.toml").write_text(
        (study / "study.toml").read_text().replace("trials = 8", "trials = 1")
    )

    ranking = automl_opt.run_study(form(study), storage=url, host=host)

    assert ranking.finished
    assert len(contents(url)["ours"]) == 2


def test_a_database_in_memory_is_enough(host, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert automl_opt.run_study(STUDY, task=points(), storage="sqlite://", host=host).finished
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(os.name != "posix", reason="signals")
def test_ctrl_c_is_a_keyboard_interrupt_after_everything_is_kept(tmp_path, url, host):
    study = write_study(tmp_path / "study")

    class Impatient(Progress):
        def trial_finished(self, result):
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        automl_opt.run_study(study, storage=url, host=host, progress=Impatient())

    assert [row["status"] for row in contents(url)["ours"].values()] == ["complete"]
    assert run(study, url, "search.trials=1", host=host).ranking.finished


def test_an_objective_of_ones_own_trains_with_suggested_recipes():
    """Way one: sampler and space of ours, study and training loop of the user's."""
    space = automl_opt.search_space(["sgd", "adamw"], scheduler=["constant", "cosine"])
    task = points()
    x, y = task.data

    def objective(trial):
        recipe = space.suggest(trial)
        torch.manual_seed(0)
        model = task.model()
        recipe.initializer(model, torch.Generator().manual_seed(0))
        optimizer = recipe.optimizer(model.parameters())
        scheduler = recipe.scheduler(optimizer, 10)
        for _ in range(10):
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y)
            loss.backward()
            optimizer.step()
            scheduler.step()
        trial.set_user_attr("recipe", recipe.to_json())
        return loss.item()

    study = optuna.create_study(sampler=automl_opt.sampler("tpe", seed=0))
    study.optimize(objective, n_trials=4)

    recipe = automl_opt.bind(automl_opt.Recipe.from_json(study.best_trial.user_attrs["recipe"]))
    assert isinstance(recipe.optimizer(task.model().parameters()), torch.optim.Optimizer)


def test_a_plugins_optimizer_is_searched_like_ours(installed, url):
    """Way three."""
    host = installed.add("healthy").host(ours=True)
    study = {**STUDY, "space": {"optimizer": ["acme.lion", "sgd"]}}

    ranking = automl_opt.run_study(study, task=points(), storage=url, host=host)

    assert {arm.arm for arm in ranking.arms} == {"acme.lion", "sgd"}
    assert all(arm.complete == 2 for arm in ranking.arms)
