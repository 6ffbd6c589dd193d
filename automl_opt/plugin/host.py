"""Loads plugins one by one; a broken one is a value with a reason, never the end of the others."""

from __future__ import annotations

import importlib.metadata
import os
import sys
import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import pluggy

from automl_opt.api import API_VERSION, PROJECT, ComponentSpec, OptimizerSpec, hookspecs
from automl_opt.api.component import Code
from automl_opt.api.regularizer import HOOKS as HOOKS_OF_TRAINING
from automl_opt.core.errors import PluginError, did_you_mean
from automl_opt.plugin.catalog import OURS, SPEC_OF_KIND, Catalog, Component

ALLOW_LIST = "AUTOML_OPT_PLUGINS"

OFFERS = {
    "automl_opt_optimizers": "optimizer",
    "automl_opt_schedulers": "scheduler",
    "automl_opt_regularizers": "regularizer",
    "automl_opt_initializers": "initializer",
    "automl_opt_strategies": "strategy",
    "automl_opt_pruners": "pruner",
}

WAYS = ("torch", "factor", "observe", "wrap")
"""How an optimizer or a scheduler may be given, beside a rule."""

HOOKS = tuple(name for name in dir(hookspecs) if name.startswith(f"{PROJECT}_"))


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
        if hook not in HOOKS:
            raise ValueError(f"there is no hook {hook}; {did_you_mean(hook, HOOKS)}")
        for plugin in self.plugins:
            if plugin.status != "loaded":
                continue
            try:
                getattr(_scratch(plugin.module, plugin.name).hook, hook)(**arguments)
            except (Exception, SystemExit) as error:  # a plugin may raise anything, exit() too
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
    because: str = f"not in the allow-list {ALLOW_LIST}",
) -> Host:
    """Load every allowed plugin of the entry-point group ``automl_opt``.

    Args:
        entry_points: instead of those installed.
        allow: names of plugins that may load; what ships with automl-opt always may. Default: the
            comma-separated ``AUTOML_OPT_PLUGINS``, and without it everything installed.
        because: the reason that the others are given.
    """
    if entry_points is None:
        entry_points = importlib.metadata.entry_points(group=PROJECT)
    if allow is None and ALLOW_LIST in os.environ:
        allow = (name.strip() for name in os.environ[ALLOW_LIST].split(","))
    allowed = None if allow is None else set(allow)
    described = [(entry, *_distribution(entry)) for entry in entry_points]
    described.sort(key=lambda item: (item[1] != OURS, item[0].name, item[0].value))
    plugins: list[PluginInfo] = []
    for entry, name, version in described:
        if allowed is not None and name != OURS and entry.name not in allowed:
            plugins.append(
                PluginInfo(entry.name, entry.value, name, version, "not allowed", because)
            )
            continue
        providers = [f"{n} {v}" for other, n, v in described if other.name == entry.name]
        try:
            if len(providers) > 1 and name != OURS:  # which of them loads must not hang on order
                raise PluginError(
                    f"clash: plugin {entry.name!r} is provided by "
                    + " and by ".join(providers)
                    + "; uninstall all but one"
                )
            module = _import(entry)
            components = _offers(module, entry.name, name, version)
        except PluginError as error:
            plugins.append(PluginInfo(entry.name, entry.value, name, version, "failed", str(error)))
            continue
        plugins.append(
            PluginInfo(entry.name, entry.value, name, version, "loaded", None, components, module)
        )
    return Host(plugins)


def _distribution(entry: importlib.metadata.EntryPoint) -> tuple[str, str]:
    """Name and version; a distribution without a METADATA file has neither."""
    if entry.dist is None:
        return "unknown", "0"
    described: Any = entry.dist.metadata  # parsed at every access
    return described.get("Name") or "unknown", described.get("Version") or "0"


def _import(entry: importlib.metadata.EntryPoint) -> Any:
    try:
        module = entry.load()
        needs = getattr(module, "AUTOML_OPT_API", 1)
    except (Exception, SystemExit) as error:  # an import may raise anything, exit() too
        raise PluginError(f"import failed: {type(error).__name__}: {error}") from error
    if not isinstance(needs, int):
        raise PluginError(f"AUTOML_OPT_API must be a whole number, not {needs!r}")
    if needs > API_VERSION:
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


def _offers(module: Any, plugin: str, distribution: str, version: str) -> tuple[Component, ...]:
    """Every component of one plugin, validated; raises :class:`PluginError`."""
    try:
        _check_names(module)
        manager = _scratch(module, plugin)
    except PluginError:
        raise
    except Exception as error:  # pluggy's errors have no narrower base, a lazy attribute's neither
        raise PluginError(str(error).replace("\n", " ")) from error
    if not manager.get_hookcallers(module):
        raise PluginError(f"implements no hook; hooks: {', '.join(HOOKS)}")

    found: dict[tuple[str, str], Component] = {}
    for hook, kind in OFFERS.items():
        try:
            specs = [spec for offered in getattr(manager.hook, hook)() for spec in offered]
        except (Exception, SystemExit) as error:  # the plugin's own code
            raise PluginError(f"{hook} raised {type(error).__name__}: {error}") from error
        for spec in specs:
            component = _component(spec, kind, hook, module, plugin, distribution, version)
            if (kind, component.id) in found:
                raise PluginError(f"clash: it offers two {kind}s named {component.id}")
            found[kind, component.id] = component
    return tuple(sorted(found.values(), key=lambda c: (c.kind, c.id)))


def _check_names(module: Any) -> None:
    """Refuse what pluggy would pass over in silence: a hook misspelt, or not marked."""
    manager = pluggy.PluginManager(PROJECT)
    for name in dir(module):
        marked = manager.parse_hookimpl_opts(module, name) is not None
        if marked and name not in HOOKS:
            raise PluginError(f"there is no hook {name}; {did_you_mean(name, HOOKS)}")
        if not marked and name.startswith(f"{PROJECT}_") and callable(getattr(module, name)):
            raise PluginError(f"{name} is not marked with @hookimpl")


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
    home, code = _files(spec, module)
    return Component(spec, plugin, distribution, version, home, code_module=code)


def _files(spec: ComponentSpec, plugin: Any) -> tuple[str, str | None]:
    """The modules whose files a change of the component would touch.

    The first holds the spec, the second its code where that stands in another; a spec that no
    module holds, because a hook makes it, is told by its code alone. A path out of the plugin
    (``torch.optim:RAdam``) is no code of its own.
    """
    own: str = getattr(plugin, "__module__", None) or plugin.__name__
    code = next(filter(None, (_module_of(code, own) for code in _codes(spec))), None)
    if code is not None and (code == own or _holds(code, spec)):
        return code, None
    inside = sorted(name for name in sys.modules if name.startswith(f"{own}."))
    holder = next((name for name in inside if _holds(name, spec)), None)
    return holder or code or own, code if holder else None


def _holds(module: str, spec: ComponentSpec) -> bool:
    """Whether *module* is imported and has *spec* under a name."""
    return module in sys.modules and any(v is spec for v in vars(sys.modules[module]).values())


def _module_of(code: Code, own: str) -> str | None:
    """The module of the plugin that *code* stands in, if any."""
    if not isinstance(code, str):
        return getattr(code, "__module__", None) or own
    module = code.partition(":")[0]
    return module if module.partition(".")[0] == own.partition(".")[0] else None


def _codes(spec: ComponentSpec) -> Iterator[Code]:
    """What a component computes with, the most telling first; its twin is someone else's."""
    if isinstance(spec, OptimizerSpec) and spec.rule is not None:
        yield from (spec.rule.update, spec.rule.init)
    for name in (*WAYS, *HOOKS_OF_TRAINING, "init", "fit", "sampler", "pruner"):
        code = getattr(spec, name, None)
        if code is not None:
            yield code
