"""Arguments that several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from automl_opt.core.errors import UnknownComponent, did_you_mean

if TYPE_CHECKING:
    from automl_opt.core.spec import StudySpec
    from automl_opt.plugin.catalog import Catalog, Component
    from automl_opt.plugin.host import Host


def _known_kind(context: click.Context, param: click.Parameter, kind: str | None) -> str | None:
    from automl_opt.plugin.catalog import SPEC_OF_KIND

    if kind is not None and kind not in SPEC_OF_KIND:
        raise click.BadParameter(f"no kind {kind!r}; {did_you_mean(kind, SPEC_OF_KIND)}")
    return kind


def kind_option_of(text: str, *, required: bool = False) -> Callable[..., Any]:
    """``--kind KIND`` with *text* for its help."""
    return click.option(
        "--kind", metavar="KIND", callback=_known_kind, required=required, help=text
    )


kind_option = kind_option_of("Only components of this kind, for example optimizer.")
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
        envvar="AUTOML_OPT_STORAGE",
        metavar="URL",
        help="Database, as an SQLAlchemy URL (default: AUTOML_OPT_STORAGE of the environment, else "
        "the study's, else sqlite:///automl_opt.db).",
    )(command)


def settings_option(command: Callable[..., Any]) -> Callable[..., Any]:
    """``--set KEY=VALUE``, for what the study was run with."""
    return click.option(
        "--set",
        "settings",
        multiple=True,
        metavar="KEY=VALUE",
        help="Any key of the study file, as it was run.",
    )(command)


def installed_plugins() -> Host:
    """The plugins that this command line may use: with --no-plugins what ships with us."""
    from automl_opt.plugin.host import load_host

    if click.get_current_context().find_root().params.get("no_plugins"):
        return load_host(allow=(), because="left out by --no-plugins")
    return load_host()


def components_named(name: str, catalog: Catalog, kind: str | None) -> list[Component]:
    """Every component (of *kind*) of that id or short name; ``sam(adamw)`` is one, too.

    Raises:
        UnknownComponent: there is none.
    """
    if "(" in name:
        return _chains(name, catalog, kind)
    found = [c for c in catalog.components(kind) if name in (c.id, c.spec.name)]
    if not found:
        ids = [c.id for c in catalog.components(kind)]
        hint = did_you_mean(name, ids) + catalog.not_loaded(name)
        raise UnknownComponent(f"no {kind or 'component'} named {name!r}; {hint}")
    return found


def _chains(name: str, catalog: Catalog, kind: str | None) -> list[Component]:
    """Of every kind that has the outer one; what is wrong inside the brackets is that kind's."""
    outer = components_named(name.partition("(")[0].strip(), catalog, kind)
    found, wrong = [], UnknownComponent(name)
    for each in dict.fromkeys(component.kind for component in outer):
        try:
            found.append(catalog.find(each, name))
        except UnknownComponent as error:
            wrong = error
    if not found:
        raise wrong
    return found


def read_study(study: str, settings: list[str], storage: str | None) -> tuple[StudySpec, str]:
    """The study that STUDY names, and the URL of its database."""
    from automl_opt.core.spec import load_study

    spec = load_study(study, settings)
    return spec, storage or spec.storage
