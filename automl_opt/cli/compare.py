"""``automl-opt compare``: the arms of several studies, each a task."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from automl_opt.cli.options import echo_json, json_option, read_study, storage_option
from automl_opt.cli.table import echo_table, number

if TYPE_CHECKING:
    from automl_opt.study.comparison import TaskResult


@click.command()
@click.argument("studies", metavar="STUDY…", nargs=-1, required=True)
@storage_option
@json_option
def compare(studies: tuple[str, ...], storage: str | None, as_json: bool) -> None:
    """Compare the arms of several studies, each a task.

    STUDY… are study files or their folders. The arms that all of them have are compared by the
    test metric of their best trials: two by the exact signed-rank test, from 6 tasks on; more by
    their mean ranks, from 10 tasks on. With fewer it says how many are missing.

    \b
    automl-opt compare studies/digits studies/wine
    """
    results = [_result(study, storage) for study in studies]
    from automl_opt.study.comparison import compare as judge

    found = judge(results)
    if as_json:
        echo_json(found.data())
        return
    heads = ["arm", *found.tasks]
    rows = [[arm, *(number(value) for value in row)] for arm, row in found.tests.items()]
    echo_table(heads, rows, right=" ".join(found.tasks))
    shown = dict.fromkeys(found.metrics)
    click.echo(f"test {' or '.join(shown)} of the best trial of each arm")
    for sentence in found.said():
        click.echo(sentence)
    for profile in found.profiles:
        click.echo(
            f"{profile.arm}: on {profile.shares[0]:.0%} of the tasks the first to reach the "
            f"target, on {profile.shares[-1]:.0%} within {profile.ratios[-1]:g} times the first's "
            "time"
        )


def _result(study: str, storage: str | None) -> TaskResult:
    spec, url = read_study(study, [], storage)
    from automl_opt.store import Store
    from automl_opt.study.comparison import TaskResult
    from automl_opt.study.cost import costs_of
    from automl_opt.study.ranking import ranking_of
    from automl_opt.study.selection import search_score

    with Store.open_to_read(url) as store:
        ranking = ranking_of(store, spec.name)
        trials = store.trials(spec.name)
        score = search_score(spec, store.studies(spec.name)[0])
    arms = [arm.arm for arm in ranking.arms]
    costs = costs_of(trials, arms, maximize=ranking.direction == "maximize")
    return TaskResult(ranking=ranking, score=score, costs=costs)
