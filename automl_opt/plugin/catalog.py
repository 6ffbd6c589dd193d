"""All components that loaded, by kind and name."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar, cast

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
from automl_opt.core.errors import (
    ComponentError,
    PluginError,
    UnknownComponent,
    did_you_mean,
)
from automl_opt.core.params import Value
from automl_opt.plugin.lazy import resolve

if TYPE_CHECKING:
    from automl_opt.core.recipe import Part

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
    """A spec and where it came from.

    Args:
        module: holds the spec, or else its code.
        code_module: where the code stands, if that is another.
        base: what a wrapper wraps, as :meth:`Catalog.find` read it from ``sam(adamw)``.
    """

    spec: ComponentSpec
    plugin: str
    distribution: str
    distribution_version: str
    module: str
    base: Component | None = None
    code_module: str | None = None

    @property
    def id(self) -> str:
        """The component alone; what a recipe's part and its row in SQL are called."""
        return f"{self.plugin}.{self.spec.name}"

    @property
    def name(self) -> str:
        """The ids from the outermost in: ``builtin.sam(builtin.adamw)``."""
        return self.id if self.base is None else f"{self.id}({self.base.name})"

    @property
    def label(self) -> str:
        """The name in a study's rows: without the plugin for what ships with us, else the id.

        It never changes when other plugins are installed, as the shortest unique name would.
        """
        own = self.spec.name if self.distribution == OURS else self.id
        return own if self.base is None else f"{own}({self.base.label})"

    @property
    def alone(self) -> Component:
        """The component without what it wraps."""
        return self if self.base is None else replace(self, base=None)

    @property
    def kind(self) -> str:
        return self.spec.kind

    @property
    def wraps(self) -> bool:
        """Whether it works around another component of its kind only."""
        return getattr(self.spec, "wrap", None) is not None

    @property
    def chain(self) -> tuple[Component, ...]:
        """The component and what it wraps, the outermost first."""
        return (self,) if self.base is None else (self, *self.base.chain)

    def has(self, field: str) -> bool:
        """Whether the spec of any component in the chain has *field* set."""
        return any(bool(getattr(component.spec, field, None)) for component in self.chain)

    def part(self, values: Mapping[str, Mapping[str, Value]] | None = None) -> Part:
        """The component as a part of a recipe.

        Args:
            values: component id -> its parameters; the defaults where there is none.
        """
        from automl_opt.core.recipe import Part  # here, because listing plugins needs no recipe

        base = None if self.base is None else self.base.part(values)
        params = (values or {}).get(self.id, None)
        if params is None:
            params = self.defaults()
        return Part(self.id, params, self.spec.version, self.kind, base=base)

    @property
    def described(self) -> str:
        """Kind, id, version and distribution, for messages."""
        provider = f"{self.distribution} {self.distribution_version}"
        return f"{self.kind} {self.id} version {self.spec.version} ({provider})"

    def defaults(self) -> dict[str, Value]:
        """The default of every parameter that exists at the defaults."""
        values: dict[str, Value] = {}
        for name, param in self.spec.params.items():
            if param.when is None or values.get(param.when[0]) in param.when[1]:
                values[name] = param.default
        return values

    def code(self, value: Code) -> Callable[..., Any]:
        """The function behind one of the spec's fields; dotted paths load here, not before.

        Raises:
            ComponentError: the path leads nowhere.
        """
        try:
            return cast(Callable[..., Any], resolve(value, self.described))
        except PluginError as error:
            raise ComponentError(str(error), self.kind) from error

    @cached_property
    def source_sha256(self) -> str | None:
        """SHA-256 of the component's files, its code last; ``None`` where there are none."""
        modules = [self.module] if self.code_module is None else [self.module, self.code_module]
        files = [_file(module) for module in modules]
        if not all(file is not None and file.is_file() for file in files):
            return None  # built in, or inside a zip archive
        import hashlib  # here, because listing plugins needs no hash

        return hashlib.sha256(b"".join(f.read_bytes() for f in files if f)).hexdigest()


def _file(module: str) -> Path | None:
    """Where *module* lies, imported already or, named by a dotted path, not yet."""
    try:
        found = importlib.util.find_spec(module)
    except (ImportError, ValueError):  # there is no such parent, or it was made by hand
        return None
    return Path(found.origin) if found is not None and found.origin else None


Failures: TypeAlias = Sequence[tuple[str, str]]


class Catalog:
    """Looks components up by id, or by short name: what ships with us, or else the only one.

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
        """The one *kind* called *name*; ``sam(adamw)`` is the one around the other.

        Raises:
            UnknownComponent: there is none, or a short name has several providers and we are
                none of them; or what stands before brackets wraps nothing.
        """
        outer, bracket, inner = name.partition("(")
        if bracket:
            return self._around(kind, name, outer.strip(), inner.strip())
        of_kind = self.components(kind)
        exact = [c for c in of_kind if c.id == name]
        short = [c for c in of_kind if c.spec.name == name]
        # ours go by their short names: a study must not stop because a plugin was installed
        found = exact or [c for c in short if c.distribution == OURS] or short
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

    def _around(self, kind: str, name: str, outer: str, inner: str) -> Component:
        if not inner.endswith(")") or not inner[:-1].strip():
            raise UnknownComponent(
                f"{kind} {name!r} does not read as WRAPPER(COMPONENT), for example sam(adamw)"
            )
        wrapper, base = self.find(kind, outer), self.find(kind, inner[:-1].strip())
        if not wrapper.wraps:
            wrappers = [c.id for c in self.components(kind) if c.wraps]
            raise UnknownComponent(
                f"{kind} {name!r}: {wrapper.id} wraps nothing; {did_you_mean(outer, wrappers)}"
            )
        if wrapper.id in (component.id for component in base.chain):
            raise UnknownComponent(f"{kind} {name!r}: {wrapper.id} is there twice")
        return replace(wrapper, base=base)

    def whole(self, kind: str, name: str) -> Component:
        """:meth:`find`, for something that works by itself.

        Raises:
            UnknownComponent: also for a wrapper without what it is to wrap.
        """
        found = self.find(kind, name)
        if found.chain[-1].wraps:
            raise UnknownComponent(
                f"{kind} {found.name} wraps another {kind}: write "
                f"{found.spec.name}({kind.upper()}), with the other's name in the brackets"
            )
        return found

    def candidates(self, kind: str) -> tuple[Component, ...]:
        """Every component of *kind* that works by itself: all but the wrappers."""
        return tuple(c for c in self.components(kind) if not c.wraps)

    def spec(self, component_id: str, kind: type[SpecT]) -> SpecT:
        """The spec behind an id or name, typed."""
        return cast(SpecT, self.find(kind.kind, component_id).spec)

    def shared_names(self) -> dict[tuple[str, str], tuple[Component, ...]]:
        """``(kind, short name)`` of every name that several plugins offer, and we do not."""
        groups: dict[tuple[str, str], list[Component]] = {}
        for component in self._components:
            groups.setdefault((component.kind, component.spec.name), []).append(component)
        return {
            key: tuple(group)
            for key, group in groups.items()
            if len(group) > 1 and all(component.distribution != OURS for component in group)
        }

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
