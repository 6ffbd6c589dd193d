"""``automl-opt db``: the schema of a database."""

from __future__ import annotations

import click

storage_option = click.option(
    "--storage",
    default="sqlite:///automl_opt.db",
    show_default=True,
    metavar="URL",
    help="Which database.",
)


@click.group()
def db() -> None:
    """Check and upgrade a database."""


@db.command()
@storage_option
def check(storage: str) -> None:
    """Say which schema the database has, and whether it is up to date."""
    from automl_opt.store import schema

    click.echo(schema.check(storage))


@db.command()
@storage_option
def upgrade(storage: str) -> None:
    """Bring the database to this version's schema; create it where there is none."""
    from automl_opt.store import schema

    click.echo(schema.upgrade(storage))
