from __future__ import annotations

import dataclasses

import optuna
import pytest
from optuna.trial import TrialState
from sqlalchemy import event

import automl_opt
from automl_opt.core.errors import PluginError, SpecError, StoreError, UnknownComponent
from automl_opt.core.result import Measurement, Status
from automl_opt.core.seeds import derive
from automl_opt.search.arms import open_arms, storage_at
from automl_opt.search.space import arms_of
from automl_opt.store.engine import tune

from .examples import (
    EPOCHS,
    MODEL,
    frozen,
    report,
    result,
    searching,
    spec_of,
    spend,
    train,
    value_after,
)

TPE = {"name": "tpe", "n_startup_trials": 4}
MEDIAN = {"name": "median", "n_startup_trials": 3}
STRATEGIES = ["random", TPE]
PRUNERS = ["none", MEDIAN, "hyperband"]

for_strategies = pytest.mark.parametrize("strategy", STRATEGIES, ids=["random", "tpe"])
for_pruners = pytest.mark.parametrize("pruner", PRUNERS, ids=["none", "median", "hyperband"])


def asked(trial):
    return trial.arm, trial.number, trial.trial_id, trial.recipe, trial.seeds


def test_the_first_trial_of_every_arm_has_the_defaults(open_one, catalog):
    spec = searching("tpe")
    arms = open_one(spec)

    trials = spend(arms, 4)

    defaults = [space.default() for space in arms_of(spec, catalog, MODEL)]
    assert [trial.recipe for trial in trials[:2]] == defaults
    assert all(trial.recipe not in defaults for trial in trials[2:])


def test_the_arms_take_turns_and_stop_at_their_budget(open_one):
    arms = open_one(searching("random", trials=2))

    trials = spend(arms, 4)

    expected = ["sgd #0", "adamw #0", "sgd #1", "adamw #1"]
    assert [str(trial) for trial in trials] == expected
    assert not arms.has_budget()
    assert arms.ask(5) == []


def test_asking_for_several_gives_as_many_as_the_budget_has(open_one):
    assert len(open_one(searching("tpe", trials=2)).ask(9)) == 4


def test_a_trial_enters_the_database_whole_in_one_transaction(open_one, load):
    arms = open_one(searching("tpe"))
    writes = []  # one list of tables for each transaction that wrote

    def wrote(connection, cursor, statement, *_):
        if statement.split()[0] in ("INSERT", "UPDATE"):
            connection.info.setdefault("wrote", []).append(statement.split()[2])

    def committed(connection):
        if tables := connection.info.pop("wrote", None):
            writes.append(tables)

    event.listen(arms._storage.engine, "after_cursor_execute", wrote)
    event.listen(arms._storage.engine, "commit", committed)

    [trial] = arms.ask(1)

    assert len(writes) == 1
    assert {"trials", "trial_params"} <= set(writes[0])
    [stored] = load("digits/sgd").get_trials()
    assert stored.state == TrialState.RUNNING
    assert arms.arms[0].space.recipe(stored.params) == trial.recipe


def test_a_told_trial_has_its_values_states_and_reports_in_the_database(open_one, load):
    arms = open_one(searching("tpe"))
    complete, pruned, failed = arms.ask(6)[::2]
    for trial, last in ((complete, 3), (pruned, 2), (failed, 1)):
        for epoch in range(1, last + 1):
            arms.should_stop(report(trial, epoch, trial.number + epoch / 10))

    arms.tell(result(complete, Status.COMPLETE, 0.25))
    arms.tell(result(pruned, Status.PRUNED, 1.2))
    arms.tell(result(failed, Status.DIVERGED))

    first, second, third = frozen(load("digits/sgd"))
    assert (first["state"], first["values"]) == ("COMPLETE", [0.25])
    assert first["intermediate"] == {1: 0.1, 2: 0.2, 3: 0.3}
    assert (second["state"], second["values"]) == ("PRUNED", [1.2])
    assert (third["state"], third["values"]) == ("FAIL", None)
    assert third["intermediate"] == {1: 2.1}
    assert third["user"] == {"status": "diverged", "reason": "the loss became nan"}


def test_a_failed_trial_keeps_tpe_from_proposing_its_like_again(open_one):
    """Every rate above 0.03 fails; the others are equally good."""

    def rates(status_above):
        arms = open_one(searching({"name": "tpe", "n_startup_trials": 10}, trials=40))
        found = []
        while len(found) < 40:
            [trial] = arms.ask(1)
            if trial.arm == "adamw":
                arms.tell(result(trial, Status.COMPLETE, 1.0))
                continue
            rate = trial.recipe.optimizer.params["lr"]
            above = rate > 0.03
            arms.tell(result(trial, status_above if above else Status.COMPLETE, 1.0))
            found.append(rate)
        return sum(rate > 0.03 for rate in found[15:])

    assert rates(Status.FAILED) <= 8


@for_strategies
@for_pruners
def test_a_draft_from_the_database_goes_on_as_the_live_one(open_one, strategy, pruner):
    spec = searching(strategy, pruner)
    live = open_one(spec)
    spend(live, 20, failing=(5, 6))

    fresh = open_one(spec)

    for ours, theirs in zip(live.arms, fresh.arms, strict=True):
        assert frozen(ours.draft._study) == [
            {**trial, "user": {}} if trial["user"] else trial
            for trial in frozen(theirs.draft._study)
        ]
        proposed, again = (
            arm.draft.propose(live._sampler(arm, 10), arm.space.space) for arm in (ours, theirs)
        )
        assert proposed.params == again.params
    assert frozen(live.arms[0].draft._study)[5]["state"] == "PRUNED"


@for_strategies
@for_pruners
def test_a_study_that_is_opened_anew_proposes_and_prunes_as_the_undisturbed(
    open_one, load, catalog, tmp_path, strategy, pruner
):
    spec = searching(strategy, pruner, trials=11)
    failing = (3, 7)
    whole = spend(open_one(spec), 22, failing)

    found = []
    for n in (1, 6, 7, 8):
        with storage_at(f"sqlite:///{tmp_path}/other.db") as storage:
            tune(storage.engine)
            arms = open_arms(spec, catalog, storage, arms_of(spec, catalog, MODEL))
            found += spend(arms, n, failing)

    assert [asked(trial) for trial in found] == [asked(trial) for trial in whole]
    with storage_at(f"sqlite:///{tmp_path}/other.db") as storage:
        for name in ("digits/sgd", "digits/adamw"):
            study = optuna.load_study(study_name=name, storage=storage)
            assert frozen(study) == frozen(load(name))


@for_pruners
def test_an_unfinished_trial_that_is_restored_ends_as_the_undisturbed(open_one, load, pruner):
    spec = searching(TPE, pruner)
    arms = open_one(spec)
    spend(arms, 20)
    [trial] = arms.ask(1)
    params = {"lr": trial.recipe.optimizer.params["lr"]}
    values = [(epoch, value_after(epoch, params, trial.number)) for epoch in (1, 2, 3, 4)]

    again = open_one(spec)
    [unfinished] = again.unfinished()
    again.put_back(unfinished)
    [given] = again.ask(1)
    undisturbed = train(arms, trial)
    restored = values[: max(0, undisturbed.epochs - 1)]
    again.restore(given, restored)
    ended = train(again, given, first=len(restored) + 1)

    assert asked(given) == asked(trial)
    assert (ended.status, ended.epochs) == (undisturbed.status, undisturbed.epochs)
    again.tell(ended)
    arms.arms[0].draft.end(
        trial.number,
        {"complete": TrialState.COMPLETE}.get(ended.status, TrialState.PRUNED),
        ended.value,
        arms._sampler(arms.arms[0], trial.number),
    )
    assert frozen(load("digits/sgd"))[-1] == frozen(arms.arms[0].draft._study)[-1]


def test_a_failure_beside_it_takes_nothing_from_a_trial_in_training(open_one, load):
    """Several trials live at once: the draft is made anew under them."""
    arms = open_one(searching("random", "hyperband"))
    staying, _, failing, _ = arms.ask(4)
    arms.should_stop(report(staying, 1, 0.5))

    arms.tell(result(failing, Status.DIVERGED))
    arms.should_stop(report(staying, 2, 0.4))
    arms.tell(result(staying, Status.COMPLETE, 0.4))

    kept = frozen(load("digits/sgd"))[0]
    assert kept["intermediate"] == {1: 0.5, 2: 0.4}
    assert [key for key in kept["system"] if key.startswith("completed_rung")]


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
@for_pruners
def test_pruners_decide_as_they_do_in_a_study_of_plain_optuna(open_one, catalog, pruner, direction):
    spec = dataclasses.replace(searching("random", pruner), direction=direction)
    arms = open_one(spec)
    found = catalog.find("pruner", spec.pruner.name)
    plain = optuna.create_study(
        study_name="digits/sgd",
        direction=direction,
        pruner=found.code(found.spec.pruner)(
            epochs=EPOCHS, **found.defaults() | dict(spec.pruner.params)
        ),
    )
    ours, theirs = [], []

    for number in range(16):
        [trial] = [t for t in arms.ask(2) if t.arm == "sgd"]
        twin = plain.ask()
        for epoch in range(1, EPOCHS + 1):
            value = (number * 7 % 11) + epoch / 7
            twin.report(value, epoch)
            ours.append(arms.should_stop(report(trial, epoch, value)))
            theirs.append(twin.should_prune())
            if ours[-1]:
                break
        status = Status.PRUNED if ours[-1] else Status.COMPLETE
        arms.tell(result(trial, status, value))
        state = TrialState.PRUNED if ours[-1] else TrialState.COMPLETE
        plain.tell(twin, value if status is Status.COMPLETE else None, state=state)

    assert ours == theirs
    assert any(ours) == (pruner != "none")


@pytest.mark.parametrize(
    ("search", "texts"),
    [
        ({"strategy": "tpee"}, ["[search] strategy", "did you mean 'builtin.tpe'"]),
        ({"strategy": {"name": "tpe", "startup": 3}}, ["strategy.startup", "n_startup_trials"]),
        (
            {"strategy": {"name": "tpe", "n_startup_trials": 0}},
            ["strategy.n_startup_trials", "0 lies outside"],
        ),
        ({"pruner": "medain"}, ["[search] pruner", "did you mean 'builtin.median'"]),
        ({"pruner": {"name": "median", "warmup": 1}}, ["pruner.warmup", "n_warmup_steps"]),
        (
            {"pruner": {"name": "hyperband", "reduction_factor": 99}},
            ["pruner.reduction_factor", "99 lies outside"],
        ),
    ],
)
def test_bad_strategies_and_pruners_are_refused_before_anything_is_written(
    open_one, open_storage, search, texts
):
    with pytest.raises((SpecError, UnknownComponent)) as raised:
        open_one(spec_of(search=search))

    for text in ["studies/digits/study.toml", *texts]:
        assert text in str(raised.value)
    assert optuna.get_all_study_names(open_storage()) == []


STRATEGY = """
from automl_opt.api import Float, PrunerSpec, StrategySpec, hookimpl

def sampler(*, space, seed, share):
    from optuna.samplers import RandomSampler
    if share > 0.5:
        raise ValueError("share must be below a half")

    class Breaking(RandomSampler):
        def sample_independent(self, study, trial, name, distribution):
            if trial.number == 2:
                raise ZeroDivisionError("no density")
            return super().sample_independent(study, trial, name, distribution)

    return Breaking(seed=seed)

def pruner(*, epochs):
    from optuna.pruners import BasePruner

    class Breaking(BasePruner):
        def prune(self, study, trial):
            raise KeyError("rung")

    return Breaking()

@hookimpl
def automl_opt_strategies():
    yield StrategySpec(name="shy", summary="s", paper="none: a test", sampler=sampler,
                       params={"share": Float(0.0, 1.0, default=0.1)})

@hookimpl
def automl_opt_pruners():
    yield PrunerSpec(name="shy", summary="s", paper="none: a test", pruner=pruner)
"""


@pytest.fixture
def with_plugin(installed, open_storage):
    catalog = installed.write("acme", STRATEGY).host(ours=True).catalog
    return lambda spec: open_arms(spec, catalog, open_storage(), arms_of(spec, catalog, MODEL))


def test_a_strategy_that_refuses_its_parameters_is_the_study_files_mistake(with_plugin):
    with pytest.raises(SpecError, match=r"\[search\] strategy: acme.shy: share must be below"):
        with_plugin(searching({"name": "acme.shy", "share": 0.9}))


def test_a_strategy_that_breaks_is_named_with_the_trial_it_broke_at(with_plugin, load):
    arms = with_plugin(searching("acme.shy"))
    spend(arms, 4)

    with pytest.raises(
        PluginError, match=r"strategy acme.shy \(acme-plugin 1.0\).*sgd #2.*no dens"
    ):
        arms.ask(1)
    assert len(load("digits/sgd").trials) == 2


def test_a_pruner_that_breaks_is_named_with_the_epoch_it_broke_at(with_plugin):
    arms = with_plugin(searching("random", "acme.shy"))
    [trial] = arms.ask(1)

    with pytest.raises(PluginError, match=r"pruner acme.shy .*sgd #0, epoch 1: KeyError"):
        arms.should_stop(report(trial, 1, 0.5))


def test_each_arm_has_a_pruner_of_its_own(open_one):
    first, second = open_one(searching("random", "hyperband")).arms

    assert first.draft._pruner is not second.draft._pruner


@for_strategies
@for_pruners
def test_processes_that_take_turns_ask_and_prune_as_one_would(
    open_one, load, catalog, tmp_path, strategy, pruner
):
    spec = searching(strategy, pruner)
    url = f"sqlite:///{tmp_path}/alone.db"
    with storage_at(url) as storage:
        spend(open_arms(spec, catalog, storage, arms_of(spec, catalog, MODEL)), 24, failing=(3, 4))
        expected = [
            frozen(optuna.load_study(study_name=f"digits/{arm}", storage=storage))
            for arm in ("sgd", "adamw")
        ]

    first, second = open_one(spec), open_one(spec)
    for _ in range(6):
        spend(first, 3, failing=(3, 4))
        spend(second, 1, failing=(3, 4))

    assert (first.shared, second.shared) == (True, True)
    assert (first.ended_elsewhere, second.ended_elsewhere) == (5, 18)
    assert [frozen(load(f"digits/{arm}")) for arm in ("sgd", "adamw")] == expected


def test_a_number_is_given_once_and_the_budget_is_that_of_all(open_one, load):
    first, second = (open_one(searching("random", trials=3)) for _ in range(2))

    asked = [trial for each in (first, second, first, second) for trial in each.ask(2)]

    assert sorted(map(str, asked)) == sorted(
        f"{arm} #{n}" for arm in ("sgd", "adamw") for n in range(3)
    )
    assert not first.has_budget()
    assert [str(trial) for trial in first.unfinished()] == [
        str(t) for t in asked if t in asked[2:4]
    ]
    assert [trial.number for trial in load("digits/sgd").trials] == [0, 1, 2]


def test_a_trial_that_was_given_up_may_be_ended_by_others(open_one, load):
    spec = searching("random", MEDIAN, trials=2)
    ours = open_one(spec)
    [trial, _] = ours.ask(2)
    ours.should_stop(report(trial, 1, 0.5))
    theirs = open_one(spec)
    ours.give_up(trial)

    theirs.put_back(trial)
    theirs.tell(train(theirs, *theirs.ask(1)))
    ours.refresh()

    assert frozen(load("digits/sgd"))[0]["state"] == "COMPLETE"
    assert str(trial) not in map(str, ours.unfinished())


def test_two_that_tell_of_one_trial_leave_what_the_first_said(open_one, load):
    spec = searching("random")
    open_one(spec).ask(1)
    first, second = open_one(spec), open_one(spec)
    [trial] = first.unfinished()

    first.tell(result(trial, Status.COMPLETE, 0.5))
    second.tell(result(trial, Status.COMPLETE, 0.5))

    assert [told["values"] for told in frozen(load("digits/sgd"))] == [[0.5]]


@pytest.mark.parametrize("state", ["RUNNING", "WAITING", "COMPLETE"])
def test_a_trial_that_we_did_not_ask_for_is_an_error(open_one, load, state):
    open_one(searching("random"))
    study = load("digits/sgd")
    if state == "WAITING":
        study.enqueue_trial({"optimizer.lr": 0.1})
    else:
        study.ask().suggest_float("x", 0, 1)
    if state == "COMPLETE":
        study.tell(0, 1.0)

    with pytest.raises(StoreError, match=rf"'digits/sgd' has a trial 0 \({state}\)"):
        open_one(searching("random"))


def test_plain_optuna_can_read_the_study_and_go_on_with_it(open_one, url):
    spec = searching("tpe")
    arms = open_one(spec)
    spend(arms, 10)

    study = optuna.load_study(study_name="digits/adamw", storage=url)
    try:
        best = study.best_trial
        trial = study.ask()
        recipe = arms.arms[1].space.suggest(trial)
        study.tell(trial, 0.5)

        assert best.value == min(t.value for t in study.trials[:5])
        assert recipe.optimizer.id == "builtin.adamw"
        assert open_one(spec).arms[1].asked == 6
    finally:
        study._storage._backend.engine.dispose()


def test_test_numbers_are_not_in_the_database_of_the_search(open_one, url, tmp_path):
    arms = open_one(searching("tpe"))
    [trial] = arms.ask(1)
    ended = train(arms, trial)
    test = (Measurement("test", "loss", 123456.789),)

    arms.tell(dataclasses.replace(ended, test=test))

    with arms._storage.engine.connect() as connection:
        tables = connection.exec_driver_sql("SELECT name FROM sqlite_master WHERE type = 'table'")
        for (table,) in tables.all():
            rows = connection.exec_driver_sql(f"SELECT * FROM {table}").all()
            assert not any("123456" in str(cell) for row in rows for cell in row), table


def test_a_locked_database_is_a_store_error(open_one):
    arms = open_one(searching("random"))

    def locked(*_):
        import sqlite3

        raise sqlite3.OperationalError("database is locked")

    [trial] = arms.ask(1)
    event.listen(arms._storage.engine, "before_cursor_execute", locked)

    with pytest.raises(StoreError, match="Optuna's tables"):
        arms.tell(result(trial, Status.COMPLETE, 1.0))


def test_optuna_is_as_talkative_after_a_study_as_before(open_one, url):
    before = optuna.logging.get_verbosity()
    with storage_at(url):
        assert optuna.logging.get_verbosity() >= optuna.logging.WARNING
    assert optuna.logging.get_verbosity() == before


class TestSamplerOfOnesOwn:
    """``automl_opt.sampler(…)``, for a study of the user's own."""

    def test_it_searches_a_study_of_plain_optuna(self):
        def search(seed):
            study = optuna.create_study(
                sampler=automl_opt.sampler("tpe", seed=seed, n_startup_trials=3)
            )
            study.optimize(lambda trial: trial.suggest_float("x", -1, 1) ** 2, n_trials=8)
            return [trial.params["x"] for trial in study.trials]

        assert search(0) == search(0) != search(1)

    @pytest.mark.parametrize(
        ("params", "texts"),
        [
            ({"startup": 3}, ["sampler('tpe'), startup", "n_startup_trials"]),
            ({"n_startup_trials": 0}, ["sampler('tpe'), n_startup_trials", "outside"]),
        ],
    )
    def test_a_wrong_parameter_is_an_error(self, params, texts):
        with pytest.raises(PluginError) as raised:
            automl_opt.sampler("tpe", **params)

        for text in texts:
            assert text in str(raised.value)

    def test_an_unknown_name_is_an_error(self):
        with pytest.raises(UnknownComponent, match=r"did you mean 'builtin\.tpe'"):
            automl_opt.sampler("tpee")


def test_a_strategy_is_seeded_by_study_arm_and_number(open_one, monkeypatch):
    arms = open_one(searching("random"))
    study = optuna.create_study(
        sampler=optuna.samplers.RandomSampler(derive(0, "sgd", 1, "strategy"))
    )

    trials = spend(arms, 3)

    again = arms.arms[0].space.suggest(study.ask())
    assert again == trials[2].recipe
