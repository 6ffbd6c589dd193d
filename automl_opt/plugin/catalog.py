"""All components that loaded, by kind and name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeAlias, TypeVar, cast

from automl_opt.api import (
    ComponentSpec,
    InitializerSpec,
    OptimizerSpec,
    PrunerSpec,
    RegularizerSpec,
    SchedulerSpec,
    StrategySpec,
)
from automl_opt.api.component import Code
from automl_opt.core.errors import UnknownComponent, did_you_mean
from automl_opt.core.params import Value
from automl_opt.plugin.lazy import resolve

OURS = "automl-opt"
"""Our own distribution: its components go by their short names."""

SpecT = TypeVar("SpecT", bound=ComponentSpec)

SPEC_OF_KIND: dict[str, type[ComponentSpec]] = {
    spec.kind: spec
    for spec in (
        OptimizerSpec,
        SchedulerSpec,
        RegularizerSpec,
        InitializerSpec,
        StrategySpec,
        PrunerSpec,
    )
}


@dataclass(frozen=True)
class Component:
    """A spec and where it came from."""

    spec: ComponentSpec
    plugin: str
    distribution: str
    distribution_version: str
    module: str

    @property
    def id(self) -> str:
        return f"{self.plugin}.{self.spec.name}"

    @property
    def label(self) -> str:
        """The name in a study's rows: without the plugin for what ships with us, else the id.

        It never changes when other plugins are installed, as the shortest unique name would.
        """
        return self.spec.name if self.distribution == OURS else self.id

    @property
    def kind(self) -> str:
        return self.spec.kind

    def defaults(self) -> dict[str, Value]:
        """The default of every parameter that exists at the defaults."""
        values: dict[str, Value] = {}
        for name, param in self.spec.params.items():
            if param.when is None or values.get(param.when[0]) in param.when[1]:
                values[name] = param.default
        return values

    def code(self, value: Code) -> Callable[..., Any]:
        """The function behind one of the spec's fields; dotted paths load here, not before."""
        owner = f"{self.kind} {self.id} ({self.distribution} {self.distribution_version})"
        return cast(Callable[..., Any], resolve(value, owner))

    @cached_property
    def source_sha256(self) -> str | None:
        """SHA-256 of the file of the component's code; ``None`` where there is none."""
        file = _file(self.module)
        if file is None or not file.is_file():  # built in, or inside a zip archive
            return None
        import hashlib  # here, because listing plugins needs no hash

        return hashlib.sha256(file.read_bytes()).hexdigest()


def _file(module: str) -> Path | None:
    """Where *module* lies, imported already or, named by a dotted path, not yet."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # there is no such parent, or it was made by hand
        return None
    return Path(found.origin) if found is not None and found.origin else None


Failures: TypeAlias = Sequence[tuple[str, str]]


class Catalog:
    """Looks components up by id, or by short name while nobody else offers one.

    Args:
        components: no two of the same kind and id.
        failures: ``(plugin, reason)`` of those that did not load, for messages.
    """

    def __init__(self, components: Iterable[Component], failures: Failures = ()) -> None:
        self._components = tuple(sorted(components, key=lambda c: (c.kind, c.id)))
        self._failures = tuple(failures)

    def components(self, kind: str | None = None) -> tuple[Component, ...]:
        """Every component (of *kind*), sorted by kind and id."""
        return tuple(c for c in self._components if kind in (None, c.kind))

    def find(self, kind: str, name: str) -> Component:
        """The one *kind* called *name*.

        Raises:
            UnknownComponent: there is none, or a short name has several providers.
        """
        of_kind = self.components(kind)
        exact = [c for c in of_kind if c.id == name]
        short = [c for c in of_kind if c.spec.name == name]
        found = exact or short
        if len(found) == 1:
            return found[0]
        if found:
            raise UnknownComponent(
                f"{kind} {name!r} is offered by "
                + " and by ".join(
                    f"plugin {c.plugin!r} ({c.distribution} {c.distribution_version})"
                    for c in found
                )
                + f"; write {' or '.join(c.id for c in found)}"
            )
        names = [c.id for c in of_kind]
        raise UnknownComponent(
            f"no {kind} named {name!r}; {did_you_mean(name, names)}" + self.not_loaded(name)
        )

    def by_id(self, kind: str, component_id: str) -> Component:
        """The component that a recipe names in full."""
        return self.find(kind, component_id)

    def spec(self, component_id: str, kind: type[SpecT]) -> SpecT:
        """The spec behind an id or name, typed."""
        return cast(SpecT, self.find(kind.kind, component_id).spec)

    def shared_names(self) -> dict[tuple[str, str], tuple[Component, ...]]:
        """``(kind, short name)`` of every name that more than one plugin offers."""
        groups: dict[tuple[str, str], list[Component]] = {}
        for component in self._components:
            groups.setdefault((component.kind, component.spec.name), []).append(component)
        return {key: tuple(group) for key, group in groups.items() if len(group) > 1}

    def not_loaded(self, name: str) -> str:
        """Lines on why *name* may be missing: its own plugin, or else any that did not load."""
        known = list(dict.fromkeys(self._failures))  # those that clash give one reason twice
        of_it = [(plugin, reason) for plugin, reason in known if name.startswith(f"{plugin}.")]
        if not of_it and len(known) > 2:
            names = ", ".join(repr(plugin) for plugin, _ in known)
            return f"\nPlugins {names} are not loaded: 'automl-opt plugins list' says why"
        return "".join(
            f"\nPlugin {plugin!r} is not loaded: {reason}" for plugin, reason in of_it or known
        )
