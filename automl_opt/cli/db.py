"""``automl-opt db``: the schema of a database."""

from __future__ import annotations

import click

from automl_opt.cli.group import Group

storage_option = click.option(
    "--storage",
    default="sqlite:///automl_opt.db",
    show_default=True,
    metavar="URL",
    help="Which database.",
)


@click.group(cls=Group)
def db() -> None:
    """Check or upgrade a database."""


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
