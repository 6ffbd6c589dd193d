"""``automl-opt plugins``: what is installed, what it offers, and why something is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from automl_opt.cli.group import Group
from automl_opt.cli.options import echo_json, json_option
from automl_opt.cli.table import echo_table
from automl_opt.core.errors import UnknownComponent, did_you_mean

if TYPE_CHECKING:  # the help of the whole program reads this file, and needs no plugin
    from automl_opt.plugin.catalog import Component


def _known_kind(context: click.Context, param: click.Parameter, kind: str | None) -> str | None:
    from automl_opt.plugin.catalog import SPEC_OF_KIND

    if kind is not None and kind not in SPEC_OF_KIND:
        raise click.BadParameter(f"no kind {kind!r}; {did_you_mean(kind, SPEC_OF_KIND)}")
    return kind


kind_option = click.option(
    "--kind",
    metavar="KIND",
    callback=_known_kind,
    help="Only components of this kind, for example optimizer.",
)


@click.group(cls=Group)
def plugins() -> None:
    """Show what can be searched."""


@plugins.command("list")
@kind_option
@json_option
def list_plugins(kind: str | None, as_json: bool) -> None:
    """List plugins and components.

    Plugins that did not load are listed with the reason, and the rest works without them.

    \b
    automl-opt plugins list
    automl-opt plugins list --kind optimizer
    AUTOML_OPT_PLUGINS=acme automl-opt plugins list      of the others' plugins only acme
    """
    from automl_opt.plugin.describe import host_data
    from automl_opt.plugin.host import load_host

    host = load_host()
    if as_json:
        echo_json(host_data(host, kind))
        return
    rows = [
        [p.name, f"{p.distribution} {p.version}", p.status, str(len(p.components) or "")]
        for p in host.plugins
    ]
    echo_table(["plugin", "distribution", "status", "components"], rows, right="components")
    missing = [f"{p.name}: {p.reason}" for p in host.plugins if p.status != "loaded"]
    for line in dict.fromkeys(missing):  # those that clash give one reason twice
        click.echo(line, err=True)
    for (shared_kind, name), found in host.catalog.shared_names().items():
        ids = " or ".join(component.id for component in found)
        click.echo(f"{shared_kind} {name!r} is offered twice: write {ids}", err=True)
    click.echo()
    components = host.catalog.components(kind)
    echo_table(
        ["kind", "id", "parameters", "summary"],
        [[c.kind, c.id, ", ".join(c.spec.params), c.spec.summary] for c in components],
    )


@plugins.command("show")
@click.argument("name", metavar="ID")
@kind_option
@json_option
def show(name: str, kind: str | None, as_json: bool) -> None:
    """Show the component ID.

    ID is an id or a short name. Shown are its parameters with their ranges and defaults, where
    the formula comes from, and which plugin offers it.

    \b
    automl-opt plugins show adamw
    automl-opt plugins show builtin.adamw --json
    """
    from automl_opt.plugin.describe import component_data
    from automl_opt.plugin.host import load_host

    catalog = load_host().catalog
    found = [c for c in catalog.components(kind) if name in (c.id, c.spec.name)]
    if not found:
        ids = [c.id for c in catalog.components(kind)]
        what = kind or "component"
        hint = did_you_mean(name, ids) + catalog.not_loaded(name)
        raise UnknownComponent(f"no {what} named {name!r}; {hint}")
    if as_json:
        echo_json([component_data(c) for c in found])
        return
    for position, component in enumerate(found):
        if position:
            click.echo()
        _echo(component)


def _echo(component: Component) -> None:
    from automl_opt.plugin.describe import range_text

    spec = component.spec
    click.echo(click.style(f"{component.kind} {component.id}", bold=True) + f"  {spec.summary}")
    provider = f"{component.distribution} {component.distribution_version}"
    rows = [["source", spec.paper or "–"], ["version", str(spec.version)], ["plugin", provider]]
    rows += [[name, range_text(param)] for name, param in spec.params.items()]
    width = max(len(row[0]) for row in rows)
    for key, value in rows:
        click.echo(f"  {key.ljust(width)}  {value}")
