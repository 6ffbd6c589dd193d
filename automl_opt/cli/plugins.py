"""``automl-opt plugins``: what is installed, what it offers, and why something is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from automl_opt.cli.check import check
from automl_opt.cli.group import Group
from automl_opt.cli.new import new
from automl_opt.cli.options import (
    components_named,
    echo_json,
    installed_plugins,
    json_option,
    kind_option,
)
from automl_opt.cli.table import echo_table

if TYPE_CHECKING:  # the help of the whole program reads this file, and needs no plugin
    from automl_opt.plugin.catalog import Component


@click.group(cls=Group)
def plugins() -> None:
    """Show what can be searched; check a plugin, or begin one."""


plugins.add_command(check)
plugins.add_command(new)


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
    from automl_opt.plugin.describe import count_text, counts, host_data, written

    host = installed_plugins()
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
        [[c.kind, written(c), ", ".join(c.spec.params), c.spec.summary] for c in components],
    )
    click.echo("\n" + ", ".join(count_text(*item) for item in counts(host, kind).items()))


@plugins.command("show")
@click.argument("name", metavar="ID")
@kind_option
@json_option
def show(name: str, kind: str | None, as_json: bool) -> None:
    """Show the component ID.

    ID is an id or a short name; of a wrapper, with or without what it wraps. Shown are its
    parameters with their ranges and defaults, where the formula comes from, and which plugin
    offers it.

    \b
    automl-opt plugins show adamw
    automl-opt plugins show builtin.adamw --json
    automl-opt plugins show 'sam(adamw)'
    """
    from automl_opt.plugin.describe import component_data

    found = components_named(name, installed_plugins().catalog, kind)
    shown = [link for component in found for link in component.chain]
    if as_json:
        echo_json([component_data(component) for component in shown])
        return
    for position, component in enumerate(shown):
        if position:
            click.echo()
        _echo(component)


def _echo(component: Component) -> None:
    from automl_opt.plugin.describe import facts, range_text, written

    spec = component.spec
    head = click.style(f"{component.kind} {written(component)}", bold=True)
    click.echo(f"{head}  {spec.summary}")
    rows = facts(component)
    rows += [(name, range_text(param)) for name, param in spec.params.items()]
    width = max(len(name) for name, _ in rows)
    for name, text in rows:
        click.echo(f"  {name.ljust(width)}  {text}")
