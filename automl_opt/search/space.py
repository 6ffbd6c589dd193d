"""From a study and the catalogue to one search space an arm, and from values to recipes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any, TypeAlias

from automl_opt.core.errors import ParamError, SpecError, did_you_mean
from automl_opt.core.params import OneOf, Param, Suggests, Value, overridden
from automl_opt.core.recipe import Builder, Part, Recipe
from automl_opt.core.space import Entry, SearchSpace
from automl_opt.core.spec import KINDS, StudySpec, parse_study
from automl_opt.plugin.catalog import Catalog, Component

Condition: TypeAlias = tuple[tuple[str, tuple[Value, ...]], ...]
Key: TypeAlias = tuple[str, str]
"""Kind and id of a component: a plugin may use a name again for another kind."""

NONE = "none"
"""The arm without any regularizer, in a study that compares regularizers."""


@dataclass(frozen=True)
class Pick:
    """The candidates of one kind.

    Args:
        fixed: given, not chosen: its parameters are named ``optimizer.lr`` and not
            ``optimizer.adamw.lr``, so that the arms of a study read alike.
    """

    components: tuple[Component, ...]
    fixed: bool = False


@dataclass(frozen=True, kw_only=True)
class RecipeSpace:
    """A search space whose points are recipes.

    Args:
        arm: the name of what is fixed, for example ``adamw``.
        picks: the candidates of each kind.
        ranges: ``(kind, component id) -> parameter -> range``, overrides applied, for every
            candidate and what it wraps.
        lr_scaling: the rules that may be chosen.
        builder: makes the recipes' parts callable.
    """

    arm: str
    picks: Mapping[str, Pick]
    ranges: Mapping[Key, Mapping[str, Param]]
    batch_size: Param
    accumulate: int = 1
    lr_scaling: tuple[str, ...] = ("none",)
    model: Mapping[str, Param] = field(default_factory=dict)
    builder: Builder | None = None

    @cached_property
    def space(self) -> SearchSpace:
        entries: list[Entry] = []
        for kind in KINDS:
            pick = self.picks[kind]
            choices = tuple(c.label for c in pick.components)
            if kind != "regularizer" and len(choices) > 1 and not pick.fixed:
                entries.append(Entry(kind, OneOf(choices)))
            for component in pick.components:
                entries += self._entries(kind, pick, component)
        entries += self._batch_size_entries()
        entries += [Entry(f"model.{name}", param) for name, param in self.model.items()]
        return SearchSpace(tuple(entries))

    def _entries(self, kind: str, pick: Pick, component: Component) -> list[Entry]:
        prefix = _prefix(kind, pick, component)
        when: Condition = ()
        if not pick.fixed and len(pick.components) > 1:
            when = ((kind, (component.label,)),)
        entries = []
        if kind == "regularizer" and not pick.fixed:
            entries.append(Entry(prefix, OneOf((False, True))))
            when = ((prefix, (True,)),)
        for link in reversed(component.chain):
            stem = _stem(prefix, link)
            for name, param in self.ranges[link.kind, link.id].items():
                hangs = when
                if param.when:
                    hangs = (*when, (f"{stem}.{param.when[0]}", param.when[1]))
                entries.append(Entry(f"{stem}.{name}", replace(param, when=None), hangs))
        return entries

    def _batch_size_entries(self) -> list[Entry]:
        optimizers = self.picks["optimizer"].components
        batched = [c for c in optimizers if not c.has("full_batch")]
        if not batched:
            return []
        when: Condition = ()
        if len(batched) < len(optimizers):
            when = (("optimizer", tuple(c.label for c in batched)),)
        entries = [Entry("batch_size", self.batch_size, when)]
        if len(self.lr_scaling) > 1:
            entries.append(Entry("lr_scaling", OneOf(self.lr_scaling), when))
        return entries

    def suggest(self, trial: Suggests) -> Recipe:
        """A recipe with every value suggested by an Optuna *trial*."""
        return self.recipe(self.space.suggest_values(trial))

    def default(self) -> Recipe:
        """The recipe at the components' defaults: the first trial of every arm."""
        return self.recipe(self.space.defaults())

    def recipe(self, values: Mapping[str, Value]) -> Recipe:
        """The recipe that *values*, named as in :attr:`space`, spell out."""

        def part(kind: str, component: Component) -> Part:
            prefix = _prefix(kind, self.picks[kind], component)
            params = {}
            for link in component.chain:
                stem = _stem(prefix, link)
                names = self.ranges[link.kind, link.id]
                params[link.id] = {
                    name: values[f"{stem}.{name}"] for name in names if f"{stem}.{name}" in values
                }
            return component.part(params)

        def chosen(kind: str) -> Component:
            components = self.picks[kind].components
            label = values.get(kind, components[0].label)
            return next(c for c in components if c.label == label)

        pick = self.picks["regularizer"]
        regularizers = [
            c for c in pick.components if pick.fixed or values[f"regularizer.{c.label}"]
        ]
        recipe = Recipe(
            optimizer=part("optimizer", chosen("optimizer")),
            scheduler=part("scheduler", chosen("scheduler")),
            regularizers=tuple(part("regularizer", c) for c in regularizers),
            initializer=part("initializer", chosen("initializer")),
            batch_size=values.get("batch_size"),  # type: ignore[arg-type]
            accumulate=self.accumulate,
            lr_scaling=str(values.get("lr_scaling", self.lr_scaling[0])),
            model={name: values[f"model.{name}"] for name in self.model},
        )
        return recipe.bound(self.builder) if self.builder else recipe


def _prefix(kind: str, pick: Pick, component: Component) -> str:
    return kind if pick.fixed else f"{kind}.{component.label}"


def _stem(prefix: str, link: Component) -> str:
    """What the parameters of one *link* of a chain are named by: only wrappers add their own."""
    return prefix if link.base is None else f"{prefix}.{link.alone.label}"


def arms_of(
    spec: StudySpec,
    catalog: Catalog,
    model: Mapping[str, Param],
    builder: Builder | None = None,
) -> list[RecipeSpace]:
    """One space for each candidate of the kind that the study compares, in the file's order.

    Raises:
        SpecError: a name, a parameter or a range in the study is not what a component offers.
    """
    found = {kind: _candidates(spec, catalog, kind) for kind in KINDS}
    base = RecipeSpace(
        arm="",
        picks={kind: Pick(components) for kind, components in found.items()},
        ranges=_ranges(spec, catalog, [c for cs in found.values() for c in cs]),
        batch_size=spec.batch_size,
        accumulate=spec.accumulate,
        lr_scaling=spec.lr_scaling,
        model=model,
        builder=builder,
    )
    arms: list[tuple[str, tuple[Component, ...]]] = [(c.label, (c,)) for c in found[spec.compare]]
    if spec.compare == "regularizer":
        arms.insert(0, (NONE, ()))
    return [
        replace(base, arm=label, picks={**base.picks, spec.compare: Pick(components, fixed=True)})
        for label, components in arms
    ]


def _candidates(spec: StudySpec, catalog: Catalog, kind: str) -> tuple[Component, ...]:
    names = spec.components[kind]
    if names == "all":
        return catalog.candidates(kind)
    found: dict[str, Component] = {}
    for name in names:
        with spec.blame(f"[space] {kind}"):
            component = catalog.whole(kind, name)
        if component.name in found:
            raise spec.error(f"[space] {kind}", f"names {component.name} twice")
        found[component.name] = component
    return tuple(found.values())


def _ranges(
    spec: StudySpec, catalog: Catalog, components: Sequence[Component]
) -> dict[Key, dict[str, Param]]:
    links = [link for component in components for link in component.chain]
    ranges = {(link.kind, link.id): dict(link.spec.params) for link in links}
    for kind in KINDS:
        for name, overrides in spec.overrides.get(kind, {}).items():
            with spec.blame(f"[ranges.{kind}] {name}"):
                component = catalog.find(kind, name)
            if component.base is not None:
                parts = " and ".join(f"[ranges.{kind}.{c.alone.label}]" for c in component.chain)
                raise spec.error(
                    f"[ranges.{kind}] {name}", f"ranges are those of one component: write {parts}"
                )
            declared = component.spec.params
            for key, override in overrides.items():
                place = f"[ranges.{kind}.{name}] {key}"
                if key not in declared:
                    raise spec.error(
                        place,
                        f"{component.id} has no such parameter; {did_you_mean(key, declared)}",
                    )
                try:
                    changed = overridden(declared[key], override)
                except ParamError as error:
                    raise spec.error(place, str(error)) from error
                if (kind, component.id) in ranges:
                    ranges[kind, component.id][key] = changed
    return ranges


def own_space(
    catalog: Catalog,
    *,
    builder: Builder,
    optimizer: str | Sequence[str],
    scheduler: str | Sequence[str] = "constant",
    regularizer: str | Sequence[str] = (),
    initializer: str | Sequence[str] = "default",
    batch_size: Any = 32,
    lr_scaling: Any = "none",
    ranges: Mapping[str, Mapping[str, Mapping[str, Any]]] | None = None,
) -> RecipeSpace:
    """A space for an objective of the user's own; see :func:`automl_opt.search_space`."""
    given = {
        "optimizer": optimizer,
        "scheduler": scheduler,
        "regularizer": regularizer,
        "initializer": initializer,
    }
    data = {
        "name": "search_space",
        "task": "none:none",
        "space": {
            **{k: [v] if isinstance(v, str) and v != "all" else v for k, v in given.items()},
            "batch_size": batch_size,
            "lr_scaling": lr_scaling,
        },
        "ranges": ranges or {},
    }
    spec = parse_study(data, source="search_space(…)")
    picks = {}
    for kind, names in given.items():
        single = isinstance(names, str) and names != "all"
        picks[kind] = Pick(_candidates(spec, catalog, kind), fixed=single)
    if not picks["optimizer"].components:
        raise SpecError("search_space(…), optimizer: must name at least one optimizer")
    candidates = [c for pick in picks.values() for c in pick.components]
    return RecipeSpace(
        arm="own",
        picks=picks,
        ranges=_ranges(spec, catalog, candidates),
        batch_size=spec.batch_size,
        lr_scaling=spec.lr_scaling,
        builder=builder,
    )
