"""Arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from automl_opt.core.spec import StudySpec

study_argument = click.argument("study", metavar="STUDY")
json_option = click.option("--json", "as_json", is_flag=True, help="JSON on standard output.")


def echo_json(data: Any) -> None:
    """*data* as the whole of standard output."""
    import json  # here, because most output is for people

    click.echo(json.dumps(data, indent=2))


def storage_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--storage URL``, in place of the study file's."""
    return click.option(
        "--storage",
        metavar="URL",
        help="Database, as an SQLAlchemy URL (default: the study's, else sqlite:///automl_opt.db).",
    )(command)


def read_study(study: str, settings: list[str], storage: str | None) -> tuple[StudySpec, str]:
    """The study that STUDY names, and the URL of its database."""
    from automl_opt.core.spec import load_study

    spec = load_study(study, settings)
    return spec, storage or spec.storage
