"""Loads plugins one by one; a broken one is a value with a reason, never the end of the others."""

from __future__ import annotations

import importlib.metadata
import os
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pluggy

from automl_opt.api import API_VERSION, PROJECT, ComponentSpec, hookspecs
from automl_opt.core.errors import PluginError
from automl_opt.plugin.catalog import SPEC_OF_KIND, Catalog, Component

ALLOW_LIST = "AUTOML_OPT_PLUGINS"
OURS = "automl-opt"

OFFERS = {
    "automl_opt_optimizers": "optimizer",
    "automl_opt_schedulers": "scheduler",
    "automl_opt_regularizers": "regularizer",
    "automl_opt_initializers": "initializer",
    "automl_opt_strategies": "strategy",
    "automl_opt_pruners": "pruner",
}


@dataclass(frozen=True)
class PluginInfo:
    """One entry point and what became of it.

    Args:
        status: ``loaded``; ``failed`` with its *reason*; ``not allowed`` by the allow-list.
        components: the ids it offers, by kind.
    """

    name: str
    target: str
    distribution: str
    version: str
    status: Literal["loaded", "failed", "not allowed"]
    reason: str | None = None
    components: tuple[Component, ...] = ()
    module: Any = None


class Host:
    """The plugins of one process: their components and their event hooks.

    Args:
        plugins: as :func:`load_host` found them; a clash of ids has failed by then.
    """

    def __init__(self, plugins: Sequence[PluginInfo]) -> None:
        self.plugins = tuple(plugins)
        self.catalog = Catalog(
            (c for plugin in self.plugins for c in plugin.components),
            [(p.name, p.reason or p.status) for p in self.plugins if p.status != "loaded"],
        )

    def notify(self, hook: str, **arguments: Any) -> None:
        """Tell every plugin that implements *hook*; one that raises is warned about by name."""
        for plugin in self.plugins:
            if plugin.status != "loaded":
                continue
            try:
                _call(plugin.module, plugin.name, hook, arguments)
            except Exception as error:  # a plugin's event hook may raise anything
                warnings.warn(
                    f"plugin {plugin.name!r} ({plugin.distribution} {plugin.version}) failed in "
                    f"{hook}: {type(error).__name__}: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )


def load_host(
    entry_points: Iterable[importlib.metadata.EntryPoint] | None = None,
    *,
    allow: Iterable[str] | None = None,
) -> Host:
    """Load every allowed plugin of the entry-point group ``automl_opt``.

    Args:
        entry_points: instead of those installed.
        allow: names of plugins that may load; what ships with automl-opt always may. Default: the
            comma-separated ``AUTOML_OPT_PLUGINS``, and without it everything installed.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=PROJECT)
    if allow is None and ALLOW_LIST in os.environ:
        allow = (name.strip() for name in os.environ[ALLOW_LIST].split(","))
    allowed = None if allow is None else set(allow)
    # our own first, so that of two plugins with one name the newcomer is the one refused
    ordered = sorted(entry_points, key=lambda e: (_distribution(e)[0] != OURS, e.name, e.value))
    plugins: list[PluginInfo] = []
    for entry in ordered:
        name, version = _distribution(entry)
        if allowed is not None and name != OURS and entry.name not in allowed:
            reason = f"not in the allow-list {ALLOW_LIST}"
            plugins.append(
                PluginInfo(entry.name, entry.value, name, version, "not allowed", reason)
            )
            continue
        twin = next((p for p in plugins if p.name == entry.name and p.status == "loaded"), None)
        try:
            if twin is not None:
                raise PluginError(
                    f"clash: plugin {entry.name!r} is already provided by {twin.distribution} "
                    f"{twin.version}, and {name} {version} offers another; uninstall one"
                )
            module = _import(entry)
            components = _offers(module, entry.name, name, version)
        except PluginError as error:
            plugins.append(
                PluginInfo(entry.name, entry.value, name, version, "failed", str(error))
            )
            continue
        plugins.append(
            PluginInfo(
                entry.name, entry.value, name, version, "loaded", None, components, module
            )
        )
    return Host(plugins)


def _distribution(entry: importlib.metadata.EntryPoint) -> tuple[str, str]:
    if entry.dist is None:
        return "unknown", "0"
    return entry.dist.name, entry.dist.version


def _import(entry: importlib.metadata.EntryPoint) -> Any:
    try:
        module = entry.load()
    except (Exception, SystemExit) as error:  # an import may raise anything, exit() too
        raise PluginError(f"import failed: {type(error).__name__}: {error}") from error
    needs = getattr(module, "AUTOML_OPT_API", 1)
    if not isinstance(needs, int) or needs > API_VERSION:
        raise PluginError(
            f"needs plugin API {needs}, this automl-opt has {API_VERSION}: upgrade automl-opt"
        )
    return module


def _scratch(module: Any, name: str) -> pluggy.PluginManager:
    """A manager of its own for one plugin: an error half-way leaves nothing registered."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    manager.register(module, name)
    manager.check_pending()
    return manager


def _call(module: Any, name: str, hook: str, arguments: dict[str, Any]) -> list[Any]:
    called: list[Any] = getattr(_scratch(module, name).hook, hook)(**arguments)
    return called


def _offers(module: Any, plugin: str, distribution: str, version: str) -> tuple[Component, ...]:
    """Every component of one plugin, validated; raises :class:`PluginError`."""
    hooks = {name for name in dir(hookspecs) if name.startswith("automl_opt_")}
    for name in dir(module):
        marked = hasattr(getattr(module, name), f"{PROJECT}_impl")
        if name.startswith("automl_opt_") and callable(getattr(module, name)) and not marked:
            raise PluginError(f"{name} is not marked with @hookimpl")
        if marked and name not in hooks:
            raise PluginError(f"there is no hook {name}; hooks: {', '.join(sorted(hooks))}")
    try:
        manager = _scratch(module, plugin)
    except Exception as error:  # pluggy's own errors have no common, narrower base
        raise PluginError(str(error).replace("\n", " ")) from error
    if not manager.get_hookcallers(manager.get_plugin(plugin)):
        raise PluginError(f"implements no hook; hooks: {', '.join(sorted(hooks))}")

    found: dict[tuple[str, str], Component] = {}
    for hook, kind in OFFERS.items():
        try:
            specs = [spec for offered in getattr(manager.hook, hook)() for spec in offered]
        except Exception as error:  # the plugin's own code
            raise PluginError(f"{hook} raised {type(error).__name__}: {error}") from error
        for spec in specs:
            component = _component(spec, kind, hook, module, plugin, distribution, version)
            if (kind, component.id) in found:
                raise PluginError(f"clash: it offers two {kind}s named {component.id}")
            found[kind, component.id] = component
    return tuple(sorted(found.values(), key=lambda c: (c.kind, c.id)))


def _component(
    spec: object,
    kind: str,
    hook: str,
    module: Any,
    plugin: str,
    distribution: str,
    version: str,
) -> Component:
    expected = SPEC_OF_KIND[kind]
    if not isinstance(spec, expected) or not isinstance(spec, ComponentSpec):
        raise PluginError(f"{hook} must offer {expected.__name__}, not {spec!r}")
    code = getattr(getattr(spec, "rule", None), "update", None) or getattr(spec, "factor", None)
    home = getattr(code, "__module__", None) or getattr(module, "__name__", str(module))
    return Component(spec, plugin, distribution, version, home)
