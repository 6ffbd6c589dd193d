"""``automl-opt db``: the schema of a database, its views as files, and what it may forget."""

from __future__ import annotations

import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from automl_opt.cli.group import Group
from automl_opt.cli.options import echo_json, json_option

UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}

storage_option = click.option(
    "--storage",
    envvar="AUTOML_OPT_STORAGE",
    default="sqlite:///automl_opt.db",
    show_default=True,
    metavar="URL",
    help="Which database (AUTOML_OPT_STORAGE of the environment names another default).",
)


class Duration(click.ParamType):
    """``30d`` or ``12h``: a number and a unit."""

    name = "duration"

    def convert(self, value: Any, param: Any, context: Any) -> timedelta:
        found = re.fullmatch(r"(\d{1,5})([smhdw])", value)
        if found is None:
            units = ", ".join(f"{short} ({name})" for short, name in UNITS.items())
            self.fail(f"{value!r} is no duration; write 30d, with one of {units}", param, context)
        return timedelta(**{UNITS[found[2]]: int(found[1])})


@click.group(cls=Group)
def db() -> None:
    """Check, upgrade, export, import or prune a database."""


@db.command()
@storage_option
def check(storage: str) -> None:
    """Say which schema a database has.

    Nothing is made or changed.

    \b
    automl-opt db check --storage sqlite:///try.db
    """
    from automl_opt.store import schema

    click.echo(schema.check(storage))


@db.command()
@storage_option
def upgrade(storage: str) -> None:
    """Bring a database to our schema.

    One that does not exist is created. "run" does the same by itself.

    \b
    automl-opt db upgrade --storage postgresql+psycopg://user@host/database
    """
    from automl_opt.store import schema

    click.echo(schema.upgrade(storage))


@db.command()
@click.option(
    "-o",
    "--output",
    default="export",
    show_default=True,
    metavar="FOLDER",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to; files of the same names are replaced.",
)
@click.option("--view", "views", multiple=True, metavar="NAME", help="Only this view; repeatable.")
@click.option("--study", metavar="NAME", help="Only what belongs to this study.")
@click.option(
    "--format",
    type=click.Choice(["csv", "parquet"]),
    default="csv",
    show_default=True,
    help="Parquet needs automl-opt[parquet].",
)
@storage_option
@json_option
def export(
    output: Path,
    views: tuple[str, ...],
    study: str | None,
    format: str,
    storage: str,
    as_json: bool,
) -> None:
    """Write the public views as files.

    Every view is a file NAME.csv or NAME.parquet; all of them show one moment, whatever is running.
    In CSV a missing number is an empty field, and times are in UTC. What the columns mean is in
    docs/reference/sql.md.

    \b
    automl-opt db export
    automl-opt db export --view hpo_v_leaderboard --study digits -o tables
    automl-opt db export --format parquet
    """
    from automl_opt.store import Store
    from automl_opt.store.export import export_views

    with Store.open_to_read(storage) as store:
        written = export_views(store.engine, output, names=views, study=study, format=format)
    if as_json:
        echo_json([{"file": str(file), "rows": rows} for file, rows in written.items()])
        return
    for file, rows in written.items():
        click.echo(f"{file}: {count(rows, 'row')}")


@db.command("import")
@click.argument("source", metavar="SOURCE")
@click.option(
    "--study", "studies", multiple=True, metavar="NAME", help="Only this study; repeatable."
)
@storage_option
@json_option
def import_(source: str, studies: tuple[str, ...], storage: str, as_json: bool) -> None:
    """Copy studies from another database into this one.

    SOURCE is an SQLite file or a database URL; nothing is written to it. Studies come with Optuna's
    tables, verdicts and curves, all of them or none, and run on from here. One whose name is taken
    is refused. Checkpoints stay where they are: a trial that was stopped begins anew.

    \b
    automl-opt db import laptop/automl_opt.db
    automl-opt db import laptop.db --study digits --storage postgresql+psycopg://user@host/database
    """
    from automl_opt.search.arms import storage_at
    from automl_opt.store import Store
    from automl_opt.store.importing import import_studies

    url = source if "://" in source else f"sqlite:///{source}"
    with (
        Store.open_to_read(url) as origin,
        Store.open(storage) as store,
        storage_at(store.url),  # makes Optuna's tables
    ):
        copied = import_studies(origin.engine, store.engine, studies)
    if as_json:
        echo_json([asdict(each) for each in copied])
        return
    for each in copied:
        click.echo(f"{each.study}: {count(each.arms, 'arm')}, {count(each.trials, 'trial')}")


@db.command()
@click.option(
    "--older-than",
    type=Duration(),
    metavar="AGE",
    help="Thin the epochs of trials that ended before that, for example 30d.",
)
@click.option(
    "--keep-every",
    type=click.IntRange(min=0),
    default=10,
    show_default=True,
    metavar="N",
    help="Keep each Nth epoch of them; 0: none.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be deleted, and delete nothing.")
@storage_option
@json_option
def prune(
    older_than: timedelta | None, keep_every: int, dry_run: bool, storage: str, as_json: bool
) -> None:
    """Delete what a database may forget.

    What studies left that were deleted with Optuna's own tools goes, but for trials in training.
    With --older-than epochs of trials that have ended go, too: of each curve stay every Nth epoch,
    the last, the lowest and the highest. The test split, what trials took and the epochs that
    verdicts stand on are kept whole. Trials that run or may be resumed are left alone.

    \b
    automl-opt db prune --dry-run
    automl-opt db prune --older-than 30d --keep-every 20
    """
    from automl_opt.store import Store
    from automl_opt.store.retention import sweep_orphans, thin_epochs

    with Store.open(storage, must_exist=True) as store:
        orphans = sweep_orphans(store.engine, dry_run=dry_run)
        thinned = None
        if older_than is not None:
            thinned = thin_epochs(
                store.engine, older_than=older_than, keep_every=keep_every, dry_run=dry_run
            )
    if as_json:
        echo_json(
            {
                "dry_run": dry_run,
                "orphans": None if orphans is None else [asdict(each) for each in orphans],
                "epochs": None if thinned is None else asdict(thinned),
            }
        )
        return
    done = "would be deleted" if dry_run else "deleted"
    if orphans is None:
        click.echo("Optuna's tables are not here, so no study of ours can have lost its own.")
    elif not orphans:
        click.echo("Every study is still in Optuna's tables.")
    for each in orphans or ():
        what = "left alone, it is in training" if each.running else done
        trials = count(each.trials, "trial")
        click.echo(f"{each.study}/{each.arm}: {trials} no longer in Optuna's tables, {what}")
    if thinned is not None:
        rows, trials = count(thinned.rows, "epoch row"), count(thinned.trials, "trial")
        click.echo(f"{rows} of {trials} {done}")


def count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
