"""``automl-opt plugins check``: the conformance kit on components that are installed."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import redirect_stdout
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from automl_opt.cli.options import (
    components_named,
    echo_json,
    installed_plugins,
    json_option,
    kind_option,
)
from automl_opt.core.errors import PluginError, UnknownComponent, did_you_mean

if TYPE_CHECKING:
    from automl_opt.plugin.catalog import Component
    from automl_opt.plugin.host import Host, PluginInfo
    from automl_opt.testing import Outcome

COLOURS = {"passed": "green", "failed": "red", "expected": "yellow"}


@click.command()
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@click.option(
    "--check", "checks", multiple=True, metavar="CHECK", help="Only this check; may be repeated."
)
@kind_option
@json_option
def check(names: tuple[str, ...], checks: tuple[str, ...], kind: str | None, as_json: bool) -> int:
    """Check that components keep what they promise.

    NAME is a plugin, a distribution, a package or a component. Each check is one question; one
    that fails says what to change, and a failure that the component declares is told with its
    reason. The exit code is 1 if anything else failed.

    \b
    automl-opt plugins check acme
    automl-opt plugins check builtin.adamw 'sam(adamw)' --check ranges
    automl-opt plugins check builtin --kind scheduler --json
    """
    host = installed_plugins()
    components = _components(names, kind, host)

    from automl_opt.testing import run_checks  # with torch, after all that can fail without it

    _refuse_unknown(checks, components)
    found: list[tuple[Component, list[Outcome]]] = []
    for position, component in enumerate(components, start=1):
        _show_progress(f"checking {component.name} ({position} of {len(components)}) …")
        with redirect_stdout(sys.stderr):  # a plugin may print
            outcomes = run_checks(component, host.catalog, checks or None)
        _show_progress("")
        found.append((component, outcomes))
        if not as_json:
            _echo(component, outcomes)
    count: Counter[str] = Counter(outcome.status for _, outcomes in found for outcome in outcomes)
    if as_json:
        echo_json(
            {
                **{status: count[status] for status in COLOURS},
                "components": [_data(component, outcomes) for component, outcomes in found],
            }
        )
    elif len(found) > 1:
        click.echo(f"{len(found)} components: {_summary(count)}")
    return 1 if count["failed"] else 0


def _components(names: Sequence[str], kind: str | None, host: Host) -> list[Component]:
    """What *names* name (of *kind*), in their order and each once.

    Raises:
        PluginError: a plugin that is named did not load, or offers nothing.
        UnknownComponent: a name is none.
    """
    found: dict[tuple[str, str], Component] = {}
    for name in names:
        plugins = [plugin for plugin in host.plugins if name in _names(plugin)]
        for component in _offered(plugins, name, kind) if plugins else _single(name, kind, host):
            found[component.kind, component.name] = component
    return list(found.values())


def _names(plugin: PluginInfo) -> set[str]:
    """Everything a plugin goes by: entry point, distribution, and packages from the outermost."""
    parts = plugin.target.partition(":")[0].split(".")
    packages = {".".join(parts[:length]) for length in range(1, len(parts) + 1)}
    return {plugin.name, plugin.distribution, *packages}


def _offered(plugins: Sequence[PluginInfo], name: str, kind: str | None) -> list[Component]:
    for plugin in plugins:
        if plugin.status != "loaded":
            raise PluginError(
                f"plugin {plugin.name!r} ({plugin.distribution} {plugin.version}) is not loaded: "
                f"{plugin.reason}"
            )
    components = [c for plugin in plugins for c in plugin.components if kind in (None, c.kind)]
    if not components:
        raise PluginError(f"{name} offers no {kind or 'component'}: there is nothing to check")
    return components


def _single(name: str, kind: str | None, host: Host) -> list[Component]:
    if "(" in name:
        return components_named(name, host.catalog, kind)
    try:
        return components_named(name, host.catalog, kind)
    except UnknownComponent:
        ids = [component.id for component in host.catalog.components(kind)]
        known = [*ids, *(each for plugin in host.plugins for each in _names(plugin))]
        raise UnknownComponent(
            f"no plugin, distribution, package or {kind or 'component'} named {name!r}; "
            f"{did_you_mean(name, known)}{host.catalog.not_loaded(name)}"
        ) from None


def _refuse_unknown(checks: Sequence[str], components: Sequence[Component]) -> None:
    """Raise ``UnknownComponent`` for a check that asks nothing of any of *components*."""
    from automl_opt.testing import checks_of

    asked = {each.name for component in components for each in checks_of(component)}
    for name in checks:
        if name not in asked:
            of = components[0].name if len(components) == 1 else f"these {len(components)}"
            raise UnknownComponent(
                f"--check {name}: no such check of {of}; {did_you_mean(name, asked, show=30)}"
            )


def _echo(component: Component, outcomes: Sequence[Outcome]) -> None:
    """A line on the component, and one for every check that did not pass."""
    head = click.style(f"{component.kind} {component.name}", bold=True)
    click.echo(f"{head}  {_summary(Counter(outcome.status for outcome in outcomes))}")
    for outcome in outcomes:
        if outcome.status != "passed":
            status = click.style(f"{outcome.status:8}", fg=COLOURS[outcome.status])
            click.echo(f"  {status}  {outcome.check}: {' '.join(outcome.message.split())}")


def _summary(count: Counter[str]) -> str:
    parts = [f"{count['passed']} passed"]
    if count["expected"]:
        parts.append(f"{count['expected']} failed as expected")
    if count["failed"]:
        parts.append(f"{count['failed']} failed")
    return ", ".join(parts)


def _data(component: Component, outcomes: Sequence[Outcome]) -> dict[str, object]:
    return {
        "component": component.name,
        "kind": component.kind,
        "version": component.spec.version,
        "plugin": component.plugin,
        "distribution": component.distribution,
        "distribution_version": component.distribution_version,
        "outcomes": [
            {key: value for key, value in asdict(outcome).items() if key != "component"}
            for outcome in outcomes
        ],
    }


def _show_progress(text: str) -> None:
    """*text* in place of what stood there, on a terminal and nowhere else."""
    if sys.stderr.isatty():
        click.echo(f"\r\x1b[K{text}", err=True, nl=False)
