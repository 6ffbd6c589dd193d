"""``automl-opt report`` and ``automl-opt status``: what the database says of a study."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING

import click

from automl_opt.cli.options import json_option, read_study, storage_option, study_argument
from automl_opt.cli.table import echo_table, number, seconds

if TYPE_CHECKING:
    from automl_opt.study.judge import Ranking


@click.command()
@study_argument
@storage_option
@json_option
def report(study: str, storage: str | None, as_json: bool) -> None:
    """Rank the arms of STUDY by their best trial.

    Works while the study runs, and after.
    """
    spec, url = read_study(study, [], storage)
    from automl_opt.store import Store
    from automl_opt.study.ranking import ranking_of

    with Store.open(url, must_exist=True) as store:
        ranking = ranking_of(store, spec.name)
    if as_json:
        click.echo(json.dumps(ranking.data(), indent=2))
    else:
        echo_ranking(ranking)


def echo_ranking(ranking: Ranking) -> None:
    """The ranking as a table, and what it does not say."""
    if ranking.question:
        click.echo(ranking.question)
    metric = ranking.metric
    rows = [
        [
            str(place),
            arm.arm,
            number(arm.best),
            number(arm.test),
            number(arm.median),
            str(arm.trials),
            str(arm.pruned),
            str(arm.failures),
            seconds(arm.seconds),
        ]
        for place, arm in enumerate(ranking.arms, start=1)
    ]
    heads = ["rank", "arm", "best", "test", "median", "trials", "pruned", "failed", "time"]
    echo_table(heads, rows, right="rank best test median trials pruned failed time")
    click.echo(
        f"best, median: validation {metric} ({ranking.direction}) of complete trials; test: of the "
        "best trial.\nOne search each, the luckiest trial of each: not yet a verdict on the arms."
        + ("" if ranking.finished else "\nPreliminary: the study's budget is not spent.")
    )


@click.command()
@study_argument
@storage_option
@json_option
def status(study: str, storage: str | None, as_json: bool) -> None:
    """Show how far STUDY is: trials by state, and what is in training."""
    spec, url = read_study(study, [], storage)
    from automl_opt.store import Store
    from automl_opt.study.ranking import known_arms

    with Store.open(url, must_exist=True) as store:
        arms = known_arms(store, spec.name)
        trials = store.trials(spec.name)
    counts = {arm: Counter(str(t.status) for t in trials if t.arm == arm) for arm in arms}
    if as_json:
        data = {
            "study": spec.name,
            "trials_an_arm": spec.trials,
            "arms": {arm: dict(count) for arm, count in counts.items()},
            "running": [
                {"arm": t.arm, "number": t.number, "worker": t.worker, "attempt": t.attempt}
                for t in trials
                if t.status == "running"
            ],
        }
        click.echo(json.dumps(data, indent=2))
        return
    states = sorted({state for count in counts.values() for state in count})
    rows = [
        [arm, *[str(count[state] or "") for state in states], f"{count.total()}/{spec.trials}"]
        for arm, count in counts.items()
    ]
    echo_table(["arm", *states, "trials"], rows, right=" ".join([*states, "trials"]))
    for trial in trials:
        if trial.status == "running":
            click.echo(
                f"running: {trial.arm} #{trial.number}, attempt {trial.attempt}, by {trial.worker}"
            )
