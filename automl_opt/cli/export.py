"""``automl-opt export`` and ``replay``: the recipe to use, as a script, and once more."""

from __future__ import annotations

from pathlib import Path

import click

from automl_opt.cli.options import (
    installed_plugins,
    read_study,
    settings_option,
    storage_option,
    study_argument,
)


@click.command()
@study_argument
@click.option("--arm", metavar="ARM", help="Another arm's recipe instead of the leader's.")
@click.option(
    "-o",
    "--output",
    default="train.py",
    show_default=True,
    metavar="FILE",
    help="Where to; - is standard output.",
)
@storage_option
@settings_option
def export(
    study: str, arm: str | None, output: str, storage: str | None, settings: tuple[str, ...]
) -> None:
    """Write a recipe as a plain torch script.

    STUDY is a study.toml or its folder. The recipe is the leader of the verdict, or the best trial
    where there is none. The script needs torch, and what the task needs: no automl-opt. It names
    the exact versions, trains with recorded seeds, and says whether it ended where it should.

    \b
    automl-opt export studies/digits
    automl-opt export studies/digits --arm sgd -o sgd.py
    """
    spec, url = read_study(study, [*settings], storage)
    host = installed_plugins()
    from automl_opt.store import Store
    from automl_opt.study.export import script
    from automl_opt.study.winner import refuse_other_training, winner

    with Store.open(url, must_exist=True) as store:
        found = winner(spec, store, arm)
        refuse_other_training(spec, store)
    text = script(found, spec, host.catalog)
    if output == "-":
        click.echo(text, nl=False)
        return
    Path(output).write_text(text, encoding="utf-8")
    click.echo(f"{found.title} is in {output}: python {output}")


@click.command()
@study_argument
@click.option("--arm", metavar="ARM", help="Another finalist instead of the leader.")
@storage_option
@settings_option
def replay(study: str, arm: str | None, storage: str | None, settings: tuple[str, ...]) -> int:
    """Train the winning recipe once more.

    STUDY is a study.toml or its folder. The leader of the verdict trains with a seed that nothing
    has used, and has to end where 99 of 100 runs are expected; the exit code is 1 if it does not.

    \b
    automl-opt replay studies/digits
    automl-opt replay studies/digits --arm sgd
    """
    spec, url = read_study(study, [*settings], storage)
    host = installed_plugins()
    from automl_opt.store import Store

    with Store.open(url, must_exist=True) as store:
        from automl_opt.study.replay import replay as train_again  # with torch

        done = train_again(spec, host=host, store=store, arm=arm)
    low, high = done.expected
    reached = f"failed ({done.reason})" if done.value is None else f"{done.value:.6g}"
    where = "inside" if done.inside else "OUTSIDE"
    click.echo(
        f"{done.winner.title}: test {done.winner.score.metric} {reached}, {where} the expected "
        f"{low:.6g} … {high:.6g}"
    )
    return 0 if done.inside else 1
