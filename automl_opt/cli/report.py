"""``automl-opt report`` and ``automl-opt status``: what the database says of a study."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import click

from automl_opt.cli.options import (
    echo_json,
    installed_plugins,
    json_option,
    read_study,
    storage_option,
    study_argument,
)
from automl_opt.cli.table import echo_table, number, seconds

if TYPE_CHECKING:
    from automl_opt.core.spec import StudySpec
    from automl_opt.store import StudyRow, TrialRow
    from automl_opt.study.ranking import Ranking


@click.command()
@study_argument
@click.option(
    "-o",
    "--output",
    metavar="FILE",
    help="A page with all there is: FILE.html, .md, .json or .pdf.",
)
@storage_option
@json_option
def report(study: str, output: str | None, storage: str | None, as_json: bool) -> None:
    """Rank the arms of a study, or write all there is to say of it.

    STUDY is a study.toml or its folder. Arms are ranked by their best trial, while the study runs
    and after. Under the ranking is why trials failed. With -o one page has the verdict, what it
    stands on, what speaks against it, what it cost and how to repeat it.

    \b
    automl-opt report studies/digits
    automl-opt report studies/digits -o report.html
    automl-opt report studies/digits --storage sqlite:///try.db --json
    """
    spec, url = read_study(study, [], storage)
    if output is not None:
        _write_page(spec, url, output)
        return
    from automl_opt.store import Store
    from automl_opt.study.ranking import ranking_of

    with Store.open_to_read(url) as store:
        ranking = ranking_of(store, spec.name)
        failed = _failures(store.trials(spec.name))
    if as_json:
        failures = [{"arm": arm, "reason": why, "trials": n} for (arm, why), n in failed.items()]
        echo_json({**ranking.data(), "failures": failures})
        return
    echo_ranking(ranking)
    for (arm, why), count in failed.items():
        click.echo(f"{arm}: {count} failed: {why}")


def _write_page(spec: StudySpec, url: str, output: str) -> None:
    kind = Path(output).suffix
    if kind not in (".html", ".md", ".json", ".pdf"):
        raise click.BadParameter(
            f"{output!r} must end in .html, .md, .json or .pdf", param_hint="'-o' / '--output'"
        )
    from automl_opt.store import Store
    from automl_opt.study.page import html, markdown
    from automl_opt.study.report import report_of
    from automl_opt.study.sections import sections, title_of

    with Store.open_to_read(url) as store:
        found = report_of(spec, store, installed_plugins().catalog)
    if kind == ".json":
        Path(output).write_text(json.dumps(found.data(), indent=2), encoding="utf-8")
    elif kind == ".md":
        Path(output).write_text(markdown(title_of(found), sections(found)), encoding="utf-8")
    elif kind == ".html":
        Path(output).write_text(html(title_of(found), sections(found)), encoding="utf-8")
    else:
        from automl_opt.cli.printing import print_pdf

        print_pdf(html(title_of(found), sections(found)), Path(output))
    click.echo(f"{found.selection.said[0]}\nMore is in {output}.")


def _failures(trials: Iterable[TrialRow]) -> Counter[tuple[str, str]]:
    """How many trials of which arm failed for which reason, in the order of the arms."""
    return Counter(
        (trial.arm, " ".join((trial.reason or str(trial.status)).split()))
        for trial in trials
        if trial.status.is_failure
    )


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
    """Show how far a study is.

    STUDY is a study.toml or its folder. Trials are counted by state, and those in training named.

    \b
    automl-opt status studies/digits
    automl-opt status studies/digits --storage sqlite:///try.db --json
    """
    spec, url = read_study(study, [], storage)
    from automl_opt.store import Store
    from automl_opt.study.ranking import is_spent, known_arms

    with Store.open_to_read(url) as store:
        arms = known_arms(store, spec.name)
        studies = store.studies(spec.name)
        settings = json.loads(studies[0].spec_json)
        budget = {row.arm: _budget(row) for row in studies}
        trials = store.trials(spec.name)
    states = {arm: Counter(str(t.status) for t in trials if t.arm == arm) for arm in arms}
    ended = {arm: sum(t.status.is_final for t in trials if t.arm == arm) for arm in arms}
    running = [t for t in trials if t.status == "running"]
    finished = is_spent(settings, ended)
    if as_json:
        echo_json(
            {
                "study": spec.name,
                "finished": finished,
                "arms": {
                    arm: {"trials": budget[arm], "ended": ended[arm], "states": dict(states[arm])}
                    for arm in arms
                },
                "running": [
                    {"arm": t.arm, "number": t.number, "attempt": t.attempt, "worker": t.worker}
                    for t in running
                ],
            }
        )
        return
    done, total = sum(ended.values()), sum(budget.values())
    click.echo(f"{spec.name}: {done} of {total} trials ended" + (", finished" if finished else ""))
    heads = sorted({state for count in states.values() for state in count})
    rows = [
        [arm, *[str(states[arm][head] or "") for head in heads], f"{ended[arm]}/{budget[arm]}"]
        for arm in arms
    ]
    echo_table(["arm", *heads, "ended"], rows, right=" ".join([*heads, "ended"]))
    for trial in running:
        click.echo(
            f"running: {trial.arm} #{trial.number}, attempt {trial.attempt}, by {trial.worker}"
        )


def _budget(row: StudyRow) -> int:
    """Trials of the arm, as the last run had it: the file may say otherwise, or --trials did."""
    budget: int = json.loads(row.spec_json)["[search] trials"]
    return budget
