"""``automl-opt select``: the verdict on a study, and what makes its comparison unfair."""

from __future__ import annotations

import sys
import time
from contextlib import nullcontext, redirect_stdout
from typing import TYPE_CHECKING

import click

from automl_opt.cli.options import (
    echo_json,
    installed_plugins,
    json_option,
    read_study,
    settings_option,
    storage_option,
    study_argument,
)
from automl_opt.cli.table import echo_table, number, seconds

if TYPE_CHECKING:
    from collections.abc import Sequence

    from automl_opt.core.spec import StudySpec
    from automl_opt.core.verdict import Finding, Verdict
    from automl_opt.plugin.host import Host
    from automl_opt.store import Store, VerdictRun
    from automl_opt.study.confirm import Cost
    from automl_opt.study.finalists import Plan
    from automl_opt.study.retune import Cost as RetuneCost
    from automl_opt.study.retune import Pair


@click.command()
@study_argument
@click.option("--confirm", is_flag=True, help="Train the finalists with fresh seeds first.")
@click.option(
    "--retune", "pairs", type=int, metavar="N", help="Tune the two leading arms N times more."
)
@click.option(
    "--extend", is_flag=True, help="Search again with the ends widened where the best lay at one."
)
@click.option("--seeds", type=int, metavar="N", help="Common seeds at most (10, 20, 40, …).")
@storage_option
@settings_option
@json_option
def select(
    study: str,
    confirm: bool,
    pairs: int | None,
    extend: bool,
    seeds: int | None,
    storage: str | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> int:
    """Say which recipe to use, and how sure that is.

    STUDY is a study.toml or its folder. With --confirm the leading recipes and a baseline train
    with common fresh seeds until a look decides: a verdict on recipes. With --retune 10 (or 20,
    40; 6 is a quick form) the two leading arms are tuned so many times more, from new seeds: a
    verdict on arms. What that takes is shown first, and the same command goes on where it was
    stopped. With --extend, where a best trial lay at the end of a range, the study runs once more
    as NAME.extended with that end further out. Without any of these, what was found so far is said
    again. Under the verdict is what makes the comparison unfair.

    \b
    automl-opt select studies/digits
    automl-opt select studies/digits --confirm
    automl-opt select studies/digits --confirm --seeds 80 --json
    automl-opt select studies/digits --retune 6
    """
    if extend and (confirm or pairs is not None):
        raise click.UsageError("--extend searches: --confirm and --retune come after it")
    asked = [*settings] if seeds is None else [*settings, f"verdict.seeds={seeds}"]
    spec, url = read_study(study, asked, storage)
    host = installed_plugins()
    from automl_opt.store import Store
    from automl_opt.study import selection

    with Store.open(url, must_exist=True) as store:
        if extend:
            return _extend(spec, host, store, as_json=as_json)
        if confirm:
            _confirm(spec, host, store, quiet=as_json)
        if pairs is not None:
            _retune(spec, pairs, host, store, quiet=as_json)
        found = selection.select(spec, store, host.catalog)
    if as_json:
        echo_json(found.data())
    else:
        if found.question:
            click.echo(found.question)
        for sentence in found.said:
            click.echo(sentence)
        if found.verdict is not None:
            _echo_finalists(found.verdict, found.runs)
        _echo_findings(found.findings)
    return 0


def _confirm(spec: StudySpec, host: Host, store: Store, *, quiet: bool) -> None:
    """Train what the verdict needs, told on standard error."""
    from automl_opt.study.confirm import confirm  # with torch

    def estimated(plan: Plan, cost: Cost) -> None:
        names = ", ".join(plan.candidates)
        click.echo(
            f"comparing {names}: at most {cost.runs} trainings, about {seconds(cost.seconds)}",
            err=True,
        )

    def told(run: VerdictRun, left: int) -> None:
        shown = run.reason if run.value is None else number(run.value)
        click.echo(f"{run.stage} seed {run.seed}  {run.recipe}  {shown}  {left} left", err=True)

    with redirect_stdout(sys.stderr) if quiet else nullcontext():  # a task may print
        done = confirm(spec, host=host, store=store, estimated=estimated, told=told)
    _leave_if(done.stopped)


def _retune(spec: StudySpec, pairs: int, host: Host, store: Store, *, quiet: bool) -> None:
    """Tune the leading arms again, told on standard error."""
    from automl_opt.cli.progress import open_progress
    from automl_opt.study.progress import Progress
    from automl_opt.study.retune import retune  # with torch

    began, before = time.monotonic(), 0

    def estimated(cost: RetuneCost) -> None:
        nonlocal before
        before = pairs - cost.pairs
        click.echo(
            f"re-tuning {cost.arms[0]} and {cost.arms[1]}: {cost.pairs} pairs to go, at most "
            f"{cost.trials} trials, about {seconds(cost.seconds)} of training",
            err=True,
        )

    def told(pair: Pair) -> None:
        reached = zip(pair.arms, pair.tests, strict=True)
        shown = ", ".join(f"{arm} {number(test)}" for arm, test in reached)
        done = pair.number + 1
        a_pair = (time.monotonic() - began) / (done - before)
        left = f", at most {seconds(a_pair * (pairs - done))} left" if done < pairs else ""
        click.echo(f"pair {done} of {pairs}  test {spec.metric}: {shown}{left}", err=True)

    with (
        redirect_stdout(sys.stderr) if quiet else nullcontext(),
        open_progress(elsewhere=Progress) as progress,
    ):
        done = retune(
            spec, pairs, host=host, store=store, estimated=estimated, told=told, progress=progress
        )
    _leave_if(done.stopped)


def _extend(spec: StudySpec, host: Host, store: Store, *, as_json: bool) -> int:
    """Run the study with its edges widened, and rank it."""
    from automl_opt.cli.progress import open_progress
    from automl_opt.cli.report import echo_ranking
    from automl_opt.study.audit import all_edges
    from automl_opt.study.edges import extended
    from automl_opt.study.ranking import known_arms
    from automl_opt.study.selection import search_score

    known_arms(store, spec.name)
    studies, trials = store.studies(spec.name), store.trials(spec.name)
    edges = all_edges(studies, trials, host.catalog, search_score(spec, studies[0]))
    if not edges:
        click.echo(
            "No best trial lies at the end of a range: there is nothing to extend.", err=True
        )
        return 0
    wider = extended(spec, edges, host.catalog)
    for edge in {(e.component, e.param, e.end): e for e in edges}.values():
        click.echo(
            f"{edge.entry}: {edge.end} end {edge.low if edge.end == 'low' else edge.high:g}"
            f" -> {edge.widened():g}",
            err=True,
        )
    with (
        redirect_stdout(sys.stderr) if as_json else nullcontext(),
        open_progress(store.trials(wider.name)) as progress,
    ):
        from automl_opt.study import runner  # with torch

        outcome = runner.run(wider, host=host, store=store, progress=progress)
    if as_json:
        echo_json(outcome.ranking.data())
    else:
        echo_ranking(outcome.ranking)
    _leave_if(outcome.stopped if outcome.stopped != "time limit" else None)
    return 0


def _leave_if(stopped: str | None) -> None:
    """Exit as the signal that stopped us asks."""
    if stopped is None:
        return
    import signal

    click.echo(f"Stopped by {stopped}. Nothing is lost; the same command goes on.", err=True)
    raise click.exceptions.Exit(128 + signal.Signals[stopped].value)


def _echo_finalists(verdict: Verdict, runs: Sequence[VerdictRun]) -> None:
    """The finalists, the leader first, each with its mean and its distance from the leader."""
    from automl_opt.study.wording import amount, margin

    pairs = {pair.other: pair for pair in verdict.pairs}
    rows = []
    for name in sorted(verdict.recipes, key=lambda name: name != verdict.leader):
        own = [run for run in runs if run.stage == "confirm" and run.recipe == name]
        values = [run.value for run in own if run.value is not None]
        mean = sum(values) / len(values) if values else None
        pair = pairs.get(name)
        behind = amount(pair, verdict.score) if pair is not None and pair.mean is not None else ""
        won = f"{pair.losses} of {pair.seeds}" if pair is not None else ""
        failed = str(len(own) - len(values) or "")
        rows.append([name, str(len(own)), failed, number(mean), behind, won])
    heads = ["recipe", "seeds", "failed", "mean", "behind", "won"]
    echo_table(heads, rows, right="seeds failed mean behind won")
    click.echo(
        f"mean: test {verdict.score.metric}; behind, won: beside the first recipe. "
        f"A difference within {margin(verdict.score)} counts as none."
    )


def _echo_findings(findings: Sequence[Finding]) -> None:
    """By what to do about them, each with the evidence."""
    grouped: dict[tuple[str, str], list[str]] = {}
    for finding in findings:
        evidence = f"{finding.arm}: {finding.evidence}" if finding.arm else finding.evidence
        grouped.setdefault((finding.kind, finding.advice), []).append(evidence)
    if grouped:
        click.echo("What speaks against reading this as a fair comparison:")
    for (kind, advice), seen in grouped.items():
        click.echo(f"- {kind.replace('_', ' ')}: {advice}")
        for each in seen:
            click.echo(f"    {each}")
