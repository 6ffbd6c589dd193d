"""``automl-opt plugins``: what is installed, what it offers, and why something is missing."""

from __future__ import annotations

import json

import click

from automl_opt.cli.options import json_option
from automl_opt.cli.table import echo_table
from automl_opt.core.errors import UnknownComponent, did_you_mean
from automl_opt.plugin.catalog import SPEC_OF_KIND, Component
from automl_opt.plugin.describe import component_data, host_data, range_text
from automl_opt.plugin.host import load_host

kind_option = click.option(
    "--kind", type=click.Choice(list(SPEC_OF_KIND)), help="Only components of this kind."
)


@click.group()
def plugins() -> None:
    """List plugins and the components they offer."""


@plugins.command("list")
@kind_option
@json_option
def list_plugins(kind: str | None, as_json: bool) -> None:
    """List plugins, with the reason of those that did not load, and all components."""
    host = load_host()
    if as_json:
        click.echo(json.dumps(host_data(host), indent=2))
        return
    rows = [
        [p.name, f"{p.distribution} {p.version}", p.status, str(len(p.components) or "")]
        for p in host.plugins
    ]
    echo_table(["plugin", "distribution", "status", "components"], rows, right="components")
    for plugin in host.plugins:
        if plugin.status != "loaded":
            click.echo(f"{plugin.name}: {plugin.reason}", err=True)
    for (shared_kind, name), found in host.catalog.shared_names().items():
        ids = " and ".join(component.id for component in found)
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
    """Show a component: its parameters with ranges and defaults, its source, its provider."""
    catalog = load_host().catalog
    found = [c for c in catalog.components(kind) if name in (c.id, c.spec.name)]
    if not found:
        ids = [c.id for c in catalog.components(kind)]
        raise UnknownComponent(f"no component named {name!r}; {did_you_mean(name, ids)}")
    if as_json:
        click.echo(json.dumps([component_data(c) for c in found], indent=2))
        return
    for position, component in enumerate(found):
        if position:
            click.echo()
        _echo(component)


def _echo(component: Component) -> None:
    spec = component.spec
    click.echo(click.style(f"{component.kind} {component.id}", bold=True) + f"  {spec.summary}")
    provider = f"{component.distribution} {component.distribution_version}"
    rows = [["source", spec.paper or "–"], ["version", str(spec.version)], ["plugin", provider]]
    rows += [[name, range_text(param)] for name, param in spec.params.items()]
    width = max(len(row[0]) for row in rows)
    for key, value in rows:
        click.echo(f"  {key.ljust(width)}  {value}")
